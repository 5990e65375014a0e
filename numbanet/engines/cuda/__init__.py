"""The fast engine for NVIDIA GPUs: three ways to train a network, and the choice of the fastest."""

"""The fast engine for NVIDIA GPUs, which has three ways to train a network and chooses one of the ways."""

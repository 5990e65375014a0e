"""The fast engine for NVIDIA GPUs, which has three ways to train, and chooses one of them for each network."""

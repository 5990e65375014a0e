"""The fast engine on NVIDIA GPUs, with its three ways to train and the choice among them."""

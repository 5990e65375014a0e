"""The fast rung on NVIDIA GPUs."""

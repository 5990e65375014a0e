"""The GPU benchmark, which checks correctness, compares times with PyTorch and JAX, and measures the limits of the GPU."""

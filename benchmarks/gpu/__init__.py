"""The GPU benchmark, which checks results, compares times with PyTorch and JAX, and measures GPU launch times and rates."""

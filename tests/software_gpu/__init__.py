"""A CUDA driver without a GPU: runs compiled kernels on the CPU, and finds errors that a GPU hides.

The page docs/software-gpu.md describes it.
"""

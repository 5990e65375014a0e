"""The software GPU is a CUDA driver without a GPU: it runs compiled kernels on the CPU, and finds errors that a GPU hides.

The page docs/software-gpu.md describes the software GPU.
"""

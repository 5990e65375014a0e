"""Translates PTX, the assembly language that NVIDIA's compiler generates for a CUDA kernel, to C++."""

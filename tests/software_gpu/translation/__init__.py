"""Translates PTX, the assembly language that NVVM makes of a kernel, to C++."""

"""Translates PTX, the assembly language that NVVM generates for a kernel, to C++."""

"""The compiled kernels of the fast CPU engine: vectors, panels in memory, the blocked product, and what is fused into it."""

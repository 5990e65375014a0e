"""The compiled kernels of the fast CPU engine: vectors, panels in memory, blocked products, and operations fused with them."""

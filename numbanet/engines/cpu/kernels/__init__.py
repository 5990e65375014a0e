"""The fast CPU engine's compiled kernels: SIMD vectors, memory layout, blocked matrix products, and element-wise operations."""

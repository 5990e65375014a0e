"""The fast CPU engine's compiled kernels, for SIMD vectors, memory layout, matrix products and element-wise operations."""

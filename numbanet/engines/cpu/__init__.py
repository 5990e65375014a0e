"""The fast CPU engine: one compiled function computes whole epochs, and the matrix products keep their sums in registers."""

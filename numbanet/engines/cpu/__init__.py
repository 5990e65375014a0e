"""The fast CPU engine, in which a compiled function computes whole epochs, and matrix products keep their sums in registers."""

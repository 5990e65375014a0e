"""The fast CPU engine: a compiled function computes whole epochs, and its matrix products keep tiles of sums in registers."""

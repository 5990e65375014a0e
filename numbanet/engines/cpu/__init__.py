"""The fast CPU engine: one compiled call computes whole epochs, and its matrix products keep tiles of sums in registers."""

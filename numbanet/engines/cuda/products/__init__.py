"""Training by matrix products: one tiled kernel for all three products, launched or replayed as a graph for each batch."""

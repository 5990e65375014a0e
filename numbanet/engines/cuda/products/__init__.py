"""Training by matrix products: one tiled kernel computes all three products of a layer, batch by batch."""

"""Training by matrix products: a tiled kernel computes the three matrix products of each layer, batch by batch."""

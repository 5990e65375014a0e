"""The benchmark of a GPU: correctness, times against PyTorch and JAX, and the limits of the device."""

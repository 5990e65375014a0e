"""The neuron: z_j = sum_i w_ij x_i + b_j."""

from numbanet._compile import njit
from numbanet._cuda import cuda


@njit
def weighted_input(w_ij, x_i):
    """Returns w_ij x_i, which is the term of input i in neuron j's sum z_j."""
    return w_ij * x_i


@njit
def forward_sum(x, w, b, z):
    """Computes z_j = sum_i w_ij x_i + b_j, for every sample s and neuron j.

    Reads x (n, n_in), w (n_in, n_out) and b (n_out,). Writes z (n, n_out). Twin: forward_sum_cuda.
    """
    for s in range(z.shape[0]):
        for j in range(z.shape[1]):
            z_j = b[j]
            for i in range(w.shape[0]):
                z_j += weighted_input(w[i, j], x[s, i])
            z[s, j] = z_j


@cuda.jit
def forward_sum_cuda(x, w, b, z):
    """Computes z_j = sum_i w_ij x_i + b_j, with one thread per sample s and neuron j. Twin: forward_sum."""
    j, s = cuda.grid(2)
    if s < z.shape[0] and j < z.shape[1]:
        z_j = b[j]
        for i in range(w.shape[0]):
            z_j += weighted_input(w[i, j], x[s, i])
        z[s, j] = z_j

"""a = phi(z) and delta = dL/da da/dz with the kind of activation decided before the loop, so that LLVM can vectorise it.

In the loops of `numbanet.equations` it is decided for every number anew.
"""

from numbanet._compile import njit
from numbanet.equations.activations import (
    LEAKY_RELU,
    RELU,
    SIGMOID,
    TANH,
    d_leaky_relu,
    d_relu,
    d_sigmoid,
    d_tanh,
    leaky_relu,
    relu,
    sigmoid,
    tanh,
)
from numbanet.equations.backprop import error_term


@njit
def activation(kind, epsilon, z, a):
    """a_j = phi(z_j). Reads z (n, n_out); writes a (n, n_out)."""
    n, n_out = a.shape
    if kind == RELU:
        for s in range(n):
            for j in range(n_out):
                a[s, j] = relu(z[s, j])
    elif kind == LEAKY_RELU:
        for s in range(n):
            for j in range(n_out):
                a[s, j] = leaky_relu(z[s, j], epsilon)
    elif kind == SIGMOID:
        for s in range(n):
            for j in range(n_out):
                a[s, j] = sigmoid(z[s, j])
    elif kind == TANH:
        for s in range(n):
            for j in range(n_out):
                a[s, j] = tanh(z[s, j])
    else:
        for s in range(n):
            for j in range(n_out):
                a[s, j] = z[s, j]


@njit
def activation_error(kind, epsilon, dl_da, z, a, delta):
    """delta_j = dL/da_j da_j/dz_j. Reads dl_da, z, a (n, n_out); writes delta (n, n_out)."""
    n, n_out = delta.shape
    if kind == RELU:
        for s in range(n):
            for j in range(n_out):
                delta[s, j] = error_term(dl_da[s, j], d_relu(z[s, j]))
    elif kind == LEAKY_RELU:
        for s in range(n):
            for j in range(n_out):
                delta[s, j] = error_term(dl_da[s, j], d_leaky_relu(z[s, j], epsilon))
    elif kind == SIGMOID:
        for s in range(n):
            for j in range(n_out):
                delta[s, j] = error_term(dl_da[s, j], d_sigmoid(a[s, j]))
    elif kind == TANH:
        for s in range(n):
            for j in range(n_out):
                delta[s, j] = error_term(dl_da[s, j], d_tanh(a[s, j]))
    else:
        for s in range(n):
            for j in range(n_out):
                delta[s, j] = dl_da[s, j]

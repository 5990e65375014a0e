"""Backpropagation: the error term delta = dL/dz of the output layer, a layer's gradients, and delta of the previous layer."""

from numbanet._compile import njit, njit_formula
from numbanet._cuda import cuda
from numbanet._elementary import exp
from numbanet.equations.activations import d_phi, d_softmax
from numbanet.equations.losses import d_cce

# Error term: delta = dL/da da/dz


@njit
def error_term(dl_da, da_dz):
    """Returns delta = dL/da da/dz."""
    return dl_da * da_dz


@njit
def activation_error(kind, epsilon, dl_da, z, a, delta):
    """Computes delta_j = dL/da_j da_j/dz_j for a_j = phi(z_j), for every sample s and neuron j.

    Reads dl_da, z and a, each (n, n_out). Writes delta (n, n_out). Twin: activation_error_cuda.
    """
    for s in range(delta.shape[0]):
        for j in range(delta.shape[1]):
            delta[s, j] = error_term(dl_da[s, j], d_phi(kind, epsilon, z[s, j], a[s, j]))


@cuda.jit
def activation_error_cuda(kind, epsilon, dl_da, z, a, delta):
    """Computes delta_j = dL/da_j da_j/dz_j, with one thread per sample s and neuron j. Twin: activation_error."""
    j, s = cuda.grid(2)
    if s < delta.shape[0] and j < delta.shape[1]:
        delta[s, j] = error_term(dl_da[s, j], d_phi(kind, epsilon, z[s, j], a[s, j]))


@njit
def softmax_error(dl_da, a, delta):
    """Computes delta_j = sum_i dL/da_i da_i/dz_j, with the full Jacobian of softmax, for every sample s and neuron j.

    Reads dl_da and a, both (n, n_out). Writes delta (n, n_out). Twin: softmax_error_cuda.
    """
    for s in range(delta.shape[0]):
        for j in range(delta.shape[1]):
            delta_j = type(a[s, j])(0)
            for i in range(a.shape[1]):
                delta_j += error_term(dl_da[s, i], d_softmax(a[s, i], a[s, j], i, j))
            delta[s, j] = delta_j


@cuda.jit
def softmax_error_cuda(dl_da, a, delta):
    """Computes delta_j = sum_i dL/da_i da_i/dz_j, with one thread per sample s and neuron j. Twin: softmax_error."""
    j, s = cuda.grid(2)
    if s < delta.shape[0] and j < delta.shape[1]:
        delta_j = type(a[s, j])(0)
        for i in range(a.shape[1]):
            delta_j += error_term(dl_da[s, i], d_softmax(a[s, i], a[s, j], i, j))
        delta[s, j] = delta_j


# Short forms of the output error, in which the product of dL/dy_hat and da/dz simplifies to 1/n (a - y)


@njit
def short_error(n, y, a, delta):
    """Computes delta_j = 1/n (a_j - y_j) for softmax with CCE and for sigmoid with BCE, for every sample s and neuron j.

    Reads y and a, both (n, n_out). Writes delta (n, n_out). Twin: short_error_cuda.
    """
    for s in range(delta.shape[0]):
        for j in range(delta.shape[1]):
            delta[s, j] = d_cce(n, y[s, j], a[s, j])


@cuda.jit
def short_error_cuda(n, y, a, delta):
    """Computes delta_j = 1/n (a_j - y_j), with one thread per sample s and neuron j. Twin: short_error."""
    j, s = cuda.grid(2)
    if s < delta.shape[0] and j < delta.shape[1]:
        delta[s, j] = d_cce(n, y[s, j], a[s, j])


@njit_formula
def d_softmax_logit(z_j, z_i, u_i, i, j):
    """Returns du_i/dz_j, where u_i = z_i - log(sum_{k != i} e^z_k): 1 if i = j, else -e^z_j / sum_{k != i} e^z_k."""
    if i == j:
        return type(z_j)(1)
    return -exp(z_j - (z_i - u_i))


@njit
def softmax_logit_error(dl_du, z, u, delta):
    """Computes delta_j = sum_i dL/du_i du_i/dz_j, for softmax with BCE, for every sample s and neuron j.

    The loop softmax_logit computes u, for which softmax(z)_i = sigmoid(u_i). For BCE, dL/du_i is 1/n (a_i - y_i), because a_i =
    sigmoid(u_i). Reads dl_du, z and u, each (n, n_out). Writes delta (n, n_out). Twin: softmax_logit_error_cuda.
    """
    for s in range(delta.shape[0]):
        for j in range(delta.shape[1]):
            delta_j = type(z[s, j])(0)
            for i in range(z.shape[1]):
                delta_j += error_term(dl_du[s, i], d_softmax_logit(z[s, j], z[s, i], u[s, i], i, j))
            delta[s, j] = delta_j


@cuda.jit
def softmax_logit_error_cuda(dl_du, z, u, delta):
    """Computes delta_j = sum_i dL/du_i du_i/dz_j, with one thread per sample s and neuron j. Twin: softmax_logit_error."""
    j, s = cuda.grid(2)
    if s < delta.shape[0] and j < delta.shape[1]:
        delta_j = type(z[s, j])(0)
        for i in range(z.shape[1]):
            delta_j += error_term(dl_du[s, i], d_softmax_logit(z[s, j], z[s, i], u[s, i], i, j))
        delta[s, j] = delta_j


# A layer's gradients, derived from the forward sum z_j = sum_i w_ij x_i + b_j


@njit
def d_weight(delta_j, x_i):
    """Returns dL/dw_ij = delta_j x_i for a single sample."""
    return delta_j * x_i


@njit
def weight_gradient(x, delta, dw):
    """Computes dL/dw_ij = sum_s delta_j x_i over the samples s, for every input i and neuron j.

    Reads x (n, n_in) and delta (n, n_out). Writes dw (n_in, n_out). Twin: weight_gradient_cuda.
    """
    for i in range(dw.shape[0]):
        for j in range(dw.shape[1]):
            dw_ij = type(delta[0, j])(0)
            for s in range(x.shape[0]):
                dw_ij += d_weight(delta[s, j], x[s, i])
            dw[i, j] = dw_ij


@cuda.jit
def weight_gradient_cuda(x, delta, dw):
    """Computes dL/dw_ij = sum_s delta_j x_i, with one thread per input i and neuron j. Twin: weight_gradient."""
    j, i = cuda.grid(2)
    if i < dw.shape[0] and j < dw.shape[1]:
        dw_ij = type(delta[0, j])(0)
        for s in range(x.shape[0]):
            dw_ij += d_weight(delta[s, j], x[s, i])
        dw[i, j] = dw_ij


@njit
def d_bias(delta_j):
    """Returns dL/db_j = delta_j for a single sample."""
    return delta_j


@njit
def bias_gradient(delta, db):
    """Computes dL/db_j = sum_s delta_j over the samples s, for every neuron j.

    Reads delta (n, n_out). Writes db (n_out,). Twin: bias_gradient_cuda.
    """
    for j in range(db.shape[0]):
        db_j = type(delta[0, j])(0)
        for s in range(delta.shape[0]):
            db_j += d_bias(delta[s, j])
        db[j] = db_j


@cuda.jit
def bias_gradient_cuda(delta, db):
    """Computes dL/db_j = sum_s delta_j, with one thread per neuron j. Twin: bias_gradient."""
    j = cuda.grid(1)
    if j < db.shape[0]:
        db_j = type(delta[0, j])(0)
        for s in range(delta.shape[0]):
            db_j += d_bias(delta[s, j])
        db[j] = db_j


# From layer to layer: delta_i = (sum_j w_ij delta_j) da_i/dz_i


@njit
def weighted_error(w_ij, delta_j):
    """Returns w_ij delta_j, which is neuron j's contribution to dL/da_i, because z_j contains the term w_ij a_i."""
    return w_ij * delta_j


@njit
def delta_recurrence(kind, epsilon, w, delta, z_prev, a_prev, delta_prev):
    """Computes delta_i = (sum_j w_ij delta_j) da_i/dz_i, for every sample s and every neuron i of the previous layer.

    The equation is the chain rule through z_j = sum_i w_ij a_i + b_j, where a_i = phi(z_i) belongs to the previous layer.
    Reads w (n_in, n_out), delta (n, n_out), z_prev (n, n_in) and a_prev (n, n_in). Writes delta_prev (n, n_in).
    Twin: delta_recurrence_cuda.
    """
    for s in range(delta_prev.shape[0]):
        for i in range(delta_prev.shape[1]):
            dl_da_i = type(delta[s, 0])(0)
            for j in range(w.shape[1]):
                dl_da_i += weighted_error(w[i, j], delta[s, j])
            delta_prev[s, i] = error_term(dl_da_i, d_phi(kind, epsilon, z_prev[s, i], a_prev[s, i]))


@cuda.jit
def delta_recurrence_cuda(kind, epsilon, w, delta, z_prev, a_prev, delta_prev):
    """Computes delta_i = (sum_j w_ij delta_j) da_i/dz_i, with one thread per sample s and neuron i. Twin: delta_recurrence."""
    i, s = cuda.grid(2)
    if s < delta_prev.shape[0] and i < delta_prev.shape[1]:
        dl_da_i = type(delta[s, 0])(0)
        for j in range(w.shape[1]):
            dl_da_i += weighted_error(w[i, j], delta[s, j])
        delta_prev[s, i] = error_term(dl_da_i, d_phi(kind, epsilon, z_prev[s, i], a_prev[s, i]))

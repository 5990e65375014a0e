"""Backpropagation: the error term delta = dL/dz of the output layer, the gradients of a layer, delta of the layer before."""

from numbanet._compile import njit, njit_formula
from numbanet._cuda import cuda
from numbanet._elementary import exp
from numbanet.equations.activations import d_phi, d_softmax
from numbanet.equations.losses import d_cce

# Error term: delta = dL/da da/dz


@njit
def error_term(dl_da, da_dz):
    """delta = dL/da da/dz."""
    return dl_da * da_dz


@njit
def activation_error(kind, epsilon, dl_da, z, a, delta):
    """delta_j = dL/da_j da_j/dz_j for a_j = phi(z_j), for every sample s and neuron j.

    Reads dl_da, z, a (n, n_out); writes delta (n, n_out). Twin: activation_error_cuda.
    """
    for s in range(delta.shape[0]):
        for j in range(delta.shape[1]):
            delta[s, j] = error_term(dl_da[s, j], d_phi(kind, epsilon, z[s, j], a[s, j]))


@cuda.jit
def activation_error_cuda(kind, epsilon, dl_da, z, a, delta):
    """delta_j = dL/da_j da_j/dz_j, one thread per sample s and neuron j. Twin: activation_error."""
    j, s = cuda.grid(2)
    if s < delta.shape[0] and j < delta.shape[1]:
        delta[s, j] = error_term(dl_da[s, j], d_phi(kind, epsilon, z[s, j], a[s, j]))


@njit
def softmax_error(dl_da, a, delta):
    """delta_j = sum_i dL/da_i da_i/dz_j, with the full Jacobian of softmax, for every sample s and neuron j.

    Reads dl_da, a (n, n_out); writes delta (n, n_out). Twin: softmax_error_cuda.
    """
    for s in range(delta.shape[0]):
        for j in range(delta.shape[1]):
            delta_j = type(a[s, j])(0)
            for i in range(a.shape[1]):
                delta_j += error_term(dl_da[s, i], d_softmax(a[s, i], a[s, j], i, j))
            delta[s, j] = delta_j


@cuda.jit
def softmax_error_cuda(dl_da, a, delta):
    """delta_j = sum_i dL/da_i da_i/dz_j, one thread per sample s and neuron j. Twin: softmax_error."""
    j, s = cuda.grid(2)
    if s < delta.shape[0] and j < delta.shape[1]:
        delta_j = type(a[s, j])(0)
        for i in range(a.shape[1]):
            delta_j += error_term(dl_da[s, i], d_softmax(a[s, i], a[s, j], i, j))
        delta[s, j] = delta_j


# Short forms of the output error: dL/dy_hat and da/dz cancel to a - y


@njit
def short_error(n, y, a, delta):
    """delta_j = 1/n (a_j - y_j) for softmax with CCE and for sigmoid with BCE, for every sample s and neuron j.

    Reads y, a (n, n_out); writes delta (n, n_out). Twin: short_error_cuda.
    """
    for s in range(delta.shape[0]):
        for j in range(delta.shape[1]):
            delta[s, j] = d_cce(n, y[s, j], a[s, j])


@cuda.jit
def short_error_cuda(n, y, a, delta):
    """delta_j = 1/n (a_j - y_j), one thread per sample s and neuron j. Twin: short_error."""
    j, s = cuda.grid(2)
    if s < delta.shape[0] and j < delta.shape[1]:
        delta[s, j] = d_cce(n, y[s, j], a[s, j])


@njit_formula
def d_softmax_logit(z_j, z_i, u_i, i, j):
    """du_i/dz_j for u_i = z_i - log(sum_{k != i} e^z_k): 1 for i = j, and -e^z_j / sum_{k != i} e^z_k for i != j."""
    if i == j:
        return type(z_j)(1)
    return -exp(z_j - (z_i - u_i))


@njit
def softmax_logit_error(dl_du, z, u, delta):
    """delta_j = sum_i dL/du_i du_i/dz_j, for softmax with BCE, for every sample s and neuron j.

    The function softmax_logit computes u, for which softmax(z)_i = sigmoid(u_i). For BCE, dL/du_i is then 1/n (a_i - y_i).
    Reads dl_du, z, u (n, n_out); writes delta (n, n_out). Twin: softmax_logit_error_cuda.
    """
    for s in range(delta.shape[0]):
        for j in range(delta.shape[1]):
            delta_j = type(z[s, j])(0)
            for i in range(z.shape[1]):
                delta_j += error_term(dl_du[s, i], d_softmax_logit(z[s, j], z[s, i], u[s, i], i, j))
            delta[s, j] = delta_j


@cuda.jit
def softmax_logit_error_cuda(dl_du, z, u, delta):
    """delta_j = sum_i dL/du_i du_i/dz_j, one thread per sample s and neuron j. Twin: softmax_logit_error."""
    j, s = cuda.grid(2)
    if s < delta.shape[0] and j < delta.shape[1]:
        delta_j = type(z[s, j])(0)
        for i in range(z.shape[1]):
            delta_j += error_term(dl_du[s, i], d_softmax_logit(z[s, j], z[s, i], u[s, i], i, j))
        delta[s, j] = delta_j


# Gradients of one layer, from its forward line z_j = sum_i w_ij x_i + b_j


@njit
def d_weight(delta_j, x_i):
    """dL/dw_ij = delta_j x_i for one sample."""
    return delta_j * x_i


@njit
def weight_gradient(x, delta, dw):
    """dL/dw_ij = delta_j x_i, summed over the samples s, for every pair of neurons i, j.

    Reads x (n, n_in), delta (n, n_out); writes dw (n_in, n_out). Twin: weight_gradient_cuda.
    """
    for i in range(dw.shape[0]):
        for j in range(dw.shape[1]):
            dw_ij = type(delta[0, j])(0)
            for s in range(x.shape[0]):
                dw_ij += d_weight(delta[s, j], x[s, i])
            dw[i, j] = dw_ij


@cuda.jit
def weight_gradient_cuda(x, delta, dw):
    """dL/dw_ij = delta_j x_i, summed over s, one thread per pair of neurons i, j. Twin: weight_gradient."""
    j, i = cuda.grid(2)
    if i < dw.shape[0] and j < dw.shape[1]:
        dw_ij = type(delta[0, j])(0)
        for s in range(x.shape[0]):
            dw_ij += d_weight(delta[s, j], x[s, i])
        dw[i, j] = dw_ij


@njit
def d_bias(delta_j):
    """dL/db_j = delta_j for one sample."""
    return delta_j


@njit
def bias_gradient(delta, db):
    """dL/db_j = delta_j, summed over the samples s, for every neuron j.

    Reads delta (n, n_out); writes db (n_out,). Twin: bias_gradient_cuda.
    """
    for j in range(db.shape[0]):
        db_j = type(delta[0, j])(0)
        for s in range(delta.shape[0]):
            db_j += d_bias(delta[s, j])
        db[j] = db_j


@cuda.jit
def bias_gradient_cuda(delta, db):
    """dL/db_j = delta_j, summed over s, one thread per neuron j. Twin: bias_gradient."""
    j = cuda.grid(1)
    if j < db.shape[0]:
        db_j = type(delta[0, j])(0)
        for s in range(delta.shape[0]):
            db_j += d_bias(delta[s, j])
        db[j] = db_j


# Through the layers: delta_i = (sum_j w_ij delta_j) da_i/dz_i


@njit
def weighted_error(w_ij, delta_j):
    """Returns w_ij delta_j, the part of dL/da_i that comes back from neuron j, because z_j contains w_ij a_i."""
    return w_ij * delta_j


@njit
def delta_recurrence(kind, epsilon, w, delta, z_prev, a_prev, delta_prev):
    """delta_i = (sum_j w_ij delta_j) da_i/dz_i, for every sample s and every neuron i of the layer before.

    Reads w (n_in, n_out), delta (n, n_out), z_prev, a_prev (n, n_in); writes delta_prev (n, n_in).
    This is the chain rule through z_j = sum_i w_ij a_i + b_j, where a_i = phi(z_i) belongs to the layer before.
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
    """delta_i = (sum_j w_ij delta_j) da_i/dz_i, one thread per sample s and neuron i. Twin: delta_recurrence."""
    i, s = cuda.grid(2)
    if s < delta_prev.shape[0] and i < delta_prev.shape[1]:
        dl_da_i = type(delta[s, 0])(0)
        for j in range(w.shape[1]):
            dl_da_i += weighted_error(w[i, j], delta[s, j])
        delta_prev[s, i] = error_term(dl_da_i, d_phi(kind, epsilon, z_prev[s, i], a_prev[s, i]))

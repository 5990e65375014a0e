"""Loss functions L(y, y_hat), each followed by its gradient.

In all formulas, n is the number of samples in the batch. Binary and categorical cross-entropy are computed from the output
layer's z instead of y_hat, so that log(y_hat) is accurate for every finite z, even if y_hat itself rounds to 0 or 1.
"""

import math

from numbanet._compile import njit, njit_formula
from numbanet._cuda import cuda
from numbanet._elementary import exp, log1p

SSE, MSE, BCE, CCE = range(4)


# SSE, sum of squared errors: L = sum_i (y_i - y_hat_i)^2


@njit
def sse(y, y_hat):
    """Returns (y_i - y_hat_i)^2, which is one term of the loss L."""
    error = y - y_hat
    return error * error


@njit
def d_sse(y, y_hat):
    """Returns dL/dy_hat_i = -2 (y_i - y_hat_i)."""
    return type(y)(-2) * (y - y_hat)


# MSE, mean squared error: L = 1/n sum_i (y_i - y_hat_i)^2


@njit
def mse(n, y, y_hat):
    """Returns 1/n (y_i - y_hat_i)^2, which is one term of the loss L."""
    return sse(y, y_hat) / type(y)(n)


@njit
def d_mse(n, y, y_hat):
    """Returns dL/dy_hat_i = -2/n (y_i - y_hat_i)."""
    return d_sse(y, y_hat) / type(y)(n)


# BCE, binary cross-entropy: L = -1/n sum_i [y_i log y_hat_i + (1 - y_i) log(1 - y_hat_i)]


@njit
def bce(n, y, y_hat):
    """Returns -1/n [y_i log y_hat_i + (1 - y_i) log(1 - y_hat_i)], one term of the loss L; y_hat_i must be in (0, 1)."""
    return -(y * math.log(y_hat) + (type(y)(1) - y) * log1p(-y_hat)) / type(y)(n)


@njit
def d_bce(n, y, y_hat):
    """Returns dL/dy_hat_i = -1/n (y_i / y_hat_i - (1 - y_i) / (1 - y_hat_i)).

    The function computes dL/dy_hat_i as a single fraction, to avoid cancellation.
    """
    return (y_hat - y) / (y_hat * (type(y)(1) - y_hat) * type(y)(n))


@njit_formula
def softplus(z):
    """Returns log(1 + e^z) = -log(1 - sigmoid(z)), without overflow or cancellation. softplus(-z) is -log(sigmoid(z))."""
    zero = type(z)(0)
    above = zero if z < zero else z
    return above + log1p(exp(-abs(z)))


@njit_formula
def bce_from_z(n, y, z):
    """Returns 1/n [y_i softplus(-z_i) + (1 - y_i) softplus(z_i)], one term of the loss L for y_hat = sigmoid(z)."""
    return (y * softplus(-z) + (type(y)(1) - y) * softplus(z)) / type(y)(n)


# CCE, categorical cross-entropy, with softmax: L = -1/n sum_i y_i log a_i, summed over the classes i of each sample


@njit_formula
def log_softmax_sum(others):
    """Returns log sum_k e^(z_k - z_max) = log(1 + others), where `others` is the sum without the term of z_max.

    For softmax, log a_i = (z_i - z_max) - log(1 + others).
    """
    return log1p(others)


@njit
def cce(n, y, z, z_max, log_sum):
    """Returns -1/n y_i log a_i, which is one term of the loss L, where log a_i = (z_i - z_max) - log_sum.

    The function log_softmax_sum computes log_sum.
    """
    return y * ((z_max - z) + log_sum) / type(y)(n)


@njit
def d_cce(n, y, a):
    """Returns dL/dz_j = 1/n (a_j - y_j), for BCE with sigmoid, and for CCE with softmax if sum_i y_i = 1."""
    return (a - y) / type(y)(n)


# The loss of each sample, and the gradient dL/dy_hat


@njit
def loss_term(kind, n, y, y_hat):
    """Returns one term of the loss L, computed from y_hat. `kind` selects the loss: SSE, MSE or BCE."""
    if kind == SSE:
        return sse(y, y_hat)
    if kind == MSE:
        return mse(n, y, y_hat)
    return bce(n, y, y_hat)


@njit
def d_loss_term(kind, n, y, y_hat):
    """Returns dL/dy_hat_i. `kind` selects the loss: SSE, MSE or BCE."""
    if kind == SSE:
        return d_sse(y, y_hat)
    if kind == MSE:
        return d_mse(n, y, y_hat)
    return d_bce(n, y, y_hat)


@njit
def loss(kind, n, y, y_hat, loss_of_sample):
    """Computes the loss of every sample s: the sum of `loss_term` over the outputs i.

    L is the sum of the losses of all samples. Reads y and y_hat, both (n, n_out). Writes loss_of_sample (n,). Twin: loss_cuda.
    """
    for s in range(y.shape[0]):
        loss_s = type(y[s, 0])(0)
        for i in range(y.shape[1]):
            loss_s += loss_term(kind, n, y[s, i], y_hat[s, i])
        loss_of_sample[s] = loss_s


@cuda.jit
def loss_cuda(kind, n, y, y_hat, loss_of_sample):
    """Computes the loss of every sample s, the sum of its loss terms, with one thread per sample. Twin: loss."""
    s = cuda.grid(1)
    if s < y.shape[0]:
        loss_s = type(y[s, 0])(0)
        for i in range(y.shape[1]):
            loss_s += loss_term(kind, n, y[s, i], y_hat[s, i])
        loss_of_sample[s] = loss_s


@njit
def d_loss(kind, n, y, y_hat, dl_da):
    """Computes dL/da_i of the output layer, where a_i = y_hat_i, for every sample s and neuron i.

    Reads y and y_hat, both (n, n_out). Writes dl_da (n, n_out). Twin: d_loss_cuda.
    """
    for s in range(dl_da.shape[0]):
        for i in range(dl_da.shape[1]):
            dl_da[s, i] = d_loss_term(kind, n, y[s, i], y_hat[s, i])


@cuda.jit
def d_loss_cuda(kind, n, y, y_hat, dl_da):
    """Computes dL/da_i of the output layer, with one thread per sample s and neuron i. Twin: d_loss."""
    i, s = cuda.grid(2)
    if s < dl_da.shape[0] and i < dl_da.shape[1]:
        dl_da[s, i] = d_loss_term(kind, n, y[s, i], y_hat[s, i])


@njit
def bce_from_z_loss(n, y, z, loss_of_sample):
    """Computes the loss of every sample s, -1/n sum_i [y_i log y_hat_i + (1 - y_i) log(1 - y_hat_i)].

    The prediction y_hat is sigmoid(z). L is the sum of the losses of all samples.
    Reads y and z, both (n, n_out). Writes loss_of_sample (n,). Twin: bce_from_z_loss_cuda.
    """
    for s in range(y.shape[0]):
        loss_s = type(y[s, 0])(0)
        for i in range(y.shape[1]):
            loss_s += bce_from_z(n, y[s, i], z[s, i])
        loss_of_sample[s] = loss_s


@cuda.jit
def bce_from_z_loss_cuda(n, y, z, loss_of_sample):
    """Computes the loss BCE of every sample s from z, with one thread per sample. Twin: bce_from_z_loss."""
    s = cuda.grid(1)
    if s < y.shape[0]:
        loss_s = type(y[s, 0])(0)
        for i in range(y.shape[1]):
            loss_s += bce_from_z(n, y[s, i], z[s, i])
        loss_of_sample[s] = loss_s


@njit
def cce_loss(n, y, z, z_max, others, loss_of_sample):
    """Computes the loss of every sample s, -1/n sum_i y_i log a_i, for a = softmax(z). L is the sum of all samples' losses.

    The loop softmax_sum computes the arguments `z_max` and `others`. Reads y and z, both (n, n_out), `z_max` (n,) and `others`
    (n,). Writes loss_of_sample (n,). Twin: cce_loss_cuda.
    """
    for s in range(y.shape[0]):
        loss_s, log_sum = type(y[s, 0])(0), log_softmax_sum(others[s])
        for i in range(y.shape[1]):
            loss_s += cce(n, y[s, i], z[s, i], z_max[s], log_sum)
        loss_of_sample[s] = loss_s


@cuda.jit
def cce_loss_cuda(n, y, z, z_max, others, loss_of_sample):
    """Computes the loss CCE of every sample s, with one thread per sample. Twin: cce_loss."""
    s = cuda.grid(1)
    if s < y.shape[0]:
        loss_s, log_sum = type(y[s, 0])(0), log_softmax_sum(others[s])
        for i in range(y.shape[1]):
            loss_s += cce(n, y[s, i], z[s, i], z_max[s], log_sum)
        loss_of_sample[s] = loss_s


# Sample weights: L = sum_s weight_s L_s, where L_s is the part of L that sample s contributes, including the factor 1/n


@njit
def weighted(weight, value):
    """Returns weight * value, where the value is the loss L_s or an error term delta_j of a sample with this weight."""
    return weight * value


@njit
def weigh(weights, rows):
    """Multiplies every value in row s, which contains the loss or the delta of sample s, by the weight of sample s.

    Reads weights (n,). Updates rows (n, width). Twin: weigh_cuda.
    """
    for s in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            rows[s, j] = weighted(weights[s], rows[s, j])


@cuda.jit
def weigh_cuda(weights, rows):
    """Multiplies every value in row s by the weight of sample s, with one thread per sample s and column j. Twin: weigh."""
    j, s = cuda.grid(2)
    if s < rows.shape[0] and j < rows.shape[1]:
        rows[s, j] = weighted(weights[s], rows[s, j])

"""Loss functions L(y, y_hat), each next to its gradient.

In all formulas, n is the number of samples in the batch. Binary and categorical cross-entropy are evaluated from z, the
pre-activations of y_hat, so that log(y_hat) is accurate for every finite z, even if y_hat itself rounds to 0 or 1.
"""

import math

from numbanet._compile import njit, njit_formula
from numbanet._cuda import cuda
from numbanet._elementary import exp, log1p

SSE, MSE, BCE, CCE = range(4)


# SSE, sum of squared errors: L = sum_i (y_i - y_hat_i)^2


@njit
def sse(y, y_hat):
    """Returns one term of the loss L: (y_i - y_hat_i)^2."""
    error = y - y_hat
    return error * error


@njit
def d_sse(y, y_hat):
    """dL/dy_hat_i = -2 (y_i - y_hat_i)."""
    return type(y)(-2) * (y - y_hat)


# MSE, mean squared error: L = 1/n sum_i (y_i - y_hat_i)^2


@njit
def mse(n, y, y_hat):
    """Returns one term of the loss L: 1/n (y_i - y_hat_i)^2."""
    return sse(y, y_hat) / type(y)(n)


@njit
def d_mse(n, y, y_hat):
    """dL/dy_hat_i = -2/n (y_i - y_hat_i)."""
    return d_sse(y, y_hat) / type(y)(n)


# BCE, binary cross-entropy: L = -1/n sum_i [y_i log y_hat_i + (1 - y_i) log(1 - y_hat_i)]


@njit
def bce(n, y, y_hat):
    """Returns one term of the loss L, for y_hat in (0, 1): -1/n [y_i log y_hat_i + (1 - y_i) log(1 - y_hat_i)]."""
    return -(y * math.log(y_hat) + (type(y)(1) - y) * log1p(-y_hat)) / type(y)(n)


@njit
def d_bce(n, y, y_hat):
    """dL/dy_hat_i = -1/n (y_i / y_hat_i - (1 - y_i) / (1 - y_hat_i)), computed as one fraction to avoid
    cancellation."""
    return (y_hat - y) / (y_hat * (type(y)(1) - y_hat) * type(y)(n))


@njit_formula
def softplus(z):
    """Returns log(1 + e^z) = -log(1 - sigmoid(z)) without overflow or cancellation; softplus(-z) is -log(sigmoid(z))."""
    zero = type(z)(0)
    above = zero if z < zero else z
    return above + log1p(exp(-abs(z)))


@njit_formula
def bce_from_z(n, y, z):
    """Returns one term of the loss L for y_hat = sigmoid(z): 1/n [y_i softplus(-z_i) + (1 - y_i) softplus(z_i)]."""
    return (y * softplus(-z) + (type(y)(1) - y) * softplus(z)) / type(y)(n)


# CCE, categorical cross-entropy, with softmax: L = -1/n sum_i y_i log a_i, i over the classes of each sample


@njit_formula
def log_softmax_sum(others):
    """Returns log sum_k e^(z_k - z_max) = log(1 + others), so that log a_i = (z_i - z_max) - log(1 + others), see softmax."""
    return log1p(others)


@njit
def cce(n, y, z, z_max, log_sum):
    """Returns one term of the loss L, -1/n y_i log a_i, where log a_i = (z_i - z_max) - log_sum, see log_softmax_sum."""
    return y * ((z_max - z) + log_sum) / type(y)(n)


@njit
def d_cce(n, y, a):
    """dL/dz_j = 1/n (a_j - y_j) for CCE with softmax, if sum_i y_i = 1; the same holds for BCE with sigmoid."""
    return (a - y) / type(y)(n)


# The loss of each sample, and dL/dy_hat


@njit
def loss_term(kind, n, y, y_hat):
    """Returns one term of the loss L, computed from y_hat; the constant kind names the loss: SSE, MSE or BCE."""
    if kind == SSE:
        return sse(y, y_hat)
    if kind == MSE:
        return mse(n, y, y_hat)
    return bce(n, y, y_hat)


@njit
def d_loss_term(kind, n, y, y_hat):
    """Returns dL/dy_hat_i; the constant kind names the loss: SSE, MSE or BCE."""
    if kind == SSE:
        return d_sse(y, y_hat)
    if kind == MSE:
        return d_mse(n, y, y_hat)
    return d_bce(n, y, y_hat)


@njit
def loss(kind, n, y, y_hat, loss_of_sample):
    """L = sum_s sum_i loss_term; writes the inner sum, over the outputs i, for every sample s.

    Reads y, y_hat (n, n_out); writes loss_of_sample (n,). Twin: loss_cuda.
    """
    for s in range(y.shape[0]):
        loss_s = type(y[s, 0])(0)
        for i in range(y.shape[1]):
            loss_s += loss_term(kind, n, y[s, i], y_hat[s, i])
        loss_of_sample[s] = loss_s


@cuda.jit
def loss_cuda(kind, n, y, y_hat, loss_of_sample):
    """L = sum_s sum_i loss_term; one thread per sample s writes the sum over its outputs i. Twin: loss."""
    s = cuda.grid(1)
    if s < y.shape[0]:
        loss_s = type(y[s, 0])(0)
        for i in range(y.shape[1]):
            loss_s += loss_term(kind, n, y[s, i], y_hat[s, i])
        loss_of_sample[s] = loss_s


@njit
def d_loss(kind, n, y, y_hat, dl_da):
    """Computes dL/da_i of the output layer, where a_i = y_hat_i, for every sample s and neuron i.

    Reads y, y_hat (n, n_out); writes dl_da (n, n_out). Twin: d_loss_cuda.
    """
    for s in range(dl_da.shape[0]):
        for i in range(dl_da.shape[1]):
            dl_da[s, i] = d_loss_term(kind, n, y[s, i], y_hat[s, i])


@cuda.jit
def d_loss_cuda(kind, n, y, y_hat, dl_da):
    """Computes dL/da_i of the output layer, one thread per sample s and neuron i. Twin: d_loss."""
    i, s = cuda.grid(2)
    if s < dl_da.shape[0] and i < dl_da.shape[1]:
        dl_da[s, i] = d_loss_term(kind, n, y[s, i], y_hat[s, i])


@njit
def bce_from_z_loss(n, y, z, loss_of_sample):
    """L = -1/n sum_s sum_i [y_i log y_hat_i + (1 - y_i) log(1 - y_hat_i)]; writes the sum over i for every sample s.

    Reads y, z (n, n_out), with y_hat = sigmoid(z); writes loss_of_sample (n,). Twin: bce_from_z_loss_cuda.
    """
    for s in range(y.shape[0]):
        loss_s = type(y[s, 0])(0)
        for i in range(y.shape[1]):
            loss_s += bce_from_z(n, y[s, i], z[s, i])
        loss_of_sample[s] = loss_s


@cuda.jit
def bce_from_z_loss_cuda(n, y, z, loss_of_sample):
    """Computes BCE from z: one thread per sample s writes the sum over its outputs i. Twin: bce_from_z_loss."""
    s = cuda.grid(1)
    if s < y.shape[0]:
        loss_s = type(y[s, 0])(0)
        for i in range(y.shape[1]):
            loss_s += bce_from_z(n, y[s, i], z[s, i])
        loss_of_sample[s] = loss_s


@njit
def cce_loss(n, y, z, z_max, others, loss_of_sample):
    """L = -1/n sum_s sum_i y_i log a_i; writes the sum over the outputs i for every sample s.

    Reads y, z (n, n_out), and z_max, others (n,) that softmax_sum computes; writes loss_of_sample (n,). Twin: cce_loss_cuda.
    """
    for s in range(y.shape[0]):
        loss_s, log_sum = type(y[s, 0])(0), log_softmax_sum(others[s])
        for i in range(y.shape[1]):
            loss_s += cce(n, y[s, i], z[s, i], z_max[s], log_sum)
        loss_of_sample[s] = loss_s


@cuda.jit
def cce_loss_cuda(n, y, z, z_max, others, loss_of_sample):
    """Computes CCE: one thread per sample s writes the sum over its outputs i. Twin: cce_loss."""
    s = cuda.grid(1)
    if s < y.shape[0]:
        loss_s, log_sum = type(y[s, 0])(0), log_softmax_sum(others[s])
        for i in range(y.shape[1]):
            loss_s += cce(n, y[s, i], z[s, i], z_max[s], log_sum)
        loss_of_sample[s] = loss_s


# Weighted samples: L = 1/n sum_s weight_s L_s over the n samples of a batch, with L_s the loss of sample s


@njit
def weighted(weight, value):
    """Returns weight_s L_s or weight_s delta_j, the loss or an error term of sample s times the weight of the sample."""
    return weight * value


@njit
def weigh(weights, rows):
    """Multiplies every value in row s, which holds the loss or the delta of sample s, by weight_s.

    Reads weights (n,); updates rows (n, width). Twin: weigh_cuda.
    """
    for s in range(rows.shape[0]):
        for j in range(rows.shape[1]):
            rows[s, j] = weighted(weights[s], rows[s, j])


@cuda.jit
def weigh_cuda(weights, rows):
    """Multiplies every value in row s by weight_s, one thread per sample s and column j. Twin: weigh."""
    j, s = cuda.grid(2)
    if s < rows.shape[0] and j < rows.shape[1]:
        rows[s, j] = weighted(weights[s], rows[s, j])

"""Activation functions a = phi(z), each followed by its derivative da/dz.

The formulas are arranged to avoid overflow and cancellation: the result of each scalar formula is within 4 units in the last
place (ulp) of the exact value for every finite argument. If the activation a alone determines the derivative, as for sigmoid
and tanh, the derivative is a function of a; otherwise, the derivative is a function of z. Constants are written as type(z)(1),
because a bare 1.0, or a comparison with a bare 0, would convert float32 values to float64.
"""

import math

from numbanet._compile import njit, njit_formula
from numbanet._cuda import cuda
from numbanet._elementary import exp, expm1, log1p

IDENTITY, SIGMOID, TANH, RELU, LEAKY_RELU, SOFTMAX = range(6)


# Identity: a = z


@njit
def identity(z):
    """Returns a = z."""
    return z


@njit
def d_identity(z):
    """Returns da/dz = 1."""
    return type(z)(1)


# Sigmoid: a = 1 / (1 + e^-z)


@njit_formula
def sigmoid(z):
    """Returns a = 1 / (1 + e^-z). For z < 0, a is computed as e^z / (1 + e^z), so that the exponential cannot overflow."""
    zero, one = type(z)(0), type(z)(1)
    power = exp(-abs(z))
    return (power if z < zero else one) / (one + power)


@njit
def d_sigmoid(a):
    """Returns da/dz = a (1 - a)."""
    return a * (type(a)(1) - a)


# Tanh: a = 2 / (1 + e^-2z) - 1


@njit_formula
def tanh(z):
    """Returns a = 2 / (1 + e^-2z) - 1, computed for |z| as (1 - e^-2|z|) / (1 + e^-2|z|).

    The function expm1 computes e^-2|z| - 1 without cancellation near 0.
    """
    two = type(z)(2)
    power_less_one = expm1(-abs(two * z))
    return math.copysign(power_less_one / (two + power_less_one), z)


@njit
def d_tanh(a):
    """Returns da/dz = 1 - a^2, computed as (1 - a)(1 + a) to avoid cancellation near a = 1."""
    one = type(a)(1)
    return (one - a) * (one + a)


# ReLU: a = max(0, z)


@njit_formula
def relu(z):
    """Returns a = max(0, z). NaN stays NaN."""
    zero = type(z)(0)
    return zero if z <= zero else z


@njit_formula
def d_relu(z):
    """Returns da/dz, which is 0 for z <= 0 and 1 for z > 0. NaN stays NaN."""
    zero, one = type(z)(0), type(z)(1)
    if z > zero:
        return one
    return zero if z <= zero else z


# Leaky ReLU: a = epsilon z for z <= 0; z for z > 0, epsilon << 1


@njit_formula
def leaky_relu(z, epsilon):
    """Returns a, which is epsilon z for z <= 0 and z for z > 0. NaN stays NaN."""
    return epsilon * z if z <= type(z)(0) else z


@njit_formula
def d_leaky_relu(z, epsilon):
    """Returns da/dz, which is epsilon for z <= 0 and 1 for z > 0. NaN stays NaN."""
    zero, one = type(z)(0), type(z)(1)
    if z > zero:
        return one
    return epsilon if z <= zero else z


# The activation functions above, in which a_j depends on z_j only: a_j = phi(z_j)


@njit_formula
def phi(kind, epsilon, z):
    """Returns a = phi(z); `kind` (IDENTITY, SIGMOID, TANH, RELU or LEAKY_RELU) says which function phi is."""
    if kind == SIGMOID:
        return sigmoid(z)
    if kind == TANH:
        return tanh(z)
    if kind == RELU:
        return relu(z)
    if kind == LEAKY_RELU:
        return leaky_relu(z, epsilon)
    return identity(z)


@njit
def d_phi(kind, epsilon, z, a):
    """Returns da/dz of a = phi(z); `kind` (IDENTITY, SIGMOID, TANH, RELU or LEAKY_RELU) says which function phi is."""
    if kind == SIGMOID:
        return d_sigmoid(a)
    if kind == TANH:
        return d_tanh(a)
    if kind == RELU:
        return d_relu(z)
    if kind == LEAKY_RELU:
        return d_leaky_relu(z, epsilon)
    return d_identity(z)


@njit
def activation(kind, epsilon, z, a):
    """Computes a_j = phi(z_j), for every sample s and neuron j.

    Reads z (n, n_out). Writes a (n, n_out). Twin: activation_cuda.
    """
    for s in range(a.shape[0]):
        for j in range(a.shape[1]):
            a[s, j] = phi(kind, epsilon, z[s, j])


@cuda.jit
def activation_cuda(kind, epsilon, z, a):
    """Computes a_j = phi(z_j), with one thread per sample s and neuron j. Twin: activation."""
    j, s = cuda.grid(2)
    if s < a.shape[0] and j < a.shape[1]:
        a[s, j] = phi(kind, epsilon, z[s, j])


@njit
def d_activation(kind, epsilon, z, a, da_dz):
    """Computes da_j/dz_j, where a_j = phi(z_j), for every sample s and neuron j.

    Reads z and a, both (n, n_out). Writes da_dz (n, n_out). Twin: d_activation_cuda.
    """
    for s in range(da_dz.shape[0]):
        for j in range(da_dz.shape[1]):
            da_dz[s, j] = d_phi(kind, epsilon, z[s, j], a[s, j])


@cuda.jit
def d_activation_cuda(kind, epsilon, z, a, da_dz):
    """Computes da_j/dz_j, with one thread per sample s and neuron j. Twin: d_activation."""
    j, s = cuda.grid(2)
    if s < da_dz.shape[0] and j < da_dz.shape[1]:
        da_dz[s, j] = d_phi(kind, epsilon, z[s, j], a[s, j])


# Softmax: a_j = e^z_j / sum_k e^z_k, which depends on all neurons of a layer. Let z_max be the largest z_k. Then sum_k e^(z_k -
# z_max) = 1 + others cannot overflow: 1 is the term of z_max itself, and `others` is the sum of all other terms. The code does
# not add 1 to `others`, because `others` can be far smaller than 1, and would then lose its digits in the addition. The
# cross-entropy of a confident and correct prediction is log(1 + others).


@njit_formula
def exp_difference(z, z_max):
    """Returns e^(z - z_max) to full precision, for z <= z_max.

    The CPU or GPU rounds z - z_max to a floating-point number d. The rounding error `lost` is at most half a unit in the last
    place (ulp) of d, which is too much to ignore if d is large. The algorithm TwoSum (Knuth, The Art of Computer Programming,
    volume 2, 4.2.2) computes `lost` exactly. The result is e^(d + lost) = e^d * e^lost, and e^lost equals 1 + lost except for
    rounding, because the rounding error `lost` is tiny.
    """
    zero, one, lowest = type(z)(0), type(z)(1), type(z)(-1000)
    difference = z - z_max
    part = difference - z
    lost = (z - (difference - part)) - (z_max + part)
    power = exp(difference) * (one + lost)
    return zero if difference < lowest else power  # e^-1000 is 0 even in float64; if z - z_max is -inf, `lost` is NaN


@njit
def softmax_sum(z, z_max, others):
    """Computes z_max and `others` so that sum_k e^(z_k - z_max) = 1 + others, for every sample s.

    z_max is the largest z_k, and `others` is the sum of all terms except the term of z_max. Reads z (n, n_out). Writes `z_max`
    and `others`, both (n,). Twin: softmax_sum_cuda.
    """
    for s in range(z.shape[0]):
        k_max = 0
        for k in range(1, z.shape[1]):
            if z[s, k] > z[s, k_max]:
                k_max = k
        others_s = type(z[s, 0])(0)
        for k in range(z.shape[1]):
            if k != k_max:
                others_s += exp_difference(z[s, k], z[s, k_max])
        z_max[s] = z[s, k_max]
        others[s] = others_s


@cuda.jit
def softmax_sum_cuda(z, z_max, others):
    """Computes z_max and `others` with sum_k e^(z_k - z_max) = 1 + others, with one thread per sample s. Twin: softmax_sum."""
    s = cuda.grid(1)
    if s < z.shape[0]:
        k_max = 0
        for k in range(1, z.shape[1]):
            if z[s, k] > z[s, k_max]:
                k_max = k
        others_s = type(z[s, 0])(0)
        for k in range(z.shape[1]):
            if k != k_max:
                others_s += exp_difference(z[s, k], z[s, k_max])
        z_max[s] = z[s, k_max]
        others[s] = others_s


@njit_formula
def softmax(power_j, others):
    """Returns a_j = e^z_j / sum_k e^z_k, computed as power_j / (1 + others).

    The argument power_j is e^(z_j - z_max). The loop softmax_sum computes the argument `others`.
    """
    return power_j / (type(power_j)(1) + others)


@njit
def d_softmax(a_i, a_j, i, j):
    """Returns da_i/dz_j, which is a_i (1 - a_i) for i = j, and -a_i a_j for i != j."""
    if i == j:
        return a_i * (type(a_i)(1) - a_i)
    return -a_i * a_j


@njit
def softmax_activation(z, z_max, others, a):
    """Computes a_j = e^z_j / sum_k e^z_k, for every sample s and neuron j.

    The loop softmax_sum computes the arguments `z_max` and `others`. Reads z (n, n_out), `z_max` (n,) and `others` (n,). Writes
    a (n, n_out). Twin: softmax_activation_cuda.
    """
    for s in range(a.shape[0]):
        for j in range(a.shape[1]):
            a[s, j] = softmax(exp_difference(z[s, j], z_max[s]), others[s])


@cuda.jit
def softmax_activation_cuda(z, z_max, others, a):
    """Computes a_j = e^z_j / sum_k e^z_k, with one thread per sample s and neuron j. Twin: softmax_activation."""
    j, s = cuda.grid(2)
    if s < a.shape[0] and j < a.shape[1]:
        a[s, j] = softmax(exp_difference(z[s, j], z_max[s]), others[s])


@njit
def softmax_jacobian(a, da_dz):
    """Computes da_i/dz_j for softmax, for every sample s and pair of neurons i, j.

    Reads a (n, n_out). Writes da_dz[s, i, j], of shape (n, n_out, n_out). Twin: softmax_jacobian_cuda.
    """
    for s in range(a.shape[0]):
        for i in range(a.shape[1]):
            for j in range(a.shape[1]):
                da_dz[s, i, j] = d_softmax(a[s, i], a[s, j], i, j)


@cuda.jit
def softmax_jacobian_cuda(a, da_dz):
    """Computes da_i/dz_j for softmax, with one thread per sample s and pair of neurons i, j. Twin: softmax_jacobian."""
    j, i, s = cuda.grid(3)
    if s < a.shape[0] and i < a.shape[1] and j < a.shape[1]:
        da_dz[s, i, j] = d_softmax(a[s, i], a[s, j], i, j)


@njit
def softmax_logit(z, u):
    """Computes u_i = z_i - log(sum_{k != i} e^z_k), so that softmax(z)_i = sigmoid(u_i), for every sample s and neuron i.

    The softmax layer must have at least two neurons. Reads z (n, n_out). Writes u (n, n_out). Twin: softmax_logit_cuda.
    """
    for s in range(u.shape[0]):
        for i in range(u.shape[1]):
            k_max = 1 if i == 0 else 0
            for k in range(z.shape[1]):
                if k != i and z[s, k] > z[s, k_max]:
                    k_max = k
            others = type(z[s, 0])(0)
            for k in range(z.shape[1]):
                if k != i and k != k_max:
                    others += exp_difference(z[s, k], z[s, k_max])
            u[s, i] = (z[s, i] - z[s, k_max]) - log1p(others)


@cuda.jit
def softmax_logit_cuda(z, u):
    """Computes u_i = z_i - log(sum_{k != i} e^z_k), with one thread per sample s and neuron i. Twin: softmax_logit."""
    i, s = cuda.grid(2)
    if s < u.shape[0] and i < u.shape[1]:
        k_max = 1 if i == 0 else 0
        for k in range(z.shape[1]):
            if k != i and z[s, k] > z[s, k_max]:
                k_max = k
        others = type(z[s, 0])(0)
        for k in range(z.shape[1]):
            if k != i and k != k_max:
                others += exp_difference(z[s, k], z[s, k_max])
        u[s, i] = (z[s, i] - z[s, k_max]) - log1p(others)

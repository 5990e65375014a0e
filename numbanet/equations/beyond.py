"""Activation functions and losses that are not on the cheat sheet, each followed by its derivative.

The loops of the modules `activations` and `losses` compute these formulas, too. For a network that uses one of the formulas,
the engines put the formula into the loops (see `numbanet.engines.binding`). As for MSE, the loss of a batch is 1/n times the
sum over its n samples and their outputs.
"""

import math

from numbanet._compile import njit, njit_formula
from numbanet._elementary import exp, expm1

# SiLU (Hendrycks and Gimpel, 2016, arXiv:1606.08415; also called swish): a = z / (1 + e^-z)


@njit_formula
def silu(z):
    """Returns a = z / (1 + e^-z). For z < 0, a is computed as z e^(z/2) e^(z/2) / (1 + e^z), so that no digits are lost."""
    zero, one, two = type(z)(0), type(z)(1), type(z)(2)
    root = exp(-abs(z) / two)
    return (z * root * root if z < zero else z) / (one + root * root)


@njit_formula
def d_silu(z):
    """Returns da/dz = s (1 + z (1 - s)), with s = 1 / (1 + e^-z). Each e^z is computed as e^(z/2) e^(z/2), as in silu."""
    zero, one, two = type(z)(0), type(z)(1), type(z)(2)
    root = exp(-abs(z) / two)
    power = root * root
    factor = one + (z if z < zero else z * power) / (one + power)
    return (factor * root * root if z < zero else factor) / (one + power)


# GELU (Hendrycks and Gimpel, 2016, arXiv:1606.08415): a = z Phi(z), with the normal distribution function Phi


@njit_formula
def normal_distribution(z):
    """Returns Phi(z) = erfc(-z / sqrt(2)) / 2, the probability that a standard normal variable is less than z."""
    return math.erfc(-z * type(z)(math.sqrt(0.5))) / type(z)(2)


@njit_formula
def gelu(z):
    """Returns a = z Phi(z)."""
    return z * normal_distribution(z)


@njit_formula
def d_gelu(z):
    """Returns da/dz = Phi(z) + z e^(-z^2 / 2) / sqrt(2 pi). If z^2 overflows, the second term is 0."""
    two, largest = type(z)(2), type(z)(1e4)
    bounded = min(max(z, -largest), largest)
    return normal_distribution(z) + bounded * exp(-bounded * bounded / two) / type(z)(math.sqrt(2 * math.pi))


# ELU (Clevert et al., 2016, arXiv:1511.07289): a = e^z - 1 for z <= 0; z for z > 0


@njit_formula
def elu(z):
    """Returns a, which is e^z - 1 for z <= 0 and z for z > 0. NaN stays NaN."""
    below = expm1(z)
    return below if z <= type(z)(0) else z


@njit_formula
def d_elu(z):
    """Returns da/dz, which is e^z for z <= 0 and 1 for z > 0. NaN stays NaN."""
    below = exp(z)
    return type(z)(1) if z > type(z)(0) else below


# Softplus (Dugas et al., 2001): a = log(1 + e^z), computed by losses.softplus


@njit_formula
def d_softplus(a):
    """Returns da/dz = 1 / (1 + e^-z) = 1 - e^-a."""
    return -expm1(-a)


# MAE, mean absolute error: L = 1/n sum_i |y_i - y_hat_i|


@njit
def mae(y, y_hat):
    """Returns |y_i - y_hat_i|, which is n times one term of the loss L."""
    return abs(y - y_hat)


@njit
def d_mae(y, y_hat):
    """Returns n dL/dy_hat_i, the sign of y_hat_i - y_i, which is 0 for y_hat_i = y_i."""
    zero, one = type(y)(0), type(y)(1)
    error = y_hat - y
    return one if error > zero else (-one if error < zero else error)


# Huber loss (Huber, 1964, doi:10.1214/aoms/1177703732), with delta = 1: L = 1/n sum_i l(y_i - y_hat_i)


@njit_formula
def huber(y, y_hat):
    """Returns l(e) for e = y_i - y_hat_i, which is n times one term of L: e^2 / 2 for |e| <= 1, and |e| - 1/2 for |e| > 1."""
    half, one = type(y)(0.5), type(y)(1)
    error = abs(y - y_hat)
    return half * error * error if error <= one else error - half


@njit_formula
def d_huber(y, y_hat):
    """Returns n dL/dy_hat_i, which is y_hat_i - y_i, limited to [-1, 1]."""
    one = type(y)(1)
    error = y_hat - y
    return one if error > one else (-one if error < -one else error)

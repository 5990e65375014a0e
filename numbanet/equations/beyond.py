"""Activation functions and losses that are not on the first page of the cheat sheet (docs/sheet.md), and their derivatives.

If a network uses a formula of this module, the engines put the formula into the loops of the modules `activations` and `losses`
(see `numbanet.engines.binding`). The loss of a batch of n samples is 1/n times the sum of the loss terms of all samples and
outputs, as for MSE.
"""

import math

from numbanet._compile import njit, njit_formula
from numbanet._elementary import exp, expm1, log1p
from numbanet.equations.activations import sigmoid, tanh

# SiLU (Hendrycks and Gimpel, 2016, arXiv:1606.08415; also called swish): a = z / (1 + e^-z)


@njit_formula
def silu(z):
    """Returns a = z / (1 + e^-z), computed for z < 0 as z e^(z/2) e^(z/2) / (1 + e^z).

    For z slightly below -87 in float32, e^z is subnormal and has few digits, but e^(z/2) and z e^(z/2) are not subnormal.
    """
    zero, one, two = type(z)(0), type(z)(1), type(z)(2)
    root = exp(-abs(z) / two)
    return (z * root * root if z < zero else z) / (one + root * root)


@njit_formula
def d_silu(z):
    """Returns da/dz = s (1 + z (1 - s)), with s = 1 / (1 + e^-z). e^-|z| is computed as e^(-|z|/2) squared."""
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
    """Returns da/dz = Phi(z) + z e^(-z^2 / 2) / sqrt(2 pi). If z^2 overflows, the term with e^(-z^2 / 2) is 0."""
    two, largest = type(z)(2), type(z)(1e4)
    bounded = min(max(z, -largest), largest)
    return normal_distribution(z) + bounded * exp(-bounded * bounded / two) / type(z)(math.sqrt(2 * math.pi))


# GELU's tanh form (Hendrycks and Gimpel, 2016): a = z/2 (1 + tanh(u / 2)) = z / (1 + e^-u), u = sqrt(8/pi) (z + 0.044715 z^3)

GELU_FACTOR = math.sqrt(8 / math.pi)


@njit_formula
def gelu_tanh_exponent(z):
    """Returns u = sqrt(8 / pi) (z + 0.044715 z^3), which is infinite if z^2 overflows."""
    return type(z)(GELU_FACTOR) * z * (type(z)(1) + type(z)(0.044715) * z * z)


@njit_formula
def gelu_tanh(z):
    """Returns a = z / (1 + e^-u), which is z/2 (1 + tanh(u / 2))."""
    return z * sigmoid(gelu_tanh_exponent(z))


@njit_formula
def d_gelu_tanh(z):
    """Returns da/dz = s + z s (1 - s) du/dz, where u is `gelu_tanh_exponent(z)` and s = 1 / (1 + e^-u).

    For |z| > 10^4, the second term of this sum for da/dz is 0.
    """
    one, largest = type(z)(1), type(z)(1e4)
    bounded = largest if z > largest else (-largest if z < -largest else z)
    u, slope = gelu_tanh_exponent(z), type(z)(GELU_FACTOR) * (one + type(z)(3 * 0.044715) * bounded * bounded)
    return sigmoid(u) + bounded * sigmoid(u) * sigmoid(-u) * slope


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


# SELU (Klambauer et al., 2017, arXiv:1706.02515): a = lambda alpha (e^z - 1) for z <= 0; lambda z for z > 0

# With these constants, z with the mean 0 and the variance 1 gives a with the mean 0 and the variance 1.
SELU_LAMBDA, SELU_PRODUCT = 1.0507009873554804934, 1.7580993408473768599  # lambda, and lambda alpha for alpha = 1.67326...


@njit_formula
def selu(z):
    """Returns a = c alpha (e^z - 1) for z <= 0, else c z, where c (SELU's lambda) and alpha are constants. NaN stays NaN."""
    below = type(z)(SELU_PRODUCT) * expm1(z)
    return below if z <= type(z)(0) else type(z)(SELU_LAMBDA) * z


@njit_formula
def d_selu(z):
    """Returns da/dz = c alpha e^z for z <= 0, else c, where c (SELU's lambda) and alpha are constants. NaN stays NaN."""
    below = type(z)(SELU_PRODUCT) * exp(z)
    return type(z)(SELU_LAMBDA) if z > type(z)(0) else below


# Mish (Misra, 2019, arXiv:1908.08681): a = z tanh(log(1 + e^z)), where tanh(log(1 + e^z)) = (2 e^z + e^2z) / (2 + 2 e^z + e^2z)


@njit_formula
def mish(z):
    """Returns a = z tanh(log(1 + e^z)), computed from e^-|z|. For z < 0, e^z is computed as e^(z/2) e^(z/2), as in silu."""
    zero, one, two = type(z)(0), type(z)(1), type(z)(2)
    root = exp(-abs(z) / two)
    power = root * root
    above = one + two * power
    below = two + power
    return z * root * below * root / (two + power * below) if z < zero else z * (above / (above + two * power * power))


@njit_formula
def d_mish(z):
    """Returns da/dz = t + 4 z e^z (1 + e^z) / (2 + 2 e^z + e^2z)^2, with t = tanh(log(1 + e^z)), computed as in mish."""
    zero, one, two, four = type(z)(0), type(z)(1), type(z)(2), type(z)(4)
    root = exp(-abs(z) / two)
    power = root * root
    above, below = one + two * power, two + power
    all_above, all_below = above + two * power * power, two + power * below
    slope_below = root * (root * below + four * (z * root) * (one + power) / all_below) / all_below
    slope_above = (above + four * (z * power) * power * (one + power) / all_above) / all_above
    return slope_below if z < zero else slope_above


# Hard sigmoid (Howard et al., 2019, arXiv:1905.02244): a = max(0, min(1, (z + 3) / 6))


@njit_formula
def hard_sigmoid(z):
    """Returns a, which is 0 for z <= -3, 1 for z >= 3, and (z + 3) / 6 between. NaN stays NaN."""
    zero, one, three, six = type(z)(0), type(z)(1), type(z)(3), type(z)(6)
    return zero if z <= -three else (one if z >= three else (z + three) / six)


@njit_formula
def d_hard_sigmoid(a):
    """Returns da/dz, which is 1/6 for 0 < a < 1, and 0 for a = 0 and for a = 1. NaN stays NaN."""
    zero, one = type(a)(0), type(a)(1)
    if a > zero and a < one:
        return one / type(a)(6)
    return a - a


# Softsign (Bergstra et al., 2009, Universite de Montreal, report 1337): a = z / (1 + |z|)


@njit_formula
def softsign(z):
    """Returns a = z / (1 + |z|)."""
    return z / (type(z)(1) + abs(z))


@njit_formula
def d_softsign(a):
    """Returns da/dz = 1 / (1 + |z|)^2 = (1 - |a|)^2."""
    rest = type(a)(1) - abs(a)
    return rest * rest


# Exponential (the inverse of the logarithm, the canonical link of Poisson regression): a = e^z


@njit_formula
def exponential(z):
    """Returns a = e^z."""
    return exp(z)


@njit
def d_exponential(a):
    """Returns da/dz = e^z = a."""
    return a


# Softplus (Dugas et al., 2001): a = log(1 + e^z), computed by losses.softplus


@njit_formula
def d_softplus(a):
    """Returns da/dz = 1 / (1 + e^-z) = 1 - e^-a."""
    return -expm1(-a)


# MAE, mean absolute error: L = 1/n sum_i |y_i - y_hat_i|


@njit
def mae(y, y_hat):
    """Returns |y_i - y_hat_i|, one term of n L, where L is the loss of a batch of n samples."""
    return abs(y - y_hat)


@njit
def d_mae(y, y_hat):
    """Returns n dL/dy_hat_i for a batch of n samples: the sign of y_hat_i - y_i, which is 0 for y_hat_i = y_i."""
    zero, one = type(y)(0), type(y)(1)
    error = y_hat - y
    return one if error > zero else (-one if error < zero else error)


# Huber loss (Huber, 1964, doi:10.1214/aoms/1177703732): L = 1/n sum_i huber(y_i, y_hat_i)


@njit_formula
def huber(y, y_hat, delta=1.0):
    """Returns one term of n L, where L is the loss of a batch of n samples.

    For e = y_i - y_hat_i, the term is e^2 / 2 if |e| <= delta, else delta (|e| - delta / 2).
    """
    half, bound = type(y)(0.5), type(y)(delta)
    error = abs(y - y_hat)
    return half * error * error if error <= bound else bound * (error - half * bound)


@njit_formula
def d_huber(y, y_hat, delta=1.0):
    """Returns n dL/dy_hat_i for a batch of n samples: y_hat_i - y_i, limited to [-delta, delta]."""
    bound = type(y)(delta)
    error = y_hat - y
    return bound if error > bound else (-bound if error < -bound else error)


# Log-cosh loss: L = 1/n sum_i log cosh(y_i - y_hat_i)

LOG_2 = math.log(2)  # a kernel would compute math.log(2) in float64


@njit_formula
def log_cosh(y, y_hat):
    """Returns log cosh(e) for e = y_i - y_hat_i, one term of n L, where L is the loss of a batch of n samples.

    For |e| <= 1, log cosh(e) is computed as log(1 + (e^|e| - 1) (1 - e^-|e|) / 2), else as |e| - log(2) + log(1 + e^-2|e|).
    """
    zero, half, one = type(y)(0), type(y)(0.5), type(y)(1)
    error = abs(y - y_hat)
    power_less_one = expm1(-error)
    power = one + power_less_one
    more = power * power if error > one else -half * expm1(error) * power_less_one
    return (error - type(y)(LOG_2) if error > one else zero) + log1p(more)


@njit_formula
def d_log_cosh(y, y_hat):
    """Returns n dL/dy_hat_i = tanh(y_hat_i - y_i) for a batch of n samples."""
    return tanh(y_hat - y)


# Poisson loss, half the Poisson deviance (McCullagh and Nelder, 1989): L = 1/n sum_i [y_hat_i - y_i - y_i log(y_hat_i / y_i)]


@njit_formula
def poisson(y, y_hat):
    """Returns y_hat_i - y_i - y_i log(y_hat_i / y_i), one term of n L, where L is the loss of a batch of n samples.

    y_i must be at least 0, and y_hat_i positive. The logarithm is computed as log(1 + (y_hat_i - y_i) / y_i). If y_i is 0 or
    tiny, the result is y_hat_i.
    """
    error = y_hat - y
    return y_hat if y <= y_hat * type(y)(1e-30) else error - y * log1p(error / y)


@njit
def d_poisson(y, y_hat):
    """Returns n dL/dy_hat_i = 1 - y_i / y_hat_i for a batch of n samples, computed as one fraction to avoid cancellation."""
    return (y_hat - y) / y_hat


# Quantile loss, also called pinball loss (Koenker and Bassett, 1978, doi:10.2307/1913643): L = 1/n sum_i quantile(y_i, y_hat_i)


@njit_formula
def quantile(y, y_hat, q=0.5):
    """Returns one term of n L, where L is the loss of a batch of n samples.

    For e = y_i - y_hat_i, the term is q e if e > 0, else (q - 1) e.
    """
    level = type(y)(q)
    error = y - y_hat
    return level * error if error > type(y)(0) else (level - type(y)(1)) * error


@njit_formula
def d_quantile(y, y_hat, q=0.5):
    """Returns n dL/dy_hat_i for a batch of n samples: -q if y_hat_i < y_i, 1 - q if y_hat_i > y_i, 0 if y_hat_i = y_i."""
    zero, level = type(y)(0), type(y)(q)
    error = y_hat - y
    return -level if error < zero else (type(y)(1) - level if error > zero else error)


# Hinge loss (Cortes and Vapnik, 1995, doi:10.1007/BF00994018), for targets -1 and 1: L = 1/n sum_i max(0, 1 - y_i y_hat_i)


@njit_formula
def hinge(y, y_hat):
    """Returns max(0, 1 - y_i y_hat_i), one term of n L, where L is the loss of a batch of n samples. NaN stays NaN."""
    zero = type(y)(0)
    margin = type(y)(1) - y * y_hat
    return zero if margin <= zero else margin


@njit_formula
def d_hinge(y, y_hat):
    """Returns n dL/dy_hat_i for a batch of n samples: -y_i if y_i y_hat_i < 1, and 0 otherwise. NaN stays NaN."""
    zero = type(y)(0)
    margin = type(y)(1) - y * y_hat
    if margin > zero:
        return -y
    return zero if margin <= zero else margin

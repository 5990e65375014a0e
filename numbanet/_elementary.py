"""The functions exp, expm1 and log1p, which can be called from Python, from compiled CPU code and from CUDA kernels.

In compiled CPU code, the functions consist of arithmetic without branches, so that LLVM can vectorise loops that call them. A
loop that calls math.exp instead would call the C library for each number. In CUDA kernels, in the simulator and in Python, the
functions call the functions of the module math.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numba.extending
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import overload, register_jitable

from numbanet._compile import MERGED
from numbanet._cuda import overload_on_gpu

intrinsic: Any = numba.extending.intrinsic  # typed as Any, because callers do not pass the declared parameter `typingctx`


def exp(x: float) -> float:
    """Returns e^x."""
    return math.exp(x)


def expm1(x: float) -> float:
    """Returns e^x - 1 without cancellation near x = 0."""
    return math.expm1(x)


def log1p(x: float) -> float:
    """Returns log(1 + x) without cancellation near x = 0."""
    return math.log1p(x)


@overload_on_gpu(exp)
def _exp_on_gpu(x):
    return lambda x: math.exp(x)


@overload_on_gpu(expm1)
def _expm1_on_gpu(x):
    return lambda x: math.expm1(x)


@overload_on_gpu(log1p)
def _log1p_on_gpu(x):
    return lambda x: math.log1p(x)


@overload(exp, target="cpu", jit_options=MERGED)
def _exp_on_cpu(x):
    return FUNCTIONS[x].exp


@overload(expm1, target="cpu", jit_options=MERGED)
def _expm1_on_cpu(x):
    return FUNCTIONS[x].expm1


@overload(log1p, target="cpu", jit_options=MERGED)
def _log1p_on_cpu(x):
    return FUNCTIONS[x].log1p


# A floating-point number is stored as a sign bit, the sum of its exponent and a bias, and the bits of its mantissa.


@intrinsic
def _power_of_2(typingctx, raised):
    """Returns 2^n for an integer n with -bias < n <= bias, where bias is the exponent bias of the number format.

    The argument `raised` is the number n + 1.5 * 2^mantissa + bias, where mantissa is the number of mantissa bits. In the bit
    pattern of `raised`, the low bits are the integer n + bias, which is the exponent field of 2^n.
    """
    mantissa, bits = np.finfo(raised.name).nmant, ir.IntType(raised.bitwidth)

    def code(context, builder, signature, arguments):
        return builder.bitcast(builder.shl(builder.bitcast(arguments[0], bits), bits(mantissa)), arguments[0].type)

    return raised(raised), code


@intrinsic
def _binade(typingctx, u):
    """Returns k and 4 / 2^k, where u = 2^k * m > 0 and 0.75 <= m < 1.5.

    The function adds 1 to the highest bit in the mantissa field of u. If the mantissa of u is 1.5 or more, this addition
    carries into the exponent field, and so adds 1 to the exponent of u.
    """
    info, bits = np.finfo(u.name), ir.IntType(u.bitwidth)

    def code(context, builder, signature, arguments):
        number = arguments[0].type
        carried = builder.add(builder.bitcast(arguments[0], bits), bits(1 << (info.nmant - 1)))
        zero = builder.bitcast(context.get_constant(u, 2.0**info.nmant), bits)
        biased = builder.bitcast(builder.or_(builder.lshr(carried, bits(info.nmant)), zero), number)
        k = builder.fsub(biased, context.get_constant(u, 2.0**info.nmant + info.maxexp - 1))
        exponent = builder.and_(carried, bits(-1 << info.nmant))
        power = builder.bitcast(builder.sub(bits(2 * info.maxexp << info.nmant), exponent), number)
        return context.make_tuple(builder, signature.return_type, (k, power))

    return types.UniTuple(u, 2)(u), code


def polynomial(coefficients: Sequence[float]) -> Any:
    """Returns a compiled function of x that computes sum_k c_k x^k by Horner's rule, where c_k are the coefficients.

    The returned function contains no loop, so that LLVM can vectorise the loops that call the function.
    """

    @intrinsic
    def value(typingctx, x):
        def code(context, builder, signature, arguments):
            *lower, y = (context.get_constant(x, c) for c in coefficients)
            for c in reversed(lower):
                y = builder.fadd(builder.fmul(y, arguments[0]), c)
            return y

        return x(x), code

    return value


class Functions(NamedTuple):
    """The functions exp, expm1 and log1p for arguments of one dtype."""

    exp: Callable
    expm1: Callable
    log1p: Callable


def functions(number: type, log_2: tuple[float, float], exp_series: Sequence[float], log_series: Sequence[float]) -> Functions:
    """Returns exp, expm1 and log1p for float32 or float64 arguments.

    Parameters
    ----------
    number : type
        The dtype of the arguments: np.float32 or np.float64.
    log_2 : pair of float
        Two numbers whose sum is log(2). The number `log_2[0]` has so few bits that its product with every integer that can be
        an exponent of the dtype is exact (Cody and Waite, Software Manual for the Elementary Functions, 1980).
    exp_series : sequence of float
        The coefficients, from the constant term on, of a polynomial in r that approximates (e^r - 1 - r) / r^2 for |r| <=
        log(2) / 2.
    log_series : sequence of float
        The coefficients, from the constant term on, of a polynomial in s^2 that approximates (2 atanh(s) - 2 s) / s^3 for |s|
        <= 0.2.
    """
    exp, expm1 = _exponentials(number, log_2, polynomial(exp_series))
    return Functions(exp, expm1, _logarithm(number, log_2, polynomial(log_series)))


def _exponentials(number: Any, log_2: tuple[float, float], exp_polynomial: Any) -> tuple[Callable, Callable]:
    """Returns the functions exp and expm1 for arguments of one dtype."""
    info = np.finfo(number)
    zero, half, one = map(number, (0, 0.5, 1))
    per_log_2 = number(1 / math.log(2))
    log_2_high, log_2_low = map(number, log_2)
    # Adding a shift and subtracting it again rounds to the nearest whole number n. From n + shift, _power_of_2 computes 2^(n-1)
    # or 2^(n+64) instead of 2^n, which may be too large or subnormal. The last multiplication, by 2 or 2^-64, corrects the
    # exponent.
    shift_above, shift_below = (number(1.5 * 2.0**info.nmant + info.maxexp - 1 + more) for more in (-1, 64))
    rest_above, rest_below = number(2), number(2.0**-64)
    # Three bounds of -x: e^x is infinite if -x < infinite; e^x is 0 if -x > vanished; e^x - 1 is -1 if -x > minus_one. The
    # functions compare -x instead of x, because most formulas pass x = -|z|. LLVM then detects that only one of two bounds can
    # apply, and emits one instruction for both.
    infinite = number(-math.log(info.max) - 0.25)
    vanished = number(1 - math.log(info.smallest_subnormal))
    minus_one = number(2 - math.log(info.eps))
    small = number(info.eps / 4)  # if |x| is less than this value, e^x - 1 rounds to x, even for subnormal numbers and -0

    @register_jitable(**MERGED)
    def reduced(x, shift):
        """Returns n + shift, r and r's rounding error, for the integer n with x = n log(2) + r and |r| <= log(2) / 2.

        `shift` is an integer near 1.5 * 2^m, for a mantissa of m bits, so that the sum x / log(2) + shift is rounded to the
        integer n + shift.
        """
        raised = x * per_log_2 + shift
        n = raised - shift
        high, low = x - n * log_2_high, n * log_2_low
        r = high - low
        return raised, r, (high - r) - low

    def exp(x):
        shift, rest = (shift_above, rest_above) if x > zero else (shift_below, rest_below)
        minus_x = -x
        minus_x = vanished if minus_x > vanished else minus_x
        minus_x = infinite if minus_x < infinite else minus_x
        raised, r, _ = reduced(-minus_x, shift)
        return ((exp_polynomial(r) * r + one) * r + one) * _power_of_2(raised) * rest

    def expm1(x):
        minus_x = -x
        minus_x = minus_one if minus_x > minus_one else minus_x
        minus_x = infinite if minus_x < infinite else minus_x
        raised, r, lost = reduced(-minus_x, shift_above)
        power = _power_of_2(raised)
        # 2^n e^r - 1 = 2 ((power - 1/2) + power (r + ...)). The sum of (power - 1/2) and power * r is computed without an
        # error, as high + low, because in tanh an error of this sum would count twice.
        a, b = power - half, power * r
        high = a + b
        low = (a - high) + b  # |a| >= |b|, or a = 0
        y = rest_above * (high + (low + power * (lost + r * r * exp_polynomial(r))))
        return x if abs(x) < small else y

    return exp, expm1


def _logarithm(number: Any, log_2: tuple[float, float], log_polynomial: Any) -> Callable:
    """Returns the function log1p for arguments of one dtype."""
    quarter, half, one, two = map(number, (0.25, 0.5, 1, 2))
    infinity, nan = number(np.inf), number(np.nan)
    log_2_high, log_2_low = map(number, log_2)
    small = number(np.finfo(number).eps / 4)  # if |x| < small, log(1 + x) rounds to x, even for subnormal numbers and -0

    def log1p(x):
        k, power = _binade(one + x)
        f = power * (quarter * x) + (quarter * power - one)  # (1 + x) / 2^k - 1
        # log(1 + f) = 2 atanh(s) = f - (f^2 / 2 - s (f^2 / 2 + ...))
        s = f / (two + f)
        f_f, s_s = half * f * f, s * s
        y = k * log_2_high + (f - (f_f - (s * (f_f + s_s * log_polynomial(s_s)) + k * log_2_low)))
        y = x if abs(x) < small else y
        y = x if x == infinity else y
        edge = -infinity if x == -one else nan
        return edge if x <= -one else y

    return log1p


# Minimax coefficients, computed by the Remez algorithm with 45 digits. The errors of the first polynomial, relative to e^r - 1,
# are at most 2^-26 (float32) and 2^-55 (float64). The errors of the second polynomial, relative to atanh(s), are at most 2^-32
# (float32) and 2^-59 (float64).
FUNCTIONS = {
    types.float32: functions(
        np.float32,
        (0.693145751953125, 1.4286068203094172e-6),
        (0.500000006199078016, 0.16666542905887171, 0.0416662817491019102, 0.00836659603957174322, 0.00139464719518581633),
        (0.666669481894391066, 0.399577402128277757, 0.303624110805129215),
    ),
    types.float64: functions(
        np.float64,
        (0.69314718036912381649, 1.90821492927058770e-10),
        (0.500000000000000556, 0.16666666666666686, 0.0416666666665735214, 0.00833333333331457441, 0.00138888889324194498,
         0.000198412699030789412, 0.0000248015043911586668, 2.75572279022966637e-6, 2.76263502022943268e-7,
         2.51144917270180966e-8),
        (0.666666666666727514, 0.399999999961390785, 0.285714293993900025, 0.222221381642641136, 0.181863699546618643,
         0.152499096596593844, 0.153703672391809712),
    ),
}  # fmt: skip

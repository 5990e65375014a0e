"""exp, expm1 and log1p, each under one name for every target.

On the CPU they are arithmetic without a branch, so that LLVM makes SIMD code of a loop over a formula; math.exp would be a
call into libm, one number at a time. On the GPU, in the simulator and without compilation they are math's.
"""

import math
from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload, register_jitable

from numbanet._compile import MERGED
from numbanet._cuda import overload_on_gpu


def exp(x):
    """e^x."""
    return math.exp(x)


def expm1(x):
    """e^x - 1, which does not cancel near 0."""
    return math.expm1(x)


def log1p(x):
    """log(1 + x), which does not cancel near 0."""
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


# The bits of a number are its sign, its exponent plus a bias, and the stored part of its mantissa.


@intrinsic
def _power_of_2(typingctx, raised):
    """2^n of a whole number n, -bias < n <= bias, raised by 1.5 2^mantissa + bias: n + bias is then in the lowest bits."""
    mantissa, bits = np.finfo(raised.name).nmant, ir.IntType(raised.bitwidth)

    def code(context, builder, signature, arguments):
        return builder.bitcast(builder.shl(builder.bitcast(arguments[0], bits), bits(mantissa)), arguments[0].type)

    return raised(raised), code


@intrinsic
def _binade(typingctx, u):
    """k and 4 / 2^k, where u = 2^k m > 0 and 0.75 <= m < 1.5: from 1.5 on, half a mantissa more carries into the exponent."""
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


def polynomial(coefficients):
    """A function of x: the sum of c_k x^k, by Horner's rule, without a loop that would be in the way of the loop around it."""

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
    """The three functions for one type of number."""

    exp: object
    expm1: object
    log1p: object


def functions(number, log_2, exp_series, log_series) -> Functions:
    """The three functions for float32 or float64 arguments.

    Parameters
    ----------
    number : type
        np.float32 or np.float64.
    log_2 : pair of float
        Its sum is log(2). The first has so few bits that multiplied by any exponent it is exact (W. J. Cody and W. Waite,
        Software Manual for the Elementary Functions, 1980).
    exp_series : sequence of float
        Coefficients, from the constant term up, of (e^r - 1 - r) / r^2 where |r| <= log(2) / 2.
    log_series : sequence of float
        Coefficients of (2 atanh(s) - 2 s) / s^3 in s^2 where |s| <= 0.2.
    """
    info = np.finfo(number)
    zero, quarter, half, one, two = map(number, (0, 0.25, 0.5, 1, 2))
    infinity, nan = number(np.inf), number(np.nan)
    per_log_2 = number(1 / math.log(2))
    log_2_high, log_2_low = map(number, log_2)
    exp_polynomial, log_polynomial = polynomial(exp_series), polynomial(log_series)
    # A shift, added and subtracted again, leaves the nearest whole number n. In between _power_of_2 makes of it 2^(n-1) or
    # 2^(n+64), to be multiplied by the rest at the very end: 2^n itself may be beyond the largest number, or subnormal.
    shift_above, shift_below = (number(1.5 * 2.0**info.nmant + info.maxexp - 1 + more) for more in (-1, 64))
    rest_above, rest_below = number(2), number(2.0**-64)
    # Bounds of -x, beyond which e^x is infinite, e^x is 0, e^x - 1 is -1. Of -x, for in a formula x is mostly -|z|: LLVM then
    # sees that it meets but one of them, and makes one instruction of that.
    infinite = number(-math.log(info.max) - 0.25)
    vanished = number(1 - math.log(info.smallest_subnormal))
    minus_one = number(2 - math.log(info.eps))
    small = number(info.eps / 4)  # below, e^x - 1 and log(1 + x) are x, a subnormal number and -0 included

    @register_jitable(**MERGED)
    def reduced(x, shift):
        """n + shift and r, where x = n log(2) + r and |r| <= log(2) / 2; and what r, being rounded, has lost."""
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
        # 2^n e^r - 1 = 2 ((power - 1/2) + power (r + ...)), whose first terms are added without an error, as high + low:
        # tanh takes an error of this sum twice
        a, b = power - half, power * r
        high = a + b
        low = (a - high) + b  # |a| >= |b|, or a = 0
        y = rest_above * (high + (low + power * (lost + r * r * exp_polynomial(r))))
        return x if abs(x) < small else y

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

    return Functions(exp, expm1, log1p)


# The coefficients are minimax, by the algorithm of Remez in 45 digits. Relative to e^r - 1 the first series are within 2^-26
# and 2^-55; relative to atanh(s) the second within 2^-32 and 2^-59.
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

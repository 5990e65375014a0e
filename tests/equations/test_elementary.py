"""exp, expm1 and log1p on the CPU agree with mpmath's values of 50 digits, also at the limits of a dtype and in SIMD code."""

import math
import re

import mpmath
import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbanet import _compile, _elementary
from numbanet.equations import activations, losses
from tests.helpers.engines import DTYPES, each
from tests.helpers.values import lists_of

mpmath.mp.dps = 50
mp = mpmath.mpf
ULP = 1.3
INF, NAN = math.inf, math.nan


def compiled(function):
    """Returns a compiled function that calls `function`; without compilation, `function` would use the module math."""

    @numba.njit(**_compile.FLAGS)
    def call(x):
        return function(x)

    return call


FUNCTIONS = {
    "exp": (compiled(_elementary.exp), mpmath.exp),
    "expm1": (compiled(_elementary.expm1), mpmath.expm1),
    "log1p": (compiled(_elementary.log1p), mpmath.log1p),
}


def check(name, dtype, value):
    """Compares a function value with the exact value (50 digits); inf is right if the exact value overflows the dtype."""
    function, exact = FUNCTIONS[name]
    x = dtype.type(value)
    found, expected = function(x), exact(mp(float(x)))
    with np.errstate(over="ignore"):
        rounded = dtype.type(float(expected))
    if np.isinf(rounded):
        assert found == rounded
    else:
        ulp = mp(float(np.spacing(abs(rounded))))
        assert abs(mp(float(found)) - expected) <= ULP * ulp, f"{name}({x!r}) = {found!r}, exactly {expected}"


def arguments(dtype, name):
    """Returns a Hypothesis strategy for arguments: near 0, above log(2) / 2 (worst for expm1), near overflow, or any."""
    width, largest = 8 * dtype.itemsize, float(np.finfo(dtype).max)
    lowest = float(np.nextafter(dtype.type(-1), dtype.type(0))) if name == "log1p" else -largest
    bounds = ((-2, 2), (0.34375, 0.4375), (-120, 120), (-800, 800), (lowest, largest))
    return st.one_of(*(st.floats(max(low, lowest), high, width=width) for low, high in bounds))


@each("dtype", DTYPES)
@each("name", list(FUNCTIONS))
def test_functions_are_within_their_ulp(name, dtype):
    @settings(max_examples=30, deadline=None, derandomize=True)
    @given(values=lists_of(arguments(dtype, name)))
    def holds(values):
        for x in values:
            check(name, dtype, x)

    holds()


@each("dtype", DTYPES)
@each("name", list(FUNCTIONS))
def test_functions_are_within_their_ulp_at_the_ends_of_their_cases(name, dtype):
    info = np.finfo(dtype)
    log_2, last = math.log(2), math.log(info.max)
    ends = [0.5, 1.5, -0.25, -0.5, info.eps / 4, info.eps, info.tiny, info.smallest_subnormal, info.max]
    ends += [math.log(info.eps) - 2, math.log(info.tiny), math.log(info.smallest_subnormal), last, last + 0.25]
    ends += [(n + 0.5) * log_2 for n in range(-4, 4)] + [2.0**k * 1.5 - 1 for k in range(-20, 20)]
    for end in np.array(ends, dtype):
        for x in (end, -end):
            for near in (np.nextafter(x, -info.max), x, np.nextafter(x, info.max)):
                if near > -1 or name != "log1p":
                    check(name, dtype, near)


def test_tanh_is_within_3_ulp_in_float32():
    """tanh computes a from expm1(-2 |z|); if a is close to 1, an error of expm1 causes an error in a that is twice as large."""
    z = np.linspace(-12, 12, 100_001, dtype=np.float32).reshape(1, -1)
    a = np.empty_like(z)
    activations.activation(activations.TANH, np.float32(0), z, a)
    exact = np.tanh(z.astype(np.float64))
    assert np.max(np.abs(a - exact) / np.spacing(np.abs(exact).astype(np.float32)), where=exact != 0, initial=0) <= 3


SPECIAL = {
    "exp": [(NAN, NAN), (INF, INF), (-INF, 0.0), (0.0, 1.0), (-0.0, 1.0), (1e5, INF), (-1e5, 0.0)],
    "expm1": [(NAN, NAN), (INF, INF), (-INF, -1.0), (0.0, 0.0), (-0.0, -0.0), (1e5, INF), (-1e5, -1.0)],
    "log1p": [(NAN, NAN), (INF, INF), (-INF, NAN), (0.0, 0.0), (-0.0, -0.0), (-1.0, -INF), (-2.0, NAN), (-1e30, NAN)],
}


@each("dtype", DTYPES)
@each("name, x, expected", [(name, *pair) for name, pairs in SPECIAL.items() for pair in pairs])
def test_special_arguments(name, x, expected, dtype):
    found = FUNCTIONS[name][0](dtype.type(x))
    assert math.isnan(found) if math.isnan(expected) else found == expected
    assert math.isnan(expected) or np.signbit(found) == np.signbit(expected)


@each("dtype", DTYPES)
@each("name", ["expm1", "log1p"])
def test_subnormal_arguments_are_their_own_result(name, dtype):
    smallest = np.finfo(dtype).smallest_subnormal
    for x in (smallest, -smallest, dtype.type(5 * smallest), np.finfo(dtype).tiny / 2):
        assert FUNCTIONS[name][0](x) == x


@each("name", list(FUNCTIONS))
def test_python_calls_the_module_math(name):
    assert getattr(_elementary, name)(0.3) == getattr(math, name)(0.3)


def difference_from_8(z):
    return activations.exp_difference(z, type(z)(8))


@pytest.mark.skipif(not numba.config.LOOP_VECTORIZE or str(numba.config.OPT) == "0", reason="LLVM is set not to vectorise")
@each("dtype", DTYPES)
@each("formula", [activations.sigmoid, activations.tanh, losses.softplus, difference_from_8])
def test_a_loop_over_a_formula_becomes_simd_code(formula, dtype):
    formula = numba.njit(**_compile.FLAGS, forceinline=True)(getattr(formula, "py_func", formula))

    @numba.njit(**_compile.FLAGS)
    def loop(z, a):
        for p in range(z.shape[0]):
            a[p] = formula(z[p])

    array = numba.from_dtype(dtype)[::1]
    loop.compile((array, array))
    code = loop.inspect_llvm((array, array))
    lanes = {int(count) for count in re.findall(rf"= fmul \w* ?<(\d+) x {'float' if dtype.itemsize == 4 else 'double'}>", code)}
    assert lanes and min(lanes) > 1

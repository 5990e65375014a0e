"""The functions of math and builtins that formulas can call, and the functions that compiled formulas call in their place.

The package's own exp, expm1, log1p and tanh consist of arithmetic without branches, so that LLVM can vectorise loops that call
them. All functions keep the dtype of their arguments.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

from numbanet import _elementary
from numbanet._compile import njit_formula
from numbanet.equations.activations import tanh

HIGHEST_POWER = 16  # x ** n becomes a product for integers n with |n| <= HIGHEST_POWER


class Function(NamedTuple):
    """A function that compiled formulas call, and its number of arguments."""

    function: Any
    arguments: int = 1


OWN: dict[Callable, Any] = {
    math.exp: _elementary.exp,
    math.expm1: _elementary.expm1,
    math.log1p: _elementary.log1p,
    math.tanh: tanh,
}
OF_ONE = (
    *(abs, math.fabs, math.sqrt, math.exp, math.expm1, math.log, math.log10, math.log1p, math.erf, math.erfc),
    *(math.sin, math.cos, math.tan, math.asin, math.acos, math.atan),
    *(math.sinh, math.cosh, math.tanh, math.asinh, math.acosh, math.atanh),
)
OF_TWO = (math.atan2, math.copysign, math.hypot)
FUNCTIONS: dict[Callable, Function] = {
    **{function: Function(OWN.get(function, function)) for function in OF_ONE},
    **{function: Function(function, 2) for function in OF_TWO},
}


@njit_formula
def maximum(x, y):
    """Returns the larger of x and y, as Python's max does."""
    return y if y > x else x


@njit_formula
def minimum(x, y):
    """Returns the smaller of x and y, as Python's min does."""
    return y if y < x else x


@functools.cache
def power_of(n: int) -> Any:
    """Returns a compiled function that computes x^n by multiplication; n is an integer from 0 to HIGHEST_POWER."""
    if n == 0:
        return njit_formula(lambda x: type(x)(1), cached=False)
    if n == 1:
        return njit_formula(lambda x: x, cached=False)
    half, rest = power_of(n // 2), power_of(n % 2)
    return njit_formula(lambda x: half(x) * half(x) * rest(x), cached=False)

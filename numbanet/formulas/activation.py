"""The class Activation: an activation function that a user writes."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from numbanet import checks
from numbanet._compile import config
from numbanet.formulas.formula import Formula, checked_name, compiled, digest_of, of_user, tried
from numbanet.formulas.language import translated
from numbanet.formulas.trials import DTYPES, NEAR, Tried, check_enough, check_finite, check_slopes, slopes

Z, Z_A = ("z",), ("z", "a")
FAR = np.array([100.0, 1e3, 1e4, 1e9, 1e18])  # values of z at which an activation is tried, in addition to NEAR


class Activation(Formula):
    """An activation function a = phi(z) that you write as Python functions of numbers.

    numbanet compiles the functions into its loops, on the CPU and on GPUs. The functions can use arithmetic, comparisons, `if`,
    variables, abs, min, max, functions and constants of the module math, global variables that are numbers, and calls of
    functions that you write under the same restrictions. The values that global variables have when the `Activation` is created
    become part of the formula. All constants are converted to the dtype of the network.

    Parameters
    ----------
    name : str
        The name of the activation in files and messages. The name must differ from the names of the cheat sheet's activations.
    phi : function
        `phi(z, *constants)` returns a.
    d_phi : function
        `d_phi(z, a, *constants)` returns da/dz, from z and a = phi(z). If `d_phi` uses only a, networks need less memory, and
        all fast GPU kernels can train them.
    constants : sequence of float
        Numbers that are passed to `phi` after z, and to `d_phi` after z and a.

    Attributes
    ----------
    needs_z : bool
        True if `d_phi` uses z.

    Raises
    ------
    TypeError
        `phi` or `d_phi` is not a function, or a constant is not a number.
    ValueError
        A function contains something that a formula cannot contain (the message names the line), `phi` or `d_phi` is infinite
        or NaN at one of the values of z that `Activation` tries in float32 and in float64, or `d_phi` disagrees with central
        differences of `phi` (the message names z, both numbers and the likely mistake). If a function may be infinite or NaN,
        state in its docstring for which z it is finite, such as "The value is finite for z < 88."; with the word "finite" in
        its docstring, a function may return inf and NaN. At kinks of `phi`, `d_phi` is not compared with central differences.

    Examples
    --------
    >>> from math import exp
    >>> def swish(z):
    ...     return z / (1 + exp(-z))
    >>> def d_swish(z, a):
    ...     return a + (1 - a) / (1 + exp(-z))
    >>> Activation("swish", swish, d_swish)  # doctest: +SKIP
    <Activation 'swish'>
    """

    phi: Any
    d_phi: Any
    needs_z: bool

    def __init__(self, name: str, phi: Callable[..., Any], d_phi: Callable[..., Any], *, constants: Iterable[float] = ()):
        name, numbers = checked_name(name), _numbers(constants)
        of = f"of the activation {name!r}"
        translations = (
            translated(f"phi {of}", phi, Z, numbers, compiled),
            translated(f"d_phi {of}", d_phi, Z_A, numbers, compiled),
        )
        function = tried(f"phi {of}", translations[0], Z, phi.__doc__)
        derivative = tried(f"d_phi {of}", translations[1], Z_A, d_phi.__doc__)
        if not config.DISABLE_JIT:  # without compilation, Python raises OverflowError instead of returning inf
            _try(function, derivative)
        super().__init__(
            name=name,
            phi=function.function,
            d_phi=derivative.function,
            needs_z=translations[1].reads[0],
            **of_user(Activation, digest_of(*translations), name, phi, d_phi, constants=numbers),
        )


def _numbers(constants: Iterable[float]) -> tuple[float, ...]:
    try:
        values = tuple(constants)
    except TypeError:
        raise TypeError(f"constants must be a sequence of numbers, not {checks.shown(constants)}") from None
    return tuple(checks.real(f"constants[{k}]", value) for k, value in enumerate(values))


def _try(phi: Tried, d_phi: Tried) -> None:
    """Raises ValueError if a value of phi or d_phi is not finite, or if d_phi disagrees with central differences of phi."""
    points = {dtype: [*map(dtype, (*NEAR, *FAR, *-FAR)), np.finfo(dtype).max, np.finfo(dtype).min] for dtype in DTYPES}
    for dtype in DTYPES:
        check_finite(phi, dtype, [(z,) for z in points[dtype]])
    found = slopes(phi.function, d_phi, [(float(z),) for z in NEAR], lambda point: (*point, float(phi.function(*point))))
    check_slopes(
        d_phi,
        found,
        {
            "Its arguments are z and a = phi(z), in this order.": lambda z, a: d_phi.function(a, z),
            "It uses z in place of a.": lambda z, a: d_phi.function(a, a),
            "It uses a in place of z.": lambda z, a: d_phi.function(z, z),
        },
    )
    for dtype in DTYPES:
        pairs = ((z, phi.function(z)) for z in points[dtype])
        check_finite(d_phi, dtype, [pair for pair in pairs if np.isfinite(pair[1])])
    check_enough(d_phi, found)

"""Tries compiled formulas: their values must be finite, and derivatives must agree with central differences.

The values of formulas are computed in float32 and in float64. Central differences are computed in float64, and used only at
points near which the function has no kink: at a kink, the slopes to the left and to the right differ.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

STEP = 2.0**-17  # the step of central differences, relative to the argument if it is larger than 1
TOLERANCE = 1e-5  # the largest error of a derivative, relative to the derivative if the derivative is larger than 1
KINK = 1e-3  # the largest difference between the slopes to the left and to the right of a point without a kink
FEWEST = 8  # the smallest number of points at which a derivative must be comparable
DTYPES = (np.float32, np.float64)
# The word with which the docstring of a formula states for which arguments its value is not finite.
STATED = re.compile(r"\bfinite\b", re.IGNORECASE)

Point = tuple[Any, ...]


class Tried(NamedTuple):
    """A compiled formula under trial.

    Parameters
    ----------
    name : str
        The name of the formula in error messages.
    function : callable
    doc : str
        The docstring of the user's function.
    arguments : tuple of str
        The names of the arguments.
    """

    name: str
    function: Any
    doc: str
    arguments: tuple[str, ...]

    def at(self, point: Point) -> str:
        """Returns the point as text, such as "z = 1, a = 0.73"."""
        return ", ".join(f"{name} = {value:.6g}" for name, value in zip(self.arguments, point, strict=True))


class Slope(NamedTuple):
    """The user's derivative at a point, and the slope of the user's function at this point, from central differences.

    `found` is the value of the user's derivative for `arguments`. `expected` is the slope from central differences, and `noise`
    is the rounding error that this slope may have.
    """

    point: Point
    arguments: Point
    found: float
    expected: float
    noise: float

    def agrees(self, value: float) -> bool:
        """True if `value` equals the slope `expected`, up to rounding errors."""
        return abs(value - self.expected) <= TOLERANCE * max(1.0, abs(self.expected)) + self.noise


def numbers_of_both_signs(smallest: float, largest: float, count: int) -> NDArray[np.float64]:
    """Returns 0 and `count` numbers of each sign, evenly spaced on a logarithmic scale."""
    positive = np.geomspace(smallest, largest, count)
    return np.concatenate([-positive[::-1], [0.0], positive])


NEAR = numbers_of_both_signs(0.00113, 31.7, 48)  # the points at which derivatives are compared, which exclude 1 and 0.5


def check_finite(tried: Tried, dtype: Any, points: Iterable[Point]) -> None:
    """Raises ValueError if `tried.function` is infinite or NaN at a point and its docstring does not state where."""
    if STATED.search(tried.doc):
        return
    for point in points:
        value = tried.function(*map(dtype, point))
        if not np.isfinite(value):
            raise ValueError(
                f"{tried.name} is {value} at {tried.at(point)} in {dtype.__name__}: rewrite the function so that no part of it "
                "overflows or divides by 0, or state in its docstring for which arguments its value is finite"
            )


def slopes(function: Callable, derivative: Tried, points: Iterable[Point], arguments: Callable[[Point], Point]) -> list[Slope]:
    """Returns the value of `derivative`, and the slope of `function` from central differences, at each suitable point.

    A point is a tuple of arguments of `function`; the slope is taken with respect to the last argument. arguments(point)
    returns the arguments of `derivative`. A point is suitable if `derivative` and the slopes to both sides of the point are
    finite, and `function` has no kink near the point. The two numbers at a point are returned as a `Slope`.
    """
    found = []
    for *others, z in points:
        step = STEP * max(1.0, abs(z))
        below, here, above = (float(function(*others, z + shift)) for shift in (-step, 0.0, step))
        left, right = (here - below) / step, (above - here) / step
        taken = arguments((*others, z))
        value = float(derivative.function(*taken))
        largest = max(1.0, abs(left), abs(right))
        if np.isfinite([left, right, value]).all() and abs(left - right) <= KINK * largest:
            noise = 4 * np.finfo(float).eps * max(abs(below), abs(above)) / step
            found.append(Slope((*others, z), taken, value, (above - below) / (2 * step), noise))
    return found


def check_slopes(derivative: Tried, found: Sequence[Slope], mistakes: Mapping[str, Callable[..., float]]) -> None:
    """Raises ValueError if the derivative is wrong; the message names a point, both numbers and the likely mistake.

    `mistakes` maps a sentence about each known mistake to a function of the arguments of `derivative`. If the user made the
    mistake, the function returns the right derivative.
    """
    wrong = [slope for slope in found if not slope.agrees(slope.found)]
    if wrong:
        shown = min(wrong, key=lambda slope: abs(abs(slope.point[-1]) - 1.0))  # numbers near 1 are easy to check by hand
        raise ValueError(
            f"{derivative.name} is wrong: at {derivative.at(shown.arguments)} it is {shown.found:.9g}, but central differences "
            f"give {shown.expected:.9g}. {_likely(found, wrong, mistakes)}"
        )


def check_enough(derivative: Tried, found: Sequence[Slope]) -> None:
    """Raises ValueError if there are too few points at which the derivative could be compared."""
    if len(found) < FEWEST:
        raise ValueError(f"{derivative.name} cannot be tried: at most points, the formula is not finite, or has a kink")


def _likely(found: Sequence[Slope], wrong: Sequence[Slope], mistakes: Mapping[str, Callable[..., float]]) -> str:
    """Returns a sentence about the mistake that the user probably made in the derivative."""
    if all(slope.agrees(-slope.found) for slope in found):
        return "Its sign is the reverse of the right one."
    largest = max(found, key=lambda slope: abs(slope.expected))
    factor = largest.found / largest.expected if largest.expected else 0.0
    if factor and all(slope.agrees(slope.found / factor) for slope in found):
        return f"It is {factor:.6g} times the right one."
    right = len(found) - len(wrong)
    if right >= len(found) / 4:
        name = "y_hat" if len(found[0].point) > 1 else "z"
        ends = sorted({slope.point[-1] for slope in wrong})
        where = f"at {name} = {ends[0]:.4g}" if len(ends) == 1 else f"for {name} from {ends[0]:.4g} to {ends[-1]:.4g}"
        return f"It is right at {right} of {len(found)} points: check the case that applies {where}."
    for text, corrected in mistakes.items():
        if all(slope.agrees(float(corrected(*slope.arguments))) for slope in found):
            return text
    return "Derive it again."

"""Fits a straight line to measured times, which consist of a fixed part and a part that grows with the size of the work."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Line(NamedTuple):
    """A straight line, seconds = fixed + rate * x, where x is the size of the work, such as a number of samples.

    `error` is the root mean square of the line's relative errors at the measured points.
    """

    fixed: float
    rate: float
    error: float


def fitted_line(x: ArrayLike, seconds: ArrayLike) -> Line:
    """Returns the line whose relative errors at the measured points have the smallest sum of squares.

    The errors are relative, because the times differ by several orders of magnitude.

    Parameters
    ----------
    x : (n,)
        The sizes of the work.
    seconds : (n,)
        The measured time for each size.
    """
    x, seconds = np.asarray(x, float), np.asarray(seconds, float)
    columns = np.stack([1 / seconds, x / seconds], axis=1)
    scale = np.abs(columns).max(axis=0)
    (fixed, rate), *_ = np.linalg.lstsq(columns / scale, np.ones(x.size))
    fixed, rate = float(fixed / scale[0]), float(rate / scale[1])
    return Line(fixed, rate, float(np.sqrt(np.mean(((fixed + rate * x) / seconds - 1) ** 2))))

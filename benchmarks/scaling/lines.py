"""The straight line through measured times: a fixed part, and a part that grows with the size."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Line(NamedTuple):
    """The line seconds = fixed + rate x, and its error, the root mean square of relative errors."""

    fixed: float
    rate: float
    error: float


def fitted_line(x: ArrayLike, seconds: ArrayLike) -> Line:
    """Returns the line with the least squares of relative errors, because the times span orders of magnitude.

    Parameters
    ----------
    x : (n,)
        Sizes.
    seconds : (n,)
        Times measured for them.
    """
    x, seconds = np.asarray(x, float), np.asarray(seconds, float)
    columns = np.stack([1 / seconds, x / seconds], axis=1)
    scale = np.abs(columns).max(axis=0)
    (fixed, rate), *_ = np.linalg.lstsq(columns / scale, np.ones(x.size))
    fixed, rate = float(fixed / scale[0]), float(rate / scale[1])
    return Line(fixed, rate, float(np.sqrt(np.mean(((fixed + rate * x) / seconds - 1) ** 2))))

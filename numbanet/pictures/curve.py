"""A curve beside a formula of the cheat sheet, and the points and constants that all curves share."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numbanet.pictures.functions import grid

EPSILON = 0.1  # larger than the default, so that the slope of leaky_relu is visible
Z = grid(-4, 4, 81)
JUMP = np.nan  # a point that separates two pieces of a curve


class Curve(NamedTuple):
    """A curve y over x, and the names that are written at its line.

    A curve may have several pieces, separated by points whose x and y are `JUMP` (NaN). `names` contains one name for the whole
    curve, or one for each piece. `ground` contains the y values of a second curve, which is drawn in grey behind the first one.
    The second curve has the x values of `Z`, from -4 to 4, and the name `ground_name`.
    """

    x_label: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    names: tuple[str, ...]
    note: str = ""  # the constants of the example, such as the target
    eta: str = ""  # the learning rate of an update rule
    ground: NDArray[np.float64] | None = None
    ground_name: str = ""
    marker: str = ""

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

    `names` contains one name, or a name for each of the pieces that `JUMP` separates. `ground` contains the y values of a
    second curve, drawn in grey behind the first one; its x values are the module's `Z`, and its name is `ground_name`.
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

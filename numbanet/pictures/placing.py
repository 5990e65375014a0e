"""Finds places for names beside curves. Lengths are in mm."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from numbanet.pictures.page import POINT, extent

GAPS, BORDER = (0.6, 1.6), 0.5  # the distances of a name from its line, and from the border of the panel
CONFLICT = 20.0  # a place with a higher cost is on a line, on another name or beyond the border, or nearer to another line
DIRECTIONS = np.array([(x, y) for x in (0, 1, -1) for y in (1, -1, 0) if x or y])


def size_in_mm(ax: Axes) -> NDArray[np.float64]:
    """Returns the width and the height of the Axes in mm."""
    return np.array(ax.get_window_extent().size) / ax.figure.dpi * 25.4


def in_mm(ax: Axes, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Converts points (n, 2) in data coordinates to mm from the lower left corner of the Axes."""
    return (ax.transData.transform(points) - ax.get_window_extent().min) / ax.figure.dpi * 25.4


def size_of(name: str, points: float) -> NDArray[np.float64]:
    """Returns the width and the height of a name in mm; the height is at least the height of a line of text."""
    width, above, below = extent(name)
    return np.array([width, max(above + below, POINT)]) * points


def dense(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns points on a line, at most about 0.5 mm apart; leaves out NaN."""
    ends = [(a, b) for a, b in pairwise(points) if np.isfinite([a, b]).all()]
    return np.concatenate([np.linspace(a, b, max(2, int(np.hypot(*(b - a)) / 0.5))) for a, b in ends])


class Box(NamedTuple):
    """A rectangle in mm that contains a name, or the corners (n, 2) of several rectangles."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def distance(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Returns the distance between each rectangle and the nearest of the points, at most 3 mm."""
        beyond = np.maximum(self.low[:, np.newaxis] - points, points - self.high[:, np.newaxis])
        return np.minimum(np.hypot(*np.maximum(beyond, 0.0).transpose(2, 0, 1)).min(axis=1), 3.0)

    def overlap(self, other: "Box", margin: float) -> NDArray[np.bool_]:
        """Returns True for each rectangle that overlaps the other rectangle or is closer to it than `margin`."""
        return np.all(np.minimum(self.high, other.high) - np.maximum(self.low, other.low) > -margin, axis=1)


class Surroundings(NamedTuple):
    """The surroundings of a name, in mm from the lower left corner of its panel."""

    line: NDArray[np.float64]  # points on the line of the name
    others: NDArray[np.float64]  # points on all other lines
    alike: NDArray[np.float64]  # points on the other lines of the same colour, from which the name must keep more distance
    placed: list[Box]  # the names that have a place already
    panel: NDArray[np.float64]  # the width and the height of the panel
    zero: NDArray[np.float64]  # the point through which the grid lines pass


def place(size: NDArray[np.float64], around: Surroundings) -> Box:
    """Returns the best rectangle of the given size beside a line.

    If possible, the rectangle lies inside the panel, on no line and on no other name, and not on the grid lines. The rectangle
    lies as far as possible from other lines.
    """
    boxes, costs = _candidates(size, GAPS[0], around)
    if costs.min() > CONFLICT:
        boxes, costs = _candidates(size, GAPS[1], around)
    best = costs.argmin()
    return Box(boxes.low[best], boxes.high[best])


def _candidates(size: NDArray[np.float64], gap: float, around: Surroundings) -> tuple[Box, NDArray[np.float64]]:
    """Returns rectangles at the distance `gap` from a line, and their costs, which are above CONFLICT for bad places."""
    points = around.line[:: max(1, len(around.line) // 40)]
    middles = (points[:, np.newaxis] + DIRECTIONS * (size / 2 + gap)).reshape(-1, 2)
    boxes = Box(middles - size / 2, middles + size / 2)
    beyond = np.maximum(BORDER - boxes.low, 0.0) + np.maximum(boxes.high - around.panel + BORDER, 0.0)
    to_line, to_others = boxes.distance(around.line), boxes.distance(around.others)
    costs = 60.0 * beyond.sum(axis=1) + 100.0 * (to_line < 0.45) + 100.0 * (to_others < 0.3) + 50.0 * (to_others < to_line)
    costs += 10.0 * (boxes.distance(around.alike) < 2.0 * to_line)
    costs += 0.9 * to_line - to_others + 0.2 * np.tile(np.abs(DIRECTIONS).sum(axis=1), len(points))
    costs += 2.0 * ((boxes.low < around.zero + 0.2) & (boxes.high > around.zero - 0.2)).any(axis=1)
    for box in around.placed:
        costs += 200.0 * boxes.overlap(box, 0.3)
    return boxes, costs

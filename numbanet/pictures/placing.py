"""Finds places for names beside curves. Lengths are in mm."""

from collections.abc import Sequence
from itertools import pairwise, product
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from numbanet.pictures.page import POINT, SMALLEST, extent
from numbanet.pictures.style import lay_out, points_of

GAPS, BORDER = (0.6, 1.6), 0.5  # the distances of a name from its line, and from the border of the panel
LEADING = 1.3  # the height of a line of text with several lines, per height of the line
CONFLICT = 20.0  # a place with a higher cost is on a line, on another name or beyond the border, or nearer to another line
DIRECTIONS = np.array([(x, y) for x in (0, 1, -1) for y in (1, -1, 0) if x or y])
FROM_POINT = (2.2, 4.0, 6.5, 9.5, 13.0, 18.0, 25.0)  # the distances of a name from its point
# The directions from a point to its name: in steps above and below the point, and to the left and right of the point.
AROUND = np.array([*((x, y) for y in (-1, 1) for x in np.linspace(-1, 1, 9)), (-1, 0), (1, 0)])
FAR = 4.5  # a line leads to a name at a greater distance from its point


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


def without_formulas(name: str) -> str:
    """Returns a name with S in place of each $, to measure its width: Matplotlib would read $ as the start of a formula."""
    return name.replace("$", "S")


def dense(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns `points` and further points on the lines between them; leaves out NaN."""
    ends = [(a, b) for a, b in pairwise(points) if np.isfinite([a, b]).all()]
    between = [np.linspace(a, b, max(2, int(np.hypot(*(b - a)) / 0.5))) for a, b in ends]
    return np.concatenate([points[np.isfinite(points).all(axis=1)], *between])


class Box(NamedTuple):
    """A rectangle in mm in which a name is written, or n rectangles: `low` and `high` are the corners, (2,) or (n, 2)."""

    low: NDArray[np.float64]
    high: NDArray[np.float64]

    def distance(self, points: NDArray[np.float64], most: float = 3.0) -> NDArray[np.float64]:
        """Returns the distance between each rectangle and the nearest point; `most` replaces larger distances."""
        beyond = np.maximum(self.low[:, np.newaxis] - points, points - self.high[:, np.newaxis])
        return np.minimum(np.hypot(*np.maximum(beyond, 0.0).transpose(2, 0, 1)).min(axis=1), most)

    def overlap(self, other: "Box", margin: float) -> NDArray[np.bool_]:
        """Returns True for each rectangle that overlaps the other rectangle or is closer to it than `margin`."""
        return np.all(np.minimum(self.high, other.high) - np.maximum(self.low, other.low) > -margin, axis=1)


class Surroundings(NamedTuple):
    """The lines and names that a new name must not cover, in mm from the lower left corner of the panel (the Axes)."""

    line: NDArray[np.float64]  # points on the line of the name
    others: NDArray[np.float64]  # points on all other lines
    alike: NDArray[np.float64]  # points on the other lines of the same colour, from which the name must keep more distance
    placed: list[Box]  # the names that have a place already
    panel: NDArray[np.float64]  # the width and the height of the panel
    zero: NDArray[np.float64]  # the point through which the grid lines pass


def place(size: NDArray[np.float64], around: Surroundings) -> Box:
    """Returns the best rectangle of the given size for a name beside a line.

    If possible, the rectangle lies inside the panel (the Axes), and covers no line, no other name and no grid line. The
    function prefers rectangles that are far from the lines of other names.
    """
    boxes, costs = _candidates(size, GAPS[0], around)
    if costs.min() > CONFLICT:
        boxes, costs = _candidates(size, GAPS[1], around)
    best = costs.argmin()
    return Box(boxes.low[best], boxes.high[best])


def _candidates(size: NDArray[np.float64], gap: float, around: Surroundings) -> tuple[Box, NDArray[np.float64]]:
    """Returns possible rectangles for a line's name, at the distance `gap` from the line, and the costs of the rectangles.

    If the cost of a rectangle is larger than CONFLICT, the name would cover a line or another name, lie beyond the border of
    the panel, or be nearer to another line.
    """
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


def name_point(ax: Axes, point: tuple[float, float], names: Sequence[str], lines: Sequence[Line2D], **options: Any) -> None:
    """Writes a name near `point`: inside the Axes, and on none of the lines `lines` and of the texts of the Axes.

    `names` contains alternative texts for the name; each text is tried in the usual size and in the smallest. The first text
    that fits is written; if no text fits, nothing is written. A thin line leads to a name that is not beside its point.
    """
    lay_out(ax)
    panel, place = size_in_mm(ax), in_mm(ax, np.array([point]))
    drawn = np.concatenate([dense(in_mm(ax, np.array(line.get_xydata()))) for line in lines])
    extents = [(text.get_window_extent().get_points() - ax.get_window_extent().min) / ax.figure.dpi * 25.4 for text in ax.texts]
    for name, points in product(names, (points_of(ax), SMALLEST)):
        rows = name.split("\n")
        size = np.array([max(size_of(row, points)[0] for row in rows), sum(size_of(row, points)[1] * LEADING for row in rows)])
        middles = np.concatenate([place + AROUND * (size / 2 + gap) for gap in FROM_POINT])
        boxes = Box(middles - size / 2, middles + size / 2)
        beyond = np.maximum(BORDER - boxes.low, 0.0) + np.maximum(boxes.high - panel + BORDER, 0.0)
        costs = 60.0 * beyond.sum(axis=1) + 100.0 * (boxes.distance(drawn) < 0.8) + boxes.distance(place, 2 * CONFLICT)
        with_leader = Box(np.minimum(boxes.low, place), np.maximum(boxes.high, place))
        costs += sum(100.0 * with_leader.overlap(Box(*corners), 0.3) for corners in extents)
        best = int(costs.argmin())
        if costs[best] <= 2 * CONFLICT:
            leader = {"arrowstyle": "-", "lw": 0.6, "color": options["color"], "shrinkA": 0.0, "shrinkB": 4.5}
            shift = ((boxes.low + boxes.high) / 2 - place)[best] / POINT
            ax.annotate(name, point, tuple(shift), textcoords="offset points", ha="center", va="center", size=points,
                        arrowprops=leader if boxes.distance(place, CONFLICT)[best] > FAR else None, **options)  # fmt: skip
            break

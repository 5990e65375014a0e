"""Draws the curves of a group of formulas in a small panel, and writes the name of each curve at its line."""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from numbanet.pictures import style
from numbanet.pictures.curves import DESCENTS, Curve, Z
from numbanet.pictures.page import POINT, SMALLEST, extent

GAPS, BORDER = (0.6, 1.6), 0.5  # the distances of a name from its line, and from the border of the panel, in mm
CONFLICT = 20.0  # a place with a higher cost is on a line, on another name or beyond the border, or nearer to another line
LABEL, LABEL_GAP = SMALLEST + 0.5, 1.0  # the font size of the labels of axes; the distance between the x axis and its label
LEGEND_LEADING = 3.1  # the distance between the names of the update rules, in mm
DIRECTIONS = np.array([(x, y) for x in (0, 1, -1) for y in (1, -1, 0) if x or y])


def draw_panel(ax: Axes, curves: dict[tuple, Curve]) -> None:
    """Draws the curves of a group of formulas on the same Axes; the keys (scalar, loop) become the ids of the lines."""
    theme = style.theme(ax)
    named: list[tuple[NDArray[np.float64], str, str]] = []  # points of a line or piece, name, colour
    for number, (key, drawn) in enumerate(curves.items()):
        colour = theme.colour(number)
        if drawn.ground is not None:
            (ground,) = ax.plot(Z, drawn.ground, color=theme.grey, lw=0.8, zorder=1)
            named.append((_points(ground), drawn.ground_name, theme.grey))
        (line,) = ax.plot(drawn.x, drawn.y, color=colour, marker=drawn.marker, lw=1.2, ms=2.2, zorder=3 - 0.1 * number)
        line.set_gid("/".join(filter(None, key)))
        named += [(points, name, colour) for points, name in zip(_pieces(line, len(drawn.names)), drawn.names, strict=True)]
    first = next(iter(curves.values()))
    if first.ground is None:
        ax.axhline(0, color=theme.faint, lw=0.5, zorder=0)
    if ax.get_xlim()[0] < 0:
        ax.axvline(0, color=theme.faint, lw=0.5, zorder=0)
    _style(ax, first.x_label, "" if first.ground is None else "$L$")
    _write_names(ax, named)


def draw_comparison(ax: Axes) -> None:
    """Draws the losses of all update rules over the steps; all rules begin at the same parameters."""
    courses = [(loop.replace("_", " "), make()) for (_, loop), make in DESCENTS.items()]
    names = [f"{name}, {drawn.eta}" for name, drawn in courses]
    window = ax.get_window_extent()
    width, height = np.array([window.width, window.height]) / ax.figure.dpi * 25.4
    left, top = 1 - max(_size(name)[0] for name in names) / width, 1.02
    for number, (name, (_, drawn)) in enumerate(zip(names, courses, strict=True)):
        look = {"color": style.theme(ax).colour(number), "marker": style.MARKERS[number], "lw": 1.2, "ms": 2.4}
        ax.plot(drawn.y, **look)
        y = top - number * LEGEND_LEADING / height
        ax.plot([left - 4.0 / width, left - 1.4 / width], [y, y], transform=ax.transAxes, clip_on=False, **look)
        ax.text(left, y, name, transform=ax.transAxes, size=SMALLEST, color=look["color"], va="center")
    _style(ax, "step", "$L$")


def _points(line: Line2D) -> NDArray[np.float64]:
    return np.asarray(line.get_xydata(), dtype=np.float64)


def _pieces(line: Line2D, count: int) -> list[NDArray[np.float64]]:
    """Divides the points of a line, which draws one curve per name, into `count` arrays of equal length, one per curve."""
    return np.split(_points(line), count)


def _style(ax: Axes, x_label: str, y_label: str) -> None:
    """Draws the axes, their ticks and their labels."""
    theme = style.theme(ax)
    ax.margins(x=0, y=0.08)
    style.calm(ax)
    ax.spines[:].set_linewidth(0.5)
    ax.tick_params(labelsize=SMALLEST, length=1.6, width=0.5, pad=1.2)
    ax.xaxis.set_major_locator(MaxNLocator(2, steps=[1, 2, 4, 5, 10]))
    ax.yaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 4, 5, 10]))
    x_end = 1 + LABEL_GAP / (ax.get_window_extent().width / ax.figure.dpi * 25.4)
    at = {"transform": ax.transAxes, "size": LABEL, "color": theme.ink}
    ax.text(x_end, 0.0, x_label, va="center", ha="left", **at)
    ax.text(0.0, 1.04, y_label, va="bottom", ha="center", **at)


def _write_names(ax: Axes, named: list[tuple[NDArray[np.float64], str, str]]) -> None:
    """Writes each name beside its line, at a place where it covers no line and no other name."""
    ax.autoscale_view()
    window = ax.get_window_extent()
    mm = 25.4 / ax.figure.dpi
    panel = np.array([window.width, window.height]) * mm
    lines = [_dense((ax.transData.transform(points) - window.min) * mm) for points, _, _ in named]
    zero = (ax.transData.transform([(0.0, 0.0)])[0] - window.min) * mm
    placed: list[Box] = []
    for number, (_, name, colour) in enumerate(named):
        others = np.concatenate([np.full((1, 2), np.inf), *(line for k, line in enumerate(lines) if k != number)])
        box = _place(_size(name), Surroundings(lines[number], others, placed, panel, zero))
        placed.append(box)
        x, y = (box.low + box.high) / 2 / panel
        ax.text(x, y, name, transform=ax.transAxes, size=SMALLEST, color=colour, ha="center", va="center")


def _size(name: str) -> NDArray[np.float64]:
    """Returns the width and the height of a name in mm; the height is at least the height of a line of text."""
    width, above, below = extent(name)
    return np.array([width, max(above + below, POINT)]) * SMALLEST


def _dense(points: NDArray[np.float64]) -> NDArray[np.float64]:
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
    placed: list[Box]  # the names that have a place already
    panel: NDArray[np.float64]  # the width and the height of the panel
    zero: NDArray[np.float64]  # the point through which the grid lines pass


def _place(size: NDArray[np.float64], around: Surroundings) -> Box:
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
    costs += 0.9 * to_line - to_others + 0.2 * np.tile(np.abs(DIRECTIONS).sum(axis=1), len(points))
    costs += 2.0 * ((boxes.low < around.zero + 0.2) & (boxes.high > around.zero - 0.2)).any(axis=1)
    for box in around.placed:
        costs += 200.0 * boxes.overlap(box, 0.3)
    return boxes, costs

"""Draws the curves of one card of the cheat sheet (a group of formulas) on small Axes, and the name of each curve."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from numbanet.pictures import style
from numbanet.pictures.curve import Curve, Z
from numbanet.pictures.descents import DESCENTS
from numbanet.pictures.page import SMALLEST
from numbanet.pictures.placing import Box, Surroundings, dense, in_mm, place, size_in_mm, size_of

LABEL, LABEL_GAP = SMALLEST + 0.5, 1.0  # the font size of the labels of axes; the distance between the x axis and its label
DASHES = (3.0, 3.0)  # of a curve that lies on an equal curve, which is visible in the gaps
LEGEND_LEADING = 3.1  # the distance between the names of the update rules, in mm


def draw_panel(ax: Axes, curves: dict[tuple, Curve]) -> None:
    """Draws the curves of one card (a group of formulas); the keys of `curves` become the ids of the lines in SVG."""
    theme = style.theme(ax)
    named: list[tuple[NDArray[np.float64], str, str]] = []  # points of a line or piece, name, colour
    for number, (key, drawn) in enumerate(curves.items()):
        colour = theme.colour(number)
        if drawn.ground is not None:
            (ground,) = ax.plot(Z, drawn.ground, color=theme.grey, lw=0.8, zorder=1)
            named.append((_points(ground), drawn.ground_name, theme.grey))
        equals = any(np.array_equal(np.column_stack([drawn.x, drawn.y]), _points(line)) for line in ax.get_lines())
        (line,) = ax.plot(drawn.x, drawn.y, color=colour, marker=drawn.marker, lw=1.2, ms=2.2, zorder=3 - 0.1 * number)
        if equals:
            line.set(dashes=DASHES, zorder=3)
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
    """Draws one curve for each update rule, the loss over the steps; all rules begin at the same parameters."""
    courses = [(loop.replace("_", " "), make()) for (_, loop), make in DESCENTS.items()]
    names = [f"{name}, {drawn.eta}" for name, drawn in courses]
    width, height = size_in_mm(ax)
    left, top = 1 - max(size_of(name, SMALLEST)[0] for name in names) / width, 1.02
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
    """Divides the points of a line that consists of `count` curves of equal length into one array per curve."""
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
    x_end = 1 + LABEL_GAP / size_in_mm(ax)[0]
    at = {"transform": ax.transAxes, "size": LABEL, "color": theme.ink}
    ax.text(x_end, 0.0, x_label, va="center", ha="left", **at)
    ax.text(0.0, 1.04, y_label, va="bottom", ha="center", **at)


def _write_names(ax: Axes, named: list[tuple[NDArray[np.float64], str, str]]) -> None:
    """Writes each name beside its line, at a place where it covers no line and no other name."""
    ax.autoscale_view()
    panel = size_in_mm(ax)
    lines = [dense(in_mm(ax, points)) for points, _, _ in named]
    zero = in_mm(ax, np.zeros((1, 2)))[0]
    placed: list[Box] = []
    for number, (_, name, colour) in enumerate(named):
        others = [k for k in range(len(named)) if k != number]
        alike = [k for k in others if named[k][2] == colour]
        to_others, to_alike = (
            np.concatenate([np.full((1, 2), np.inf), *(lines[k] for k in chosen)]) for chosen in (others, alike)
        )
        box = place(size_of(name, SMALLEST), Surroundings(lines[number], to_others, to_alike, placed, panel, zero))
        placed.append(box)
        x, y = (box.low + box.high) / 2 / panel
        ax.text(x, y, name, transform=ax.transAxes, size=SMALLEST, color=colour, ha="center", va="center")

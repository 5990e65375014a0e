"""Lays out a page of the cheat sheet as columns of blocks, and measures text. Lengths are in mm, font sizes in points."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from numbanet.pictures import style

FORMULAS = "stix"  # the font of formulas
WIDTH, HEIGHT = 297.0, 210.0  # A4, landscape
MARGIN, HEAD, FOOT, GUTTER = 9.0, 16.5, 6.5, 6.0
POINT = 25.4 / 72  # the unit of font sizes
SMALLEST = 7.0  # the smallest font size that is legible in print; indices and exponents in formulas are smaller


class Page:
    """A figure of the size of A4. Coordinates are millimetres from the upper left corner."""

    def __init__(self, theme: style.Theme):
        self.theme = theme
        self.figure = Figure(figsize=(WIDTH / 25.4, HEIGHT / 25.4), facecolor=theme.paper)
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, WIDTH), ylim=(HEIGHT, 0))
        self.axes.set_axis_off()

    def panel(self, x: float, y: float, width: float, height: float) -> Axes:
        """Adds Axes of the given width and height with the upper left corner (x, y), and returns the Axes."""
        return self.figure.add_axes((x / WIDTH, 1 - (y + height) / HEIGHT, width / WIDTH, height / HEIGHT))

    def text(self, x: float, y: float, text: str, size: float, **options: Any) -> None:
        """Draws text that begins at x, with the baseline at y."""
        self.axes.text(x, y, text, **({"size": size, "color": self.theme.ink, "va": "baseline"} | options))

    def bar(self, x: float, y: float, to_y: float, colour: str) -> None:
        """Draws a vertical bar at x, from y to to_y."""
        self.axes.plot([x, x], [y, to_y], color=colour, lw=1.6, solid_capstyle="butt")


class Block(NamedTuple):
    """A part of a column of a page: its smallest height, and the function draw(page, x, y, height), which draws the part.

    If `stretches` is True, the part may be drawn higher than its smallest height.
    """

    height: float
    draw: Callable[[Page, float, float, float], None]
    stretches: bool = False


class Line(NamedTuple):
    """A line of text with its font size, and the space that the text needs above and below the baseline."""

    text: str
    size: float
    above: float
    below: float
    options: dict[str, Any]


@cache
def extent(text: str, weight: str = "normal", family: str = "sans-serif") -> tuple[float, float, float]:
    """Returns the width of a string, and its extent above and below the baseline, in mm at a font size of one point."""
    size = 100.0
    properties = FontProperties(size=size, weight=weight, family=family, math_fontfamily=FORMULAS)
    width, height, depth = text_to_path.get_text_width_height_descent(text, properties, ismath="$" in text)
    return width * POINT / size, (height - depth) * POINT / size, depth * POINT / size


def line(text: str, size: float, **options: Any) -> Line:
    """Returns a `Line` with the space of the text, at least 0.74 of the font size above the baseline and 0.2 of it below."""
    _, above, below = extent(text)
    least = 0.74 * size * POINT, 0.2 * size * POINT
    return Line(text, size, max(above * size, least[0]), max(below * size, least[1]), options)


def wrapped(pieces: list[str], size: float, room: float, **options: Any) -> list[Line]:
    """Divides a text, given as pieces such as words, into lines; a line has as many pieces as fit into the width `room`."""
    texts, font = [""], {name: value for name, value in options.items() if name in ("weight", "family")}
    for piece in pieces:
        longer = texts[-1] + piece
        fits = extent(longer.rstrip(), **font)[0] * size <= room
        texts[-1:] = [longer] if fits or not texts[-1] else [texts[-1], piece]
    return [line(text.strip(), size, **options) for text in texts]


def stack(page: Page, blocks: list[Block], x: float, y: float, bottom: float) -> None:
    """Draws the blocks of a column from top to bottom, from y to `bottom`.

    Blocks that do not stretch get their smallest height. Blocks that stretch get equal shares of the free height; a block whose
    smallest height exceeds this share gets its smallest height.

    Raises
    ------
    ValueError
        The blocks do not fit.
    """
    room = bottom - y - sum(block.height for block in blocks if not block.stretches)
    elastic = sorted(block.height for block in blocks if block.stretches)
    if sum(elastic) > room:
        raise ValueError(f"docs/sheet.md has too many formulas: a column of the sheet is {sum(elastic) - room:.0f} mm too high")
    while elastic and elastic[-1] * len(elastic) > room:  # the highest block is higher than its share
        room -= elastic.pop()
    share = room / max(len(elastic), 1)
    for block in blocks:
        height = max(block.height, share) if block.stretches else block.height
        block.draw(page, x, y, height)
        y += height

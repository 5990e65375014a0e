"""Lays out the page of the cheat sheet: measures strings, stacks blocks in columns, writes the file. Lengths are in mm."""

import io
import os
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser

from numbanet.files import replacing
from numbanet.pictures import style

FORMULAS = "stix"  # the font of formulas
FORMATS = ("pdf", "png", "svg", "html")
# With these settings, the page does not depend on the user's matplotlib settings, and the file always has the same bytes.
SETTINGS = {"mathtext.fontset": FORMULAS, "svg.hashsalt": "numbanet", "svg.fonttype": "path", "pdf.fonttype": 42}
METADATA = {
    "pdf": {"Title": "numbanet: the sheet", "CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Title": "numbanet: the sheet", "Software": None},
    "svg": {"Title": "numbanet: the sheet", "Date": None, "Creator": None},
}

WIDTH, HEIGHT = 420.0, 297.0  # A3, the smallest page
MARGIN, HEAD, GUTTER = 11.0, 17.0, 7.0
POINT = 25.4 / 72  # the unit of font sizes


class Page:
    """A figure that is `scale` times as wide and as high as A3.

    Coordinates are millimetres from the upper left corner of the figure.
    """

    def __init__(self, scale: float):
        self.width, self.height = scale * WIDTH, scale * HEIGHT
        self.figure = Figure(figsize=(self.width / 25.4, self.height / 25.4))
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, self.width), ylim=(self.height, 0))
        self.axes.set_axis_off()

    def panel(self, x: float, y: float, width: float, height: float) -> Axes:
        """Adds Axes of the given width and height with the upper left corner (x, y), and returns the Axes."""
        return self.figure.add_axes((x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height))

    def text(self, x: float, y: float, text: str, size: float, **options: Any) -> None:
        """Draws text that begins at x, with the baseline at y."""
        self.axes.text(x, y, text, **({"size": size, "color": style.INK, "va": "baseline"} | options))

    def bar(self, x: float, y: float, to_y: float, colour: str) -> None:
        """Draws a vertical bar at x, from y to to_y."""
        self.axes.plot([x, x], [y, to_y], color=colour, lw=2.2, solid_capstyle="butt")


class Block(NamedTuple):
    """A part of a column: the height in mm, and the function draw(page, x, y, more), which draws the block `more` mm higher."""

    height: float
    draw: Callable[[Page, float, float, float], None]
    before: float  # the free space above the block
    stretches: bool = False  # whether the block receives a part of the column's free space


class Line(NamedTuple):
    """A line of text with its font size, and the space in millimetres that the text needs above and below the baseline."""

    text: str
    size: float
    above: float
    below: float
    options: dict[str, Any]


@cache
def _extent(text: str) -> tuple[float, float, float]:
    """Returns the width of a string, and its extent above and below the baseline, in mm at a font size of one point."""
    size = 100.0
    width, height, depth, *_ = MathTextParser("path").parse(
        text, dpi=72, prop=FontProperties(size=size, math_fontfamily=FORMULAS)
    )
    return width * POINT / size, (height - depth) * POINT / size, depth * POINT / size


def measured(text: str, size: float, room: float, **options: Any) -> Line:
    """Returns a `Line` with the font size `size`, or with a smaller font size if the line would be wider than `room`."""
    width, above, below = _extent(text)
    size = min(size, room / width)
    return Line(text, size, max(above * size, 0.72 * size * POINT), max(below * size, 0.22 * size * POINT), options)


def needed(blocks: list[Block]) -> float:
    """Returns the smallest height of a page on which the blocks of one column fit."""
    return HEAD + sum(block.height + block.before for block in blocks) - blocks[0].before + MARGIN


def stack(page: Page, blocks: list[Block], x: float, width: float) -> None:
    """Draws the blocks of a column from top to bottom, and divides the free space equally among the blocks that stretch."""
    more = (page.height - needed(blocks)) / max(sum(block.stretches for block in blocks), 1)
    y = HEAD - blocks[0].before
    for block in blocks:
        y += block.before
        extra = more if block.stretches else 0.0
        block.draw(page, x, y, extra)
        y += block.height + extra


def save(draw: Callable[[], Figure], path: str | os.PathLike[str]) -> None:
    """Calls draw() and writes the returned figure to a file. The suffix of the path determines the format."""
    kind = Path(path).suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise ValueError(f"cannot draw {os.fspath(path)!r}: its name must end in {', '.join('.' + name for name in FORMATS)}")
    written = io.BytesIO()
    figure_kind = "svg" if kind == "html" else kind
    with pyplot.style.context(["default", SETTINGS]):
        draw().savefig(written, format=figure_kind, dpi=200, metadata=METADATA[figure_kind])
    content = written.getvalue()
    if figure_kind == "svg":
        svg = _compact(content.decode())
        content = (_html(svg) if kind == "html" else svg).encode()
    with replacing(path) as file:
        file.write(content)


def _compact(svg: str) -> str:
    """Reduces an SVG file to three quarters of its size: removes indentation, rounds to two decimals, shortens glyph names."""
    places = re.compile(r' d="[^"]*"|translate\([^)]*\)|<use [xy]="[^>]*')
    svg = places.sub(lambda match: re.sub(r"(\.\d\d)\d+", r"\1", match[0]), svg)
    short = {name: f"g{number}" for number, name in enumerate(dict.fromkeys(re.findall(r'<path id="([^"]*)"', svg)))}
    svg = re.sub(r'(<path id="|xlink:href="#)([^"]*)', lambda match: match[1] + short[match[2]], svg)
    return re.sub(r"\n +", "\n", svg)


def _html(svg: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>numbanet: the sheet</title>\n'
        "<style>body { margin: 0; background: white } svg { width: 100%; height: auto }</style>\n</head>\n<body>\n"
        f"{svg[svg.index('<svg') :]}</body>\n</html>\n"
    )

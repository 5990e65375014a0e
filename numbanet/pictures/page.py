"""A page of columns in millimetres: text measured before it is drawn, blocks stacked, the file written."""

import io
import os
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from matplotlib import pyplot
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser
from matplotlib.text import Text

from numbanet.persist import replacing
from numbanet.pictures import style

FORMULAS = "stix"  # the font of them
FORMATS = ("pdf", "png", "svg", "html")
# Whatever the reader's matplotlib is set to, the page is the same, and the same bytes each time.
SETTINGS = {"mathtext.fontset": FORMULAS, "svg.hashsalt": "numbanet", "svg.fonttype": "path", "pdf.fonttype": 42}
METADATA = {
    "pdf": {"Title": "numbanet: the sheet", "CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Title": "numbanet: the sheet", "Software": None},
    "svg": {"Title": "numbanet: the sheet", "Date": None, "Creator": None},
}

WIDTH, HEIGHT = 420.0, 297.0  # A3, at the least
MARGIN, HEAD, GUTTER = 11.0, 17.0, 7.0
POINT = 25.4 / 72  # in which the sizes of text are


class Page:
    """A figure, and axes over all of it in millimetres from its upper left corner."""

    def __init__(self, scale: float):
        self.width, self.height = scale * WIDTH, scale * HEIGHT
        self.figure = Figure(figsize=(self.width / 25.4, self.height / 25.4))
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, self.width), ylim=(self.height, 0))
        self.axes.set_axis_off()

    def panel(self, x: float, y: float, width: float, height: float):
        """Axes of their own, (x, y) being their upper left corner."""
        return self.figure.add_axes((x / self.width, 1 - (y + height) / self.height, width / self.width, height / self.height))

    def text(self, x: float, y: float, text: str, size: float, **options) -> None:
        """Text whose base line is at y."""
        self.axes.text(x, y, text, **({"size": size, "color": style.INK, "va": "baseline"} | options))

    def bar(self, x: float, y: float, to_y: float, colour: str) -> None:
        """A vertical bar."""
        self.axes.plot([x, x], [y, to_y], color=colour, lw=2.2, solid_capstyle="butt")

    def finished(self) -> Figure:
        """The figure, whose formulas stay in their font under anybody's settings."""
        for text in self.figure.findobj(Text):
            text.set_math_fontfamily(FORMULAS)
        return self.figure


class Block(NamedTuple):
    """A part of a column: its height, and draw(page, x, y, more), where more is what it got beyond this height."""

    height: float
    draw: Callable
    before: float  # what has to be free above it
    stretches: bool = False  # whether it takes some of what is left of the column


class Line(NamedTuple):
    """A measured line of text: millimetres above and below its base line."""

    text: str
    size: float
    above: float
    below: float
    options: dict


@cache
def _extent(text: str) -> tuple[float, float, float]:
    """Width, height above and depth below the base line, in millimetres, at a size of one point."""
    size = 100.0
    width, height, depth, *_ = MathTextParser("path").parse(
        text, dpi=72, prop=FontProperties(size=size, math_fontfamily=FORMULAS)
    )
    return width * POINT / size, (height - depth) * POINT / size, depth * POINT / size


def measured(text: str, size: float, room: float, **options) -> Line:
    """A line no wider than the room, made smaller where it has to be."""
    width, above, below = _extent(text)
    size = min(size, room / width)
    return Line(text, size, max(above * size, 0.72 * size * POINT), max(below * size, 0.22 * size * POINT), options)


def needed(blocks: list[Block]) -> float:
    """The height of a page that has room for this column."""
    return HEAD + sum(block.height + block.before for block in blocks) - blocks[0].before + MARGIN


def stack(page: Page, blocks: list[Block], x: float, width: float) -> None:
    """Draws the blocks of a column from top to bottom; those that stretch share what is left."""
    more = (page.height - needed(blocks)) / max(sum(block.stretches for block in blocks), 1)
    y = HEAD - blocks[0].before
    for block in blocks:
        y += block.before
        extra = more if block.stretches else 0.0
        block.draw(page, x, y, extra)
        y += block.height + extra


def save(draw: Callable[[], Figure], path: str | os.PathLike) -> None:
    """Writes what draw() returns in the format that the path's name says, under SETTINGS."""
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
    """The same drawing, a quarter less to load: no indentation, places to a hundredth of a point, short names of glyphs."""
    places = re.compile(r' d="[^"]*"|translate\([^)]*\)|<use [xy]="[^>]*')
    svg = places.sub(lambda found: re.sub(r"(\.\d\d)\d+", r"\1", found[0]), svg)
    short = {name: f"g{number}" for number, name in enumerate(dict.fromkeys(re.findall(r'<path id="([^"]*)"', svg)))}
    svg = re.sub(r'(<path id="|xlink:href="#)([^"]*)', lambda found: found[1] + short[found[2]], svg)
    return re.sub(r"\n +", "\n", svg)


def _html(svg: str) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>numbanet: the sheet</title>\n'
        "<style>body { margin: 0; background: white } svg { width: 100%; height: auto }</style>\n</head>\n<body>\n"
        f"{svg[svg.index('<svg') :]}</body>\n</html>\n"
    )

"""Draws the cheat sheet on one A3 page: each formula of docs/sheet.md with its curve and the names of its functions."""

import os
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import MaxNLocator

from numbanet.network import Network
from numbanet.pages.rows import Row, Section, Symbol, mathtext, sections
from numbanet.pictures import style
from numbanet.pictures.curves import Curve, Z, curve
from numbanet.pictures.diagrams import network_diagram, neuron_diagram
from numbanet.pictures.page import GUTTER, MARGIN, POINT, SETTINGS, Block, Line, Page, measured, needed, save, stack

# Lengths are in millimetres, and font sizes are in points.
PANEL_WIDTH, PANEL_HEIGHT, HIGHEST_PANEL = 28.0, 18.0, 38.0
PANEL_LEFT, PANEL_ABOVE, PANEL_BELOW, PANEL_RIGHT = 7.5, 2.4, 3.2, 4.6  # space for the ticks, the note and the axis label
NARROWEST = 90.0  # the minimum width of a column
BOLD = 0.68 * POINT  # an upper bound of the width of a bold letter, at a font size of one point
INDENT, LEADING, BETWEEN_ROWS = 2.6, 1.1, 2.8
FORMULA, SMALL, NAMES = 11.0, 7.5, 5.8
NETWORK = "A network"
NOT_DRAWN = "More activations and losses"  # this section does not fit on a page of the size A3
# The titles of the sections in each column.
COLUMNS = [
    ("The neuron", NETWORK, "Notation"),
    ("Activation functions",),
    ("Loss functions",),
    ("Backpropagation", "Sample weights and dropout"),
    ("Gradient descent updates",),
]


def draw_sheet() -> Figure:
    """Draws the cheat sheet on one page: the formulas of docs/sheet.md, with the curves that the formulas' loops compute.

    The section "More activations and losses" is not drawn.

    Returns
    -------
    matplotlib.figure.Figure
        A landscape figure with the proportions of A3, and at least the size of A3. pyplot does not manage the figure, so you
        need not close it.
    """
    with pyplot.style.context(["default", SETTINGS]):
        layout = _layout()
        for number, blocks in enumerate(layout.columns):
            stack(layout.page, blocks, MARGIN + number * (layout.width + GUTTER), layout.width)
        _head(layout.page)
        return layout.page.finished()


def save_sheet(path: str | os.PathLike[str]) -> None:
    """Draws the cheat sheet and writes it to a file.

    Parameters
    ----------
    path : str or path-like
        The file to write. The suffix of the path determines the format: .pdf, .png, .svg, or .html with an SVG drawing inside.

    Raises
    ------
    ValueError
        The suffix is not .pdf, .png, .svg or .html.
    OSError
        The file cannot be written.
    """
    save(draw_sheet, path)


class Layout(NamedTuple):
    """The layout of the cheat sheet: a page, the width of its columns, and the blocks of each column."""

    page: Page
    width: float
    columns: list[list[Block]]


def _layout() -> Layout:
    """Returns the layout on the smallest page, at least of size A3, on which all columns fit.

    A figure that is larger than A3 can be scaled down for printing.
    """
    by_title = {section.title: section for section in sections() if section.title != NOT_DRAWN}
    placed = [[title for title in titles if title == NETWORK or title in by_title] for titles in COLUMNS]
    placed[-1] += [title for title in by_title if not any(title in titles for titles in placed)]
    for scale in np.arange(1.0, 2.0, 0.01):
        page = Page(float(scale))
        width = (page.width - 2 * MARGIN - (len(placed) - 1) * GUTTER) / len(placed)
        columns = [[block for title in titles for block in _blocks(title, by_title.get(title), width)] for titles in placed]
        if width >= NARROWEST and max(map(needed, columns)) <= page.height:
            return Layout(page, width, columns)
    raise ValueError("docs/sheet.md has too many formulas: they do not fit on a page of four times the area of A3")


# The blocks of a column


def _blocks(title: str, section: Section | None, width: float) -> Iterator[Block]:
    """Yields the blocks of a section: first the heading, then the diagrams, symbols or groups of formulas."""
    rows = section.rows if section else []
    yield _heading(title, _module(rows), width)
    if title == "The neuron":
        yield _diagram(lambda ax: neuron_diagram(ax=ax), 41.0, width)
    if title == NETWORK:
        yield _diagram(lambda ax: network_diagram(_example(), ax=ax), 62.0, width)
    elif isinstance(rows[0], Symbol):
        yield from (_symbol(row, width) for row in rows)
    else:
        yield from (_card(group, _module(rows), width) for group in _groups(rows))


def _example() -> Network:
    """Returns the small network that the sheet's diagram shows, with random weights and biases."""
    network = Network([3, 5, 4, 2], "tanh", "cce", seed=1)
    random = np.random.default_rng(1)
    network.set_parameters([(w, random.uniform(-1, 1, b.shape)) for w, b in network.parameters()])
    return network


def _module(rows: list) -> str:
    """Returns the name of the module that contains the loop of the first formula, or an empty string without formulas."""
    return next((row.loop.partition(".")[0] for row in rows if isinstance(row, Row)), "")


def _groups(rows: list[Row]) -> list[list[Row]]:
    """Divides rows into groups; each row with a title begins a new group."""
    groups: list[list[Row]] = []
    for row in rows:
        if row.title or not groups:
            groups.append([])
        groups[-1].append(row)
    return groups


def _heading(title: str, module: str, width: float) -> Block:
    size = min(12.0, (width - 26.0) / (BOLD * len(title)))

    def draw(page: Page, x: float, y: float, more: float) -> None:
        page.axes.add_patch(
            FancyBboxPatch((x, y), width, 7.4, boxstyle="round,pad=0,rounding_size=1.2", fc="#E8F0F6", ec="none")
        )
        page.text(x + 2.6, y + 5.2, title, size, weight="bold", color=style.NAVY)
        if module:
            page.text(x + width - 2.6, y + 5.1, f"{module}.py", 7, family="monospace", color=style.GREY, ha="right")

    return Block(8.6, draw, 4.5)


def _diagram(drawing: Callable[[Axes], object], height: float, width: float) -> Block:
    def draw(page: Page, x: float, y: float, more: float) -> None:
        drawing(page.panel(x, y, width, height))

    return Block(height, draw, 2.0)


def _symbol(row: Symbol, width: float) -> Block:
    meaning = measured(mathtext(row.meaning), 8, width - 25)

    def draw(page: Page, x: float, y: float, more: float) -> None:
        page.text(x + 1.5, y + 3.2, mathtext(row.symbol), 10)
        page.text(x + 11, y + 3.2, row.code.replace("`", ""), 6.5, family="monospace", color=style.BLUE)
        page.text(x + 25, y + 3.2, meaning.text, meaning.size)

    return Block(4.8, draw, 0.4, stretches=True)


def _card(rows: list[Row], module: str, width: float) -> Block:
    """Returns the block of a group of rows: formulas and function names on the left, curves on the right."""
    curves = _distinct_curves(rows)
    room = width - INDENT - (PANEL_LEFT + PANEL_WIDTH + PANEL_RIGHT if curves else 0.0)
    keys = list(curves)
    colours = [style.colour(keys.index(row[3:5])) if row[3:5] in curves else style.FAINT for row in rows]
    parts = [_lines_of(row, module, room) for row in rows]
    heights = [sum(line.above + line.below for line in lines) + LEADING * (len(lines) - 1) for lines in parts]
    title, reference = _groups_of(r"(.*?)(?: \((.*\d{4})\))?", rows[0].title)
    top = (5.4 if title else 0.0) + (3.4 if reference else 0.0)
    title_size = min(9.5, (room + INDENT) / (BOLD * max(len(title), 1)))
    height = max(
        top + sum(heights) + BETWEEN_ROWS * (len(rows) - 1), PANEL_ABOVE + PANEL_HEIGHT + PANEL_BELOW if curves else 0.0
    )

    def draw(page: Page, x: float, y: float, more: float) -> None:
        if title:
            page.text(x, y + 3.2, title, title_size, weight="bold")
        if reference:
            page.text(x, y + 6.8, reference, 6.5, color=style.GREY)
        below = y + top
        for lines, line_height, colour in zip(parts, heights, colours, strict=True):
            page.bar(x + 0.7, below - 0.2, below + line_height + 0.2, colour)
            for line in lines:
                page.text(x + INDENT, below + line.above, line.text, line.size, **line.options)
                below += line.above + line.below + LEADING
            below += BETWEEN_ROWS - LEADING
        if curves:
            panel_height = min(height - PANEL_ABOVE - PANEL_BELOW + 0.8 * more, HIGHEST_PANEL)
            left = x + width - PANEL_WIDTH - PANEL_RIGHT
            _plot(page.panel(left, y + PANEL_ABOVE, PANEL_WIDTH, panel_height), list(curves.items()))

    return Block(height, draw, 4.8, stretches=bool(curves) and height < HIGHEST_PANEL)


def _distinct_curves(rows: list[Row]) -> dict[tuple, Curve]:
    """Returns the curves of a group of rows, by the pair of names (scalar, loop); rows with the same pair share a curve."""
    curves = {row[3:5]: curve(row) for row in rows}
    return {key: drawn for key, drawn in curves.items() if drawn}


def _lines_of(row: Row, module: str, room: float) -> list[Line]:
    """Returns the lines of a row: words before the formula, the formula, words after it, the equivalent formula, and names."""
    formula, computed_as = (row.formula, row.computed_as) if row.formula else (row.computed_as, "")
    before, formula, after = _groups_of(r"([^$]*)(.*\$)?([^$]*)", mathtext(formula))
    lines = [measured(before.strip(" :"), SMALL, room)] if before else []
    lines += [measured(_in_one(formula).replace(r"\frac", r"\dfrac"), FORMULA, room)] if formula else []
    lines += [measured(after.strip(" ,"), SMALL, room)] if after else []
    lines += [measured(f"computed as {mathtext(computed_as)}", SMALL, room, color=style.GREY)] if computed_as else []
    names = [name.removeprefix(f"{module}.") for name in (row.scalar, row.loop) if name]
    text = " · ".join(names) + "[_cuda]"
    size = min(NAMES, room / (0.602 * len(text) * POINT))
    return [*lines, Line(text, size, 0.76 * NAMES * POINT, 0.1, {"family": "monospace", "color": style.GREY})]


def _groups_of(pattern: str, text: str) -> tuple[str, ...]:
    """Returns the groups of a regular expression that matches the whole text; an unmatched group gives an empty string."""
    match = re.fullmatch(pattern, text)
    return match.groups("") if match else ()


def _in_one(text: str) -> str:
    """Joins several formulas and the words between them into one formula, in which the words are set upright."""
    parts = text.split("$")[1:-1]
    words = [rf"\mathrm{{{part}}}".replace(" ", r"\ ") for part in parts[1::2]]
    return "$" + "".join(part + word for part, word in zip(parts[::2], [*words, ""], strict=True)) + "$"


def _plot(ax: Axes, curves: list[tuple[tuple, Curve]]) -> None:
    """Draws the curves of a group of formulas on the same Axes."""
    for number, (key, drawn) in enumerate(curves):
        if drawn.ground is not None:
            ax.plot(Z, drawn.ground, color="#B4BDC4", lw=1.0, zorder=1)
        (line,) = ax.plot(
            drawn.x, drawn.y, color=style.colour(number), marker=drawn.marker, lw=1.4, ms=2.4, zorder=3 - 0.1 * number
        )
        line.set_gid("/".join(filter(None, key)))
    if curves[0][1].ground is None:
        ax.axhline(0, color=style.FAINT, lw=0.6, zorder=0)
    if ax.get_xlim()[0] < 0:
        ax.axvline(0, color=style.FAINT, lw=0.6, zorder=0)
    ax.margins(x=0)
    style.calm(ax)
    ax.spines[:].set_linewidth(0.5)
    ax.tick_params(labelsize=5, length=1.6, width=0.5, pad=1.2)
    ax.xaxis.set_major_locator(MaxNLocator(4))
    ax.yaxis.set_major_locator(MaxNLocator(3))
    ax.text(1.03, 0.0, curves[0][1].x_label, transform=ax.transAxes, size=8, color=style.INK, va="center", ha="left")
    notes = dict.fromkeys(drawn.note for _, drawn in curves if drawn.note)
    ax.text(0.0, 1.05, "; ".join(notes), transform=ax.transAxes, size=5.8, color=style.GREY, va="bottom", ha="left")


def _head(page: Page) -> None:
    page.text(MARGIN, 11.4, "A neural network, every equation a loop", 19, weight="bold", color=style.NAVY)
    page.text(
        page.width - MARGIN,
        11.4,
        "Minh Anh Nguyen's Neural Network Cheat Sheet, drawn by numbanet from its own code. Curves: results of the compiled\n"
        "loops, in the colour of the bar at the formula. Names in numbanet.equations: scalar · loop[_cuda: its kernel].",
        7.5,
        color=style.GREY,
        ha="right",
        linespacing=1.5,
    )

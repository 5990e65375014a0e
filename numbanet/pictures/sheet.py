"""Draws the cheat sheet on two A4 pages: each formula of docs/sheet.md with its curve and the names of its functions."""

import itertools
import os
from typing import Any

import numpy as np
from matplotlib import pyplot
from matplotlib.figure import Figure

from numbanet import checks
from numbanet.network import Network
from numbanet.pages.rows import Row, Symbol, sections
from numbanet.pictures import style
from numbanet.pictures.cards import BAND, HEADING, card, comparison, diagram, draw_symbol, files_of, groups, heading, remark
from numbanet.pictures.diagrams import network_diagram, neuron_diagram
from numbanet.pictures.files import SETTINGS, save
from numbanet.pictures.page import FOOT, GUTTER, HEAD, HEIGHT, MARGIN, SMALLEST, WIDTH, Block, Page, stack

NETWORK, NOTATION = "A network", "Notation"
NOT_DRAWN = "More activations and losses"  # these formulas do not fit on a page
COMPUTED, COMPARED = "Computed without overflow", "Optimizers compared"
# The columns of the first page: the width, and the sections with the number of rows that they take in a grid of four rows.
COLUMNS: list[tuple[float, dict[str, int]]] = [
    (57.0, {"The neuron": 2, NETWORK: 2}),
    (66.0, {"Activation functions": 4}),
    (69.0, {"Loss functions": 4}),
    (69.0, {"Backpropagation": 3, "Gradient descent updates": 1}),
]
GRID_ROWS = 4
# The sections in each column of the second page.
BEYOND = [
    ("Identity and softmax", "Error terms at the output"),
    ("Parts of the losses", COMPUTED),
    ("Optimizers",),
    (COMPARED, "Weight decay and clipping", "Sample weights and dropout"),
]
ROOMIEST = 2  # the column that receives new sections of docs/sheet.md
SYMBOLS_AT, SYMBOL_LEADING = (0.0, 103.0, 196.0), 5.0
STRIP = BAND + 1.0 + 4 * SYMBOL_LEADING  # the height of the notation at the foot of the first page
PAGES = 2


def draw_sheet(page: int = 1, *, dark: bool = False) -> Figure:
    """Draws a page of the cheat sheet: formulas of docs/sheet.md, with the curves that the loops of the formulas compute.

    Parameters
    ----------
    page : int
        1 for the formulas of the original cheat sheet, or 2 for the other formulas of docs/sheet.md. The section "More
        activations and losses" is not drawn.
    dark : bool
        Whether the background is dark.

    Returns
    -------
    matplotlib.figure.Figure
        A landscape figure of the size of A4. pyplot does not manage the figure, so you need not close it.

    Raises
    ------
    ValueError, TypeError
        page is not 1 or 2.
    """
    page = checks.integer("page", page)
    if page not in (1, PAGES):
        raise ValueError(f"page must be 1 or {PAGES}, not {page}")
    with pyplot.style.context(["default", SETTINGS]):
        drawn = Page(style.DARK if dark else style.LIGHT)
        (_draw_first if page == 1 else _draw_second)(drawn)
        return drawn.finished()


def save_sheet(path: str | os.PathLike[str], *, dark: bool = False) -> list[str]:
    """Draws the cheat sheet and writes it to a file, or to one file per page.

    Parameters
    ----------
    path : str or path-like
        The file to write. The suffix of the path determines the format: .pdf and .html files contain both pages; the formats
        .png and .svg have one file per page, and the name of the second file ends in -2, such as sheet-2.svg.
    dark : bool
        Whether the background is dark.

    Returns
    -------
    list of str
        The paths of the written files.

    Raises
    ------
    ValueError
        The suffix is not .pdf, .png, .svg or .html.
    OSError
        A file cannot be written.
    """
    return save([lambda page=page: draw_sheet(page, dark=dark) for page in (1, PAGES)], path, "numbanet: the sheet")


# The first page


def _draw_first(page: Page) -> None:
    _head(
        page,
        "A neural network, every equation a loop",
        "Minh Anh Nguyen's Neural Network Cheat Sheet, drawn by numbanet. Under each formula: its scalar function and\n"
        "its loop in numbanet.equations. The loop computes the curve, which has the colour of the bar at the formula.",
    )
    by_title = dict(sections())
    bottom = HEIGHT - FOOT - STRIP
    top = HEAD + HEADING
    unit = (bottom - top) / GRID_ROWS
    x = MARGIN
    for width, titles in COLUMNS:
        ends = np.cumsum([0, *titles.values()])
        for title, (start, end) in zip(titles, itertools.pairwise(ends), strict=True):
            blocks = _blocks(title, by_title.get(title, []), width, 16.2)
            stack(page, blocks, x, top + start * unit if start else HEAD, top + end * unit)
        x += width + GUTTER
    _draw_notation(page, by_title[NOTATION], bottom + 1.5)


def _blocks(title: str, rows: list[Any], width: float, panel_width: float) -> list[Block]:
    """Returns the blocks of a section: the heading, a diagram, and the groups of formulas."""
    blocks = [heading(title, files_of(rows), width)]
    if title == "The neuron":
        blocks.append(diagram(lambda ax: neuron_diagram(ax=ax), 26.0, width))
    if title == NETWORK:
        blocks.append(diagram(lambda ax: network_diagram(_example(), ax=ax), 46.0, width))
    return blocks + [card(group, width, panel_width) for group in groups(rows)]


def _example() -> Network:
    """Returns the small network that the sheet's diagram shows, with random weights and biases."""
    network = Network([4, 6, 5, 3], "tanh", "cce", seed=1)
    random = np.random.default_rng(1)
    network.set_parameters([(w, random.uniform(-1, 1, b.shape)) for w, b in network.parameters()])
    return network


def _draw_notation(page: Page, symbols: list[Symbol], y: float) -> None:
    """Draws the symbols at the foot of the page, column by column."""
    width = WIDTH - 2 * MARGIN
    heading(NOTATION, [], width).draw(page, MARGIN, y, HEADING)
    lines = -(-len(symbols) // len(SYMBOLS_AT))
    for number, symbol in enumerate(symbols):
        column, line = divmod(number, lines)
        x = MARGIN + SYMBOLS_AT[column]
        draw_symbol(page, symbol, x + 2.2, y + BAND + 0.8 + (line + 0.8) * SYMBOL_LEADING)


def _head(page: Page, title: str, words: str) -> None:
    page.text(MARGIN, 12.2, title, 15, weight="bold", color=page.theme.heading)
    page.text(WIDTH - MARGIN, 12.2, words, SMALLEST, color=page.theme.grey, ha="right", linespacing=1.4)


# The second page


def _draw_second(page: Page) -> None:
    _head(
        page,
        "Beyond the sheet",
        "Formulas that numbanet computes in addition to those of the original cheat sheet. The optimizers take\n"
        "the same number of steps from the same start as gradient descent on the first page.",
    )
    by_title = {title: rows for title, rows in sections() if title != NOT_DRAWN}
    first = [NOTATION, *(title for _, titles in COLUMNS for title in titles)]
    columns = [[title for title in titles if title in {*by_title, COMPUTED, COMPARED}] for titles in BEYOND]
    columns[ROOMIEST] += [title for title in by_title if title not in {*first, *itertools.chain(*columns)}]
    width = (WIDTH - 2 * MARGIN - (len(columns) - 1) * GUTTER) / len(columns)
    for number, titles in enumerate(columns):
        blocks = [block for title in titles for block in _blocks_beyond(title, by_title, width)]
        stack(page, blocks, MARGIN + number * (width + GUTTER), HEAD, HEIGHT - FOOT)


def _blocks_beyond(title: str, by_title: dict[str, list[Any]], width: float) -> list[Block]:
    """Returns the blocks of a section of the second page."""
    if title == COMPARED:
        return [heading(title, [], width), comparison(width)]
    if title == COMPUTED:
        rows = [row for rows in by_title.values() for row in rows if isinstance(row, Row) and row.formula and row.computed_as]
        return [heading(title, [], width), *(remark(row, width) for row in rows)]
    return _blocks(title, by_title[title], width, 20.0)

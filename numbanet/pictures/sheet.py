"""Draws the cheat sheet on three A4 pages: each formula of docs/sheet.md with its curve and the names of its functions."""

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

NETWORK, NOTATION, MORE_NOTATION = "A network", "Notation", "More notation"
MORE = "More activations and losses"
COMPUTED, COMPARED = "Computed without overflow", "Optimizers compared"
# The columns of the first page: the width, and the sections with their shares of the height.
COLUMNS: list[tuple[float, dict[str, float]]] = [
    (57.0, {"The neuron": 0.53, NETWORK: 0.47}),
    (66.0, {"Activation functions": 1.0}),
    (69.0, {"Loss functions": 1.0}),
    (69.0, {"Backpropagation": 0.72, "Gradient descent updates": 0.28}),
]
# The sections in each column of the second page.
BEYOND = [
    ("Identity and softmax", "Error terms at the output"),
    ("Parts of the losses", COMPARED),
    ("Optimizers",),
    ("Weight decay and clipping", "Sample weights and dropout"),
]
ROOMIEST = 2  # the column that receives new sections of docs/sheet.md
MORE_COLUMNS = 3  # on the third page, without the last column, which lists the formulas after "computed as"
TALLEST = 55.0  # the mean height of the formulas on the third page is at most TALLEST
WIDTH_BEYOND = (WIDTH - 2 * MARGIN - 3 * GUTTER) / 4  # the width of a column of the second page
WIDTH_COMPUTED = 51.0  # the width of the last column of the third page
GUTTER_MORE = 4.0  # the distance of columns on the third page
WIDTH_MORE = (WIDTH - 2 * MARGIN - 3 * GUTTER_MORE - WIDTH_COMPUTED) / MORE_COLUMNS  # the width of the other three columns
PANEL_MORE = 13.9  # the width of a panel on the third page; the widest formulas fit beside it
SYMBOLS_AT, SYMBOL_LEADING = (0.0, 103.0, 190.0), 4.6
PAGES = 3


def draw_sheet(page: int = 1, *, dark: bool = False) -> Figure:
    """Draws a page of the cheat sheet: formulas of docs/sheet.md, with the curves that the loops of the formulas compute.

    Parameters
    ----------
    page : int
        1 for the formulas of the original cheat sheet, 3 for the section "More activations and losses" of docs/sheet.md, or 2
        for all other formulas of docs/sheet.md.
    dark : bool
        Whether the background is dark.

    Returns
    -------
    matplotlib.figure.Figure
        A landscape figure of the size of A4. pyplot does not manage the figure, so you need not close it.

    Raises
    ------
    ValueError, TypeError
        page is not 1, 2 or 3.
    """
    page = checks.integer("page", page)
    if not 1 <= page <= PAGES:
        raise ValueError(f"page must be from 1 to {PAGES}, not {page}")
    with pyplot.style.context(["default", SETTINGS]):
        drawn = Page(style.DARK if dark else style.LIGHT)
        (_draw_first, _draw_second, _draw_third)[page - 1](drawn)
        return drawn.figure


def save_sheet(path: str | os.PathLike[str], *, dark: bool = False) -> list[str]:
    """Draws the cheat sheet and writes it to a file, or to one file per page.

    Parameters
    ----------
    path : str or path-like
        The file to write. The suffix of the path determines the format: .pdf and .html files contain all pages; the formats
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
    return save([lambda page=page: draw_sheet(page, dark=dark) for page in range(1, PAGES + 1)], path, "numbanet: the sheet")


# The first page


def _draw_first(page: Page) -> None:
    _head(
        page,
        "A neural network, every equation a loop",
        "Minh Anh Nguyen's Neural Network Cheat Sheet, drawn by numbanet. Under each formula: its scalar function and\n"
        "its loop in numbanet.equations. The loop computes the curve, which has the colour of the bar at the formula.",
    )
    by_title = dict(sections())
    bottom = _draw_notation(page, NOTATION, by_title[NOTATION])
    top = HEAD + HEADING
    x = MARGIN
    for width, titles in COLUMNS:
        ends = top + (bottom - top) * np.cumsum([0.0, *titles.values()])
        for title, (start, end) in zip(titles, itertools.pairwise(ends), strict=True):
            blocks = _blocks(title, by_title.get(title, []), width, 16.2)
            stack(page, blocks, x, HEAD if start == top else start, end)
        x += width + GUTTER


def _blocks(title: str, rows: list[Any], width: float, panel_width: float) -> list[Block]:
    """Returns the blocks of a section: its heading, its diagram, if any, and its cards (groups of formulas).

    The blocks are `width` mm wide, and the curves in them are `panel_width` mm wide.
    """
    blocks = [heading(title, files_of(rows), width)]
    if title == "The neuron":
        blocks.append(diagram(lambda ax: neuron_diagram(activation="tanh", ax=ax), 27.0, width))
    if title == NETWORK:
        blocks.append(diagram(lambda ax: network_diagram(_example(), ax=ax), 59.0, width))
    return blocks + [card(group, width, panel_width) for group in groups(rows)]


def _example() -> Network:
    """Returns the small network that the sheet's diagram shows, with random weights and biases."""
    network = Network([4, 6, 5, 3], "tanh", "cce", seed=1)
    random = np.random.default_rng(1)
    network.set_parameters([(w, random.uniform(-1, 1, b.shape)) for w, b in network.parameters()])
    return network


def _draw_notation(page: Page, title: str, symbols: list[Symbol]) -> float:
    """Draws the symbols at the foot of the page, column by column; returns the y coordinate of their upper edge."""
    lines = -(-len(symbols) // len(SYMBOLS_AT))
    y = HEIGHT - FOOT - BAND - 1.0 - lines * SYMBOL_LEADING
    heading(title, [], WIDTH - 2 * MARGIN).draw(page, MARGIN, y + 1.5, HEADING)
    for number, symbol in enumerate(symbols):
        column, line = divmod(number, lines)
        draw_symbol(page, symbol, MARGIN + SYMBOLS_AT[column] + 2.2, y + BAND + 2.3 + (line + 0.8) * SYMBOL_LEADING)
    return y


def _head(page: Page, title: str, words: str) -> None:
    page.text(MARGIN, 12.2, title, 15, weight="bold", color=page.theme.heading)
    page.text(WIDTH - MARGIN, 12.2, words, SMALLEST, color=page.theme.grey, ha="right", linespacing=1.4)


# The second page


def _draw_second(page: Page) -> None:
    _head(
        page,
        "Beyond the sheet",
        "Formulas that numbanet computes in addition to those of the original cheat sheet.\n"
        "All optimizers take the same number of steps from the same start, down the same $L(w)$, as on the first page.",
    )
    by_title = dict(sections())
    bottom = _draw_notation(page, MORE_NOTATION, by_title[MORE_NOTATION])
    elsewhere = [NOTATION, MORE_NOTATION, MORE, *(title for _, titles in COLUMNS for title in titles)]
    columns = [[title for title in titles if title in {*by_title, COMPARED}] for titles in BEYOND]
    columns[ROOMIEST] += [title for title in by_title if title not in {*elsewhere, *itertools.chain(*columns)}]
    for number, titles in enumerate(columns):
        blocks = [block for title in titles for block in _blocks_beyond(title, by_title)]
        stack(page, blocks, MARGIN + number * (WIDTH_BEYOND + GUTTER), HEAD, bottom)


def _blocks_beyond(title: str, by_title: dict[str, list[Any]]) -> list[Block]:
    """Returns the blocks of one section of the sheet's second page; `by_title` maps each section's title to its rows."""
    if title == COMPARED:
        return [heading(title, [], WIDTH_BEYOND), comparison(WIDTH_BEYOND)]
    return _blocks(title, by_title[title], WIDTH_BEYOND, 20.0)


# The third page


def _draw_third(page: Page) -> None:
    _head(
        page,
        "Beyond the sheet, continued",
        "The scalar function under each formula computes the curve, which has the colour of the bar at the formula.\n"
        "The last column: formulas of all pages that loops compute in another form, which neither overflows nor loses digits.",
    )
    by_title = dict(sections())
    rows, last = by_title[MORE], MARGIN + MORE_COLUMNS * (WIDTH_MORE + GUTTER_MORE)  # the left end of the last column
    heading(MORE, ["beyond.py", *files_of(rows)], last - GUTTER_MORE - MARGIN).draw(page, MARGIN, HEAD, HEADING)
    cards = [card(group, WIDTH_MORE, PANEL_MORE) for group in groups(rows)]
    columns, top = _balanced(cards, HEIGHT - FOOT - HEAD - HEADING), HEAD + HEADING
    bottom = min(top + max(map(len, columns)) * TALLEST, HEIGHT - FOOT)
    for number, column in enumerate(columns):
        stack(page, column, MARGIN + number * (WIDTH_MORE + GUTTER_MORE), top, bottom)
    computed = [row for rows in by_title.values() for row in rows if isinstance(row, Row) and row.formula and row.computed_as]
    remarks = [heading(COMPUTED, [], WIDTH_COMPUTED), *(remark(row, WIDTH_COMPUTED) for row in computed)]
    stack(page, remarks, last, HEAD, HEIGHT - FOOT)


def _balanced(cards: list[Block], room: float) -> list[list[Block]]:
    """Divides cards (groups of formulas) into columns, in their order, so that the highest column is as low as possible.

    There are at most MORE_COLUMNS (three) columns. If the cards do not fit into three columns of the height `room`, the last
    column is higher than `room`.
    """
    columns: list[list[Block]] = []
    for limit in np.linspace(0, room, 100):
        columns = [[]]
        for each in cards:
            if sum(block.height for block in [*columns[-1], each]) > limit and columns[-1] and len(columns) < MORE_COLUMNS:
                columns.append([])
            columns[-1].append(each)
        if sum(block.height for block in columns[-1]) <= limit:
            break
    return columns

"""The blocks of the cheat sheet: headings, diagrams, symbols, and cards with formulas, names and curves. Lengths are in mm."""

import re
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch
from numpy.typing import NDArray

from numbanet.pages.rows import Row, Symbol, mathtext
from numbanet.pictures.curve import Curve
from numbanet.pictures.curves import curve
from numbanet.pictures.descents import START, STEPS
from numbanet.pictures.page import SMALLEST, Block, Line, Page, extent, line, wrapped
from numbanet.pictures.panels import LABEL, LABEL_GAP, draw_comparison, draw_panel

PANEL_LEFT, PANEL_RIGHT = 6.4, 3.2  # the widths of the ticks of a panel, and of the label of its x axis
PANEL_ABOVE, PANEL_BELOW, LOWEST_PANEL = 3.6, 4.2, 12.0  # the heights of the y label, of the ticks, and of a panel
LOWEST_UNDER = 14.0  # the height of a panel under the formulas, which has no other space
LOWEST_COMPARISON = 24.0  # the height of the panel that compares the update rules
STEEPEST = 2.4  # the largest height of a panel, divided by its width
INDENT, LEADING, BETWEEN_ROWS, MOST_SPREAD, BELOW_CARD = 2.2, 0.6, 1.0, 1.8, 1.6
SECTION, TITLE, FORMULA, SYMBOL, WORDS = 9.6, 9.0, 10.0, 9.0, 7.5
BAND = 6.0  # the height of the band behind a heading
HEADING = BAND + 2.2
SPACE_BETWEEN = 2.0  # between a title and the words behind it
INDENT_BROKEN = 2.0  # the indentation of the second line of a formula, and of the lines after it
# A formula with two cases, such as "$a = 0$ for $z \\leq 0$; $z$ for $z > 0$".
CASES = re.compile(r"\$(.*= )?([^$]*)\$ for \$([^$]*)\$; \$([^$]*)\$ for \$([^$]*)\$")
NO_MARKS = str.maketrans("", "", "`—")
UNIT = r"$\hspace{1}$"  # the unit of the command hspace


def heading(title: str, files: list[str], width: float) -> Block:
    """Returns a block with a section's heading: its title, and the names of its `files` in `numbanet.equations`."""
    names, title_width = ", ".join(files), extent(title, "bold")[0] * SECTION
    if extent(names, family="monospace")[0] * SMALLEST > width - 6.5 - title_width:
        names = ",\n".join(files)
    wide = max(extent(name, family="monospace")[0] * SMALLEST for name in names.split("\n"))
    size = min(SECTION, (width - 6.5 - wide) / extent(title, "bold")[0])

    def draw(page: Page, x: float, y: float, height: float) -> None:
        shape = "round,pad=0,rounding_size=0.9"
        page.axes.add_patch(FancyBboxPatch((x, y), width, BAND, boxstyle=shape, fc=page.theme.band, ec="none"))
        page.text(x + 2.2, y + 4.3, title, size, weight="bold", color=page.theme.heading)
        if names:
            page.text(x + width - 2.2, y + BAND / 2, names, SMALLEST, family="monospace", color=page.theme.grey, ha="right",
                      va="center", linespacing=1.0)  # fmt: skip

    return Block(HEADING, draw)


def diagram(drawing: Callable[[Axes], object], height: float, width: float) -> Block:
    """Returns a block (a part of a page) with a diagram, which the function `drawing` draws on Axes."""

    def draw(page: Page, x: float, y: float, given: float) -> None:
        drawing(page.panel(x, y, width, given - 1.5))

    return Block(height, draw)


def draw_symbol(page: Page, symbol: Symbol, x: float, y: float) -> None:
    """Draws a symbol with its name in code and its meaning; the baseline is at y."""
    page.text(x, y, mathtext(symbol.symbol), SYMBOL)
    page.text(x + 10.0, y, symbol.code.translate(NO_MARKS), SMALLEST, family="monospace", color=page.theme.colours[0])
    page.text(x + 24.5, y, mathtext(symbol.meaning), WORDS)


def remark(row: Row, width: float) -> Block:
    """Returns a block with the form in which a row's formula is computed, and the name of the function that computes it."""
    lines = _formula_lines(row.computed_as, width - INDENT)
    lines.append(line((row.scalar or row.loop).partition(".")[2], SMALLEST, family="monospace", tone="grey"))
    height = _height(lines)

    def draw(page: Page, x: float, y: float, given: float) -> None:
        page.bar(x + 0.5, y, y + height, page.theme.faint)
        _draw_lines(page, lines, x + INDENT, y)

    return Block(height + BELOW_CARD, draw)


def files_of(rows: list[Row]) -> list[str]:
    """Returns the names of the files that contain the loops of the formulas in `rows`, in the order of `rows`."""
    return [f"{name}.py" for name in dict.fromkeys(row.loop.partition(".")[0] for row in rows)]


def groups(rows: list[Row]) -> list[list[Row]]:
    """Divides rows of docs/sheet.md, each with one formula, into groups; each row with a title begins a new group."""
    divided: list[list[Row]] = []
    for row in rows:
        if row.title or not divided:
            divided.append([])
        divided[-1].append(row)
    return divided


def card(rows: list[Row], width: float, panel_width: float) -> Block:
    """Returns a block with a group of formulas: formulas and function names on the left, curves in a panel on the right."""
    curves = _distinct_curves(rows)
    room = width - INDENT - (PANEL_LEFT + panel_width + PANEL_RIGHT if curves else 0.0)
    keys = list(curves)
    note = ", ".join(dict.fromkeys(drawn.note for drawn in curves.values() if drawn.note))
    is_long = bool(note) and extent(note)[0] * SMALLEST > PANEL_LEFT / 2 + panel_width + PANEL_RIGHT
    has_label = any(drawn.ground is not None for drawn in curves.values())  # a label of the y axis, above the panel
    over_panel = width - (extent(note)[0] * SMALLEST + SPACE_BETWEEN if note and not is_long else 0.0)
    title = _title_lines(rows[0].title, note if is_long else "", room + INDENT, room + INDENT if has_label else over_panel)
    parts = [_lines_of(row, room) for row in rows]
    tops = np.cumsum([_height(title) + (BETWEEN_ROWS if title else 0.0), *(_height(lines) + BETWEEN_ROWS for lines in parts)])
    content = lowest = float(tops[-1]) - BETWEEN_ROWS
    panel_top = _panel_top(parts, tops, room)
    is_under = panel_top > PANEL_ABOVE
    if curves:
        lowest = max(lowest, panel_top + (LOWEST_UNDER if is_under else LOWEST_PANEL) + PANEL_BELOW)

    def draw(page: Page, x: float, y: float, height: float) -> None:
        _draw_lines(page, title, x, y)
        spare = (height - BELOW_CARD - content) / len(tops)
        spread = np.clip(spare, 0.0, 0.0 if is_under else MOST_SPREAD) * (np.arange(len(tops)) + bool(title))
        for row, lines, top in zip(rows, parts, tops + spread, strict=False):
            key = row[3:5]
            colour = page.theme.colour(keys.index(key)) if key in curves else page.theme.faint
            page.bar(x + 0.5, y + top - 0.2, y + top + _height(lines) + 0.3, colour)
            _draw_lines(page, lines, x + INDENT, y + top)
        if curves:
            left = x + width - panel_width - PANEL_RIGHT
            panel_height = min(height - panel_top - BELOW_CARD - PANEL_BELOW, STEEPEST * panel_width)
            label = max(extent(drawn.x_label)[0] for drawn in curves.values()) * LABEL + LABEL_GAP
            inner_width = panel_width + PANEL_RIGHT - max(PANEL_RIGHT, label)
            draw_panel(page.panel(left, y + panel_top, inner_width, panel_height), curves)
            if not is_long:
                page.text(x + width, y + panel_top - 1.1, note, SMALLEST, color=page.theme.grey, ha="right")

    return Block(lowest + BELOW_CARD, draw, stretches=bool(curves))


def comparison(width: float) -> Block:
    """Returns a block with a panel in which one curve for each update rule shows the loss after each step."""
    note = (
        f"{STEPS} steps from $w = {START}$. The $\\eta$ of each rule is the smallest multiple of 0.05 with which the last loss "
        "is less than 0.01 above the minimum."
    )
    words = wrapped(_pieces(note), SMALLEST, width, tone="grey")
    top = _height(words) + PANEL_ABOVE + 0.8

    def draw(page: Page, x: float, y: float, height: float) -> None:
        _draw_lines(page, words, x, y)
        panel_height = height - BELOW_CARD - top - PANEL_BELOW
        draw_comparison(page.panel(x + PANEL_LEFT, y + top, width - PANEL_LEFT - 8.0, panel_height))

    return Block(top + LOWEST_COMPARISON + PANEL_BELOW + BELOW_CARD, draw, stretches=True)


def _distinct_curves(rows: list[Row]) -> dict[tuple, Curve]:
    """Returns a dict from the pair of function names in a row to the row's curve, for all rows that have a curve."""
    curves = {row[3:5]: curve(row) for row in rows}
    return {key: drawn for key, drawn in curves.items() if drawn}


def _panel_top(parts: list[list[Line]], tops: NDArray[np.float64], room: float) -> float:
    """Returns the y coordinate of the panel's top, below all formulas that are too wide to stand beside the panel."""
    top = 0.0
    for lines, y in zip(parts, tops, strict=False):
        for number, drawn in enumerate(lines, start=1):
            if "$" in drawn.text and extent(drawn.text)[0] * drawn.size + drawn.options.get("indent", 0.0) > room:
                top = float(y) + _height(lines[:number])
    return top + PANEL_ABOVE


def _height(lines: list[Line]) -> float:
    return sum(line.above + line.below for line in lines) + LEADING * max(0, len(lines) - 1)


def _draw_lines(page: Page, lines: list[Line], x: float, y: float) -> None:
    """Draws lines of text from top to bottom; the option "tone" of a line names a colour of the theme."""
    for drawn in lines:
        options = dict(drawn.options)
        colour = getattr(page.theme, options.pop("tone", "ink"))
        page.text(x + options.pop("indent", 0.0), y + drawn.above, drawn.text, drawn.size, color=colour, **options)
        y += drawn.above + drawn.below + LEADING


def _title_lines(title: str, note: str, room: float, first_room: float) -> list[Line]:
    """Returns the lines with the title of a card, the source of the formula, and a note about the curves.

    A title that fits into the width `first_room` is one line, which may extend above the panel of curves and also contains the
    source if there is space for it. All other lines are wrapped at the width `room`.
    """
    match = re.fullmatch(r"(.*?)(?: \((.*\d{4})\))?", title)
    words, reference = match.groups("") if match else (title, "")
    fits = extent(words, "bold")[0] * TITLE <= first_room if words else False
    lines = wrapped(_pieces(words), TITLE, first_room if fits else room, weight="bold") if words else []
    after = extent(words, "bold")[0] * TITLE + SPACE_BETWEEN
    if fits and reference and after + extent(reference)[0] * SMALLEST <= first_room:
        below = lines[0].below  # the baselines of the source and of the title are the same
        lines.append(Line(reference, SMALLEST, -below - LEADING, below, {"tone": "grey", "indent": after}))
        reference = ""
    for text in filter(None, (reference, note)):
        lines += wrapped(_pieces(text), SMALLEST, room, tone="grey")
    return lines


def _pieces(text: str) -> list[str]:
    """Divides a text into words with their spaces; a formula between dollar signs is never divided."""
    return re.findall(r"(?:\$[^$]*\$|[^\s$])+ ?", text)


def _lines_of(row: Row, room: float) -> list[Line]:
    """Returns the lines of text for a row: the formula with the words before and after it, and the names of its functions."""
    names = [name.partition(".")[2] for name in (row.scalar, row.loop) if name]
    code = [f"{name} · " for name in names[:-1]] + names[-1:]
    lines = _formula_lines(row.formula or row.computed_as, room)
    return lines + [drawn._replace(text=drawn.text.removesuffix(" ·")) for drawn in wrapped(
        code, SMALLEST, room, family="monospace", tone="grey")]  # fmt: skip


def _formula_lines(text: str, room: float) -> list[Line]:
    """Returns the lines of a formula with the words before and after it; long formulas break after a semicolon or comma."""
    match = re.fullmatch(r"([^$]*)(.*\$)?([^$]*)", mathtext(text))
    before, formula, after = match.groups("") if match else ("", "", text)
    lines = wrapped(_pieces(before.strip(" :")), WORDS, room) if before.strip() else []
    if formula:
        lines += _broken(formula, room)
    return lines + (wrapped(_pieces(after.strip(" ,")), WORDS, room) if after.strip(" ,") else [])


def _broken(text: str, room: float) -> list[Line]:
    """Returns a formula as one line or, if it is wider than `room`, as several lines that end after commas or before a plus."""
    if " for " not in text and extent(_in_one(text))[0] * FORMULA <= room:
        return [line(_in_one(text), FORMULA)]
    parts = [broken for part in re.split(r"(?<=\$), (?=\$)", text) for broken in _cases_or_terms(part, room)]
    return [line(part, FORMULA, indent=INDENT_BROKEN if number else 0.0) for number, part in enumerate(parts)]


def _cases_or_terms(text: str, room: float) -> list[str]:
    """Returns the lines of `text`, a part of a formula: one line if `text` has two cases or is at most `room` wide.

    Any other text is divided into a formula and its condition or, if it has no condition, into the terms of a sum.
    """
    if match := CASES.fullmatch(text):
        return [_with_brace(*match.groups(""))]
    whole = _in_one(text)
    if extent(whole)[0] * FORMULA <= room:
        return [whole]
    formula, _, condition = text.partition(" for $")
    return [_in_one(formula), rf"$\mathrm{{for}}\ {condition}"] if condition else _terms(whole)


def _terms(formula: str) -> list[str]:
    """Divides a formula before each plus sign outside parentheses and braces, even if the sign is inside square brackets."""
    depth, ends = 0, [1]
    for at, letter in enumerate(formula):
        depth += (letter in "({") - (letter in ")}")
        if letter == "+" and not depth:
            ends.append(at)
    return [f"${formula[start:end].strip()}$" for start, end in pairwise([*ends, len(formula) - 1])]


def _with_brace(left: str, value: str, condition: str, other_value: str, other_condition: str) -> str:
    """Returns a formula with a brace before two cases; the two values begin at the same x, and so do the two conditions."""
    values, conditions = _aligned(value, other_value), _aligned(condition, other_condition)
    lines = [rf"{value}\ \ \mathrm{{for}}\ {condition}" for value, condition in zip(values, conditions, strict=True)]
    return rf"${left}\left\{{\genfrac{{}}{{}}{{0}}{{0}}{{{lines[0]}}}{{{lines[1]}}}\right.$"


def _aligned(*formulas: str) -> list[str]:
    """Appends space to each formula, so that all formulas are as wide as the widest."""
    widths = [extent(f"${formula}$")[0] for formula in formulas]
    return [
        rf"{formula}\hspace{{{(max(widths) - width) / extent(UNIT)[0]:.3f}}}"
        for formula, width in zip(formulas, widths, strict=True)
    ]


def _in_one(text: str) -> str:
    """Joins several formulas and the words between them into one formula, in which the words are set upright."""
    parts = text.replace(r"\frac", r"\dfrac").split("$")[1:-1]
    words = [rf"\mathrm{{{part}}}".replace(" ", r"\ ") for part in parts[1::2]]
    return "$" + "".join(part + word for part, word in zip(parts[::2], [*words, ""], strict=True)) + "$"

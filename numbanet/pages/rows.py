"""Reads the tables of docs/sheet.md, from which the cheat sheet is drawn, so that each formula is written only once."""

import re
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

NAME = re.compile(r"`([^`]+)`")


class Row(NamedTuple):
    """A formula of the cheat sheet, and the names of the functions in `numbanet.equations` that compute it."""

    title: str  # the title of the group of rows that begins with this row, such as Sigmoid, or an empty string
    formula: str  # words, with formulas between dollar signs
    computed_as: str
    scalar: str | None
    loop: str
    kernel: str


class Symbol(NamedTuple):
    """A symbol of the cheat sheet's notation, with its name in code and its meaning."""

    symbol: str
    code: str
    meaning: str


class Section(NamedTuple):
    """A section of docs/sheet.md: its heading, and the rows of its table."""

    title: str
    rows: list[Any]  # objects of the class Row or Symbol


def sections() -> list[Section]:
    """Returns the sections of docs/sheet.md that contain formulas or symbols, in the order of the page."""
    parts = (part.partition("\n") for part in page().split("\n## ")[1:])
    candidates = [Section(title, list(_rows(text))) for title, _, text in parts]
    return [section for section in candidates if section.rows]


def _rows(text: str) -> Iterator[Row | Symbol]:
    """Yields the rows of a section's tables; the first column's heading tells whether the rows contain formulas or symbols."""
    make = None
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells or cells[0] in HEADINGS:
            make = HEADINGS[cells[0]] if cells else None
        elif make and not set(cells[0]) <= set("-: "):
            yield make(*cells)


def page() -> str:
    """Returns the text of docs/sheet.md; an installed package contains this file as numbanet/sheet.md."""
    packaged = files("numbanet") / "sheet.md"
    return (packaged if packaged.is_file() else Path(__file__).parents[2] / "docs" / "sheet.md").read_text("utf-8")


def _row(left: str, *names: str) -> Row:
    """Returns a `Row`; words before the formula in the cell `left` are its title if capitalised, else part of the formula."""
    formula, _, computed_as = (part.strip(" ;,") for part in left.partition("*computed as:*"))
    words = formula.partition("$")[0]
    title = words.strip(" :,") if words[:1].isupper() else ""
    scalar, loop, kernel = map(_name, names)
    return Row(title, formula[len(words) :] if title else formula, computed_as, scalar or None, loop, kernel)


def _name(cell: str) -> str:
    """Returns the name that a table cell contains in backquotes, or an empty string if the cell is a dash."""
    match = NAME.fullmatch(cell)
    if match is None and cell != "—":
        raise ValueError(f"docs/sheet.md: {cell!r} must be a name in backquotes, or a dash")
    return match[1] if match else ""


def _row_beyond(left: str, *names: str) -> Row:
    """Returns a `Row`; under the heading "beyond the sheet", words before the formula in the cell `left` are its title."""
    return _row(left[0].upper() + left[1:], *names)


HEADINGS: dict[str, Callable[..., Row | Symbol]] = {"the sheet": _row, "beyond the sheet": _row_beyond, "symbol": Symbol}


# Replacements for TeX commands that matplotlib's mathtext does not support. The last three replacements add a space after sums
# and before functions, and make words upright.
_MATHTEXT = [
    (r"\\le(?![a-z])", r"\\leq"),
    (r"\\ge(?![a-z])", r"\\geq"),
    (r"\\ne(?![a-z])", r"\\neq"),
    (r"\\[Bb]igg?(?=\()", r"\\left"),
    (r"\\[Bb]igg?(?=\))", r"\\right"),
    (r"\\frac(\w)(\w)", r"\\frac{\1}{\2}"),
    (r"\\[lr]Vert", r"\\Vert "),
    (r"\\sqrt (\w)", r"\\sqrt{\1}"),
    (r"(\\sum_(\w|\{[^}]*\}))", r"\1\\,"),
    (r"(?<=[\w)}]) \\(log|min|max|tanh|cosh)", r"\\,\\\1"),
    (r"(?<![\\A-Za-z])([A-Za-z]{3,})", r"\\mathrm{\1}"),
]


def mathtext(text: str) -> str:
    """Converts the TeX formulas in a string to the syntax that matplotlib's mathtext supports."""
    return re.sub(r"\$[^$]*\$", lambda formula: _mathtext_of(formula[0]), text)


def _mathtext_of(formula: str) -> str:
    for pattern, replacement in _MATHTEXT:
        formula = re.sub(pattern, replacement, formula)
    return formula

"""docs/sheet.md as data, from which the sheet is drawn, so that a new row has to be written only once."""

import re
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

NAME = re.compile(r"`([^`]+)`")


class Row(NamedTuple):
    """A formula, and the names in `numbanet.equations` that compute it."""

    title: str  # title of the group that begins with the row, such as Sigmoid, or empty
    formula: str  # text that contains $formulas$
    arrangement: str
    scalar: str | None
    loop: str
    kernel: str


class Symbol(NamedTuple):
    """A line of the notation."""

    symbol: str
    code: str
    meaning: str


class Section(NamedTuple):
    """A heading of the page with its table."""

    title: str
    rows: list[Any]  # of Row, or of Symbol


def sections() -> list[Section]:
    """Returns the sections of docs/sheet.md that have formulas or symbols, in their order."""
    parts = (part.partition("\n") for part in page().split("\n## ")[1:])
    candidates = [Section(title, list(_rows(text))) for title, _, text in parts]
    return [section for section in candidates if section.rows]


def _rows(text: str) -> Iterator[Row | Symbol]:
    """Yields the rows of the tables of formulas and of symbols, which are recognised by their headings."""
    make = None
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells or cells[0] in HEADINGS:
            make = HEADINGS[cells[0]] if cells else None
        elif make and not set(cells[0]) <= set("-: "):
            yield make(*cells)


def page() -> str:
    """Returns the text of docs/sheet.md, which a wheel contains as numbanet/sheet.md."""
    packaged = files("numbanet") / "sheet.md"
    return (packaged if packaged.is_file() else Path(__file__).parents[2] / "docs" / "sheet.md").read_text("utf-8")


def _row(left: str, *names: str) -> Row:
    """Returns a row of the sheet; words that begin with a capital letter are its title."""
    formula, _, arrangement = (part.strip(" ;,") for part in left.partition("*arrangement:*"))
    words = formula.partition("$")[0]
    title = words.strip(" :,") if words[:1].isupper() else ""
    scalar, loop, kernel = map(_name, names)
    return Row(title, formula[len(words) :] if title else formula, arrangement, scalar or None, loop, kernel)


def _name(cell: str) -> str:
    """Returns the name that a cell contains in backquotes, or an empty text for a dash."""
    match = NAME.fullmatch(cell)
    if match is None and cell != "—":
        raise ValueError(f"docs/sheet.md: {cell!r} must be a name in backquotes, or a dash")
    return match[1] if match else ""


def _row_beyond(left: str, *names: str) -> Row:
    """Returns a row of a formula beyond the sheet; any words are its title."""
    return _row(left[0].upper() + left[1:], *names)


HEADINGS: dict[str, Callable[..., Row | Symbol]] = {"the sheet": _row, "beyond the sheet": _row_beyond, "symbol": Symbol}


# Replacements for TeX that the mathtext of matplotlib does not support, and for a space after sums.
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
]


def mathtext(text: str) -> str:
    """Returns the text with formulas in the syntax of matplotlib."""
    for pattern, replacement in _MATHTEXT:
        text = re.sub(pattern, replacement, text)
    return text

"""docs/sheet.md as data: what the sheet draws is what stands there, so that a new row has to be written once."""

import re
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

NAME = re.compile(r"`([^`]+)`")


class Row(NamedTuple):
    """A formula, and the names below `numbanet.equations` that compute it."""

    title: str  # what a group of rows begins with, such as Sigmoid; else empty
    formula: str  # text with $formulas$ in it
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
    rows: list


def sections() -> list[Section]:
    """The sections of docs/sheet.md that have formulas or symbols, in their order."""
    found = [
        Section(title, list(_rows(text))) for title, _, text in (part.partition("\n") for part in page().split("\n## ")[1:])
    ]
    return [section for section in found if section.rows]


def _rows(text: str):
    """The rows of its tables of formulas and of symbols, which their headings tell; other tables are not drawn."""
    make = None
    for line in text.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not cells or cells[0] in HEADINGS:
            make = HEADINGS[cells[0]] if cells else None
        elif make and not set(cells[0]) <= set("-: "):
            yield make(*cells)


def page() -> str:
    """The text of docs/sheet.md, which a wheel holds as numbanet/sheet.md."""
    packaged = files("numbanet") / "sheet.md"
    return (packaged if packaged.is_file() else Path(__file__).parents[2] / "docs" / "sheet.md").read_text("utf-8")


def _row(left: str, *names: str) -> Row:
    """A row of the sheet, where capital letters begin a title."""
    formula, _, arrangement = (part.strip(" ;,") for part in left.partition("*arrangement:*"))
    words = formula.partition("$")[0]
    title = words.strip(" :,") if words[:1].isupper() else ""
    scalar, loop, kernel = (NAME.fullmatch(name)[1] if name != "—" else None for name in names)
    return Row(title, formula[len(words) :] if title else formula, arrangement, scalar, loop, kernel)


def _row_beyond(left: str, *names: str) -> Row:
    """A row of what is not on the sheet, where any words begin a title."""
    return _row(left[0].upper() + left[1:], *names)


HEADINGS = {"the sheet": _row, "beyond the sheet": _row_beyond, "symbol": Symbol}


# What TeX knows and matplotlib's mathtext does not, a space after sums included.
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
    """The text with its formulas as matplotlib can set them."""
    for pattern, replacement in _MATHTEXT:
        text = re.sub(pattern, replacement, text)
    return text

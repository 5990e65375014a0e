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
    """The sections of docs/sheet.md that have a table, in their order."""
    found = []
    for part in page().split("\n## ")[1:]:
        title, _, text = part.partition("\n")
        tables = [
            [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in text.splitlines() if line[:1] == "|"
        ]
        rows = [_row(cells) for cells in tables[2:]]
        if rows:
            found.append(Section(title, rows))
    return found


def page() -> str:
    """The text of docs/sheet.md, which a wheel holds as numbanet/sheet.md."""
    packaged = files("numbanet") / "sheet.md"
    return (packaged if packaged.is_file() else Path(__file__).parents[2] / "docs" / "sheet.md").read_text("utf-8")


def _row(cells: list[str]) -> Row | Symbol:
    if len(cells) == 3:
        return Symbol(*cells)
    formula, _, arrangement = (part.strip(" ;,") for part in cells[0].partition("*arrangement:*"))
    words = formula.partition("$")[0]
    title = words.strip(" :,") if words[:1].isupper() else ""
    scalar, loop, kernel = (NAME.fullmatch(cell)[1] if cell != "—" else None for cell in cells[1:])
    return Row(title, formula[len(words) :] if title else formula, arrangement, scalar, loop, kernel)


# What TeX knows and matplotlib's mathtext does not, a space after sums included.
_MATHTEXT = [
    (r"\\le(?![a-z])", r"\\leq"),
    (r"\\ge(?![a-z])", r"\\geq"),
    (r"\\ne(?![a-z])", r"\\neq"),
    (r"\\[Bb]igg?(?=\()", r"\\left"),
    (r"\\[Bb]igg?(?=\))", r"\\right"),
    (r"\\frac(\w)(\w)", r"\\frac{\1}{\2}"),
    (r"(\\sum_(\w|\{[^}]*\}))", r"\1\\,"),
]


def mathtext(text: str) -> str:
    """The text with its formulas as matplotlib can set them."""
    for pattern, replacement in _MATHTEXT:
        text = re.sub(pattern, replacement, text)
    return text

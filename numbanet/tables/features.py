"""Encodes the columns from which a network predicts (numbers, booleans and categories) as inputs of the network."""

import csv
import io
import math
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from numbanet import checks
from numbanet.checks import listed
from numbanet.tables.columns import Strings, Table
from numbanet.tables.labels import BOOLEANS, MISSING, OTHER, indices
from numbanet.tables.spelling import fitting, odd_sign


def numbers(table: Table, name: str) -> NDArray[np.float64]:
    """Returns a column as a float64 array (n,). A missing value becomes NaN; any other value must be a finite number."""
    column = table.column(name)
    values = column.numbers
    if np.isfinite(values).all():
        return values
    wrong = np.isnan(values) & ~column.missing
    if wrong.any():
        raise not_a_number(table, name, np.flatnonzero(wrong))
    infinite = np.isinf(values)
    if infinite.any():
        row = infinite.argmax()
        text = column.strings[row]
        remedy = f"if it means a missing value, use missing={[text]!r} ({as_option('--missing', [str(text)])})"
        raise table.error(name, row, f"{text} is not finite; {remedy}")
    return values


def not_a_number(table: Table, name: str, rows: NDArray[np.integer], remedy: str = "") -> ValueError:
    """Returns an error about a string in a column of numbers: the string in the first of the rows `rows`.

    If the string is a number with other decimal or thousands separators, the message recommends these separators; if not, it
    ends with the advice `remedy`.
    """
    strings = table.column(name).strings
    wrong = str(strings[rows[0]])
    others = {text for text in set(strings) if text is not None and text not in table.column(name).words}
    if advice := odd_sign(wrong):
        return table.error(name, rows[0], f"{wrong!r} is {advice}{remedy}")
    for candidates in (others, {wrong}):
        if fits := fitting(candidates):
            return table.error(name, rows[0], f"{wrong!r} is not a number; use {' or '.join(map(_read_with, fits))}")
    columns = {each: column for each, column in table.columns.items() if isinstance(column, Strings)}
    words = (column.words - table.values.get(each, frozenset()) for each, column in columns.items())
    missing = sorted({wrong}.union(*words) - {""})
    hint = f"; if it means a missing value, use missing={missing!r} ({as_option('--missing', missing)})"
    return table.error(name, rows[0], f"{wrong!r} is not a number{hint}{remedy}")


def _read_with(spelling: Any) -> str:
    """Returns, for an error message, the arguments and command-line options that set the separators of a `Spelling`."""
    given = [(n, v) for n, v in (("decimal", spelling.decimal), ("thousands", spelling.thousands)) if v not in (".", None)]
    if spelling.thousands == ".":
        given.append(("thousands", "."))
    arguments = ", ".join(f"{name}={value!r}" for name, value in given)
    options = (f"--{name} " + ('"\'"' if value == "'" else shlex.quote(value)) for name, value in given)
    return f"{arguments} ({' '.join(options)})"


def as_option(option: str, names: Iterable[str]) -> str:
    """Returns a command-line option followed by its value, a list of names, quoted for a shell."""
    text = io.StringIO()
    csv.writer(text, lineterminator="").writerow(names)
    value = shlex.quote(text.getvalue())
    return f"{option}={value}" if value.startswith("-") else f"{option} {value}"


def booleans(table: Table, name: str) -> NDArray[np.float64]:
    """Returns a column of true and false as an array (n,): 1 for true, 0 for false, in any capitalisation; NaN if missing."""
    column = table.column(name)
    values: dict[str | None, float] = {None: math.nan}
    for text in set(column.strings) - {None}:
        values[text] = math.nan if text in column.words else BOOLEANS.get(str(text).strip().lower(), math.inf)
    found = np.fromiter(map(values.__getitem__, column.strings), float, len(column.strings))
    if np.isinf(found).any():
        row = np.isinf(found).argmax()
        raise table.error(name, row, f"{column.strings[row]!r} is neither true nor false")
    return found


@dataclass(frozen=True)
class Numeric:
    """A column of numbers; a number v becomes the network's input x = (v - mean) / scale.

    Parameters
    ----------
    name : str
        Name of the column.
    mean, scale : float
        The column's mean and standard deviation (with the divisor n, not n - 1) over the training rows. For a constant column,
        scale is 1, so that nothing is divided by 0.
    fill : float, optional
        The number that replaces a missing value; if None, a missing value raises ValueError.
    """

    name: str
    mean: float
    scale: float
    fill: float | None = None
    kind: ClassVar[str] = "numeric"
    width: ClassVar[int] = 1

    def __post_init__(self) -> None:
        checks.real("mean", self.mean)
        checks.positive("scale", self.scale)
        if self.fill is not None:
            checks.real("fill", self.fill)

    def missing(self, table: Table) -> NDArray[np.bool_]:
        """Returns a boolean array (n,) that is True for each missing value of the column."""
        return table.column(self.name).missing

    def encode(self, table: Table, x: NDArray[np.floating], unknown: str = "error") -> None:
        """Writes the standardised column to x (n, 1)."""
        values = self.values(table, self.name)
        if self.fill is not None:
            values = np.where(np.isnan(values), self.fill, values)
        x[:, 0] = (values - self.mean) / self.scale

    values: ClassVar[Callable[[Table, str], NDArray[np.float64]]] = staticmethod(numbers)


@dataclass(frozen=True)
class Boolean(Numeric):
    """A column of the values true and false, which become the numbers 1 and 0 and are standardised as in a `Numeric` column."""

    kind: ClassVar[str] = "boolean"
    values: ClassVar[Callable[[Table, str], NDArray[np.float64]]] = staticmethod(booleans)


@dataclass(frozen=True)
class Categorical:
    """A column of strings, encoded one-hot: one input per category, which is 1 for the row's category and 0 for all others.

    Parameters
    ----------
    name : str
        Name of the column.
    categories : list of str
        The strings that the column may contain.
    fill : str, optional
        The category that replaces a missing value; if None, a missing value raises ValueError.
    """

    name: str
    categories: tuple[str, ...]
    fill: str | None = None
    kind: ClassVar[str] = "categorical"

    def __post_init__(self) -> None:
        object.__setattr__(self, "categories", distinct_strings("categories", self.categories, 1))
        if self.fill is not None and self.fill not in self.categories:
            raise ValueError(
                f"column {self.name!r}: the replacement for missing values, {self.fill!r}, is not one of its categories: "
                f"{listed(self.categories)}"
            )

    @property
    def width(self) -> int:
        """The number of network inputs that encode the column."""
        return len(self.categories)

    def missing(self, table: Table) -> NDArray[np.bool_]:
        """Returns a boolean array (n,) that is True for each missing value.

        A word that marks missing values by default, such as NA, does not count as missing if it is a category.
        """
        column = table.column(self.name)
        return column.is_missing(self.categories if column.spelling.missing is None else ())

    def encode(self, table: Table, x: NDArray[np.floating], unknown: str = "error") -> None:
        """Writes the one-hot encoding of the column to x (n, width)."""
        index = indices(table, self.name, self.categories, "category", unknown)
        if self.fill is not None:
            index[index == MISSING] = self.categories.index(self.fill)
        x[...] = 0
        known = np.flatnonzero(index > OTHER)
        x[known, index[known]] = 1


def distinct_strings(name: str, values: Iterable[str], least: int) -> tuple[str, ...]:
    """Returns the values as a tuple; raises ValueError unless they are at least `least` strings, all of them distinct."""
    values = tuple(values)
    if not all(isinstance(value, str) for value in values) or len(set(values)) != len(values) or len(values) < least:
        raise ValueError(f"{name} must be at least {least} distinct strings, not {listed(values)}")
    return values

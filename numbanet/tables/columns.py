"""A table in memory: named columns of strings or numbers, and for each row the line of the file in which the row begins."""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from numbanet import checks
from numbanet.checks import listed
from numbanet.tables.spelling import PLAIN, WORDS, Spelling, number

MOST_COLUMNS = 1 << 20


SHOWN = 5  # the largest number of columns, values or labels in the repr of a table, of a column of strings or of an encoding


@dataclass(frozen=True)
class Strings:
    """A column of strings.

    Parameters
    ----------
    strings : list of str or None
        The values of the column; None stands for a missing value.
    typed : bool
        True if the file declares the column as text. In a column declared as text, strings that look like numbers stay strings,
        and a string such as NA is a value, not a missing value.
    spelling : Spelling
        The decimal character, the thousands separator and the words for missing values that the strings use.
    """

    strings: list[str | None]
    typed: bool = False
    spelling: Spelling = PLAIN

    def __repr__(self) -> str:
        return f"Strings({checks.count(len(self.strings), 'value')}: {listed(self.strings, SHOWN)})"

    @cached_property
    def words(self) -> frozenset[str]:
        """The strings of the column that mean a missing value."""
        return self.spelling.missing_among(self.strings, self.typed)

    def is_missing(self, values: Collection[str] = ()) -> NDArray[np.bool_]:
        """Returns a boolean array (n,) that is True for each missing value; the strings in `values` never count as missing."""
        words = {word for word in self.words if word not in values}
        return self.missing if len(words) == len(self.words) else self._among(words)

    def _among(self, words: Collection[str]) -> NDArray[np.bool_]:
        if not words and None not in self.strings:
            return np.zeros(len(self.strings), bool)
        return np.fromiter((text is None or text in words for text in self.strings), bool, len(self.strings))

    @cached_property
    def missing(self) -> NDArray[np.bool_]:
        """A boolean array (n,) that is True for each missing value."""
        return self._among(self.words)

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """The column as a float64 array (n,), with NaN for each string that is missing or not a number."""
        strings = cast("list[str]", self.strings)  # if a value is None, `join` raises TypeError
        if self.spelling.is_plain and not self.words:
            try:
                if "_" not in "".join(strings):
                    return np.fromiter(map(float, strings), float, len(strings))
            except (ValueError, TypeError):  # a string is missing or not a number
                pass
        values = dict.fromkeys((None, *self.words), math.nan)
        for text in set(strings) - values.keys():
            values[text] = math.nan if (value := self.spelling.number(text)) is None else value
        return np.fromiter(map(values.__getitem__, self.strings), float, len(self.strings))

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> "Strings":
        """Returns a column that contains only the values of the given rows."""
        return Strings([self.strings[row] for row in rows], self.typed, self.spelling)


@dataclass(frozen=True)
class Numbers:
    """A column of real numbers or booleans.

    Parameters
    ----------
    array : ndarray, (n,)
        The values of the column.
    absent : ndarray of bool, (n,), optional
        True for each missing value of `array`. Each NaN in `array` also counts as a missing value.
    """

    array: NDArray[Any]
    absent: NDArray[np.bool_] | None = None
    spelling = PLAIN
    words = frozenset[str]()

    @cached_property
    def strings(self) -> list[str | None]:
        """The values as strings, or None if missing. A number has the fewest digits that identify it in its dtype."""
        values = self.array if self.array.dtype in (np.float16, np.float32) else self.array.tolist()
        written = [str(value).lower() if value is True or value is False else str(value) for value in values]
        return [None if missing else text for text, missing in zip(written, self.missing, strict=True)]

    def is_missing(self, values: Collection[str] = ()) -> NDArray[np.bool_]:
        """Returns a boolean array (n,) that is True for each missing value."""
        return self.missing

    @cached_property
    def missing(self) -> NDArray[np.bool_]:
        """A boolean array (n,) that is True for each missing value."""
        missing = np.isnan(self.array) if self.array.dtype.kind == "f" else np.zeros(self.array.shape, bool)
        return missing if self.absent is None else missing | self.absent

    @property
    def numbers(self) -> NDArray[np.float64]:
        """The column as a float64 array (n,), with NaN for each missing value."""
        values = self.array.astype(np.float64)
        if self.absent is not None:
            values[self.absent] = math.nan
        return values

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> "Numbers":
        """Returns a column that contains only the values of the given rows."""
        return Numbers(self.array[rows], None if self.absent is None else self.absent[rows])


@dataclass(frozen=True)
class Table:
    """A table: named columns of the same length.

    Parameters
    ----------
    source : str
        Name of the table in error messages.
    columns : dict of str to Strings or Numbers
        The columns by name.
    rows : int
        Number of rows.
    lines : sequence of int, optional
        For each row, the line of the file in which the row begins.
    alike : bool
        True if all columns contain the same kind of quantity, such as pixels; `learn` then gives all columns a common mean and
        scale.
    spelling : Spelling
        The decimal character, the thousands separator and the words for missing values that the file uses.
    notes : tuple of str
        Sentences for the user: which column names `read` changed, and which columns without a name `read` left out or named by
        their position.
    whole : Table, optional
        The table from which the rows of this table were taken. If `whole` is given, its property `values` decides which
        strings, such as NA, are ordinary values.
    shape : (int, int), optional
        The height and the width of the images whose pixels are the columns.

    Raises
    ------
    ValueError
        The table has no rows.
    """

    source: str
    columns: Mapping[str, Strings | Numbers]
    rows: int
    lines: Sequence[int] | None = None
    alike: bool = False
    spelling: Spelling = PLAIN
    notes: tuple[str, ...] = ()
    whole: "Table | None" = None
    shape: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if not self.rows:
            raise ValueError(f"{self.source} has no rows")

    def __repr__(self) -> str:
        shape = f"{checks.count(self.rows, 'row')} of {checks.count(len(self.columns), 'column')}"
        return f"Table({self.source!r}, {shape}: {listed(self.columns, SHOWN)})"

    def column(self, name: str) -> Strings | Numbers:
        """Returns the column of this name; raises ValueError if there is none, and TypeError if the name is not a string."""
        name = column_name("name", name)
        if name not in self.columns:
            hint = ""
            if len(self.columns) == 1 and self.lines is not None:
                hint = "; if another character separates the columns, use separator (--separator)"
            elif sum(each.startswith("column ") for each in self.columns) > len(self.columns) / 2:
                hint = "; if the first line is a title, remove the lines before the names of the columns"
            elif any(number(each) is not None for each in self.columns):
                hint = "; if the first line contains values instead of names, use header=False (--no-header)"
            raise ValueError(
                f"{self.source} has no column {name!r}{checks.suggestion(name, self.columns)}; "
                f"its columns are {listed(self.columns)}{hint}"
            )
        return self.columns[name]

    @cached_property
    def values(self) -> dict[str, frozenset[str]]:
        """Maps a column's name to the words, such as NA, that are ordinary values of this column instead of missing values.

        A word such as NA is an ordinary value of a column of strings if this column contains no other word for a missing value,
        and no column of numbers or booleans contains the word. If the user listed the words for a missing value, none of them
        is an ordinary value.
        """
        if self.whole is not None:
            return self.whole.values
        found: dict[str, frozenset[str]] = {}
        missing: set[str] = set()
        for name, column in self.columns.items():
            if isinstance(column, Strings) and column.words and self.spelling.missing is None:
                if _has_strings(column):
                    found[name] = column.words
                else:
                    missing |= column.words
        return {name: words for name, words in found.items() if len(words) == 1 and words <= WORDS - missing}

    def is_missing(self, name: str) -> NDArray[np.bool_]:
        """Returns a boolean array (n,) that is True for each missing value of a column."""
        return self.column(name).is_missing(self.values.get(name, ()))

    def take(self, rows: Sequence[int] | NDArray[np.integer]) -> "Table":
        """Returns a table that contains only the given rows; raises ValueError if no row is given."""
        lines = None if self.lines is None else [self.lines[row] for row in rows]
        columns = {name: column.take(rows) for name, column in self.columns.items()}
        return Table(self.source, columns, len(rows), lines, self.alike, self.spelling, self.notes, self, self.shape)

    def error(self, name: str, row: int | np.integer, message: str) -> ValueError:
        """Returns a ValueError about the cell in column `name` and row `row`.

        `row` counts from 0; the message counts rows from 1.
        """
        line = "" if self.lines is None else f" (line {self.lines[int(row)]})"
        return ValueError(f"{self.source}, column {name!r}, row {row + 1}{line}: {message}")


def column_name(argument: str, value: Any) -> str:
    """Returns the name of a column as a str; raises TypeError if the value is not a string.

    If the value is a list of one name, or a column such as a pandas Series, the error message suggests the name.
    """
    if isinstance(value, str):
        return str(value)
    plain = isinstance(value, str | bytes | int | float | list | tuple | None)
    given = checks.shown(value) if plain else f"an object of type {type(value).__name__}"
    name = value[0] if isinstance(value, list | tuple) and len(value) == 1 else getattr(value, "name", None)
    hint = f": pass {str(name)!r}" if isinstance(name, str) else ""
    raise TypeError(f"{argument} must be the name of a column, which is a string, not {given}{hint}")


def names_in(argument: str, names: Iterable[str]) -> tuple[str, ...]:
    """Returns names of columns as a tuple; a single string is one name, not a list of letters.

    Raises TypeError, with the name of the argument, if `names` is not a list of strings.
    """
    try:
        values = (names,) if isinstance(names, str) else tuple(names)
    except TypeError:
        raise TypeError(f"{argument} must be a list of names of columns, not {checks.shown(names)}") from None
    return tuple(column_name(f"each item of {argument}", value) for value in values)


def _has_strings(column: Strings) -> bool:
    """Returns True if at least one value of the column is not missing, is not a number, and is neither true nor false."""
    wrong = np.isnan(column.numbers) & ~column.missing
    return any(str(column.strings[row]).strip().lower() not in ("true", "false") for row in np.flatnonzero(wrong))

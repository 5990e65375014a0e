"""A table in memory: named columns of texts or numbers, and for each row the line of the file in which the row begins."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

# Texts that mean a missing value in files written by pandas, R, SQL and spreadsheets.
MISSING = frozenset({"", "NA", "N/A", "n/a", "NaN", "nan", "<NA>", "#N/A", "NULL", "null", "None"})


def number(text: str) -> float | None:
    """Returns the text as a number, or None if it is not a number; 1_000 and nan do not count as numbers."""
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) or "_" in text else value


@dataclass(frozen=True)
class Texts:
    """A column of texts; None stands for a missing value.

    Parameters
    ----------
    texts : list of str or None
    typed : bool
        True if the file declares the column as text, so that texts that look like numbers stay texts.
    """

    texts: list[str | None]
    typed: bool = False

    @cached_property
    def missing(self) -> NDArray[np.bool_]:
        """A boolean array (n,) that is True for each missing value."""
        if None not in self.texts:
            return np.zeros(len(self.texts), bool)
        return np.array([text is None for text in self.texts])

    @cached_property
    def numbers(self) -> NDArray[np.float64]:
        """The column as a float64 array (n,), with NaN for each text that is missing or not a number."""
        texts = cast("list[str]", self.texts)  # a None among them raises TypeError
        try:
            if "_" not in "".join(texts):
                return np.fromiter(map(float, texts), float, len(texts))
        except (ValueError, TypeError):  # some text is missing or not a number
            pass
        values = {text: math.nan if text is None or (value := number(text)) is None else value for text in set(self.texts)}
        return np.fromiter(map(values.__getitem__, self.texts), float, len(self.texts))


@dataclass(frozen=True)
class Numbers:
    """A column of real numbers or booleans.

    Parameters
    ----------
    array : ndarray, (n,)
    absent : ndarray of bool, (n,), optional
        True for each missing value of `array`. NaN counts as a missing value in any case.
    """

    array: NDArray[Any]
    absent: NDArray[np.bool_] | None = None

    @cached_property
    def texts(self) -> list[str | None]:
        """The values as texts, with None for each missing value."""
        written = [str(value).lower() if value is True or value is False else str(value) for value in self.array.tolist()]
        return [None if missing else text for text, missing in zip(written, self.missing, strict=True)]

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


@dataclass(frozen=True)
class Table:
    """Named columns of the same length.

    Parameters
    ----------
    source : str
        Name of the table in error messages.
    columns : dict of str to Texts or Numbers
    rows : int
        Number of rows.
    lines : sequence of int, optional
        For each row, the line of the file in which the row begins.
    alike : bool
        True if all columns have the same kind of values, like the pixels of an image, and are thus standardised together.

    Raises
    ------
    ValueError
        The table has no rows.
    """

    source: str
    columns: Mapping[str, Texts | Numbers]
    rows: int
    lines: Sequence[int] | None = None
    alike: bool = False

    def __post_init__(self) -> None:
        if not self.rows:
            raise ValueError(f"{self.source} has no rows")

    def column(self, name: str) -> Texts | Numbers:
        """Returns the column of this name; raises ValueError if the table has no column of this name."""
        if name not in self.columns:
            raise ValueError(f"{self.source} has no column {name!r}; its columns are {listed(self.columns)}")
        return self.columns[name]

    def error(self, name: str, row: int, message: str) -> ValueError:
        """Returns an error about the cell in a column and a row; `row` counts from 0, but the message counts from 1."""
        line = "" if self.lines is None else f" (line {self.lines[row]})"
        return ValueError(f"{self.source}, column {name!r}, row {row + 1}{line}: {message}")


def listed(names: Iterable[str], most: int = 20) -> str:
    """Returns the first `most` names, separated by commas for an error message, and the number of further names."""
    names = list(names)
    return ", ".join(map(repr, names[:most])) + (f" and {len(names) - most} more" if len(names) > most else "")

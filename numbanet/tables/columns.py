"""A table as its file has it: columns by name, of texts or of numbers, and where in the file a row is."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

# What stands for a missing value in files of pandas, R, SQL and spreadsheets.
MISSING = frozenset({"", "NA", "N/A", "n/a", "NaN", "nan", "<NA>", "#N/A", "NULL", "null", "None"})


def number(text: str) -> float | None:
    """The number that a text is, if it is one; 1_000 and nan are none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) or "_" in text else value


@dataclass(frozen=True)
class Texts:
    """A column of texts, None where one is missing.

    Parameters
    ----------
    texts : list of str or None
    typed : bool
        Whether the file says that they are texts, so that they are no numbers even where they look like some.
    """

    texts: list[str | None]
    typed: bool = False

    @cached_property
    def missing(self) -> np.ndarray:
        """Whether each is missing, (n,)."""
        if None not in self.texts:
            return np.zeros(len(self.texts), bool)
        return np.array([text is None for text in self.texts])

    @cached_property
    def numbers(self) -> np.ndarray:
        """As float64, (n,): NaN where a text is missing or is no number."""
        try:
            if "_" not in "".join(self.texts):
                return np.fromiter(map(float, self.texts), float, len(self.texts))
        except (ValueError, TypeError):  # a text that is no number, or none
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
        Which are missing; NaN is missing in any case.
    """

    array: np.ndarray
    absent: np.ndarray | None = None

    @cached_property
    def texts(self) -> list[str | None]:
        """As they would be written, None where one is missing."""
        written = [str(value).lower() if value is True or value is False else str(value) for value in self.array.tolist()]
        return [None if gone else text for text, gone in zip(written, self.missing, strict=True)]

    @cached_property
    def missing(self) -> np.ndarray:
        """Whether each is missing, (n,)."""
        gone = np.isnan(self.array) if self.array.dtype.kind == "f" else np.zeros(self.array.shape, bool)
        return gone if self.absent is None else gone | self.absent

    @property
    def numbers(self) -> np.ndarray:
        """As float64, (n,), NaN where one is missing."""
        values = self.array.astype(np.float64)
        if self.absent is not None:
            values[self.absent] = math.nan
        return values


@dataclass(frozen=True)
class Table:
    """Columns of the same length, by name.

    Parameters
    ----------
    source : str
        What errors call it.
    columns : dict of str to Texts or Numbers
    rows : int
    lines : sequence of int, optional
        In which line of the file each row begins.
    alike : bool
        Whether all numbers are of one kind, as the pixels of images are, so that they are standardised together.
    """

    source: str
    columns: dict[str, Texts | Numbers]
    rows: int
    lines: Sequence[int] | None = None
    alike: bool = False

    def __post_init__(self):
        if not self.rows:
            raise ValueError(f"{self.source} has no rows")

    def column(self, name: str) -> Texts | Numbers:
        """The column of that name; ValueError where there is none."""
        if name not in self.columns:
            raise ValueError(f"{self.source} has no column {name!r}; it has {listed(self.columns)}")
        return self.columns[name]

    def error(self, name: str, row: int, what: str) -> ValueError:
        """An error about one cell; rows count from 0 here, from 1 in the message."""
        line = "" if self.lines is None else f" (line {self.lines[row]})"
        return ValueError(f"{self.source}, column {name!r}, row {row + 1}{line}: {what}")


def listed(names, most: int = 20) -> str:
    """Names for a message, the first ones where there are many."""
    names = list(names)
    return ", ".join(map(repr, names[:most])) + (f" and {len(names) - most} more" if len(names) > most else "")

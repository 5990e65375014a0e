"""The spelling of numbers and of missing values in the cells of a text file."""

import functools
import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

# Texts that mean a missing value in files written by pandas, R, SQL and spreadsheets.
MISSING = frozenset({"", "NA", "N/A", "n/a", "NaN", "nan", "<NA>", "#N/A", "NULL", "null", "None"})
# Those of them that can also be values of a column of texts, such as the country code of Namibia.
WORDS = frozenset({"NA", "N/A", "n/a", "NULL", "null", "None"})
WHOLE = re.compile(r"([+-]?\d+)(?:\.0*)?")
MOST_DIGITS = 300  # of an integer that is compared exactly; Python refuses to read integers of more than 4300 digits


def number(text: str) -> float | None:
    """Returns the text as a number, or None if it is not a number; 1_000 and nan do not count as numbers."""
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) or "_" in text else value


@dataclass(frozen=True)
class Spelling:
    """How a file spells numbers and missing values.

    Parameters
    ----------
    decimal : str
        The character before the fraction of a number.
    thousands : str, optional
        The character between groups of digits, such as the comma in 1,000,000. A space stands for every kind of space.
    missing : collection of str, optional
        The texts that mean a missing value, besides the empty text, which always means it. By default these are the texts in
        `MISSING`.

    Raises
    ------
    ValueError, TypeError
        decimal or thousands is not a single character that numbers can contain, or both are the same.
    """

    decimal: str = "."
    thousands: str | None = None
    missing: frozenset[str] | None = None

    def __post_init__(self) -> None:
        for name, value in (("decimal", self.decimal), ("thousands", self.thousands)):
            if value is not None and (not isinstance(value, str) or len(value) != 1 or value.isalnum() or value in '+-"'):
                raise ValueError(f"{name} must be a single character, neither a letter, a digit nor a sign, not {value!r}")
        if self.decimal == self.thousands:
            hint = "; use decimal=',' (--decimal ,) for numbers such as 1.234,5" if self.decimal == "." else ""
            raise ValueError(f"decimal and thousands must be different characters, not both {self.decimal!r}{hint}")
        if isinstance(self.missing, str):
            raise TypeError(f"missing must be a list of texts, such as [{self.missing!r}], not the text {self.missing!r}")
        if self.missing is not None:
            object.__setattr__(self, "missing", frozenset(map(str, self.missing)) | {""})

    @property
    def is_plain(self) -> bool:
        """True if numbers have a decimal point and no separator of thousands."""
        return self.decimal == "." and self.thousands is None

    def plain(self, text: str) -> str | None:
        """Returns a number with a decimal point and without separators of thousands; None if the text is not a number."""
        if self.is_plain:
            return text
        if not _pattern(self.decimal, self.thousands).fullmatch(text):
            return None
        digits = [c for c in text if c != self.thousands and not (c.isspace() and self.thousands == " ")]
        return "".join("." if c == self.decimal else c for c in digits)

    def number(self, text: str) -> float | None:
        """Returns the text as a number, or None if it is not a number in this spelling."""
        plain = self.plain(text)
        return None if plain is None else number(plain)

    def value(self, text: str) -> float | None:
        """Returns the number as an int if it is whole, exact for any number of digits, or as a float; None if it is not one."""
        plain = self.plain(text)
        if plain is None:
            return None
        whole = WHOLE.fullmatch(plain.strip())
        return int(whole[1]) if whole and len(whole[1]) <= MOST_DIGITS else number(plain)

    def missing_among(self, texts: Iterable[str | None], typed: bool) -> frozenset[str]:
        """Returns those of the texts that mean a missing value.

        Parameters
        ----------
        texts : iterable of str or None
        typed : bool
            True if the file has a mark of its own for missing values, so that only the texts in `missing` mean them, too.
        """
        if self.missing is None:
            return frozenset() if typed or MISSING.isdisjoint(texts) else MISSING & set(texts)
        numbers = {self.value(text) for text in self.missing} - {None}
        different = {text for text in set(texts) if text is not None}
        return frozenset(t for t in different if t in self.missing or (numbers and self.value(t) in numbers))

    def to_dict(self) -> dict[str, Any]:
        """Returns the spelling as a dict that JSON can hold."""
        missing = None if self.missing is None else sorted(self.missing)
        return {"decimal": self.decimal, "thousands": self.thousands, "missing": missing}

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> "Spelling":
        """Returns the spelling from a dict of `to_dict`; an invalid dict raises ValueError or TypeError."""
        return cls(**entries)


PLAIN = Spelling()


@functools.cache
def _pattern(decimal: str, thousands: str | None) -> re.Pattern[str]:
    """Returns the pattern of numbers; groups after the first one have three digits, or two as in India, and the last three."""
    d = re.escape(decimal)
    group = None if thousands is None else r"[ \u00a0\u202f]" if thousands == " " else re.escape(thousands)
    whole = r"\d+" if group is None else rf"(?:\d{{1,3}}(?:{group}\d{{2,3}})*{group}\d{{3}}|\d+)"
    return re.compile(rf"\s*[+-]?(?:{whole}(?:{d}\d*)?|{d}\d+)(?:[eE][+-]?\d+)?\s*")


# Spellings that a message may recommend, in the order in which they are tried.
COMMON = [Spelling(",")] + [Spelling(d, t) for d, t in ((".", ","), (",", "."), (".", " "), (",", " "), (".", "'"))]


def fitting(texts: Collection[str]) -> list[Spelling]:
    """Returns the simplest common spellings in which all texts are numbers: several if it is unclear, none if there is none.

    1,500 may have a decimal comma, or a separator of thousands.
    """
    fits = [spelling for spelling in COMMON if all(spelling.number(text) is not None for text in texts)]
    simple = [spelling for spelling in fits if spelling.decimal == "." or spelling.thousands is None]
    return simple[:2] or fits[:1]

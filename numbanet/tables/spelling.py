"""The spelling of numbers and of missing values in the cells of a text file."""

import functools
import math
import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from numbanet import checks

# Strings that mean a missing value in files written by pandas, R, SQL and spreadsheets.
MISSING = frozenset({"", "NA", "N/A", "n/a", "NaN", "nan", "<NA>", "#N/A", "NULL", "null", "None"})
# The strings in MISSING that can also be ordinary values of a column, such as NA, the country code of Namibia.
WORDS = frozenset({"NA", "N/A", "n/a", "NULL", "null", "None"})
WHOLE = re.compile(r"([+-]?\d+)(?:\.0*)?")
MINUS = "\u2212"
UNIT = re.compile(r"\s*[+-]?\d[\d.,]*\s*([^\W\d_]+)\s*")
MOST_DIGITS = 300  # an integer with more digits is read as a float, because Python limits the digits of an int to 4300


def number(text: str) -> float | None:
    """Converts a string to a number, or returns None if the string is not a number. 1_000 and nan do not count as numbers."""
    try:
        value = float(text)
    except ValueError:
        return None
    return None if math.isnan(value) or "_" in text else value


@dataclass(frozen=True)
class Spelling:
    """The spelling of numbers and missing values in a file.

    Parameters
    ----------
    decimal : str
        The character before the fraction of a number.
    thousands : str, optional
        The character between groups of digits, such as the comma in 1,000,000. A space also stands for non-breaking spaces.
    missing : collection of str, optional
        The strings that mean a missing value, in addition to the empty string. By default, the strings in `MISSING` mean a
        missing value.

    Raises
    ------
    ValueError, TypeError
        decimal or thousands is not a single character, or is a letter, a digit, a sign or a quotation mark; decimal and
        thousands are the same character; or missing is a single string instead of a list.
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
            raise TypeError(f"missing must be a list of strings, such as [{self.missing!r}], not the string {self.missing!r}")
        if self.missing is not None and not isinstance(self.missing, Iterable):
            raise TypeError(f"missing must be a list of strings, not {checks.shown(self.missing)}")
        if self.missing is not None:
            object.__setattr__(self, "missing", frozenset(map(str, self.missing)) | {""})

    @property
    def is_plain(self) -> bool:
        """True if numbers have a decimal point and no thousands separator."""
        return self.decimal == "." and self.thousands is None

    def plain(self, text: str) -> str | None:
        """Rewrites a number with a decimal point and no thousands separators; returns None if the string is not a number."""
        if self.is_plain:
            return text
        if not _pattern(self.decimal, self.thousands).fullmatch(text):
            return None
        digits = [c for c in text if c != self.thousands and not (c.isspace() and self.thousands == " ")]
        return "".join("." if c == self.decimal else c for c in digits)

    def number(self, text: str) -> float | None:
        """Converts a string to a number; returns None if the string is not a number in this spelling."""
        plain = self.plain(text)
        return None if plain is None else number(plain)

    def value(self, text: str) -> float | None:
        """Converts a whole number to an exact int, and any other number to a float; returns None for all other strings."""
        plain = self.plain(text)
        if plain is None:
            return None
        whole = WHOLE.fullmatch(plain.strip())
        return int(whole[1]) if whole and len(whole[1]) <= MOST_DIGITS else number(plain)

    def missing_among(self, strings: Iterable[str | None], typed: bool) -> frozenset[str]:
        """Returns the strings in a column that mean a missing value.

        Parameters
        ----------
        strings : iterable of str or None
        typed : bool
            True if the file format itself marks missing values. If `typed` is True, a string means a missing value only if the
            user listed the string in `missing`.
        """
        if self.missing is None:
            return frozenset() if typed or MISSING.isdisjoint(strings) else MISSING & set(strings)
        numbers = {self.value(text) for text in self.missing} - {None}
        different = {text for text in set(strings) if text is not None}
        return frozenset(t for t in different if t in self.missing or (numbers and self.value(t) in numbers))

    def to_dict(self) -> dict[str, Any]:
        """Returns the spelling as a JSON-serializable dict."""
        missing = None if self.missing is None else sorted(self.missing)
        return {"decimal": self.decimal, "thousands": self.thousands, "missing": missing}

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> "Spelling":
        """Returns the spelling that `to_dict` converted to a dict; raises ValueError or TypeError if the dict is invalid."""
        return cls(**entries)


PLAIN = Spelling()


@functools.cache
def _pattern(decimal: str, thousands: str | None) -> re.Pattern[str]:
    """Returns the regular expression for numbers with the given decimal and thousands characters.

    The last group of digits must have three digits; the other groups may have two, as in the number 1,00,000.
    """
    d = re.escape(decimal)
    group = None if thousands is None else r"[ \u00a0\u202f]" if thousands == " " else re.escape(thousands)
    whole = r"\d+" if group is None else rf"(?:\d{{1,3}}(?:{group}\d{{2,3}})*{group}\d{{3}}|\d+)"
    return re.compile(rf"\s*[+-]?(?:{whole}(?:{d}\d*)?|{d}\d+)(?:[eE][+-]?\d+)?\s*")


# The spellings that an error message may recommend, in the order in which `fitting` tries them.
PAIRS = (".", ","), (",", "."), (".", " "), (",", " "), (".", "'"), (".", "\u2019")  # (decimal, thousands)
COMMON = [Spelling(","), *(Spelling(decimal, thousands) for decimal, thousands in PAIRS)]


def fitting(strings: Collection[str]) -> list[Spelling]:
    """Returns the simplest spellings in `COMMON` in which all strings are numbers: one, two, or none if none fits.

    The function returns two spellings if the strings are ambiguous: 1,500 may contain a decimal comma or a thousands separator.
    """
    fits = [spelling for spelling in COMMON if all(spelling.number(text) is not None for text in strings)]
    simple = [spelling for spelling in fits if spelling.decimal == "." or spelling.thousands is None]
    return simple[:2] or fits[:1]


def odd_sign(text: str) -> str | None:
    """Returns advice for an error message if `text` is a number with a sign that numbanet does not read, otherwise None.

    The signs that numbanet does not read are percent and currency signs, parentheses around a negative number, a minus sign at
    the end, and the typographic minus sign.
    """
    plain = "".join(text.split())
    signs = {c for c in plain if c in "%‰" or unicodedata.category(c) == "Sc"}
    if len(signs) == 1 and _is_number(plain.replace(sign := signs.pop(), "")):
        return f"a number with the sign {sign!r}: remove the sign from all cells of the column"
    if MINUS in plain and _is_number(plain.replace(MINUS, "-")):
        return f"a number with the minus sign {MINUS!r}: replace it with '-' in all cells of the column"
    enclosed = plain.startswith("(") and plain.endswith(")")
    if enclosed or plain.endswith("-"):
        rest = plain[1:-1] if enclosed else plain[:-1]
        if rest[:1].isdigit() and _is_number(rest):
            return f"a number whose sign is not in front of it: write -{rest} instead, in all cells of the column"
    return None


def are_odd_numbers(strings: Collection[str]) -> bool:
    """Returns True if all strings are numbers, and at least one has a sign that numbanet does not read (see `odd_sign`)."""
    return any(map(odd_sign, strings)) and all(odd_sign(text) or _is_number(text) for text in strings)


def _is_number(text: str) -> bool:
    return any(spelling.number(text) is not None for spelling in (PLAIN, *COMMON))


def unit_of(strings: Collection[str]) -> str | None:
    """Returns the unit, such as kg, if every string is a number followed by the same letters; otherwise returns None."""
    matches = [UNIT.fullmatch(text) for text in strings]
    units = {None if match is None else match[1] for match in matches}
    return units.pop() if len(units) == 1 else None

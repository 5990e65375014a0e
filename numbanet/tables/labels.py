"""Finds and compares labels, which are the distinct values of a column of categories or classes.

If all labels of a column are numbers, they are compared as numbers, so that 1 and 1.0 are the same label. If all labels are
true or false, in any capitalisation, they are compared as booleans. Other labels are compared as strings, without blanks at
their ends. If any label in a column is a code (several digits of which the first is 0, such as 007), all labels of the column
are compared as strings.
"""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable

import numpy as np
from numpy.typing import NDArray

from numbanet import checks
from numbanet.checks import listed
from numbanet.tables.columns import Numbers, Strings, Table
from numbanet.tables.spelling import PLAIN, Spelling

BOOLEANS = {"true": 1.0, "false": 0.0}
CODE = re.compile(r"\s*[+-]?0\d+\s*")
UNKNOWN = ("error", "ignore")
MISSING, OTHER = -1, -2  # the indices that stand for a missing value and for an unknown label

Key = Callable[[str, Spelling], Hashable]  # returns None for a string that it cannot convert


def _as_number(text: str, spelling: Spelling) -> float | None:
    return spelling.value(text)


def _as_boolean(text: str, spelling: Spelling) -> float | None:
    return BOOLEANS.get(text.strip().lower())


def _as_text(text: str, spelling: Spelling) -> str:
    return text.strip() or text


def key_of(labels: Iterable[str], spelling: Spelling = PLAIN) -> Key:
    """Returns a function that converts a label to the value that represents it in comparisons: a number, boolean or string.

    `spelling` contains the decimal and thousands separators with which a string is a number.
    """
    labels = list(labels)
    if all(_as_boolean(label, spelling) is not None for label in labels):
        return _as_boolean
    if all(spelling.value(label) is not None and not CODE.fullmatch(label) for label in labels):
        return _as_number
    return _as_text


def labels_of(table: Table, name: str) -> tuple[str, ...]:
    """Returns the distinct labels of a column in alphabetical order, or in numerical order if all are numbers.

    If a label has several spellings, such as 1 and 1.0, the most frequent spelling is returned. If the table has a decimal
    comma or a thousands separator, labels that are numbers are returned with a decimal point and without thousands separators.
    """
    column = table.column(name)
    counts = Counter(column.strings)
    for word in (None, *column.words):
        if word not in table.values.get(name, ()):
            counts.pop(word, None)
    strings: list[str] = [text for text in counts if text is not None]
    key = key_of(strings, column.spelling)
    spellings: dict[Hashable, list[str]] = {}
    for text in strings:
        spellings.setdefault(key(text, column.spelling), []).append(text)
    if key is _as_number and not column.spelling.is_plain:
        return tuple(_spelled(value) for value in sorted(spellings))  # type: ignore[type-var]
    chosen = {k: min(same, key=lambda text: (-counts[text], text)) for k, same in spellings.items()}
    if key is _as_number:
        return tuple(chosen[value] for value in sorted(chosen))  # type: ignore[type-var]
    return tuple(sorted(text.strip() or text for text in chosen.values()))


def _spelled(value: Hashable) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def indices(table: Table, name: str, labels: tuple[str, ...], noun: str, unknown: str = "error") -> NDArray[np.intp]:
    """Returns the index of each value of a column in the list of labels.

    Parameters
    ----------
    table : Table
    name : str
        Name of the column.
    labels : tuple of str
        The known labels.
    noun : str
        The word for a label in error messages, such as "category".
    unknown : {"error", "ignore"}
        The treatment of a value that is not a known label: "error" raises ValueError, "ignore" gives the value the index
        `OTHER`.

    Returns
    -------
    ndarray of int, (n,)
        The index of each value's label; a missing value has the index `MISSING`.
    """
    column = table.column(name)
    index = _exact(column, labels)
    try:
        return np.fromiter(map(index.__getitem__, column.strings), np.intp, len(column.strings))
    except KeyError:  # a string is missing, is unknown, or has another spelling than its label
        pass
    key = key_of(labels)
    by_key = {key(label, PLAIN): k for k, label in enumerate(labels)}
    others = set()
    for text in set(column.strings) - index.keys():
        if text is not None:
            index[text] = by_key.get(key(text, column.spelling), MISSING if text in column.words else OTHER)
            if index[text] == OTHER:
                others.add(text)
    if others and checks.choice("unknown", unknown, UNKNOWN) == "error":
        row = next(row for row, text in enumerate(column.strings) if text in others)
        remedy = "" if noun == "class" else "; to encode unknown categories as zeros, use unknown='ignore' (--unknown ignore)"
        raise table.error(name, row, f"unknown {noun} {column.strings[row]!r}; known are {listed(labels)}{remedy}")
    return np.fromiter(map(index.__getitem__, column.strings), np.intp, len(column.strings))


def _exact(column: Strings | Numbers, labels: tuple[str, ...]) -> dict[str | None, int]:
    """Returns a dict that maps labels to indices, and None and strings that the user declared as missing to `MISSING`."""
    index: dict[str | None, int] = {None: MISSING}
    if column.spelling.is_plain:  # with a thousands separator, the string 1.500 may mean 1500
        index |= {label: k for k, label in enumerate(labels)}
    if column.spelling.missing is not None:
        index |= dict.fromkeys(column.words, MISSING)
    return index

"""Converts DataFrames to NumPy arrays, column by column: those of pandas and polars, and tables of pyarrow.

The module recognises a DataFrame by its attributes, and imports none of these libraries.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from numbanet.inputs import foreign, objects

NUMBERS = "biuf"  # NumPy's kinds of dtypes that are real numbers or booleans


def is_frame(value: Any) -> bool:
    """Returns True for a DataFrame of pandas, polars or a library with the same methods, and for a table of pyarrow.

    A LazyFrame of polars counts as a DataFrame too, so that `columns` can say how to compute its rows.
    """
    kind = type(value)
    return hasattr(kind, "columns") and any(hasattr(kind, name) for name in ("iloc", "iter_columns", "column_names", "collect"))


def columns_of(value: Any) -> Sequence[Any]:
    """Returns the names of the columns of a DataFrame, and an empty list for any other value."""
    if not is_frame(value):
        return []
    return list(value.column_names if hasattr(value, "column_names") else value.columns)


def columns(name: str, frame: Any) -> list[Any]:
    """Returns the columns of a DataFrame: NumPy arrays if pandas holds numbers in them, else Series or arrays of pyarrow.

    Raises
    ------
    TypeError
        The value describes a query whose rows are not computed yet.
    """
    if hasattr(type(frame), "collect"):
        raise TypeError(
            f"{name} is a {type(frame).__name__}, which describes a query, not rows: pass a DataFrame, in polars by collect()"
        )
    if not hasattr(frame, "iloc"):
        return list(frame.iter_columns() if hasattr(frame, "iter_columns") else frame.columns)
    kinds, found = list(frame.dtypes), {}
    for kind in set(filter(_is_plain, kinds)):  # thousands of columns at once, because a Series of each would take seconds
        places = [j for j, other in enumerate(kinds) if other == kind]
        found |= zip(places, frame.iloc[:, places].to_numpy().T, strict=True)
    others = [j for j in range(len(kinds)) if j not in found]
    found |= {j: column for j, (_, column) in zip(others, frame.iloc[:, others].items(), strict=True)}
    return [found[j] for j in range(len(kinds))]


def _is_plain(kind: Any) -> bool:
    """Returns True if a dtype is NumPy's, of real numbers or booleans."""
    return isinstance(kind, np.dtype) and kind.kind in NUMBERS


def has_categories(column: Any) -> bool:
    """Returns True if a column is categorical: its numbers, if any, are names rather than quantities."""
    kind = column.dtype if hasattr(column, "dtype") else column.type
    return hasattr(kind, "categories") or hasattr(kind, "dictionary") or hasattr(kind, "index_type")


def real_array(name: str, frame: Any, remedy: str) -> np.ndarray:
    """Returns a DataFrame of real numbers and booleans as an array (n, columns); NaN stands for a missing number.

    Parameters
    ----------
    name : str
        Name of the DataFrame in error messages.
    frame : DataFrame
    remedy : str
        The end of the error message about texts, which says how to convert them.

    Raises
    ------
    TypeError, ValueError
        A column does not contain real numbers; the message names the column.
    """
    kinds = set(frame.dtypes) if hasattr(frame, "iloc") else set()
    if kinds and all(map(_is_plain, kinds)):
        return frame.to_numpy(dtype=np.result_type(*kinds))  # pandas would make objects of numbers and booleans together
    found = columns(name, frame)
    known = columns_of(frame)
    arrays = [_column(name, j, known, column, remedy) for j, column in enumerate(found)]
    return np.column_stack(arrays) if arrays else np.empty(frame.shape)


def _column(name: str, j: int, known: Sequence[Any], column: Any, remedy: str) -> np.ndarray:
    """Returns column j of a DataFrame as an array (n,) of real numbers."""
    title = f"column {known[j]!r} of {name}"
    if isinstance(column, np.ndarray):
        return column
    if has_categories(column):
        raise TypeError(f"{title} is categorical: encode it first, for example with {objects.ENCODERS}")
    array = foreign.as_array(title, column)
    if array.dtype.kind in "OUST":
        return objects.real_numbers(name, array.astype(object), remedy, lambda index: objects.cell(name, (*index, j), known))
    if array.dtype.kind not in NUMBERS:
        remedy = ": convert dates and times to numbers first" if array.dtype.kind in "mM" else ""
        raise TypeError(f"{title} must contain real numbers, but its dtype is {array.dtype}{remedy}")
    if array.ndim != 1:
        raise ValueError(f"{title} has several values in each row: make a column of each")
    return array

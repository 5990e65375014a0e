"""Converts DataFrames of pandas and polars, and pyarrow tables, to NumPy arrays, column by column.

The module recognises a DataFrame by its attributes, and does not import pandas, polars or pyarrow.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from numbanet import checks
from numbanet.inputs import foreign, objects

NUMBERS = "biuf"  # values of numpy.dtype.kind for real numbers and booleans


def is_frame(value: Any) -> bool:
    """Returns True for a DataFrame of pandas, polars or a library with the same methods, and for a pyarrow table.

    The function also returns True for a polars LazyFrame, for which `columns` then raises an error that says how to compute the
    rows.
    """
    kind = type(value)
    return hasattr(kind, "columns") and any(hasattr(kind, name) for name in ("iloc", "iter_columns", "column_names", "collect"))


def columns_of(value: Any) -> Sequence[Any]:
    """Returns a DataFrame's column names. For a value that is not a DataFrame, returns an empty list."""
    if not is_frame(value):
        return []
    return list(value.column_names if hasattr(value, "column_names") else value.columns)


def names_of(value: Any) -> tuple[str, ...] | None:
    """Returns a DataFrame's column names; returns None if a name is not a string, or if the value is not a DataFrame."""
    if isinstance(value, np.ndarray) or hasattr(type(value), "collect"):  # a LazyFrame; `columns` raises an error
        return None
    names = tuple(columns_of(value))
    return names if names and all(isinstance(name, str) for name in names) else None


def refuse_other_columns(name: str, value: Any, known: tuple[str, ...] | None, attribute: str = "columns") -> None:
    """Raises ValueError if the value is a DataFrame whose column names are not the names `known` in the same order.

    Parameters
    ----------
    name : str
        The value's name in error messages.
    value
        Values other than DataFrames are not checked.
    known : tuple of str, optional
        The column names of the DataFrame on which the network was trained, or None if the network has not been trained on a
        DataFrame.
    attribute : str
        The attribute of `Network` that contains the names.
    """
    names = None if known is None else names_of(value)
    if known is None or names is None or names == known:
        return
    symbol = name.partition(" ")[0]
    if sorted(names) == sorted(known):
        raise ValueError(
            f"{name} has the columns {checks.listed(names)}, but the network was trained on the same columns in another order, "
            f"{checks.listed(known)}: select the columns in this order, in pandas and polars by {symbol}[net.{attribute}]"
        )
    lacking, others = ([each for each in one if each not in two] for one, two in ((known, names), (names, known)))
    hints = "".join(f"; for {each!r}{hint}" for each in lacking[:20] if (hint := checks.suggestion(each, others)))
    parts = [f"lacks {checks.listed(lacking)}"] * bool(lacking) + [f"also has {checks.listed(others)}"] * bool(others)
    raise ValueError(
        f"{name} has other columns than the DataFrame on which the network was trained: {name} "
        f"{' and '.join(parts) or 'repeats a column'}{hints}; pass a DataFrame with the columns net.{attribute} in the same "
        f"order or, if only the names differ, an array without names (in pandas and polars, {symbol}.to_numpy())"
    )


def columns(name: str, frame: Any) -> list[Any]:
    """Returns a DataFrame's columns as a list.

    A pandas column with a NumPy dtype of numbers or booleans is returned as a NumPy array. Any other column is returned as a
    Series (pandas, polars) or as a pyarrow array.

    Raises
    ------
    TypeError
        The value is a query, such as a polars LazyFrame, whose rows have not been computed.
    """
    if hasattr(type(frame), "collect"):
        raise TypeError(
            f"{name} is a {type(frame).__name__}, which describes a query, not rows: pass a DataFrame, in polars by collect()"
        )
    if not hasattr(frame, "iloc"):
        return list(frame.iter_columns() if hasattr(frame, "iter_columns") else frame.columns)
    kinds, found = list(frame.dtypes), {}
    for kind in set(filter(_is_plain, kinds)):  # converts all columns of a dtype at once, which is faster than one by one
        places = [j for j, other in enumerate(kinds) if other == kind]
        found |= zip(places, frame.iloc[:, places].to_numpy().T, strict=True)
    others = [j for j in range(len(kinds)) if j not in found]
    found |= {j: column for j, (_, column) in zip(others, frame.iloc[:, others].items(), strict=True)}
    return [found[j] for j in range(len(kinds))]


def _is_plain(kind: Any) -> bool:
    """Returns True for a NumPy dtype of real numbers or booleans."""
    return isinstance(kind, np.dtype) and kind.kind in NUMBERS


def has_categories(column: Any) -> bool:
    """Returns True if a column is categorical. Numbers in a categorical column only identify categories."""
    kind = column.dtype if hasattr(column, "dtype") else column.type
    return hasattr(kind, "categories") or hasattr(kind, "dictionary") or hasattr(kind, "index_type")


def real_array(name: str, frame: Any, remedy: str) -> np.ndarray:
    """Returns a DataFrame of real numbers and booleans as an array of shape (rows, columns). Missing numbers become NaN.

    Parameters
    ----------
    name : str
        The DataFrame's name in error messages.
    frame : DataFrame
    remedy : str
        The end of the error message about strings: advice on how to convert strings to numbers.

    Raises
    ------
    TypeError, ValueError
        A column does not contain real numbers; the error message names the column.
    """
    kinds = set(frame.dtypes) if hasattr(frame, "iloc") else set()
    if kinds and all(map(_is_plain, kinds)):
        # Without an explicit dtype, pandas returns an array of objects if the columns contain numbers and booleans.
        return frame.to_numpy(dtype=np.result_type(*kinds))
    found = columns(name, frame)
    known = columns_of(frame)
    arrays = [_column(name, j, known, column, remedy) for j, column in enumerate(found)]
    return np.column_stack(arrays) if arrays else np.empty(frame.shape)


def _column(name: str, j: int, known: Sequence[Any], column: Any, remedy: str) -> np.ndarray:
    """Returns the column with index j and name known[j] of a DataFrame as an array of real numbers of shape (rows,)."""
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
        raise ValueError(f"{title} has several values in each row: make one column for each value")
    return array

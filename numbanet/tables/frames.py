"""Converts pandas and polars DataFrames and pyarrow tables to `Table` objects, without importing these libraries."""

from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import NDArray

from numbanet.inputs import foreign, frames, objects
from numbanet.tables.columns import Numbers, Strings, Table

# A pandas or polars DataFrame, or a pyarrow table.
Frame: TypeAlias = Any

ODD = bytes | complex | list | tuple | set | dict | np.ndarray


class Unreadable:
    """A column that contains neither numbers nor strings. Any use of the column raises a ValueError with the reason."""

    def __init__(self, reason: object):
        self.reason = f"{reason}; or name the column in ignore"

    def take(self, rows: Any) -> "Unreadable":
        """Returns the column unchanged, because its values cannot be read."""
        return self

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(name) if name.startswith("_") else ValueError(self.reason)


def as_table(table: Table | Frame) -> Table:
    """Returns a `Table` unchanged, and converts a DataFrame to a table with the same columns, without a pandas index.

    Strings and categories become strings that are never interpreted as numbers. Dates become strings, too;
    `numbanet.tables.learn` raises ValueError for a column of dates, as it does for dates in files.

    Raises
    ------
    TypeError
        The argument is neither a table nor a DataFrame, or the name of a column is not a string.
    ValueError
        The DataFrame has no rows, or two columns have the same name.
    """
    if isinstance(table, Table):
        return table
    if not frames.is_frame(table):
        raise TypeError(
            "table must be a Table from numbanet.tables.read, a DataFrame of pandas or polars, or a table of pyarrow, not "
            f"{type(table).__name__}"
        )
    source, columns, found = f"the {type(table).__name__}", {}, frames.columns("table", table)
    for name, column in zip(frames.columns_of(table), found, strict=True):
        if not isinstance(name, str):
            raise TypeError(f"{source} has a column named {name!r}, but names must be strings: rename it to {str(name)!r}")
        if name in columns:
            raise ValueError(f"{source} has two columns named {name!r}: rename one of them")
        columns[name] = _column(f"{source}, column {name!r}", column)
    return Table(source, columns, table.shape[0])


def _column(title: str, column: Any) -> Any:
    """Converts an array or a Series to Strings, Numbers or Unreadable; `title` names the column in error messages."""
    if isinstance(column, np.ndarray):
        return Numbers(column)
    absent, present = _parted(column)
    try:
        values = _values(title, present)
    except (TypeError, ValueError) as error:
        return Unreadable(error)
    categorical = frames.has_categories(column)
    if values.dtype.kind in frames.NUMBERS and not categorical:
        array = np.zeros(absent.size, values.dtype)
        array[~absent] = values
        return Numbers(array, absent if absent.any() else None)
    strings = np.full(absent.size, None)
    strings[~absent] = Numbers(values).strings if values.dtype.kind in frames.NUMBERS else _strings(values)
    mixed = any(map(objects.is_real, set(map(type, values.tolist()))))
    return Strings(strings.tolist(), typed=categorical or not mixed)


def _parted(column: Any) -> tuple[NDArray[np.bool_], Any]:
    """Returns a boolean array (n,) that is True for each missing value, and the column without its missing values."""
    if hasattr(column, "isna"):  # pandas
        absent = np.asarray(getattr(column, "array", column).isna(), bool)
        return absent, column.dropna() if absent.any() else column
    absent = np.asarray(column.is_null(), bool)
    return absent, column.drop_nulls() if hasattr(column, "drop_nulls") else column.drop_null()


def _values(title: str, column: Any) -> NDArray[Any]:
    """Returns the values of a column that has no missing values, as numbers, booleans, dates, or objects (usually strings)."""
    values = foreign.as_array(title, column)
    if values.ndim != 1:
        raise ValueError(f"{title}: each cell contains several values; make one column for each of the values")
    if values.dtype.kind in "mc":
        raise TypeError(f"{title}: the values have dtype {values.dtype}; convert them to real numbers")
    if values.dtype.kind == "O":
        kinds = set(map(type, values))
        if kinds and all(map(objects.is_real, kinds)):
            return objects.real_numbers(title, values, objects.ENCODE, lambda index: f"{title}, row {index[0] + 1}")
        if odd := [kind.__name__ for kind in kinds if issubclass(kind, ODD)]:
            raise TypeError(f"{title}: a value is an object of type {odd[0]}, neither a real number nor a string; convert it")
    return values


def _strings(values: NDArray[Any]) -> list[str]:
    """Converts strings, dates and other values to strings; booleans become true and false."""
    if values.dtype.kind == "M":
        return values.astype(str).tolist()
    return [str(value).lower() if isinstance(value, bool | np.bool_) else str(value) for value in values.tolist()]

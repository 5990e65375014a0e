"""Reads tables from Parquet files with pyarrow, an optional dependency that no other file format needs."""

import re
from typing import Any, BinaryIO

import numpy as np

from numbanet._extras import imported
from numbanet.files import naming
from numbanet.tables.columns import MOST_COLUMNS, Numbers, Strings, Table
from numbanet.tables.spelling import Spelling

PANDAS_INDEX = re.compile(r"__index_level_\d+__")


def read_parquet(file: BinaryIO, source: str, spelling: Spelling) -> Table:
    """Reads a table from a Parquet file that is open in binary mode; see `numbanet.tables.read`."""
    arrow, parquet = (imported(module, "tables") for module in ("pyarrow", "pyarrow.parquet"))
    with naming(source, "{} is damaged or not a Parquet file: {}"):
        table = parquet.read_table(file)
        names = [name for name in table.column_names if not PANDAS_INDEX.fullmatch(name)]
        if len(names) > MOST_COLUMNS:
            raise ValueError(f"the file has {len(names)} columns, but may have at most {MOST_COLUMNS}")
        if doubled := {name for name in names if names.count(name) > 1} if len(set(names)) < len(names) else set():
            raise ValueError(f"the file has two columns named {min(doubled)!r}")
        columns = {name: _column(table.column(name), arrow, spelling) for name in names}
    return Table(source, columns, table.num_rows, spelling=spelling)


def _column(column: Any, arrow: Any, spelling: Spelling) -> Strings | Numbers:
    """Converts a pyarrow ChunkedArray to a column: numbers stay numbers, and all other values become strings."""
    types = arrow.types
    if types.is_dictionary(column.type):
        values = column.type.value_type  # the type of the categories
        return Strings(column.cast(values).cast(arrow.string()).to_pylist(), True, spelling)
    if types.is_string(column.type) or types.is_large_string(column.type) or types.is_null(column.type):
        return Strings(column.to_pylist(), not types.is_null(column.type), spelling)
    if types.is_decimal(column.type):
        column = column.cast(arrow.float64())
    if types.is_boolean(column.type) or types.is_integer(column.type) or types.is_floating(column.type):
        absent = column.is_null().to_numpy() if column.null_count else None
        array = column.fill_null(False if types.is_boolean(column.type) else 0).to_numpy()
        return Numbers(array, with_missing(array, absent, spelling))
    return Strings([None if value is None else str(value) for value in column.to_pylist()], True, spelling)


def with_missing(array: Any, absent: Any, spelling: Spelling) -> Any:
    """Returns `absent`, the mask of missing values or None, with the numbers in `spelling.missing`, such as -999, added."""
    numbers = [value for text in spelling.missing or () if (value := spelling.value(text)) is not None]
    if not numbers or array.dtype.kind == "b":
        return absent
    named = np.isin(array, numbers)
    return named if absent is None else absent | named

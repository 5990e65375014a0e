"""Reads tables from files: CSV with Python's module csv, Parquet with pyarrow, NPZ and IDX as arrays x and y.

The module csv is part of Python, keeps every text unchanged (007 does not become 7) and knows the line of each row. pyarrow is
needed for Parquet files only.
"""

import csv
import io
import os
import re
import zipfile
from array import array
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbanet._compile import collection_paused
from numbanet._extras import imported
from numbanet.datasets.idx import read_idx
from numbanet.tables.columns import MISSING, Numbers, Table, Texts, listed, number

TEXT, PARQUET, ARRAYS = (".csv", ".tsv"), (".parquet", ".pq"), (".npz", ".npy")
SEPARATORS = (",", ";", "\t", "|")
SNIFFED_CHARACTERS, SNIFFED_ROWS = 1 << 16, 20
CHUNK_ROWS = 1 << 14
PANDAS_INDEX = re.compile(r"__index_level_\d+__")


def is_idx(path: str | os.PathLike[str]) -> bool:
    """Returns True if the file name contains "idx", as names of IDX files do, such as train-images-idx3-ubyte.gz."""
    return "idx" in Path(path).name.lower()


def is_table(path: str | os.PathLike[str]) -> bool:
    """Returns True if `read` can read files with this kind of name."""
    return Path(path).suffix.lower() in TEXT + PARQUET + ARRAYS or is_idx(path)


def read(path: str | os.PathLike[str], *, separator: str | None = None, target: str | None = None) -> Table:
    """Reads a table from a file.

    Parameters
    ----------
    path : str or path-like
        The suffix determines the format. A .csv or .tsv file is text in UTF-8, with or without a byte order mark, and its first
        line names the columns. A .parquet or .pq file is Parquet. A .npz file has an array x (n, ...) and, to train or evaluate
        with it, an array of targets (n,). A .npy file has x only. A file whose name contains "idx" has x in the format of
        MNIST. The columns of an array x are named x[0], x[1], ...
    separator : str, optional
        Character between the columns of a .csv or .tsv file. By default the separator is detected:
        comma, semicolon, tab or |.
    target : str, optional
        For a .npz file, the name of the array of targets, by default y. For an IDX file, the path of the IDX file of labels,
        which become the column y.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        The file is damaged or not a table; the message says where.
    OSError
        The file cannot be opened.
    ModuleNotFoundError
        The file is Parquet and pyarrow is not installed; the message says what to install.
    """
    suffix = Path(path).suffix.lower()
    if suffix in TEXT:
        return _text(path, separator)
    if separator is not None:
        raise ValueError(f"separator applies to .csv and .tsv files only, not to {os.fspath(path)}")
    if suffix in PARQUET:
        return _parquet(path)
    if suffix in ARRAYS:
        return _arrays(path, target or "y")
    if is_idx(path):
        return _of_arrays(os.fspath(path), read_idx(path), "y", None if target is None else read_idx(target))
    known = ", ".join((*TEXT, *PARQUET, *ARRAYS))
    raise ValueError(f"cannot read {os.fspath(path)!r}: its name must end in one of {known}, or contain idx")


# Text


def _text(path: str | os.PathLike[str], separator: str | None) -> Table:
    source = os.fspath(path)
    if separator is not None and (len(separator) != 1 or separator in '"\r\n'):
        raise ValueError(f"separator must be a single character, not {separator!r}")
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            if separator is None:
                separator = _sniffed(file.read(SNIFFED_CHARACTERS))
                file.seek(0)
            with collection_paused():  # the garbage collector would traverse millions of texts again and again
                return _records(source, csv.reader(file, delimiter=separator, skipinitialspace=True, strict=True))
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{source} is not UTF-8: it contains the byte 0x{error.object[error.start]:02x}. Save the file as UTF-8"
        ) from None


def _sniffed(text: str) -> str:
    """Returns the separator that splits the first rows into equally many columns, if possible, and into the most columns."""

    def columns(separator: str) -> tuple[bool, int]:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=True)
        widths = [len(record) for record in islice((record for record in reader if record), SNIFFED_ROWS)]
        if len(text) == SNIFFED_CHARACTERS and 1 < len(widths) < SNIFFED_ROWS:
            widths.pop()  # the last row is cut off
        return len(set(widths)) == 1 and widths[0] > 1, widths[0] if widths else 0

    return max(SEPARATORS, key=columns)


def _records(source: str, reader: Any) -> Table:
    names, columns, lines, chunk, start = None, [], array("q"), [], 1
    try:
        for record in reader:
            if not _is_blank(record, names):
                if names is None:
                    names = _names(source, record)
                    columns = [[] for _ in names]
                elif len(record) != len(names):
                    raise ValueError(f"{source}, line {start}: {len(record)} values, but {len(names)} columns are named")
                else:
                    chunk.append(record)
                    lines.append(start)
                    if len(chunk) == CHUNK_ROWS:
                        _move(chunk, columns)
            start = reader.line_num + 1
    except csv.Error as error:
        raise ValueError(f"{source}, line {start}: {error}") from None
    _move(chunk, columns)
    if names is None:
        raise ValueError(f"{source} is empty")
    return Table(source, dict(zip(names, map(Texts, columns), strict=True)), len(lines), lines)


def _is_blank(record: list[str], names: list[str] | None) -> bool:
    """Returns True if the record is an empty line, unless the line is an empty cell of a table with a single column."""
    return not record or (len(record) == 1 != len(names or ()) and not record[0].strip())


def _move(chunk: list[list[str]], columns: list[list[str | None]]) -> None:
    """Moves a chunk of rows to the ends of the columns."""
    for column, cells in zip(columns, zip(*chunk, strict=True), strict=False):
        column += cells if MISSING.isdisjoint(cells) else [None if cell in MISSING else cell for cell in cells]
    chunk.clear()


def _names(source: str, names: list[str]) -> list[str]:
    if all(number(name) is not None for name in names):
        raise ValueError(f"{source}: the first line must name the columns, but contains numbers: {listed(names, 5)}")
    for place, name in enumerate(names, start=1):
        if not name.strip():
            raise ValueError(
                f"{source}: column {place} has no name: name it, or if pandas wrote it as the index, use to_csv(index=False)"
            )
        if name in names[: place - 1]:
            raise ValueError(f"{source} has two columns named {name!r}: rename one of them")
    return names


# Parquet


def _parquet(path: str | os.PathLike[str]) -> Table:
    source = os.fspath(path)
    arrow, parquet = (imported(module, "tables") for module in ("pyarrow", "pyarrow.parquet"))
    try:
        with Path(path).open("rb") as file:
            table = parquet.read_table(file)
    except (arrow.ArrowException, ValueError) as error:
        raise ValueError(f"{source} is damaged or not a Parquet file: {error}") from None
    names = [name for name in table.column_names if not PANDAS_INDEX.fullmatch(name)]
    columns = {name: _column(table.column(name), arrow) for name in _names(source, names)}
    return Table(source, columns, table.num_rows)


def _column(column: Any, arrow: Any) -> Texts | Numbers:
    """Converts a pyarrow ChunkedArray to a column: numbers stay numbers, and all other values become texts."""
    types = arrow.types
    if types.is_dictionary(column.type):
        values = column.type.value_type  # categories, of any type
        return Texts(column.cast(values).cast(arrow.string()).to_pylist(), typed=True)
    if types.is_string(column.type) or types.is_large_string(column.type) or types.is_null(column.type):
        return Texts(column.to_pylist(), typed=not types.is_null(column.type))
    if types.is_decimal(column.type):
        column = column.cast(arrow.float64())
    if types.is_boolean(column.type) or types.is_integer(column.type) or types.is_floating(column.type):
        absent = column.is_null().to_numpy() if column.null_count else None
        return Numbers(column.fill_null(False if types.is_boolean(column.type) else 0).to_numpy(), absent)
    return Texts([None if value is None else str(value) for value in column.to_pylist()], typed=True)


# Arrays


def _arrays(path: str | os.PathLike[str], target: str) -> Table:
    source = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if not isinstance(loaded, np.ndarray) and "x" not in loaded:
                raise ValueError(f"it contains {listed(loaded) or 'nothing'}, but no array x")
            x, y = (loaded, None) if isinstance(loaded, np.ndarray) else (loaded["x"], loaded.get(target))
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(f"cannot read {source}: {error}") from None
    return _of_arrays(source, x, target, y)


def _of_arrays(source: str, x: NDArray[Any], name: str, y: NDArray[Any] | None) -> Table:
    """Returns a table with columns x[0], x[1], ... from the array x (n, ...), and a column of targets from y (n,)."""
    if x.ndim < 2 or not x.size:
        raise ValueError(f"{source}: x must have shape (n, ...), two dimensions or more, and must not be empty, not {x.shape}")
    alike, rows = x.dtype == np.uint8, x.shape[0]
    x = x.reshape(rows, -1)
    columns = {f"x[{i}]": _of_array(f"x[{i}]", x[:, i]) for i in range(x.shape[1])}
    if y is not None:
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        if y.shape != (rows,):
            raise ValueError(f"{source}: x has {rows} samples, but {name} has shape {y.shape}")
        columns[name] = _of_array(name, y)
    return Table(source, columns, rows, alike=alike)


def _of_array(name: str, values: NDArray[Any]) -> Texts | Numbers:
    if values.dtype.kind == "U":
        return Texts(values.tolist(), typed=True)
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{name} must contain real numbers or texts, not {values.dtype}")
    return Numbers(values)

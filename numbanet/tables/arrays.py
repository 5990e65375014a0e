"""Makes tables from the arrays in NPZ, NPY and IDX files; the columns of an array x are named x[0], x[1], ..."""

import dataclasses
import os
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from numbanet.datasets.idx import read_idx
from numbanet.files import naming, read_arrays
from numbanet.tables.columns import MOST_COLUMNS, Numbers, Strings, Table


def read_npz(file: BinaryIO, source: str, target: str) -> Table:
    """Reads a table from an NPZ or NPY file that is open in binary mode; see `numbanet.tables.read`."""
    with naming(source, "cannot read {}: {}"):
        x, y = read_arrays(file, "x", target)
    return _of_arrays(source, x, target, y)


def read_images(path: str | os.PathLike[str], labels: str | os.PathLike[str] | None) -> Table:
    """Reads a table from an IDX file, and its targets from the IDX file `labels`, if any; see `numbanet.tables.read`."""
    return _of_arrays(os.fspath(path), read_idx(path), "y", None if labels is None else read_idx(labels))


def _of_arrays(source: str, x: Any, name: str, y: NDArray[Any] | None) -> Table:
    """Returns a table with the columns x[0], x[1], ... of x (n, ...) and, if y (n,) is given, the target column `name`."""
    if x.ndim < 2 or not x.size:
        raise ValueError(f"{source}: x has shape {x.shape}, but must not be empty and must have two dimensions or more")
    if x[0].size > MOST_COLUMNS:
        raise ValueError(f"{source}: x has {x[0].size} columns, but may have at most {MOST_COLUMNS}")
    rows = x.shape[0]
    columns = {f"x[{i}]": column for i, column in enumerate(x.reshape(rows, -1).T)}
    if y is not None:
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]
        if y.shape != (rows,):
            raise ValueError(f"{source}: x has {rows} samples, but {name} has shape {y.shape}")
        columns[name] = y
    table = of_columns(source, columns, rows, alike=x.dtype == np.uint8)
    return dataclasses.replace(table, shape=x.shape[1:]) if x.ndim == 3 else table


def of_columns(source: str, columns: Mapping[str, NDArray[Any]], rows: int, *, alike: bool = False) -> Table:
    """Returns a table whose columns are the arrays in a dict.

    Parameters
    ----------
    source : str
        Name of the table in error messages.
    columns : dict of str to ndarray, (rows,)
        The values of each column, by column name: real numbers, booleans or strings. NaN means a missing value.
    rows : int
        Number of rows.
    alike : bool
        True if all columns contain the same kind of quantity, such as pixels; see `Table`.

    Raises
    ------
    ValueError
        A column contains neither real numbers nor strings, or there are no rows.
    """
    return Table(source, {name: _of_array(source, name, values) for name, values in columns.items()}, rows, alike=alike)


def _of_array(source: str, name: str, values: NDArray[Any]) -> Strings | Numbers:
    if values.dtype.kind == "U":
        return Strings(values.tolist(), typed=True)
    if values.dtype.kind not in "biuf":
        raise ValueError(f"{source}: {name} must contain real numbers or strings, not {values.dtype}")
    return Numbers(values)

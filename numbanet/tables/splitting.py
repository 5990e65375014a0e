"""Splits the rows of a table into rows to train on and rows to hold out, and leaves out rows with a missing value."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from numbanet import checks
from numbanet.tables.columns import Table, column_name, names_in
from numbanet.tables.encoding import refuse_empty, without
from numbanet.tables.frames import Frame, as_table
from numbanet.tables.learning import target_of
from numbanet.tables.targets import Classes


def split(
    table: Table | Frame, target: str, fraction: float, *, task: str | None = None, seed: int = 0
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Splits the rows of a table at random into rows to train on and rows to hold out.

    Parameters
    ----------
    table : Table
    target : str
        The column to predict. For classification, the split is stratified: the same fraction of the rows of each class is held
        out, except for rounding to whole rows.
    fraction : float
        Fraction of the rows to hold out, in [0, 1).
    task : str, optional
        "classification" or "regression". By default, the task is inferred from the target column.
    seed : int
        Seed of the random split.

    Returns
    -------
    rows, held_out : ndarray of int
        `rows` contains the indices of the rows to train on, and `held_out` contains the indices of the other rows, both in
        ascending order.

    Raises
    ------
    ValueError
        The fraction leaves no row to train on or no row to hold out, or the target column is missing or invalid.
    """
    table = as_table(table)
    checks.fraction("fraction", fraction)
    return stratified(strata_of(table, target, task), fraction, seed)


def strata_of(table: Table | Frame, target: str, task: str | None = None) -> NDArray[np.number]:
    """Returns an array (n,) of the rows' classes, or of zeros for regression; raises ValueError if the target is invalid."""
    table = as_table(table)
    encoded = target_of(table, column_name("target", target), task, np.arange(table.rows))
    return encoded.encode(table) if isinstance(encoded, Classes) else np.zeros(table.rows)


def stratified(strata: NDArray[np.number], fraction: float, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Splits rows at random, as `split` does: holds out `fraction` of each stratum (rows with the same number in `strata`).

    Raises
    ------
    ValueError
        The fraction leaves no row to train on or no row to hold out.
    """
    count = len(strata)
    order = np.lexsort((np.random.Generator(np.random.PCG64(seed)).random(count), strata))
    held_out = np.zeros(count, bool)
    held_out[order] = np.diff(np.floor(np.arange(count + 1) * fraction + 0.5)) > 0
    if fraction and (held_out.all() or not held_out.any()):
        raise ValueError(
            f"holding out {fraction} of {checks.count(count, 'row')} leaves no row to train on, or no row to validate with; "
            "hold out another fraction (--validation-split), or no row (--validation-split 0)"
        )
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def drop_missing(table: Table | Frame, target: str, *, ignore: Iterable[str] = (), impute: bool = False) -> Table:
    """Returns the table without the rows in which a value is missing.

    Parameters
    ----------
    table : Table
    target : str
        The column to predict.
    ignore : list of str
        Names of columns in which values may be missing.
    impute : bool
        True to leave out only rows with a missing target, because the encoding replaces all other missing values.

    Returns
    -------
    Table

    Raises
    ------
    ValueError
        The table has no column of a given name, or no row is left.
    """
    table, target, ignored = as_table(table), column_name("target", target), set(names_in("ignore", ignore))
    for name in (target, *ignored):
        table.column(name)
    names = [target] if impute else [target, *(name for name in table.columns if name not in ignored)]
    refuse_empty(table, names)
    return without(table, (table.is_missing(name) for name in names))

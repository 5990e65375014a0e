"""Learns from a table the task (classification or regression), the kind of each column and the statistics of columns."""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from numbanet import checks
from numbanet._compile import collection_paused
from numbanet.checks import listed
from numbanet.tables.columns import Table, column_name, names_in
from numbanet.tables.encoding import Encoding, refuse_empty, refuse_missing
from numbanet.tables.features import Boolean, Categorical, Numeric, numbers
from numbanet.tables.frames import Frame, as_table
from numbanet.tables.kinds import NO_TARGET, kind_of, task_of
from numbanet.tables.labels import MISSING, indices, labels_of
from numbanet.tables.targets import Classes, Quantity

TASKS = ("classification", "regression")
IMPUTE = ("mean", "median", "most-frequent")
TO_IMPUTE = (
    "; to replace missing values, use impute='median' (--impute median); to leave out rows with missing values, use "
    "tables.drop_missing (--drop-missing)"
)


def learn(
    table: Table | Frame,
    target: str,
    *,
    task: str | None = None,
    categorical: Collection[str] = (),
    ignore: Collection[str] = (),
    impute: str | None = None,
    rows: NDArray[np.integer] | None = None,
) -> Encoding:
    """Learns from a table how to encode its columns for training.

    A column is numeric if all its strings are numbers and none is a code such as 007. A column is boolean if all its strings
    are true or false, and categorical otherwise. `learn` raises ValueError if a column mixes numbers with a few strings,
    contains dates, contains numbers in a spelling that the arguments of `read` do not describe, or has a different string in
    nearly every row. Numbers are standardised, and categories are encoded one-hot. Categories and classes that are numbers are
    compared as numbers, so that 1 and 1.0 are the same class; True and TRUE are the same class, too. A word such as NA is a
    category of a column, and not a missing value, if the property `Table.values` lists the word for this column. The function
    `notes` describes the choices that `learn` made.

    Parameters
    ----------
    table : Table or DataFrame
    target : str
        The column to predict.
    task : {"classification", "regression"}, optional
        By default, the task is inferred from the target column. The task is classification if the target column contains
        strings or booleans. For whole numbers, the task is classification if there are at most 20 distinct values, which occur
        at least twice on average. For all other numbers, the task is regression, and the target is standardised like a numeric
        column.
    categorical : list of str
        Names of columns to encode as categories even if they look like numbers, booleans or dates.
    ignore : list of str
        Names of columns to leave out.
    impute : {"mean", "median", "most-frequent"}, optional
        The statistic that replaces missing numbers. With `impute`, missing categories and booleans are always replaced by the
        most frequent value; if several values are equally frequent, by the value that sorts first. Without `impute`, a missing
        value raises ValueError.
    rows : ndarray of int, optional
        Indices of the rows from which means, standard deviations and replacements are computed, such as the training rows; by
        default, all rows. Categories and classes are collected from all rows, even if `rows` is given.

    Returns
    -------
    Encoding
        Converts the rows of this table, and of other tables with the same columns, to x and y of a network.

    Raises
    ------
    ValueError
        A column does not exist, `ignore` contains the target, or a value is missing or invalid; the message names the column
        and the row.
    TypeError
        A name of a column is not a string.
    """
    table, target = as_table(table), column_name("target", target)
    categorical, ignore = names_in("categorical", categorical), names_in("ignore", ignore)
    if impute is not None:
        checks.choice("impute", impute, IMPUTE)
    for name in (target, *categorical, *ignore):
        table.column(name)
    if target in ignore:
        raise ValueError(f"ignore contains the target, {target!r}: name another target, or leave it out of ignore (--ignore)")
    rows = np.arange(table.rows) if rows is None else rows
    left_out, categories = {target, *ignore}, set(categorical)
    names = [name for name in table.columns if name not in left_out]
    if not names:
        raise ValueError(f"{table.source} has no column from which to predict the target {target!r}")
    if impute is None:
        refuse_empty(table, names)
        refuse_missing(table, ((name, table.is_missing(name)) for name in names), TO_IMPUTE)
    with collection_paused():  # otherwise, the garbage collector would traverse all strings of a wide table repeatedly
        kinds = {name: Categorical if name in categories else kind_of(table, name) for name in names}
        features = [_feature(table, name, kinds[name], impute, rows) for name in names]
    numeric = [feature for feature in features if type(feature) is Numeric]
    if table.alike and len(numeric) == len(features):
        features = _together(table, numeric, rows)
    return Encoding(tuple(features), target_of(table, target, task, rows), tuple(dict.fromkeys(ignore)), table.spelling)


def _feature(
    table: Table, name: str, kind: type[Numeric] | type[Categorical], impute: str | None, rows: NDArray[np.integer]
) -> Numeric | Categorical:
    if issubclass(kind, Categorical):
        categories = labels_of(table, name)
        if not categories:
            raise ValueError(f"{table.source}: column {name!r} is empty in every row: name it in ignore (--ignore)")
        known = indices(table, name, categories, "category")[rows]
        known = known[known != MISSING]
        fill = categories[np.bincount(known).argmax()] if impute and known.size else None
        return Categorical(name, categories, fill)
    values = kind.values(table, name)[rows]
    missing = np.isnan(values)
    known = values[~missing] if missing.any() else values
    if not known.size:
        raise ValueError(f"{table.source}: column {name!r} is empty in all training rows: name it in ignore (--ignore)")
    fill = None
    if impute:
        fill = _replacement(known, "most-frequent" if kind is Boolean else impute)
        values[missing] = fill
    return kind(name, *_mean_and_scale(values), fill)


def _replacement(values: NDArray[np.float64], impute: str) -> float:
    """Returns the number that replaces missing values: the mean, the median or the most frequent value."""
    if impute == "most-frequent":
        different, counts = np.unique(values, return_counts=True)
        return float(different[counts.argmax()])
    return _mean_and_scale(values)[0] if impute == "mean" else float(np.median(values))


def _mean_and_scale(values: NDArray[np.float64]) -> tuple[float, float]:
    """Returns the mean and the standard deviation (1 for constant values); even the largest floats do not overflow."""
    least, most = values.min(), values.max()
    if least == most:
        return float(values[0]), 1.0
    exponent = np.frexp(max(-least, most))[1]
    values = np.ldexp(values, -exponent)  # scaling by this factor is exact, and sums and squares cannot overflow
    return float(np.ldexp(values.mean(), exponent)), float(np.ldexp(values.std(), exponent)) or 1.0


def _together(table: Table, features: list[Numeric], rows: NDArray[np.integer]) -> list[Numeric | Categorical]:
    """Gives all features the same mean and scale: the mean and standard deviation of all values in all columns."""
    moments = np.array([(values.mean(), values.var()) for f in features for values in [f.values(table, f.name)[rows]]])
    mean, scale = moments[:, 0].mean(), np.sqrt(moments[:, 1].mean() + moments[:, 0].var()) or 1.0
    return [Numeric(feature.name, float(mean), float(scale), feature.fill) for feature in features]


def target_of(table: Table, name: str, task: str | None, rows: NDArray[np.integer]) -> Classes | Quantity:
    """Returns the encoding of the target column, with the mean and the standard deviation of the rows `rows`.

    Raises
    ------
    ValueError
        A value is missing or invalid, there is only one class, or the task is unknown.
    """
    refuse_missing(table, [(name, table.is_missing(name))], NO_TARGET)
    task = task_of(table, name)[0] if task is None else checks.choice("task", task, TASKS)
    if task == "regression":
        return Quantity(name, *_mean_and_scale(numbers(table, name)[rows]))
    labels = labels_of(table, name)
    if len(labels) < 2:
        raise ValueError(f"{table.source}: column {name!r} has only one class, {listed(labels)}; a classifier needs two")
    return Classes(name, labels)

"""Learns from a table the task (classification or regression), the kind of each column, and the column's statistics."""

import re
from collections import Counter
from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from numbanet import checks
from numbanet.tables.columns import Numbers, Table, Texts, listed, number
from numbanet.tables.encoding import (
    BOOLEANS,
    DATE,
    DECIMAL_COMMA,
    Boolean,
    Categorical,
    Classes,
    Encoding,
    Numeric,
    Quantity,
    not_a_number,
    numbers,
    refuse_missing,
)
from numbanet.tables.frames import Frame, as_table

TASKS = ("classification", "regression")
IMPUTE = ("mean", "median", "most-frequent")
INTEGER, CODE = re.compile(r"\s*[+-]?\d+\s*"), re.compile(r"\s*[+-]?0\d+\s*")
# A target of integers with at most 20 different values, each in two rows or more on average, is a target of classes.
CLASSES_OF_INTEGERS = 20
# A column with more than 1000 different texts, or with more than 20 and more than half the number of rows, contains names
# rather than categories.
CATEGORIES_AT_LEAST, CATEGORIES_AT_MOST = 20, 1000


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

    A column is numeric if all its texts are numbers and none is a code such as 007. A column is boolean if all its texts are
    true or false, and categorical otherwise. A column raises ValueError if it mixes numbers with a few texts, or contains
    decimal commas, dates, or a different text in nearly every row. Numbers are standardised, and categories are encoded
    one-hot.

    Parameters
    ----------
    table : Table or DataFrame
        A table, a DataFrame of pandas or polars, or a table of pyarrow. In a DataFrame, texts and categories are categorical
        even if they look like numbers; numbers and booleans, also missing ones, keep their meaning.
    target : str
        The column to predict.
    task : {"classification", "regression"}, optional
        By default the task is inferred from the target. Texts, booleans, and whole numbers with at most 20 different values,
        each in two rows or more on average, are classes. Any other numbers are a quantity, which is standardised like a
        numeric column.
    categorical : list of str
        Names of columns to encode as categories even if they look like numbers, booleans or dates.
    ignore : list of str
        Names of columns to leave out.
    impute : {"mean", "median", "most-frequent"}, optional
        The statistic that replaces missing numbers. Missing categories and booleans are always replaced by the most frequent
        value; among equally frequent values, the one that sorts first is chosen. By default a missing value raises ValueError.
    rows : ndarray of int, optional
        Indices of the rows from which means, standard deviations and replacements are computed, such as the training rows; by
        default all rows. Categories and classes are always taken from all rows.

    Returns
    -------
    Encoding

    Raises
    ------
    ValueError
        A column does not exist, or a value is missing or invalid; the message names the column and the row.
    TypeError
        The table is neither a Table nor a DataFrame, or a name of a column is not a text.
    """
    table = as_table(table)
    if impute is not None:
        checks.choice("impute", impute, IMPUTE)
    for name in (target, *categorical, *ignore):
        table.column(name)
    rows = np.arange(table.rows) if rows is None else rows
    names = [name for name in table.columns if name != target and name not in ignore]
    if not names:
        raise ValueError(f"{table.source} has no column from which to predict the target {target!r}")
    if impute is None:
        refuse_missing(table, names, "; to replace missing values, use impute='median' (--impute median)")
    kinds = {name: Categorical if name in categorical else _kind(table, name) for name in names}
    features = [_feature(table, name, kinds[name], impute, rows) for name in names]
    numeric = [feature for feature in features if type(feature) is Numeric]
    if table.alike and len(numeric) == len(features):
        features = _together(table, numeric, rows)
    return Encoding(tuple(features), _target(table, target, task, rows), tuple(dict.fromkeys(ignore)))


def task_of(table: Table, target: str) -> tuple[str, str]:
    """Returns "classification" or "regression", inferred from the target column, and the reason in words."""
    refuse_missing(table, [target])
    kind, column = _kind(table, target, of_target=True), table.column(target)
    if kind is not Numeric:
        return "classification", "true and false" if kind is Boolean else "texts"
    if not _is_whole(column):
        return "regression", "numbers with a fraction"
    count = len(np.unique(column.numbers))
    if count <= min(CLASSES_OF_INTEGERS, table.rows / 2):
        return "classification", f"whole numbers, {count} different in {table.rows} rows"
    return "regression", f"whole numbers, {count} different in {table.rows} rows"


def split(
    table: Table | Frame, target: str, fraction: float, *, task: str | None = None, seed: int = 0
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Splits the rows of a table at random into rows to train on and rows to hold out.

    Parameters
    ----------
    table : Table or DataFrame
        As for `learn`.
    target : str
        The column to predict. For a classification the split is stratified: the fraction is held out of each class, to within
        one row.
    fraction : float
        Fraction of the rows to hold out, in [0, 1).
    task : str, optional
        "classification" or "regression", as for `learn`.
    seed : int
        Seed of the random split.

    Returns
    -------
    rows, held_out : ndarray of int
        Indices of the rows to train on, and indices of the rows held out, each in the order of the table.

    Raises
    ------
    ValueError
        The fraction leaves no row to train on or no row to hold out, or the target column is invalid for `learn`.
    """
    table = as_table(table)
    checks.fraction("fraction", fraction)
    encoded = _target(table, target, task, np.arange(table.rows))
    strata = encoded.encode(table) if isinstance(encoded, Classes) else np.zeros(table.rows)
    order = np.lexsort((np.random.Generator(np.random.PCG64(seed)).random(table.rows), strata))
    held_out = np.zeros(table.rows, bool)
    held_out[order] = np.diff(np.floor(np.arange(table.rows + 1) * fraction + 0.5)) > 0
    if fraction and (held_out.all() or not held_out.any()):
        raise ValueError(f"holding out {fraction} of {table.rows} rows leaves no row to train on, or no row to validate with")
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _kind(table: Table, name: str, of_target: bool = False) -> type[Numeric | Categorical]:
    """Returns the kind of a column, inferred from its values."""
    column = table.column(name)
    if isinstance(column, Numbers):
        return Boolean if column.array.dtype.kind == "b" else Numeric
    if column.missing.all():
        raise ValueError(f"{table.source}: column {name!r} is empty in every row: name it in ignore (--ignore)")
    kind = None if column.typed else _kind_of_numbers(table, name, column, of_target)
    if kind is not None:
        return kind
    if not of_target:
        _refuse_names(table, name, column)
    return Categorical


def _kind_of_numbers(table: Table, name: str, column: Texts, of_target: bool) -> type[Numeric | Categorical] | None:
    """Returns the kind of a column of numbers or booleans, else None; raises ValueError for numbers mixed with a few texts."""
    values = column.numbers
    wrong = np.flatnonzero(np.isnan(values) & ~column.missing)
    if not wrong.size:
        whole = np.flatnonzero(values == np.floor(values))
        return Categorical if any(CODE.fullmatch(column.texts[row] or "") for row in whole) else Numeric
    if {text.strip().lower() for text in set(column.texts) if text is not None} <= BOOLEANS.keys():
        return Boolean
    present = table.rows - np.count_nonzero(column.missing)
    if 2 * wrong.size < present or all(DECIMAL_COMMA.fullmatch(column.texts[row] or "") for row in wrong):
        remedy = "" if of_target else "; if the column holds categories, name it in categorical (--categorical)"
        raise table.error(name, wrong[0], not_a_number(str(column.texts[wrong[0]])) + remedy)
    return None


def _refuse_names(table: Table, name: str, column: Texts) -> None:
    """Raises ValueError if the texts of a column are dates, or if there are too many different texts for categories."""
    texts = {text for text in set(column.texts) if text is not None}
    remedy = "name the column in ignore (--ignore) or in categorical (--categorical)"
    if all(DATE.fullmatch(text) for text in texts):
        row = int(column.missing.argmin())
        raise table.error(name, row, f"{column.texts[row]!r} is a date or a time; convert it to a number first, or {remedy}")
    count = len(texts)
    if count > max(CATEGORIES_AT_LEAST, table.rows // 2) or count > CATEGORIES_AT_MOST:
        raise ValueError(f"{table.source}: column {name!r} has {count} different texts in {table.rows} rows: {remedy}")


def _feature(
    table: Table, name: str, kind: type[Numeric] | type[Categorical], impute: str | None, rows: NDArray[np.integer]
) -> Numeric | Categorical:
    if issubclass(kind, Categorical):
        texts = table.column(name).texts
        known = Counter(text for row in rows if (text := texts[row]) is not None) if impute else {}
        fill = min(known, key=lambda text: (-known[text], text)) if known else None
        return Categorical(name, _in_order(texts), fill)
    values = kind.values(table, name)[rows]
    known = values[~np.isnan(values)]
    if not known.size:
        raise ValueError(f"{table.source}: column {name!r} is empty in all training rows: name it in ignore (--ignore)")
    fill = None
    if impute:
        fill = _replacement(known, "most-frequent" if kind is Boolean else impute)
        values[np.isnan(values)] = fill
    return kind(name, *_mean_and_scale(values), fill)


def _replacement(values: NDArray[np.float64], impute: str) -> float:
    """Returns the number that replaces missing values: the mean, the median or the most frequent value."""
    if impute == "most-frequent":
        different, counts = np.unique(values, return_counts=True)
        return float(different[counts.argmax()])
    return _mean_and_scale(values)[0] if impute == "mean" else float(np.median(values))


def _mean_and_scale(values: NDArray[np.float64]) -> tuple[float, float]:
    """Returns the mean and the standard deviation (1 for constant values), without overflow even for the largest floats."""
    if values.min() == values.max():
        return float(values[0]), 1.0
    exponent = np.frexp(np.abs(values).max())[1]
    values = np.ldexp(values, -exponent)  # exact, and neither sums nor squares overflow
    return float(np.ldexp(values.mean(), exponent)), float(np.ldexp(values.std(), exponent)) or 1.0


def _together(table: Table, features: list[Numeric], rows: NDArray[np.integer]) -> list[Numeric | Categorical]:
    """Gives all features the same mean and standard deviation: the statistics of all values of all columns together."""
    moments = np.array([(values.mean(), values.var()) for f in features for values in [f.values(table, f.name)[rows]]])
    mean, scale = moments[:, 0].mean(), np.sqrt(moments[:, 1].mean() + moments[:, 0].var()) or 1.0
    return [Numeric(feature.name, float(mean), float(scale), feature.fill) for feature in features]


def _target(table: Table, name: str, task: str | None, rows: NDArray[np.integer]) -> Classes | Quantity:
    refuse_missing(table, [name])
    task = task_of(table, name)[0] if task is None else checks.choice("task", task, TASKS)
    if task == "regression":
        return Quantity(name, *_mean_and_scale(numbers(table, name)[rows]))
    labels = _in_order(table.column(name).texts)
    if len(labels) < 2:
        raise ValueError(f"{table.source}: column {name!r} has only one class, {listed(labels)}; a classifier needs two")
    return Classes(name, labels)


def _is_whole(column: Texts | Numbers) -> bool:
    if isinstance(column, Numbers):
        return column.array.dtype.kind in "iu"
    return all(INTEGER.fullmatch(text or "") for text in column.texts)


def _in_order(texts: list[str | None]) -> tuple[str, ...]:
    """Returns the different texts in alphabetical order, or in numerical order if all texts are numbers."""
    different = sorted({text for text in texts if text is not None})
    values = {text: value for text in different if (value := number(text)) is not None}
    return tuple(different if len(values) < len(different) else sorted(different, key=values.__getitem__))

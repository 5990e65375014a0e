"""What a table itself tells: classification or regression, the kind of each column, its statistics."""

import re
from collections import Counter

import numpy as np

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
    no_number,
    numbers,
    refuse_missing,
)

TASKS = ("classification", "regression")
IMPUTE = ("mean", "median", "most-frequent")
INTEGER, CODE = re.compile(r"\s*[+-]?\d+\s*"), re.compile(r"\s*[+-]?0\d+\s*")
# Integers with at most so many different values, each in two rows on average, are classes.
CLASSES_OF_INTEGERS = 20
# A column of more categories than this and than half the rows is one of names; and none has more than the second.
CATEGORIES_AT_LEAST, CATEGORIES_AT_MOST = 20, 1000


def learn(table: Table, target: str, *, task=None, categorical=(), ignore=(), impute=None, rows=None) -> Encoding:
    """What there is to know of a table to train on it.

    A column is numeric if all its texts are numbers and none is a code such as 007; boolean if they are true and false; else
    categorical. One that is numbers for the most part, has decimal commas, dates, or different texts in nearly every row is
    refused. Numbers are standardised, categories one-hot.

    Parameters
    ----------
    table : Table
    target : str
        The column to predict.
    task : {"classification", "regression"}, optional
        Else found: classes are texts, booleans, and whole numbers of at most 20 different values, each in two rows on average.
        Other numbers are a quantity, and standardised, too.
    categorical : list of str
        Columns that are categories though they look like something else.
    ignore : list of str
        Columns to leave out.
    impute : {"mean", "median", "most-frequent"}, optional
        What fills in for missing numbers; for categories and booleans it is the most frequent in any case, the first in order
        among equals. Without it missing values are refused.
    rows : ndarray of int, optional
        From which rows means, standard deviations and fillings are taken, such as those to train on; else from all of them.
        Categories and classes are those of all rows.

    Returns
    -------
    Encoding

    Raises
    ------
    ValueError
        Where there is no such column, or a value is missing or not what it has to be; the message names column and row.
    """
    if impute is not None:
        checks.choice("impute", impute, IMPUTE)
    for name in (target, *categorical, *ignore):
        table.column(name)
    rows = np.arange(table.rows) if rows is None else rows
    names = [name for name in table.columns if name != target and name not in ignore]
    if not names:
        raise ValueError(f"{table.source} has no column beside {target!r} to predict it from")
    if impute is None:
        refuse_missing(table, names, "; to fill in for missing values, impute mean, median or most-frequent")
    kinds = {name: Categorical if name in categorical else _kind(table, name) for name in names}
    features = [_feature(table, name, kinds[name], impute, rows) for name in names]
    if table.alike and set(kinds.values()) == {Numeric}:
        features = _together(table, features, rows)
    return Encoding(tuple(features), _target(table, target, task, rows), tuple(dict.fromkeys(ignore)))


def task_of(table: Table, target: str) -> tuple[str, str]:
    """Classification or regression, and the reason."""
    refuse_missing(table, [target])
    kind, column = _kind(table, target, of_target=True), table.column(target)
    if kind is not Numeric:
        return "classification", "true and false" if kind is Boolean else "texts"
    if not _is_whole(column):
        return "regression", "numbers with a fraction"
    count = len(np.unique(column.numbers))
    if count <= min(CLASSES_OF_INTEGERS, table.rows / 2):
        return "classification", f"whole numbers, {count} different ones in {table.rows} rows"
    return "regression", f"whole numbers, {count} different ones in {table.rows} rows"


def split(table: Table, target: str, share: float, *, task=None, seed=0) -> tuple[np.ndarray, np.ndarray]:
    """Which rows to train on and which to hold out, at random.

    Parameters
    ----------
    table : Table
    target : str
        For classification each of its classes gives its share, to within one row.
    share : float
        To hold out, in [0, 1).
    task : str, optional
        As for `learn`.
    seed : int

    Returns
    -------
    rows, held_out : ndarray of int
        Both in the order of the table.
    """
    checks.share("share", share)
    found = _target(table, target, task, np.arange(table.rows))
    strata = found.encode(table) if isinstance(found, Classes) else np.zeros(table.rows)
    order = np.lexsort((np.random.Generator(np.random.PCG64(seed)).random(table.rows), strata))
    held_out = np.zeros(table.rows, bool)
    held_out[order] = np.diff(np.floor(np.arange(table.rows + 1) * share + 0.5)) > 0
    if share and (held_out.all() or not held_out.any()):
        raise ValueError(f"holding out {share} of {table.rows} rows leaves none to train on, or none to validate with")
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _kind(table: Table, name: str, of_target: bool = False) -> type[Numeric | Categorical]:
    """What a column is, by its own look."""
    column = table.column(name)
    if isinstance(column, Numbers):
        return Boolean if column.array.dtype.kind == "b" else Numeric
    present = table.rows - np.count_nonzero(column.missing)
    if not present:
        raise ValueError(f"{table.source}: column {name!r} is empty in every row: ignore it")
    if not column.typed:
        values = column.numbers
        others = np.flatnonzero(np.isnan(values) & ~column.missing)
        if not others.size:
            whole = np.flatnonzero(values == np.floor(values))
            return Categorical if any(CODE.fullmatch(column.texts[row]) for row in whole) else Numeric
        if {text.strip().lower() for text in set(column.texts) - {None}} <= BOOLEANS.keys():
            return Boolean
        if 2 * others.size < present or all(DECIMAL_COMMA.fullmatch(column.texts[row]) for row in others):
            way_out = "" if of_target else "; if it is one of categories, say that the column is categorical"
            raise table.error(name, others[0], no_number(column.texts[others[0]]) + way_out)
    if not of_target:
        _refuse_names(table, name, column)
    return Categorical


def _refuse_names(table: Table, name: str, column: Texts) -> None:
    """ValueError where texts are dates, or far too many to be categories."""
    texts = set(column.texts) - {None}
    way_out = "ignore the column, or say that it is categorical"
    if all(map(DATE.fullmatch, texts)):
        row = int(column.missing.argmin())
        what = f"{column.texts[row]!r} is a date or a time; make a number of it first, or {way_out}"
        raise table.error(name, row, what)
    count = len(texts)
    if count > max(CATEGORIES_AT_LEAST, table.rows // 2) or count > CATEGORIES_AT_MOST:
        raise ValueError(f"{table.source}: column {name!r} has {count} different texts in {table.rows} rows: {way_out}")


def _feature(table: Table, name: str, kind, impute: str | None, rows: np.ndarray) -> Numeric | Categorical:
    if kind is Categorical:
        texts = table.column(name).texts
        known = Counter(text for row in rows if (text := texts[row]) is not None) if impute else {}
        fill = min(known, key=lambda text: (-known[text], text)) if known else None
        return Categorical(name, _in_order(texts), fill)
    values = kind.values(table, name)[rows]
    known = values[~np.isnan(values)]
    if not known.size:
        raise ValueError(f"{table.source}: column {name!r} is empty in all rows to train on: ignore it")
    fill = None
    if impute:
        fill = _filling(known, "most-frequent" if kind is Boolean else impute)
        values[np.isnan(values)] = fill
    return kind(name, *_mean_and_scale(values), fill)


def _filling(values: np.ndarray, impute: str) -> float:
    if impute == "most-frequent":
        different, counts = np.unique(values, return_counts=True)
        return float(different[counts.argmax()])
    return _mean_and_scale(values)[0] if impute == "mean" else float(np.median(values))


def _mean_and_scale(values: np.ndarray) -> tuple[float, float]:
    """Mean and standard deviation, the latter 1 of what is constant; of the largest numbers, too."""
    if values.min() == values.max():
        return float(values[0]), 1.0
    exponent = np.frexp(np.abs(values).max())[1]
    values = np.ldexp(values, -exponent)  # exact, and neither sums nor squares overflow
    return float(np.ldexp(values.mean(), exponent)), float(np.ldexp(values.std(), exponent)) or 1.0


def _together(table: Table, features: list[Numeric], rows: np.ndarray) -> list[Numeric]:
    """All of one mean and one standard deviation: the variance within columns, and that of their means."""
    moments = np.array([(values.mean(), values.var()) for f in features for values in [f.values(table, f.name)[rows]]])
    mean, scale = moments[:, 0].mean(), np.sqrt(moments[:, 1].mean() + moments[:, 0].var()) or 1.0
    return [Numeric(feature.name, float(mean), float(scale), feature.fill) for feature in features]


def _target(table: Table, name: str, task: str | None, rows: np.ndarray) -> Classes | Quantity:
    refuse_missing(table, [name])
    task = task_of(table, name)[0] if task is None else checks.choice("task", task, TASKS)
    if task == "regression":
        return Quantity(name, *_mean_and_scale(numbers(table, name)[rows]))
    labels = _in_order(table.column(name).texts)
    if len(labels) < 2:
        raise ValueError(f"{table.source}: column {name!r} has the one class {listed(labels)}, with nothing to tell it from")
    return Classes(name, labels)


def _is_whole(column: Texts | Numbers) -> bool:
    if isinstance(column, Numbers):
        return column.array.dtype.kind in "iu"
    return all(map(INTEGER.fullmatch, column.texts))


def _in_order(texts: list[str | None]) -> tuple[str, ...]:
    """The different texts in order, by value where all are numbers."""
    found = sorted({text for text in texts if text is not None})
    values = [number(text) for text in found]
    return tuple(found if None in values else sorted(found, key=number))

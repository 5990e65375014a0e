"""The kind of a column, inferred from its values: numbers, booleans or categories, and for a target its task."""

import re

import numpy as np

from numbanet.tables.columns import Numbers, Table, Texts
from numbanet.tables.encoding import refuse_missing
from numbanet.tables.features import Boolean, Categorical, Numeric, not_a_number
from numbanet.tables.labels import BOOLEANS
from numbanet.tables.spelling import fitting

DATE = re.compile(r"\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})|\d{1,2}:\d{2})([T ,:].*)?")
CODES = re.compile(r"(?:^|\0)\s*[+-]?0\d+\s*(?:\0|$)")  # among texts that a NUL separates
# A target of whole numbers with at most 20 different values, each in two rows or more on average, is a target of classes.
CLASSES_OF_INTEGERS = 20
# A column with more than 1000 different texts, or with more than 20 and more than half the number of rows, contains names
# rather than categories.
CATEGORIES_AT_LEAST, CATEGORIES_AT_MOST = 20, 1000
NO_TARGET = "; to leave out rows without a target, use tables.drop_missing (--drop-missing)"


def kind_of(table: Table, name: str, of_target: bool = False) -> type[Numeric] | type[Categorical]:
    """Returns the kind of a column, inferred from its values.

    Parameters
    ----------
    table : Table
    name : str
        Name of the column.
    of_target : bool
        Whether the column is the target, which may have a different text in every row.

    Raises
    ------
    ValueError
        The column is empty, mixes numbers with a few texts, or contains numbers in another spelling, dates or names.
    """
    column = table.column(name)
    if table.is_missing(name).all():
        raise ValueError(f"{table.source}: column {name!r} is empty in every row: name it in ignore (--ignore)")
    if isinstance(column, Numbers):
        return Boolean if column.array.dtype.kind == "b" else Numeric
    kind = None if column.typed else _kind_of_numbers(table, name, column, of_target)
    if kind is not None:
        return kind
    if not of_target:
        _refuse_names(table, name, column)
    return Categorical


def task_of(table: Table, target: str) -> tuple[str, str]:
    """Returns "classification" or "regression", inferred from the target column, and the reason in words."""
    refuse_missing(table, [(target, table.is_missing(target))], NO_TARGET)
    kind, column = kind_of(table, target, of_target=True), table.column(target)
    if kind is not Numeric:
        return "classification", "true and false" if kind is Boolean else "texts"
    values = column.numbers
    if not (values == np.floor(values)).all():
        return "regression", "numbers with a fraction"
    count = len(np.unique(values))
    reason = f"whole numbers, {count} different in {table.rows} rows"
    return "classification" if count <= min(CLASSES_OF_INTEGERS, table.rows / 2) else "regression", reason


def _kind_of_numbers(table: Table, name: str, column: Texts, of_target: bool) -> type[Numeric] | type[Categorical] | None:
    """Returns the kind of a column of numbers or booleans, else None; raises ValueError for numbers mixed with a few texts."""
    values = column.numbers
    wrong = np.isnan(values)
    if wrong.any():
        wrong &= ~column.missing
    if not wrong.any():
        return Categorical if CODES.search("\0".join(text or "" for text in column.texts)) else Numeric
    texts = {text for text in set(column.texts) if text is not None and text not in column.words}
    if all(text.strip().lower() in BOOLEANS for text in texts):
        return Boolean
    rows = np.flatnonzero(wrong)
    present = table.rows - np.count_nonzero(column.missing)
    if 2 * rows.size < present or fitting(texts):
        remedy = "" if of_target else "; if the column holds categories, name it in categorical (--categorical)"
        raise not_a_number(table, name, rows, remedy)
    return None


def _refuse_names(table: Table, name: str, column: Texts) -> None:
    """Raises ValueError if the texts of a column are dates, or if there are too many different texts for categories."""
    texts = {text for text in set(column.texts) if text is not None and text not in column.words}
    remedy = "name the column in ignore (--ignore) or in categorical (--categorical)"
    if texts and all(DATE.fullmatch(text) for text in texts):
        row = int(column.missing.argmin())
        raise table.error(name, row, f"{column.texts[row]!r} is a date or a time; convert it to a number first, or {remedy}")
    count = len(texts)
    if count > max(CATEGORIES_AT_LEAST, table.rows // 2) or count > CATEGORIES_AT_MOST:
        raise ValueError(f"{table.source}: column {name!r} has {count} different texts in {table.rows} rows: {remedy}")

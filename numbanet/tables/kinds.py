"""Infers a column's kind (numbers, booleans or categories) and a target's task (classification or regression) from values."""

import re

import numpy as np

from numbanet.checks import listed
from numbanet.tables.columns import Numbers, Strings, Table
from numbanet.tables.encoding import refuse_empty, refuse_missing
from numbanet.tables.features import Boolean, Categorical, Numeric, not_a_number
from numbanet.tables.labels import BOOLEANS
from numbanet.tables.spelling import are_odd_numbers, fitting, unit_of

MONTH = r"(?i:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
DATE = re.compile(
    r"\s*(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](\d{4}|\d{2})|\d{1,2}:\d{2}"
    rf"|\d{{1,2}}\.?[- ]{MONTH}[- ](\d{{4}}|\d{{2}})|{MONTH} \d{{1,2}},? \d{{4}})([T ,:].*)?"
)
CODES = re.compile(r"(?:^|\0)\s*[+-]?0\d+\s*(?:\0|$)")  # searches many strings at once, joined by NUL characters
# A target column of whole numbers contains classes if it has at most 20 distinct values, each of which occurs at least twice
# on average.
CLASSES_OF_INTEGERS = 20
# A column contains names rather than categories if it has more than 1000 distinct strings, or if more than 20 of its strings
# are distinct and their number exceeds half the number of rows.
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
        True if the column is the target. Only the column of the target may contain a different string in every row.

    Raises
    ------
    ValueError
        The column is empty, mixes numbers with a few strings, contains dates, contains too many distinct strings to be
        categories, or contains numbers in a spelling (such as a decimal comma) other than `table.spelling`.
    """
    column = table.column(name)
    refuse_empty(table, [name])
    if isinstance(column, Numbers):
        return Boolean if column.array.dtype.kind == "b" else Numeric
    kind = None if column.typed else _kind_of_numbers(table, name, column, of_target)
    if kind is not None:
        return kind
    if not of_target:
        _refuse_names(table, name, column)
    return Categorical


def task_of(table: Table, target: str) -> tuple[str, str]:
    """Infers the task from the target column; returns "classification" or "regression", and the reason in words."""
    refuse_missing(table, [(target, table.is_missing(target))], NO_TARGET)
    kind, column = kind_of(table, target, of_target=True), table.column(target)
    if kind is not Numeric:
        return "classification", "true and false" if kind is Boolean else "strings"
    values = column.numbers
    if not (values == np.floor(values)).all():
        return "regression", "numbers with a fraction"
    count = len(np.unique(values))
    reason = f"whole numbers, {count} different in {table.rows} rows"
    return "classification" if count <= min(CLASSES_OF_INTEGERS, table.rows / 2) else "regression", reason


def _kind_of_numbers(table: Table, name: str, column: Strings, of_target: bool) -> type[Numeric] | type[Categorical] | None:
    """Returns a numeric column's kind, or None for strings; raises ValueError if numbers and a few strings are mixed."""
    values = column.numbers
    wrong = np.isnan(values)
    if wrong.any():
        wrong &= ~column.missing
    if not wrong.any():
        return Categorical if CODES.search("\0".join(text or "" for text in column.strings)) else Numeric
    strings = {text for text in set(column.strings) if text is not None and text not in column.words}
    if all(text.strip().lower() in BOOLEANS for text in strings):
        return Boolean
    rows = np.flatnonzero(wrong)
    present = table.rows - np.count_nonzero(column.missing)
    if 2 * rows.size < present or fitting(strings) or are_odd_numbers(strings):
        remedy = "; if the column holds categories, name it in categorical (--categorical)"
        if of_target:
            remedy = "; if the column holds classes, use task='classification' (--task classification)"
        raise not_a_number(table, name, rows, remedy)
    return None


def _refuse_names(table: Table, name: str, column: Strings) -> None:
    """Raises ValueError if the strings of a column are dates, or if it has too many distinct strings to be categories."""
    strings = {text for text in set(column.strings) if text is not None and text not in column.words}
    remedy = "name the column in ignore (--ignore) or in categorical (--categorical)"
    if strings and all(DATE.fullmatch(text) for text in strings):
        row = int(column.missing.argmin())
        raise table.error(name, row, f"{column.strings[row]!r} is a date or a time; convert it to a number first, or {remedy}")
    count = len(strings)
    if count > max(CATEGORIES_AT_LEAST, table.rows // 2) or count > CATEGORIES_AT_MOST:
        examples = f"{count} distinct strings in {table.rows} rows, such as {listed(sorted(strings)[:3])}"
        unit = unit_of(strings)
        advice = f"if they are numbers, remove the unit {unit!r} from all cells; otherwise {remedy}" if unit else remedy
        raise ValueError(f"{table.source}: column {name!r} has {examples}: {advice}")

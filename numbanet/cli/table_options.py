"""Defines the options that control how a table is read, and reads tables according to these options."""

import argparse
import sys
from typing import Any

from numpy.typing import NDArray

from numbanet import tables
from numbanet.checks import listed
from numbanet.cli.common import DATA_SETS, STANDARD, add_choice, names, read_array
from numbanet.tables.labels import UNKNOWN
from numbanet.tables.spelling import PLAIN, Spelling

# The options that apply only to tables, by the names of their attributes in the parsed arguments.
READING = ("separator", "decimal", "thousands", "encoding", "missing", "header", "ignore", "drop_missing")


def add_table_options(parser: argparse._ActionsContainer) -> None:
    """Adds the options that control how a table is read."""
    parser.add_argument(
        "--separator",
        type=_character,
        metavar="S",
        help="character between the columns of a text file, or 'tab' (default: detected)",
    )
    parser.add_argument("--decimal", metavar="C", help="character before the fraction of a number (default: .)")
    parser.add_argument(
        "--thousands",
        type=_character,
        metavar="C",
        help="character between groups of digits, such as the comma in 1,000,000, or 'space' (default: none)",
    )
    parser.add_argument("--encoding", metavar="NAME", help="encoding of a text file, such as latin-1 (default: utf-8)")
    parser.add_argument(
        "--missing",
        action="extend",
        type=names,
        metavar="TEXT[,...]",
        help="strings that mean a missing value, in addition to the empty cell (default: NA, N/A, n/a, NaN, nan, <NA>, #N/A, "
        "NULL, null, None; if a column of strings contains only one of them, such as NA, this string is a value)",
    )
    parser.add_argument(
        "--header",
        action=argparse.BooleanOptionalAction,
        help="whether the first line names the columns (default: yes); with --no-header, the columns are named c1, c2, ...",
    )
    parser.add_argument("--ignore", action="extend", type=names, metavar="COLUMN[,...]", help="columns to leave out")
    parser.add_argument(
        "--drop-missing",
        action="store_true",
        default=None,
        help="leave out rows with a missing value, unless the option --impute of numbanet train replaces the value",
    )


def add_unknown_option(parser: argparse._ActionsContainer) -> None:
    """Adds the option --unknown."""
    add_choice(
        parser,
        "--unknown",
        UNKNOWN,
        default="error",
        help="what to do with a category that did not occur in training; ignore: all inputs of its column are 0 "
        "(default: %(default)s)",
    )


def _character(text: str) -> str:
    return {"tab": "\t", "\\t": "\t", "space": " "}.get(text, text)


def read_table(options: argparse.Namespace, target: str | None = None, spelling: Spelling = PLAIN) -> tables.Table:
    """Reads the table `options.data`.

    Parameters
    ----------
    options : Namespace
    target : str, optional
        The name of an array in an NPZ file, or the path of an IDX file of labels, as for `numbanet.tables.read`.
    spelling : Spelling
        The spelling of numbers and missing values. Options such as --decimal override `spelling`.
    """
    decimal, thousands = options.decimal, options.thousands
    if decimal is thousands is None:
        decimal, thousands = spelling.decimal, spelling.thousands
    return tables.read(
        sys.stdin.buffer if options.data == STANDARD else options.data,
        separator=options.separator,
        decimal=decimal or ".",
        thousands=thousands,
        missing=spelling.missing if options.missing is None else options.missing,
        encoding=options.encoding,
        header=options.header,
        target=target,
    )


def read_rows(options: argparse.Namespace, encoding: tables.Encoding, *, target: bool) -> tables.Table:
    """Reads the table `options.data` for a network with the given encoding. `target` is true if the rows need a target."""
    if options.data in DATA_SETS and not tables.is_table(options.data):
        needed = [each.name for each in encoding.features] + [encoding.target.name] * target
        raise ValueError(
            f"{options.data} is the name of a data set of images, but {options.model} was trained on a table: name a table "
            f"with the columns {listed(needed)}"
        )
    of_idx = options.target if target and tables.is_idx(options.data) else None
    table = read_table(options, of_idx or (encoding.target.name if target else None), encoding.spelling)
    if not options.drop_missing:
        return table
    complete = encoding.complete(table, target=target)
    report_dropped(table, complete)
    return complete


def report_dropped(table: tables.Table, complete: tables.Table) -> None:
    """Prints on standard error how many rows of a table were left out because of missing values."""
    if complete.rows < table.rows:
        print(f"{table.rows - complete.rows} of {table.rows} rows have a missing value and are left out", file=sys.stderr)


def add_samples(parser: argparse.ArgumentParser) -> None:
    """Adds the argument DATA and the option --target, from which `samples_of` reads x and y."""
    parser.add_argument(
        "data",
        metavar="DATA",
        help="a table, or - for standard input; for a network trained on arrays: "
        f"{', '.join(DATA_SETS)} (the held-out images), or an .npz file with x and y",
    )
    parser.add_argument("--target", metavar="FILE", help="if DATA is an IDX file: the IDX file that contains its labels")


def samples_of(
    encoding: tables.Encoding | None, options: argparse.Namespace
) -> tuple[NDArray[Any], NDArray[Any], tables.Table | None]:
    """Reads x and y for a network from `options.data`: rows of a table, held-out images, or arrays in an NPZ file.

    Parameters
    ----------
    encoding : Encoding or None
        The network's encoding of tables; None for a network that was trained on arrays.
    options : Namespace

    Returns
    -------
    x, y : ndarray
    table : Table or None
        The rows of the table, if the network was trained on a table.
    """
    if encoding is not None:
        table = read_rows(options, encoding, target=True)
        return encoding.x(table, ignore=options.ignore or (), unknown=options.unknown), encoding.y(table), table
    if options.data in DATA_SETS:
        return *DATA_SETS[options.data].load()[2:], None
    return read_array(options.data, "x"), read_array(options.data, "y"), None

"""Loads the data for the subcommand train: a named data set, or a table."""

import argparse
from typing import Any, NamedTuple

from numpy.typing import NDArray

from numbanet import checks, tables
from numbanet.cli.common import DATA_SETS
from numbanet.cli.table_options import read_table, report_dropped
from numbanet.tables.features import Categorical
from numbanet.tables.kinds import task_of
from numbanet.tables.notes import standardisation
from numbanet.tables.splitting import strata_of, stratified
from numbanet.tables.targets import Classes

WATCHED = 0.2  # fraction of the training images on which early stopping or a schedule measures the loss
Pair = tuple[NDArray[Any], NDArray[Any]]


class Problem(NamedTuple):
    """The data to train on, with the loss, the number of outputs and the class labels of the network to train.

    Parameters
    ----------
    x, y : ndarray
        The samples to train on.
    watched : tuple of (x, y), optional
        The samples whose loss and metrics are measured after each epoch.
    held_out : tuple of (x, y), optional
        The samples on which the final loss and metrics are computed. If early stopping or a schedule depends on the loss on
        `watched`, none of these samples is in `watched`.
    loss : str
        Name of the loss.
    n_out : int
        Number of outputs.
    labels : tuple of str
        The class labels; empty for regression.
    encoding : Encoding, optional
        The encoding of the table; None for a named data set.
    summary : str
        Lines that describe the data and are printed before training.
    measured : Table, optional
        The rows of the table on which the option --report measures the network: the rows of `held_out` or, if no rows are held
        out, the rows of `x`.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    watched: Pair | None
    held_out: Pair | None
    loss: str
    n_out: int
    labels: tuple[str, ...]
    encoding: tables.Encoding | None
    summary: str
    measured: tables.Table | None = None


def _watches(options: argparse.Namespace) -> bool:
    """Returns whether early stopping or the schedule depends on the validation loss.

    If it does, the final metrics must be computed on samples that the validation loss does not use.
    """
    return options.early_stopping is not None or options.schedule == "plateau"


def _counted(rows: int, noun: str, watched: int, held_out: int) -> str:
    """Returns text such as "80 rows to train on, 20 held out"."""
    set_aside = f", {watched} to watch while training" if watched else ""
    return f"{rows} {noun} to train on{set_aside}, {held_out} held out"


def of_data_set(options: argparse.Namespace) -> Problem:
    """Loads the named data set `options.data`."""
    if options.loss not in (None, "cce"):
        raise ValueError(f"{options.data} has ten classes, which need loss cce, not {options.loss}")
    data_set = DATA_SETS[options.data]
    x, y, *held_out = data_set.load()
    watched = held_out
    rows, aside = stratified(y, WATCHED if _watches(options) else 0.0, options.seed)
    if aside.size:
        x, y, watched = x[rows], y[rows], (x[aside], y[aside])
    summary = _counted(len(y), data_set.images, aside.size, len(held_out[1]))
    return Problem(x, y, tuple(watched), tuple(held_out), "cce", 10, tuple(map(str, range(10))), None, summary)  # type: ignore


def of_table(options: argparse.Namespace) -> Problem:
    """Reads and encodes the table `options.data`."""
    table = read_table(options, options.target)
    target = "y" if tables.is_idx(options.data) else options.target or "y"
    if options.drop_missing:
        complete = tables.drop_missing(table, target, ignore=options.ignore or (), impute=options.impute is not None)
        report_dropped(table, complete)
        table = complete
    task, reason = (options.task, "--task") if options.task else task_of(table, target)
    strata, fraction = strata_of(table, target, task), checks.fraction("validation_split", options.validation_split)
    rows, held_out = stratified(strata, fraction, options.seed)
    watched = held_out
    if _watches(options):
        if not held_out.size:
            given = "--schedule plateau" if options.early_stopping is None else "--early-stopping"
            raise ValueError(
                f"{given} needs rows that are set aside from the training rows, but --validation-split 0 sets none aside: use "
                "another fraction, such as --validation-split 0.2"
            )
        rows, watched = (rows[part] for part in stratified(strata[rows], fraction, options.seed))
    encoding = tables.learn(
        table,
        target,
        task=task,
        categorical=options.categorical or (),
        ignore=options.ignore or (),
        impute=options.impute,
        rows=rows,
    )
    loss = options.loss or encoding.target.losses[0]
    x, y = encoding.x(table, options.dtype), encoding.y(table)
    lines = [*tables.notes(table, encoding), _summary(encoding, task, reason)]
    lines.append(_counted(rows.size, "rows", 0 if watched is held_out else watched.size, held_out.size))
    return Problem(
        x[rows],
        y[rows],
        (x[watched], y[watched]) if watched.size else None,
        (x[held_out], y[held_out]) if held_out.size else None,
        loss,
        encoding.target.width(loss),
        encoding.target.labels if isinstance(encoding.target, Classes) else (),
        encoding,
        "\n".join(lines),
        table.take(held_out if held_out.size else rows) if options.report else None,
    )


def _summary(encoding: tables.Encoding, task: str, reason: str) -> str:
    """Returns text about the target, the task and the kinds of columns of a table; `reason` says why the task was chosen."""
    target, classes, losses = encoding.target, "", ""
    if isinstance(target, Classes):
        classes = f" into {len(target.labels)} classes"
    else:
        formula = standardisation(target.name, target.mean, target.scale)
        losses = f"\nlosses below are of the standardised target, {formula}"
    categorical = sum(isinstance(feature, Categorical) for feature in encoding.features)
    return (
        f"{target.name}: {task}{classes} ({reason}), from {len(encoding.features) - categorical} numeric and {categorical} "
        f"categorical columns{losses}"
    )

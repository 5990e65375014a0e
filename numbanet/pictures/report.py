"""Writes the report of a training or of an evaluation: one HTML file with metrics, curves, tables and explanations."""

from collections.abc import Iterable, Mapping
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from numbanet import checks
from numbanet.evaluation import figures, line, permutation_importance, predictions, unit_of
from numbanet.files import Location
from numbanet.network import Network
from numbanet.pages import Section, refuse_other_names, write_report
from numbanet.pictures import sections
from numbanet.pictures.importance import importance
from numbanet.pictures.predictions import image_shape
from numbanet.pictures.worst import Samples, worst
from numbanet.tables import Table
from numbanet.tables.features import Numeric
from numbanet.tables.frames import Frame, as_table
from numbanet.training.history import History
from numbanet.training.metrics import Metric


def report(
    path: Location,
    network: Network,
    x: Table | Frame | ArrayLike,
    y: ArrayLike | None = None,
    *,
    history: History | None = None,
    metrics: Iterable[str | Metric] = (),
    data: str | None = None,
    samples: str = "samples",
    total: int | None = None,
    shape: tuple[int, int] | None = None,
    settings: Mapping[str, Any] | None = None,
    command: str | None = None,
) -> None:
    """Writes a report of a trained network as one HTML file, which a browser shows without an Internet connection.

    The report contains the loss and the metrics of the network on the given samples, a description of the data and of their
    encoding, the settings, the learning curves, the samples with the largest errors, the permutation importance of the
    columns, and a description of the machine. For classes, it also contains the confusion matrix and the scores of each class;
    for several labels per sample, the scores of each label; for regression, the predictions against the targets. Ctrl-C while
    the permutation importance is measured ends only this measurement; `report` still writes the file.

    Parameters
    ----------
    path : path or binary file object
        The HTML file to write, whose name must end in .html or .htm.
    network : Network
        The trained network.
    x : Table, DataFrame or array_like (n, n_in)
        The samples on which the network is measured, such as held-out samples. If y is not given, x must be a table, which the
        encoding `network.table` converts to inputs and targets.
    y : array_like, optional
        The targets, as for `Network.evaluate`.
    history : History, optional
        The history that `Network.fit` returned; without a history, the report has no learning curves.
    metrics : list of str or callable
        Further metrics, as for `Network.evaluate`.
    data : str, optional
        The name of the data, for the title of the report. By default, a table x is named by its target and its file, as in
        "price of houses.csv".
    samples : str
        The words with which the report names the samples, such as "held-out rows".
    total : int, optional
        The number of all samples, if x is a part of them. By default, if x is a table that consists of some rows of a larger
        table, `total` is the number of rows of the larger table.
    shape : (int, int), optional
        The height and the width of the samples, if they are images. With `shape`, the report shows the samples with the largest
        errors and the importance of the pixels as images. By default, `shape` is the shape of the images in a table that was
        read from a file of images.
    settings : dict, optional
        Settings of the training by name, such as the number of epochs.
    command : str, optional
        The command that repeats the training.

    Raises
    ------
    ValueError, TypeError
        The name of the file has an ending other than .html or .htm, y is missing although the network has no encoding of a
        table, x or y does not fit the network, or `total` is less than the number of samples in x.
    OSError
        The file cannot be written.
    """
    refuse_other_names(path)
    if not isinstance(network, Network):
        raise TypeError(f"network must be a Network, not {type(network).__name__}")
    if history is not None and not isinstance(history, History):
        raise TypeError(f"history must be a History, as returned by fit, not {type(history).__name__}")
    if shape is not None and np.prod(image_shape(shape)) != network.sizes[0]:
        raise ValueError(
            f"shape {shape} does not fit the network, which has {network.sizes[0]} inputs: pass the height and the width of "
            "the images, whose product must be the number of inputs"
        )
    table, encoding = None, network.table
    if y is None:
        if encoding is None:
            raise ValueError("y is missing: pass the targets, or a network whose attribute table contains an encoding")
        table = as_table(x)
        shape = shape or _shape_of_images(table, network)
        total = (table.whole or table).rows if total is None else total
        x, y = encoding.x(table, network.dtype, ignore=table.columns, unknown="ignore"), encoding.y(table)
    network._model.refuse_other_columns(x, y)
    x, y = np.asarray(x), np.asarray(y)
    if total is not None and checks.integer("total", total, 0) < len(x):
        raise ValueError(f"total is {total}, but x alone has {checks.count(len(x), 'sample')}: pass the number of all samples")
    values, unit = figures(network, x, y, metrics), unit_of(encoding)
    found = predictions(network, x, y)
    importances = permutation_importance(network, x, y)
    measured = _measured(len(x), samples, total)
    parts = [
        Section("data", "Data", sections.data(network, x, table, measured)),
        Section("settings", "Network and settings", sections.settings(network, settings or {})),
        Section("curves", "Learning curves", "" if history is None else sections.curves(network, history)),
        Section("results", "Results", sections.results(network, values, found)),
        Section("worst", "Largest errors", worst(found, Samples(network, x, table, shape), importances)),
        Section("importance", "Importance of the columns", importance(importances, len(x), shape)),
        Section("machine", "Time and machine", sections.machine(network, history)),
        Section("repeat", "Repeat", sections.repeat(command)),
    ]
    title = "Evaluation report" if history is None else "Training report"
    if data is None and table is not None and encoding is not None:
        data = f"{encoding.target.name} of {PurePath(table.source).name}"
    if data is not None:
        title += f": {data}"
    write_report(path, title, f"{line(values, unit)}, on {measured}", parts)


def _measured(count: int, noun: str, total: int | None) -> str:
    """Returns the number of samples in words, such as "359 held-out images, of 1,797 in all"."""
    words = f"{count:,} {noun if count != 1 else noun.removesuffix('s')}"
    return words if total in (None, count) else f"{words}, of {total:,} in all"


def _shape_of_images(table: Table, network: Network) -> tuple[int, int] | None:
    """Returns the shape of a table's images, or None if the network's inputs are not exactly the pixels of such images."""
    shape = table.shape
    pixels = [type(feature) is Numeric for feature in network.table.features] if network.table else []
    return shape if shape is not None and len(pixels) == np.prod(shape) and all(pixels) else None

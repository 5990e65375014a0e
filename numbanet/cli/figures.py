"""Computes and formats the values that the subcommands train and evaluate print: loss, accuracy and further metrics."""

import argparse
from collections.abc import Callable, Iterable
from typing import Any

from numpy.typing import NDArray

from numbanet import Network
from numbanet.cli.common import names
from numbanet.tables.encoding import Encoding
from numbanet.tables.targets import Quantity
from numbanet.training.metrics import METRICS, OF_CLASSES, OF_NUMBERS, metrics_of

OF_QUANTITIES = ("r2", "rmse", "mae")
IN_UNITS = ("rmse", "mae", "mse")


def unit_of(encoding: Encoding | None) -> str | None:
    """Returns the name of a regression target of a table, because metrics are printed in its units; otherwise returns None."""
    return encoding.target.name if encoding and isinstance(encoding.target, Quantity) else None


def metrics_in_units(metrics: Iterable[str], encoding: Encoding | None) -> dict[str, Callable]:
    """Returns metric functions by name. For a regression target of a table, the functions compute in the target's units.

    Raises
    ------
    ValueError
        A metric is unknown, or the target is a number although the metric needs classes.
    """
    functions = metrics_of(list(metrics))
    if encoding is None or not isinstance(encoding.target, Quantity):
        return functions
    for name in functions:
        if name in OF_CLASSES:
            raise ValueError(
                f"--metrics {name} applies to classification, but the target {encoding.target.name!r} is a number: use "
                f"{', '.join(OF_NUMBERS)}"
            )
    units = encoding.target.in_units
    return {name: lambda y, y_hat, metric=metric: metric(units(y), units(y_hat)) for name, metric in functions.items()}


def figures(network: Network, x: NDArray[Any], y: NDArray[Any], metrics: Iterable[str] = ()) -> dict[str, float]:
    """Returns the values to print: the loss and the given metrics, and for classification also the accuracy.

    For a regression target of a table, r2, rmse and mae replace the loss, because the loss refers to the standardised target,
    whereas rmse and mae are in the units of the target column.
    """
    if network.table is None or not isinstance(network.table.target, Quantity):
        return network.evaluate(x, y, metrics=list(metrics))
    functions = metrics_in_units(dict.fromkeys((*OF_QUANTITIES, *metrics)), network.table)
    targets, y_hat = y.reshape(len(y), -1), network.predict(x)
    return {name: float(metric(targets, y_hat)) for name, metric in functions.items()}


def line(values: dict[str, float], unit: str | None = None) -> str:
    """Returns the values as one line that ends with the loss and, for a regression target, the unit."""
    ordered = sorted(values, key=lambda name: name == "loss")
    text = ", ".join(f"{name} {values[name]:{'.6g' if unit and name in IN_UNITS else '.4f'}}" for name in ordered)
    return f"{text}, in units of {unit!r}" if unit else text


def add_metrics_option(parser: argparse._ActionsContainer) -> None:
    """Adds the option --metrics."""
    parser.add_argument(
        "--metrics", type=names, default=(), metavar="NAME[,...]", help=f"further metrics to print: {', '.join(METRICS)}"
    )

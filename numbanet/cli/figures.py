"""The values that the subcommands train and evaluate print: loss, accuracy, and further metrics."""

import argparse
from collections.abc import Callable, Iterable
from typing import Any

from numpy.typing import NDArray

from numbanet import Network
from numbanet.cli.common import names
from numbanet.tables.encoding import Encoding, Quantity
from numbanet.training.metrics import METRICS, metrics_of

OF_QUANTITIES = ("r2", "rmse", "mae")


def metrics_in_units(metrics: Iterable[str], encoding: Encoding | None) -> dict[str, Callable]:
    """Returns metrics as functions by name; for a network that predicts a quantity, they compute in the table's units."""
    functions = metrics_of(list(metrics))
    if encoding is None or not isinstance(encoding.target, Quantity):
        return functions
    units = encoding.target.in_units
    return {name: lambda y, y_hat, metric=metric: metric(units(y), units(y_hat)) for name, metric in functions.items()}


def figures(network: Network, x: NDArray[Any], y: NDArray[Any], metrics: Iterable[str] = ()) -> dict[str, float]:
    """Returns the loss, the named metrics, and for classes the accuracy or for a table's quantity r2, rmse and mae."""
    if network.table is None or not isinstance(network.table.target, Quantity):
        return network.evaluate(x, y, metrics=list(metrics))
    functions = metrics_in_units(dict.fromkeys((*OF_QUANTITIES, *metrics)), network.table)
    values, targets, y_hat = network.evaluate(x, y), y.reshape(len(y), -1), network.predict(x)
    values |= {name: float(metric(targets, y_hat)) for name, metric in functions.items()}
    return values


def line(values: dict[str, float]) -> str:
    """Returns the loss and metrics as one line of text that ends with the loss."""
    in_units = ("rmse", "mae")
    ordered = [*(name for name in values if name != "loss"), "loss"]
    return ", ".join(f"{name} {values[name]:{'.6g' if name in in_units else '.4f'}}" for name in ordered)


def add_metrics_option(parser: argparse._ActionsContainer) -> None:
    """Adds the option --metrics."""
    parser.add_argument(
        "--metrics", type=names, default=(), metavar="NAME[,...]", help=f"further metrics to report: {', '.join(METRICS)}"
    )

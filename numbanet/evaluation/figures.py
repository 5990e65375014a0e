"""Computes and formats the figures that commands and reports show for a network: loss, accuracy and further metrics."""

from collections.abc import Callable, Iterable
from typing import Any

from numpy.typing import NDArray

from numbanet import checks
from numbanet.network import Network
from numbanet.tables.encoding import Encoding
from numbanet.tables.targets import Quantity
from numbanet.training.metrics import OF_CLASSES, OF_NUMBERS, Metric, metrics_of
from numbanet.training.reporting import shown

OF_QUANTITIES = ("r2", "rmse", "mae")
IN_UNITS = ("rmse", "mae", "mse")


def unit_of(encoding: Encoding | None) -> str | None:
    """Returns the name of the target column if the network predicts a quantity from a table, otherwise None.

    The name of the target column serves as the unit of metrics: for example, rmse is printed in units of 'price'.
    """
    return encoding.target.name if encoding and isinstance(encoding.target, Quantity) else None


def metrics_in_units(metrics: Iterable[str | Metric], encoding: Encoding | None) -> dict[str, Callable]:
    """Returns the functions of the given metrics, by name.

    If the network predicts a number from a table, the functions first convert y and y_hat, which are standardised, to the units
    of the target column.

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


def figures(network: Network, x: NDArray[Any], y: NDArray[Any], metrics: Iterable[str | Metric] = ()) -> dict[str, float]:
    """Returns the values to show, by name: the loss, the given metrics and, for classification, the accuracy.

    For a regression target of a table, r2, rmse and mae replace the loss. The loss refers to the standardised target; rmse and
    mae are in the units of the target column.
    """
    if network.table is None or not isinstance(network.table.target, Quantity):
        return network.evaluate(x, y, metrics=list(metrics))
    functions = metrics_in_units(dict.fromkeys((*OF_QUANTITIES, *metrics)), network.table)
    targets, y_hat = y.reshape(len(y), -1), network.predict(x)
    return {name: float(metric(targets, y_hat)) for name, metric in functions.items()}


def line(values: dict[str, float], unit: str | None = None) -> str:
    """Returns the names and values of the metrics as one line of text.

    The loss, if any, comes last. The unit, if given, follows all values, as in "r2 0.9, rmse 2.5, in units of 'price'".
    """
    ordered = sorted(values, key=lambda name: name == "loss")
    text = ", ".join(f"{name} {figure(name, values[name], unit)}" for name in ordered)
    return f"{text}, in units of {unit!r}" if unit else text


def figure(name: str, value: float, unit: str | None = None) -> str:
    """Returns the value of the metric `name` as text; a large value of a metric that has a unit gets no exponent."""
    return checks.quantity(value) if unit and name in IN_UNITS else shown(value)

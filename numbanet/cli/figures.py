"""How right a network is: the figures that train and evaluate print."""

from collections.abc import Callable

import numpy as np

from numbanet import Network
from numbanet.tables.encoding import Encoding, Quantity
from numbanet.training.metrics import METRICS, metrics_of

OF_QUANTITIES = ("r2", "rmse", "mae")


def metrics_in_units(names, encoding: Encoding | None) -> dict[str, Callable]:
    """The metrics of these names; for a quantity they measure in the units of its table."""
    metrics = metrics_of(names)
    if encoding is None or not isinstance(encoding.target, Quantity):
        return metrics
    units = encoding.target.in_units
    return {name: lambda y, y_hat, metric=metric: metric(units(y), units(y_hat)) for name, metric in metrics.items()}


def figures(network: Network, x: np.ndarray, y: np.ndarray, names=()) -> dict[str, float]:
    """Loss, accuracy or, for a quantity of a table, r2, rmse and mae, and the metrics of these names."""
    found = network.evaluate(x, y)
    if network.table is not None and isinstance(network.table.target, Quantity):
        names = list(dict.fromkeys((*OF_QUANTITIES, *names)))
    if names:
        targets = np.eye(network.sizes[-1])[y] if network.loss == "cce" and y.ndim == 1 else y.reshape(len(y), -1)
        y_hat = network.predict(x)
        found |= {name: float(metric(targets, y_hat)) for name, metric in metrics_in_units(names, network.table).items()}
    return found


def line(found: dict[str, float]) -> str:
    """The figures as text, the loss last."""
    of_units = ("rmse", "mae")
    names = [*(name for name in found if name != "loss"), "loss"]
    return ", ".join(f"{name} {found[name]:{'.6g' if name in of_units else '.4f'}}" for name in names)


def add_metrics_option(parser, names) -> None:
    """--metrics"""
    parser.add_argument("--metrics", type=names, default=(), metavar="NAME[,...]", help=f"also: {', '.join(METRICS)}")

"""Loss, accuracy and further metrics of predictions, for `Network.fit` and `Network.evaluate`."""

import functools
from collections.abc import Callable, Iterable, Mapping
from typing import Any, SupportsFloat

import numpy as np

from numbanet import checks
from numbanet.engines.interface import Totals
from numbanet.engines.topology import Topology

Metric = Callable[[np.ndarray, np.ndarray], SupportsFloat]


def loss_and_accuracy(totals: Totals, topology: Topology, weight: float | None = None) -> dict[str, float]:
    """Returns the loss as the network defines it and, for the losses cce and bce, the accuracy.

    Parameters
    ----------
    totals : Totals
        Number of samples, and the sums of their losses and of their hits (right answers).
    topology : Topology
    weight : float, optional
        The total weight of the samples, by default the number of samples.
    """
    weight = totals.samples if weight is None else weight
    result = {"loss": totals.loss if topology.loss == "sse" else totals.loss / weight}
    if topology.loss == "cce":
        result["accuracy"] = totals.hits / totals.samples
    elif topology.loss == "bce":
        result["accuracy"] = totals.hits / (totals.samples * topology.sizes[-1])
    return result


def measure(metrics: Mapping[str, Metric], y: np.ndarray, y_hat: np.ndarray) -> dict[str, float]:
    """Returns the value of each metric, by name, for targets y and predictions y_hat of shape (n, n_out)."""
    return {name: _value(name, metric, y, y_hat) for name, metric in metrics.items()}


def _value(name: str, metric: Metric, y: np.ndarray, y_hat: np.ndarray) -> float:
    value = metric(y, y_hat)
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"the metric {name} must return a real number, not {checks.shown(value)}") from None


def mean_absolute_error(y: np.ndarray, y_hat: np.ndarray) -> float:
    """Returns the mean of |y - y_hat|, over samples and outputs."""
    return float(np.abs(y - y_hat).mean())


def mean_squared_error(y: np.ndarray, y_hat: np.ndarray) -> float:
    """Returns the mean of (y - y_hat)^2, over samples and outputs."""
    return float(np.square(y - y_hat).mean())


def root_mean_squared_error(y: np.ndarray, y_hat: np.ndarray) -> float:
    """Returns the square root of `mean_squared_error`."""
    return mean_squared_error(y, y_hat) ** 0.5


def r2(y: np.ndarray, y_hat: np.ndarray) -> float:
    """Returns R^2, the explained fraction of the variance of y, averaged over outputs; an output with constant y adds 0."""
    residual, total = np.square(y - y_hat).sum(axis=0), np.square(y - y.mean(axis=0)).sum(axis=0)
    return float(np.where(total > 0, 1 - residual / np.where(total > 0, total, 1), 0).mean())


def classes_of(y: np.ndarray) -> np.ndarray:
    """Returns the class of each row: the index of its largest value, or for a single column 1 above 1/2 and 0 otherwise."""
    return y.argmax(axis=1) if y.shape[1] > 1 else (y[:, 0] > 0.5).astype(np.intp)


def balanced_accuracy(y: np.ndarray, y_hat: np.ndarray) -> float:
    """Returns the mean recall over the classes that occur in y."""
    classes, right = classes_of(y), classes_of(y) == classes_of(y_hat)
    return float(np.mean([right[classes == each].mean() for each in np.unique(classes)]))


def f1(y: np.ndarray, y_hat: np.ndarray) -> float:
    """Returns the F1 score, 2 TP / (2 TP + FP + FN).

    With a single output it is the F1 score of class 1; otherwise it is the mean of the F1 scores of all classes that occur in
    y or in the predictions.
    """
    classes, predicted = classes_of(y), classes_of(y_hat)
    if y.shape[1] == 1:
        return _f1_of_class(1, classes, predicted)
    return float(np.mean([_f1_of_class(each, classes, predicted) for each in np.union1d(classes, predicted)]))


def _f1_of_class(each: int, classes: np.ndarray, predicted: np.ndarray) -> float:
    true_positives = np.sum((classes == each) & (predicted == each))
    of_class = np.sum(classes == each) + np.sum(predicted == each)
    return float(2 * true_positives / of_class) if of_class else 0.0


METRICS: dict[str, Metric] = {
    "mae": mean_absolute_error,
    "mse": mean_squared_error,
    "rmse": root_mean_squared_error,
    "r2": r2,
    "balanced_accuracy": balanced_accuracy,
    "f1": f1,
}


# Names of figures of the history that are not metrics; for the losses cce and bce, "accuracy" is one, too.
TAKEN = ("epoch", "loss", "seconds", "learning_rate")


def metrics_of(
    value: str | Metric | Iterable[str | Metric] | Mapping[str, str | Metric] | None, loss: str | None = None
) -> dict[str, Metric]:
    """Returns the argument metrics of `Network.fit` (a name, a function, or a list or mapping of them) as functions by name.

    Parameters
    ----------
    value : str, callable, or list or dict of them, or None
    loss : str, optional
        The loss of the network, which determines whether the name "accuracy" is taken.

    Raises
    ------
    ValueError, TypeError
        The name of a metric is unknown or taken, two metrics have the same name, or a metric is neither a name nor a function
        of y and y_hat.
    """
    metrics: dict[str, Any] = {}
    for name, metric in _entries(value):
        if not isinstance(name, str):
            raise TypeError(f"the name of a metric must be a text, not {checks.shown(name)}")
        if isinstance(metric, str):
            metric = METRICS[checks.choice("metric", metric, METRICS)]
        elif isinstance(metric, type) or not callable(metric):
            known = ", ".join(METRICS)
            raise TypeError(f"a metric must be one of {known}, or a function of y and y_hat, not {checks.shown(metric)}")
        else:
            checks.takes(f"the metric {name}", metric, "y", "y_hat")
        if metrics.setdefault(name, metric) is not metric:
            raise ValueError(f"two metrics have the name {name!r}: pass a dict of metrics, such as {{'first': f, 'second': g}}")
    taken = {*TAKEN, "accuracy"} if loss in ("bce", "cce") else {*TAKEN}
    for name in metrics:
        if name in taken or (name.startswith("val_") and name.removeprefix("val_") in taken | metrics.keys()):
            raise ValueError(f"a metric cannot have the name {name!r}, because another figure has it: choose another name")
    return metrics


def _entries(value: Any) -> list[tuple[Any, Any]]:
    """Returns pairs of a name and a metric, which is itself a name or a function."""
    if value is None:
        return []
    if isinstance(value, Mapping):
        return list(value.items())
    try:
        listed = [value] if isinstance(value, str) or callable(value) else list(value)
    except TypeError:
        raise TypeError(f"metrics must be a metric, or a list or dict of metrics, not {checks.shown(value)}") from None
    return [(entry if isinstance(entry, str) else _name_of(entry), entry) for entry in listed]


def _name_of(metric: Any) -> str:
    """Returns the name of a function; for a function with fixed arguments, the name of the function itself."""
    while isinstance(metric, functools.partial):
        metric = metric.func
    return getattr(metric, "__name__", type(metric).__name__)

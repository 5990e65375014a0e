"""Loss, accuracy and further metrics of predictions, for `Network.fit` and `Network.evaluate`."""

from collections.abc import Callable, Iterable, Mapping
from typing import SupportsFloat

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
    return {name: float(metric(y, y_hat)) for name, metric in metrics.items()}


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


def metrics_of(value: str | Metric | Iterable[str | Metric] | Mapping[str, str | Metric]) -> dict[str, Metric]:
    """Returns the argument metrics of `Network.fit` (a name, a function, or a list or mapping of them) as functions by name.

    Raises
    ------
    ValueError, TypeError
        The name of a metric is unknown, or a metric is neither a name nor callable.
    """
    if isinstance(value, Mapping):
        entries = dict(value)
    else:
        listed = [value] if isinstance(value, str) or callable(value) else list(value)
        entries = {getattr(entry, "__name__", str(entry)): entry for entry in listed}
    metrics = {}
    for name, metric in entries.items():
        if isinstance(metric, str):
            metric = METRICS[checks.choice("metric", metric, METRICS)]
        elif not callable(metric):
            raise TypeError(f"a metric must be one of {', '.join(METRICS)}, or a function of y and y_hat, not {metric!r}")
        metrics[name] = metric
    return metrics

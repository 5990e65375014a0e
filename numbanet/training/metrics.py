"""Figures of how good predictions are, by name, for `Network.fit` and `Network.evaluate`."""

from collections.abc import Callable

import numpy as np

from numbanet import checks


def mean_absolute_error(y, y_hat) -> float:
    """Mean of |y - y_hat|."""
    return float(np.abs(y - y_hat).mean())


def mean_squared_error(y, y_hat) -> float:
    """Mean of (y - y_hat)^2, over samples and outputs."""
    return float(np.square(y - y_hat).mean())


def root_mean_squared_error(y, y_hat) -> float:
    """Root of `mean_squared_error`."""
    return mean_squared_error(y, y_hat) ** 0.5


def r2(y, y_hat) -> float:
    """1 less the share of the variance of y that is left; the mean over outputs. 0 where an output does not vary."""
    left, all_of_it = np.square(y - y_hat).sum(axis=0), np.square(y - y.mean(axis=0)).sum(axis=0)
    return float(np.where(all_of_it > 0, 1 - left / np.where(all_of_it > 0, all_of_it, 1), 0).mean())


def classes_of(y) -> np.ndarray:
    """The class that a row of targets or predictions stands for: the largest, or of a single one its side of 1/2."""
    return y.argmax(axis=1) if y.shape[1] > 1 else (y[:, 0] > 0.5).astype(np.intp)


def balanced_accuracy(y, y_hat) -> float:
    """The mean, over the classes that occur, of the share of their samples that are seen right."""
    classes, right = classes_of(y), classes_of(y) == classes_of(y_hat)
    return float(np.mean([right[classes == each].mean() for each in np.unique(classes)]))


def f1(y, y_hat) -> float:
    """2 TP / (2 TP + FP + FN): of class 1 of a single output, else the mean over the classes that occur or are seen."""
    classes, seen = classes_of(y), classes_of(y_hat)
    if y.shape[1] == 1:
        return _f1_of(1, classes, seen)
    return float(np.mean([_f1_of(each, classes, seen) for each in np.union1d(classes, seen)]))


def _f1_of(each: int, classes, seen) -> float:
    found, all_of_them = np.sum((classes == each) & (seen == each)), np.sum(classes == each) + np.sum(seen == each)
    return float(2 * found / all_of_them) if all_of_them else 0.0


METRICS: dict[str, Callable] = {
    "mae": mean_absolute_error,
    "mse": mean_squared_error,
    "rmse": root_mean_squared_error,
    "r2": r2,
    "balanced_accuracy": balanced_accuracy,
    "f1": f1,
}


def metrics_of(value) -> dict[str, Callable]:
    """The metrics that a name, a function, or a list or mapping of them means, by name."""
    if isinstance(value, dict):
        found = dict(value)
    else:
        entries = [value] if isinstance(value, str) or callable(value) else list(value)
        found = {getattr(entry, "__name__", str(entry)): entry for entry in entries}
    for name, metric in found.items():
        if isinstance(metric, str):
            found[name] = METRICS[checks.choice("metric", metric, METRICS)]
        elif not callable(metric):
            raise TypeError(f"a metric must be one of {', '.join(METRICS)}, or a function of y and y_hat, not {metric!r}")
    return found

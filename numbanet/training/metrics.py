"""The loss, the accuracy and additional metrics of predictions, for `Network.fit` and `Network.evaluate`.

All metrics are computed in float64, for any dtype of the network.

The classification metrics have an argument `labels`, which says whether the outputs are exclusive classes or independent
labels. If `labels` is False, each row belongs to exactly one class; the number of the class is the index of the largest value
in the row. If `labels` is True, each output is an independent label: a value above 1/2 in y or y_hat assigns the label, and
the metric is the mean over the outputs. If `labels` is None, y must contain only 0 and 1 (for `log_loss`, numbers from 0 to 1).
With `labels=None`, the outputs are exclusive classes if there are several outputs and every row of y adds up to 1; otherwise
the outputs are independent labels. `Network` passes `labels=True` for the loss bce, False for any other loss with a softmax
output layer, and None in all other cases. For `log_loss`, `Network` also passes `labels=True` if the output layer is sigmoid.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, SupportsFloat

import numpy as np

from numbanet import checks
from numbanet.engines.interface import Totals
from numbanet.engines.topology import Topology

Metric = Callable[[np.ndarray, np.ndarray], SupportsFloat]

# Number of values that a metric converts to float64 at a time, so that no float64 copy of all predictions is needed.
NUMBERS_AT_ONCE = 1 << 20


def loss_and_accuracy(totals: Totals, topology: Topology, weight: float | None = None) -> dict[str, float]:
    """Returns the network's loss and, for the losses cce and bce, the accuracy.

    Parameters
    ----------
    totals : Totals
        The number of samples, the sum of their losses, and the number of their correct outputs.
    topology : Topology
    weight : float, optional
        The sum of the sample weights; by default the number of samples.
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


# Regression metrics


def _slices(*arrays: np.ndarray) -> Iterator[list[np.ndarray]]:
    """Divides the rows into blocks; yields, for each block, its rows of every array in `arrays`, converted to float64."""
    count, width = len(arrays[0]), max(1, arrays[0].size // max(1, len(arrays[0])))
    rows = max(1, NUMBERS_AT_ONCE // width)
    for first in range(0, count, rows):
        yield [array[first : first + rows].astype(np.float64) for array in arrays]


def mean_absolute_error(y: np.ndarray, y_hat: np.ndarray) -> float:
    """Returns the mean of |y - y_hat| over all samples and outputs."""
    return float(sum(np.abs(a - b).sum() for a, b in _slices(y, y_hat)) / y.size)


def mean_squared_error(y: np.ndarray, y_hat: np.ndarray) -> float:
    """Returns the mean of (y - y_hat)^2 over all samples and outputs."""
    return float(sum(np.square(a - b).sum() for a, b in _slices(y, y_hat)) / y.size)


def root_mean_squared_error(y: np.ndarray, y_hat: np.ndarray) -> float:
    """Returns the square root of `mean_squared_error`."""
    return mean_squared_error(y, y_hat) ** 0.5


def r2(y: np.ndarray, y_hat: np.ndarray) -> float:
    """Returns R^2, the fraction of the variance of y that the predictions explain, averaged over the outputs.

    If y is constant for an output, R^2 of this output is 1 if all its predictions are equal to y, otherwise 0.
    """
    first = y[0].astype(np.float64)  # subtracted from y, so that the differences are exactly 0 if y is constant
    mean = sum((a - first).sum(axis=0) for (a,) in _slices(y)) / len(y)
    residual = np.asarray(sum(np.square(a - b).sum(axis=0) for a, b in _slices(y, y_hat)))
    total = np.asarray(sum(np.square(a - first - mean).sum(axis=0) for (a,) in _slices(y)))
    constant = np.where(residual > 0, 0.0, 1.0)
    return float(np.where(total > 0, 1 - residual / np.where(total > 0, total, 1), constant).mean())


# Classification metrics


class Counts(NamedTuple):
    """Numbers of samples for each of k classes or, if the outputs are independent labels, for each of k outputs.

    Parameters
    ----------
    right : (k,) int
        The number of samples to which both the target and the prediction assign the class.
    of_y, of_y_hat : (k,) int
        The number of samples to which the target assigns the class, and the number to which the prediction assigns the class.
    occurs : (k,) bool
        Whether the target or the prediction of any sample assigns the class to the sample; always True if the outputs are
        independent labels.
    """

    right: np.ndarray
    of_y: np.ndarray
    of_y_hat: np.ndarray
    occurs: np.ndarray


def classes_of(y: np.ndarray) -> np.ndarray:
    """Returns the class of each row: the index of the largest value or, in a single column, 1 if the value is above 1/2."""
    return y.argmax(axis=1) if y.shape[1] > 1 else (y[:, 0] > 0.5).astype(np.intp)


def refuse_numbers(metric: str, y: np.ndarray, of: str = "") -> None:
    """Raises ValueError if the targets y contain numbers other than 0 and 1 or, for log_loss, numbers outside [0, 1].

    Parameters
    ----------
    metric : str
        The name of a classification metric.
    y : (n, n_out) ndarray
    of : str
        Text that the error message appends to the name "y", such as " of validation_data".
    """
    soft = metric == log_loss.__name__
    for (rows,) in _slices(y):
        wrong = rows[(rows < 0) | (rows > 1) if soft else (rows != 0) & (rows != 1)]
        if wrong.size:
            raise ValueError(
                f"the metric {metric} needs {'targets from 0 to 1' if soft else 'the targets 0 and 1'}, but y{of} contains "
                f"{wrong[0]:g}: encode classes as 0 and 1; if the targets are numbers, use the metrics {', '.join(OF_NUMBERS)}"
            )


def has_labels(y: np.ndarray, labels: bool | None, metric: str) -> bool:
    """Returns whether the outputs are independent labels; if `labels` is None, decides from y (see the module's docstring).

    Raises
    ------
    ValueError
        `labels` is None, but y contains numbers other than 0 and 1 (for log_loss, numbers outside [0, 1]). The error message
        names `metric`.
    """
    if labels is None:
        refuse_numbers(metric, y)
        return y.shape[1] == 1 or not all((np.abs(rows.sum(axis=1) - 1) <= 1e-3).all() for (rows,) in _slices(y))
    return labels or y.shape[1] == 1


def counts_of(y: np.ndarray, y_hat: np.ndarray, labels: bool | None, metric: str) -> Counts:
    """Returns the `Counts` of each class or, for independent labels, of each output. Error messages name `metric`."""
    if has_labels(y, labels, metric):
        is_set, predicted = y > 0.5, y_hat > 0.5
        of_y, of_y_hat, right = (np.count_nonzero(each, axis=0) for each in (is_set, predicted, is_set & predicted))
        return Counts(right, of_y, of_y_hat, np.full(y.shape[1], True))
    classes, predicted = classes_of(y), classes_of(y_hat)
    each = (classes[classes == predicted], classes, predicted)
    right, of_y, of_y_hat = (np.bincount(numbers, minlength=y.shape[1]) for numbers in each)
    return Counts(right, of_y, of_y_hat, of_y + of_y_hat > 0)


def _quotients(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns a / b, or 0 if b is 0."""
    return a / np.maximum(b, 1)


def balanced_accuracy(y: np.ndarray, y_hat: np.ndarray, *, labels: bool | None = None) -> float:
    """Returns the mean of the recalls of the classes that occur in y.

    If the outputs are independent labels, the result is the mean of the balanced accuracies of all outputs. An independent
    label has two classes: the samples with the label, and the samples without the label. If all samples of y belong to the same
    class of an output, the balanced accuracy of the output is the recall of this class.
    """
    counts = counts_of(y, y_hat, labels, balanced_accuracy.__name__)
    if not has_labels(y, labels, balanced_accuracy.__name__):
        return float(_quotients(counts.right, counts.of_y)[counts.of_y > 0].mean())
    not_set = len(y) - counts.of_y
    rightly_not_set = not_set - counts.of_y_hat + counts.right
    recalls = _quotients(counts.right, counts.of_y) + _quotients(rightly_not_set, not_set)
    return float((recalls / ((counts.of_y > 0).astype(int) + (not_set > 0))).mean())


def f1(y: np.ndarray, y_hat: np.ndarray, *, labels: bool | None = None) -> float:
    """Returns the F1 score, 2 TP / (2 TP + FP + FN), from true positives, false positives and false negatives.

    The result is the mean of the F1 scores of all classes that occur in y or in the predictions. If the outputs are independent
    labels, the result is the mean of the F1 scores of all outputs. The F1 score of an output is 0 if its label occurs neither
    in y nor in the predictions.
    """
    counts = counts_of(y, y_hat, labels, f1.__name__)
    return float(_quotients(2 * counts.right, counts.of_y + counts.of_y_hat)[counts.occurs].mean())


def precision(y: np.ndarray, y_hat: np.ndarray, *, labels: bool | None = None) -> float:
    """Returns the precision, TP / (TP + FP), averaged as in `f1`; a class that is never predicted counts as 0."""
    counts = counts_of(y, y_hat, labels, precision.__name__)
    return float(_quotients(counts.right, counts.of_y_hat)[counts.occurs].mean())


def recall(y: np.ndarray, y_hat: np.ndarray, *, labels: bool | None = None) -> float:
    """Returns the recall, TP / (TP + FN), averaged as in `f1`; a class that is predicted but absent from y counts as 0."""
    counts = counts_of(y, y_hat, labels, recall.__name__)
    return float(_quotients(counts.right, counts.of_y)[counts.occurs].mean())


def roc_auc(y: np.ndarray, y_hat: np.ndarray, *, labels: bool | None = None) -> float:
    """Returns the area under the ROC curve of each class against all other classes, averaged over the outputs.

    For output j, the area is the probability that prediction j is larger for a random sample of class j than for a random
    sample outside class j; equal predictions count as 1/2. The area is undefined if all samples or no samples of y belong to
    class j. Outputs with an undefined area are left out of the mean. If the area under the curve is undefined for every output,
    the result is NaN.
    """
    classes = None if has_labels(y, labels, roc_auc.__name__) else classes_of(y)
    areas = []
    for j in range(y.shape[1]):
        of_class = y[:, j] > 0.5 if classes is None else classes == j
        others, own = np.sort(y_hat[~of_class, j]), np.sort(y_hat[of_class, j])
        if others.size and own.size:
            # Twice the number of pairs (a sample of the class, another sample) in which the sample of the class has the larger
            # prediction. Because pairs with equal predictions count as 1/2, the doubled number is an exact integer.
            pairs = sum(int(np.searchsorted(others, own, side).sum(dtype=np.int64)) for side in ("left", "right"))
            areas.append(pairs / (2 * others.size * own.size))
    return sum(areas) / len(areas) if areas else float("nan")


def log_loss(y: np.ndarray, y_hat: np.ndarray, *, labels: bool | None = None) -> float:
    """Returns the mean over samples of -sum_j y_j ln y_hat_j, the negative log-likelihood of the classes j.

    If the outputs are independent labels, the result is the mean of -(y ln y_hat + (1 - y) ln(1 - y_hat)) over samples and
    outputs. Predictions are clipped to the range from eps to 1 - eps, with the machine epsilon eps = 2.2e-16 of float64, as
    scikit-learn clips float64 predictions. Targets between 0 and 1 are treated as probabilities.

    Raises
    ------
    ValueError
        A prediction or a target is less than 0 or greater than 1.
    """
    if (y_hat < 0).any() or (y_hat > 1).any():
        raise ValueError(
            f"log_loss needs predictions from 0 to 1, but y_hat ranges from {y_hat.min():g} to {y_hat.max():g}: "
            "use a network whose last activation is sigmoid or softmax"
        )
    refuse_numbers(log_loss.__name__, y)
    binary, epsilon, total = has_labels(y, labels, log_loss.__name__), float(np.finfo(np.float64).eps), 0.0
    for target, p in _slices(y, y_hat):
        p = np.clip(p, epsilon, 1 - epsilon)
        total -= float((target * np.log(p)).sum())
        if binary:
            total -= float(((1 - target) * np.log1p(-p)).sum())
    return total / (y.size if binary else len(y))


METRICS: dict[str, Metric] = {
    "mae": mean_absolute_error,
    "mse": mean_squared_error,
    "rmse": root_mean_squared_error,
    "r2": r2,
    "balanced_accuracy": balanced_accuracy,
    "f1": f1,
    "precision": precision,
    "recall": recall,
    "roc_auc": roc_auc,
    "log_loss": log_loss,
}
OF_NUMBERS = ("mae", "mse", "rmse", "r2")
OF_CLASSES = tuple(name for name in METRICS if name not in OF_NUMBERS)

# Whether larger ("max") or smaller ("min") values are better, for the loss, the accuracy and each metric in METRICS. The same
# direction holds for the metric with the prefix "val_", which is measured on validation data.
DIRECTIONS: dict[str, Literal["max", "min"]] = {
    "loss": "min",
    "accuracy": "max",
    "mae": "min",
    "mse": "min",
    "rmse": "min",
    "r2": "max",
    "balanced_accuracy": "max",
    "f1": "max",
    "precision": "max",
    "recall": "max",
    "roc_auc": "max",
    "log_loss": "min",
}

ALWAYS = "; the accuracy of classes is always measured"  # also if `metrics` is not given

# Names that a metric passed to `fit` cannot have, because `fit` uses the names itself. If the loss is cce or bce, a metric
# cannot have the name "accuracy", either.
TAKEN = ("epoch", "loss", "seconds", "learning_rate")


def own(metric: Any) -> Metric | None:
    """Returns a metric of numbanet without a `functools.partial` around it; returns None for a metric that a user wrote."""
    function = metric.func if isinstance(metric, functools.partial) else metric
    return function if any(function is each for each in METRICS.values()) else None


def check_targets(metrics: Mapping[str, Metric], y: np.ndarray, of: str = "") -> None:
    """Raises ValueError if the targets y contain numbers that a classification metric cannot use (see `refuse_numbers`)."""
    for metric in metrics.values():
        if isinstance(metric, functools.partial) and own(metric) is not None:
            name = metric.func.__name__
            if metric.keywords["labels"] is None or name == log_loss.__name__:
                refuse_numbers(name, y, of)


def metrics_of(
    value: str | Metric | Iterable[str | Metric] | Mapping[str, str | Metric] | None, topology: Topology | None = None
) -> dict[str, Metric]:
    """Returns the metrics that the argument `metrics` of `Network.fit` selects, as a dict of functions by name.

    Parameters
    ----------
    value : str, callable, or list or dict of them, or None
    topology : Topology, optional
        The topology of the network that is measured. The topology determines whether the outputs are exclusive classes or
        independent labels, and whether a metric may have the name "accuracy".

    Raises
    ------
    ValueError, TypeError
        The name of a metric is unknown or not allowed, two metrics have the same name, a metric is neither a name nor a
        function of y and y_hat, or log_loss is selected although the outputs of the network are not probabilities.
    """
    metrics: dict[str, Any] = {}
    for name, metric in _entries(value):
        if not isinstance(name, str):
            raise TypeError(f"the name of a metric must be a string, not {checks.shown(name)}")
        if isinstance(metric, str):
            metric = METRICS[checks.choice("metric", metric, METRICS, ALWAYS)]
        elif isinstance(metric, type) or not callable(metric):
            known = ", ".join(METRICS)
            raise TypeError(f"a metric must be one of {known}, or a function of y and y_hat, not {checks.shown(metric)}")
        else:
            checks.takes(f"the metric {name}", metric, "y", "y_hat")
        if metrics.setdefault(name, metric) is not metric:
            raise ValueError(f"two metrics have the name {name!r}: pass a dict of metrics, such as {{'first': f, 'second': g}}")
    taken = {*TAKEN, "accuracy"} if topology and topology.loss in ("bce", "cce") else {*TAKEN}
    for name in metrics:
        if name in taken or (name.startswith("val_") and name.removeprefix("val_") in taken | metrics.keys()):
            raise ValueError(
                f"a metric cannot have the name {name!r}, because the history already contains this name: choose another name"
            )
    return {name: metric if topology is None else _of_network(metric, topology) for name, metric in metrics.items()}


def _of_network(metric: Any, topology: Topology) -> Metric:
    """Returns a classification metric with the argument `labels` that `topology` implies; returns other metrics unchanged."""
    if not any(metric is METRICS[name] for name in OF_CLASSES):
        return metric
    labels, output = None, topology.activations[-1]
    if topology.loss == "bce":
        labels = True
    elif output == "softmax":
        labels = False
    if metric is log_loss and output not in ("sigmoid", "softmax"):
        raise ValueError(
            f"log_loss needs probabilities, but the network's last activation is {output}: "
            "use a network whose last activation is sigmoid or softmax, or leave log_loss out of metrics"
        )
    if metric is log_loss and output == "sigmoid":
        labels = True
    return functools.partial(metric, labels=labels)


def _entries(value: Any) -> list[tuple[Any, Any]]:
    """Returns the argument `metrics` as a list of pairs: the name in the history, and the metric (a name or a function)."""
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
    """Returns the name of a metric function; for a `functools.partial`, the name of the underlying function."""
    while isinstance(metric, functools.partial):
        metric = metric.func
    return getattr(metric, "__name__", type(metric).__name__)

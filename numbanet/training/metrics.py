"""Loss, accuracy and further metrics of predictions, for `Network.fit` and `Network.evaluate`.

All metrics compute in float64, whatever the dtype of the network.

The metrics of classes take an argument `labels`, which says what several outputs stand for. If it is False, each row belongs to
one class, the index of its largest value. If it is True, each output is a label of its own (multi-label): a label is set if its
value is above 1/2, and the metric is the mean over the outputs. A network with the loss bce has labels; any other network with
a softmax layer as output has classes. By default, and in all other networks, a row belongs to one class if every row of y adds
up to 1; otherwise the outputs are labels. A single output is one label.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Literal, NamedTuple, SupportsFloat

import numpy as np

from numbanet import checks
from numbanet.engines.interface import Totals
from numbanet.engines.topology import Topology

Metric = Callable[[np.ndarray, np.ndarray], SupportsFloat]

# The metrics convert this many numbers to float64 at once, so that they need no float64 copy of all predictions.
NUMBERS_AT_ONCE = 1 << 20


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


# Metrics of quantities


def _slices(*arrays: np.ndarray) -> Iterator[list[np.ndarray]]:
    """Yields successive rows of the arrays, as float64."""
    count, width = len(arrays[0]), max(1, arrays[0].size // max(1, len(arrays[0])))
    rows = max(1, NUMBERS_AT_ONCE // width)
    for first in range(0, count, rows):
        yield [array[first : first + rows].astype(np.float64) for array in arrays]


def mean_absolute_error(y: np.ndarray, y_hat: np.ndarray) -> float:
    """Returns the mean of |y - y_hat|, over samples and outputs."""
    return float(sum(np.abs(a - b).sum() for a, b in _slices(y, y_hat)) / y.size)


def mean_squared_error(y: np.ndarray, y_hat: np.ndarray) -> float:
    """Returns the mean of (y - y_hat)^2, over samples and outputs."""
    return float(sum(np.square(a - b).sum() for a, b in _slices(y, y_hat)) / y.size)


def root_mean_squared_error(y: np.ndarray, y_hat: np.ndarray) -> float:
    """Returns the square root of `mean_squared_error`."""
    return mean_squared_error(y, y_hat) ** 0.5


def r2(y: np.ndarray, y_hat: np.ndarray) -> float:
    """Returns R^2, the explained fraction of the variance of y, averaged over outputs.

    R^2 of an output whose y is constant is 1 if all its predictions are equal to y, otherwise 0.
    """
    first = y[0].astype(np.float64)  # differences from it are exactly 0 if y is constant
    mean = sum((a - first).sum(axis=0) for (a,) in _slices(y)) / len(y)
    residual = np.asarray(sum(np.square(a - b).sum(axis=0) for a, b in _slices(y, y_hat)))
    total = np.asarray(sum(np.square(a - first - mean).sum(axis=0) for (a,) in _slices(y)))
    constant = np.where(residual > 0, 0.0, 1.0)
    return float(np.where(total > 0, 1 - residual / np.where(total > 0, total, 1), constant).mean())


# Metrics of classes and labels


class Counts(NamedTuple):
    """Numbers of samples, as arrays with a value for each class or, if the outputs are labels, for each output.

    Parameters
    ----------
    right : (k,) int
        Samples to which the target and the prediction assign the class.
    of_y, of_y_hat : (k,) int
        Samples to which the target assigns the class, and samples to which the prediction assigns it.
    occurs : (k,) bool
        Whether a target or a prediction assigns the class to a sample; always True for labels.
    """

    right: np.ndarray
    of_y: np.ndarray
    of_y_hat: np.ndarray
    occurs: np.ndarray


def classes_of(y: np.ndarray) -> np.ndarray:
    """Returns the class of each row: the index of its largest value, or for a single column 1 above 1/2 and 0 otherwise."""
    return y.argmax(axis=1) if y.shape[1] > 1 else (y[:, 0] > 0.5).astype(np.intp)


def has_labels(y: np.ndarray, labels: bool | None) -> bool:
    """Returns whether the outputs are labels; None decides by y, as the docstring of this module describes."""
    if labels is None:
        return y.shape[1] == 1 or not all((np.abs(rows.sum(axis=1) - 1) <= 1e-3).all() for (rows,) in _slices(y))
    return labels or y.shape[1] == 1


def counts_of(y: np.ndarray, y_hat: np.ndarray, labels: bool | None) -> Counts:
    """Returns the counts of each class or of each label."""
    if has_labels(y, labels):
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
    """Returns the mean recall over the classes that occur in y.

    For labels, it is the mean of the balanced accuracies of all outputs, each of which has two classes: set and not set. If
    only one of these two classes occurs in y, the balanced accuracy of the output is the recall of this class.
    """
    counts = counts_of(y, y_hat, labels)
    if not has_labels(y, labels):
        return float(_quotients(counts.right, counts.of_y)[counts.of_y > 0].mean())
    not_set = len(y) - counts.of_y
    rightly_not_set = not_set - counts.of_y_hat + counts.right
    recalls = _quotients(counts.right, counts.of_y) + _quotients(rightly_not_set, not_set)
    return float((recalls / ((counts.of_y > 0).astype(int) + (not_set > 0))).mean())


def f1(y: np.ndarray, y_hat: np.ndarray, *, labels: bool | None = None) -> float:
    """Returns the F1 score, 2 TP / (2 TP + FP + FN).

    It is the mean of the F1 scores of all classes that occur in y or in the predictions. For labels, it is the mean over all
    outputs; an output that is never set, neither in y nor in the predictions, counts as 0.
    """
    counts = counts_of(y, y_hat, labels)
    return float(_quotients(2 * counts.right, counts.of_y + counts.of_y_hat)[counts.occurs].mean())


def precision(y: np.ndarray, y_hat: np.ndarray, *, labels: bool | None = None) -> float:
    """Returns the precision, TP / (TP + FP), averaged like `f1`; a class that is never predicted counts as 0."""
    counts = counts_of(y, y_hat, labels)
    return float(_quotients(counts.right, counts.of_y_hat)[counts.occurs].mean())


def recall(y: np.ndarray, y_hat: np.ndarray, *, labels: bool | None = None) -> float:
    """Returns the recall, TP / (TP + FN), averaged like `f1`; a class that is predicted but absent from y counts as 0."""
    counts = counts_of(y, y_hat, labels)
    return float(_quotients(counts.right, counts.of_y)[counts.occurs].mean())


def roc_auc(y: np.ndarray, y_hat: np.ndarray, *, labels: bool | None = None) -> float:
    """Returns the area under the ROC curve, averaged over outputs, each of which tells its own class from all others.

    The area of an output is the probability that its prediction is larger for a sample of its class than for another sample;
    equal predictions count as 1/2. An output has no area if all samples or no sample of y belong to its class. Such outputs are
    left out of the mean. If no output has an area, the result is NaN.
    """
    classes = None if has_labels(y, labels) else classes_of(y)
    areas = []
    for j in range(y.shape[1]):
        of_class = y[:, j] > 0.5 if classes is None else classes == j
        others, own = np.sort(y_hat[~of_class, j]), np.sort(y_hat[of_class, j])
        if others.size and own.size:
            # Twice the number of pairs in which the sample of the class has the larger prediction, as an exact integer.
            pairs = sum(int(np.searchsorted(others, own, side).sum(dtype=np.int64)) for side in ("left", "right"))
            areas.append(pairs / (2 * others.size * own.size))
    return sum(areas) / len(areas) if areas else float("nan")


def log_loss(y: np.ndarray, y_hat: np.ndarray, *, labels: bool | None = None) -> float:
    """Returns the mean over samples of -sum_j y_j ln y_hat_j, the negative log-likelihood of the classes.

    For labels, it is the mean over samples and outputs of -(y ln y_hat + (1 - y) ln(1 - y_hat)). Predictions nearer to 0 or 1
    than 2.2e-16, the machine epsilon of float64, are moved to this distance, as scikit-learn does with float64 predictions.
    Targets between 0 and 1 count as probabilities.

    Raises
    ------
    ValueError
        A prediction is less than 0 or greater than 1.
    """
    if (y_hat < 0).any() or (y_hat > 1).any():
        raise ValueError(
            f"log_loss takes predictions from 0 to 1, but y_hat goes from {y_hat.min():g} to {y_hat.max():g}: "
            "use a network whose last activation is sigmoid or softmax"
        )
    binary, epsilon, total = has_labels(y, labels), float(np.finfo(np.float64).eps), 0.0
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
_OF_CLASSES = (balanced_accuracy, f1, precision, recall, roc_auc, log_loss)

# Whether larger ("max") or smaller ("min") values are better, for the loss, the accuracy and each metric in METRICS. The same
# holds for their values on validation data, whose names begin with "val_".
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

ALWAYS = "; the accuracy of classes is always measured"  # without being asked for

# Names of figures of the history that are not metrics; for the losses cce and bce, "accuracy" is one, too.
TAKEN = ("epoch", "loss", "seconds", "learning_rate")


def own(metric: Any) -> Metric | None:
    """Returns the metric of numbanet that a function computes, possibly with fixed arguments; None for another function."""
    function = metric.func if isinstance(metric, functools.partial) else metric
    return function if any(function is each for each in METRICS.values()) else None


def metrics_of(
    value: str | Metric | Iterable[str | Metric] | Mapping[str, str | Metric] | None, topology: Topology | None = None
) -> dict[str, Metric]:
    """Returns the argument metrics of `Network.fit` (a name, a function, or a list or mapping of them) as functions by name.

    Parameters
    ----------
    value : str, callable, or list or dict of them, or None
    topology : Topology, optional
        The network that is measured. It says whether the outputs are classes or labels, and whether "accuracy" is taken.

    Raises
    ------
    ValueError, TypeError
        The name of a metric is unknown or taken, two metrics have the same name, a metric is neither a name nor a function of y
        and y_hat, or log_loss is asked for although the outputs of the network are no probabilities.
    """
    metrics: dict[str, Any] = {}
    for name, metric in _entries(value):
        if not isinstance(name, str):
            raise TypeError(f"the name of a metric must be a text, not {checks.shown(name)}")
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
            raise ValueError(f"a metric cannot have the name {name!r}, because another figure has it: choose another name")
    return {name: metric if topology is None else _of_network(metric, topology) for name, metric in metrics.items()}


def _of_network(metric: Any, topology: Topology) -> Metric:
    """Returns a metric of classes with its argument `labels` set as the network decides; returns other metrics unchanged."""
    if not any(metric is each for each in _OF_CLASSES):
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

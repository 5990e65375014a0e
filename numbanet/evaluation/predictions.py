"""Compares the predictions of a network with the targets: exclusive classes, independent labels, or numbers."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numbanet.network import Network
from numbanet.tables.targets import Classes, Quantity
from numbanet.training.metrics import counts_of


class Score(NamedTuple):
    """The precision, the recall and the F1 score of a class or label, and the number of samples with the class or label."""

    name: str
    precision: float
    recall: float
    f1: float
    samples: int


@dataclass(frozen=True)
class ClassPredictions:
    """The predictions of a network for exclusive classes.

    Parameters
    ----------
    names : list of str
        The names of the classes.
    truth : ndarray of int, (n,)
        The class of each sample, as an index of `names`.
    probabilities : ndarray, (n, classes)
        The predicted probability of each class.
    """

    names: list[str]
    truth: NDArray[np.intp]
    probabilities: NDArray[np.floating]

    @property
    def answer(self) -> NDArray[np.intp]:
        """The predicted class of each sample: the class with the largest probability."""
        return self.probabilities.argmax(axis=1)

    @property
    def of_truth(self) -> NDArray[np.floating]:
        """The predicted probability of each sample's true class."""
        return self.probabilities[np.arange(len(self.truth)), self.truth]

    def scores(self) -> list[Score]:
        """Returns the `Score` of each class."""
        return _scores(self.names, np.eye(len(self.names))[self.truth], self.probabilities, False)

    def worst(self, most: int) -> list[int]:
        """Returns the indices of the samples whose true class has the smallest probability, the smallest probability first."""
        return np.argsort(self.of_truth, kind="stable")[:most].tolist()


@dataclass(frozen=True)
class LabelPredictions:
    """The predictions of a network for independent labels: targets and probabilities of shape (n, labels)."""

    names: list[str]
    truth: NDArray[Any]
    probabilities: NDArray[np.floating]

    def scores(self) -> list[Score]:
        """Returns the `Score` of each label."""
        return _scores(self.names, self.truth, self.probabilities, True)

    def worst(self, most: int) -> list[int]:
        """Returns the indices of the samples with the largest sum of |y - y_hat|, in descending order of this sum."""
        return np.argsort(-np.abs(self.truth - self.probabilities).sum(axis=1), kind="stable")[:most].tolist()


@dataclass(frozen=True)
class NumberPredictions:
    """The predictions of a network for numbers: targets and predictions of shape (n, outputs), in the units of the table."""

    names: list[str]
    truth: NDArray[np.float64]
    answer: NDArray[np.float64]

    @property
    def residuals(self) -> NDArray[np.float64]:
        """The predictions minus the targets, of shape (n, outputs)."""
        return self.answer - self.truth

    def worst(self, most: int) -> list[int]:
        """Returns the indices of the samples with the largest residuals, relative to the targets' standard deviations.

        The sample with the largest relative residual comes first.
        """
        scale = self.truth.std(axis=0)
        largest = np.abs(self.residuals / np.where(scale > 0, scale, 1)).max(axis=1)
        return np.argsort(-largest, kind="stable")[:most].tolist()


Predictions = ClassPredictions | LabelPredictions | NumberPredictions


def predictions(network: Network, x: ArrayLike, y: ArrayLike) -> Predictions:
    """Returns the predictions of a network with the targets: as classes, as labels or as numbers, depending on the loss.

    Parameters
    ----------
    network : Network
    x, y : array_like
        Inputs and targets, as for `Network.evaluate`.
    """
    y_hat, y = network.predict(x), np.asarray(y)
    width = network.sizes[-1]
    target = network.table.target if network.table else None
    if network.loss == "cce":
        truth = y.argmax(axis=1) if y.ndim == 2 and y.shape[1] > 1 else y.reshape(-1).astype(np.intp)
        return ClassPredictions(_labels(target, width), truth, y_hat)
    if network.loss == "bce" and width == 1:
        truth = (y.reshape(-1) > 0.5).astype(np.intp)
        return ClassPredictions(_labels(target, 2), truth, np.hstack([1 - y_hat, y_hat]))
    y = y.reshape(len(y), width)
    if network.loss == "bce":
        return LabelPredictions([str(j) for j in range(width)], y, y_hat)
    if isinstance(target, Quantity):
        return NumberPredictions([target.name], target.in_units(y), target.in_units(y_hat))
    names = ["y"] if width == 1 else [f"y[{j}]" for j in range(width)]
    return NumberPredictions(names, y.astype(np.float64), y_hat.astype(np.float64))


def _labels(target: Classes | Quantity | None, width: int) -> list[str]:
    return list(target.labels) if isinstance(target, Classes) else [str(k) for k in range(width)]


def _scores(names: list[str], y: NDArray[Any], y_hat: NDArray[Any], labels: bool) -> list[Score]:
    counts = counts_of(y, y_hat, labels, "f1")
    precision, recall = counts.right / np.maximum(counts.of_y_hat, 1), counts.right / np.maximum(counts.of_y, 1)
    f1 = 2 * counts.right / np.maximum(counts.of_y + counts.of_y_hat, 1)
    columns = (precision.tolist(), recall.tolist(), f1.tolist(), counts.of_y.tolist())
    return [Score(*row) for row in zip(names, *columns, strict=True)]

"""Encodes the column that a network predicts, which contains classes (classification) or numbers (regression)."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from numbanet import checks
from numbanet.tables.columns import Table
from numbanet.tables.features import different_texts, numbers
from numbanet.tables.labels import indices, key_of
from numbanet.tables.spelling import PLAIN
from numbanet.training.metrics import classes_of


@dataclass(frozen=True)
class Classes:
    """The target column for classification.

    Parameters
    ----------
    name : str
        Name of the column.
    labels : list of str
        The class labels; the target y of a sample is the index of its label in this list.
    """

    name: str
    labels: tuple[str, ...]
    kind: ClassVar[str] = "classes"
    losses: ClassVar[tuple[str, ...]] = ("cce", "bce")

    def __post_init__(self) -> None:
        object.__setattr__(self, "labels", different_texts("labels", self.labels, 2))

    def width(self, loss: str) -> int:
        """Returns the number of network outputs that the loss needs: one per class, but only one for bce."""
        if loss == "bce" and len(self.labels) != 2:
            raise ValueError(
                f"loss 'bce' is for two classes, but the target {self.name!r} has {len(self.labels)}: use 'cce' (--loss cce)"
            )
        return 1 if loss == "bce" else len(self.labels)

    def missing(self, table: Table) -> NDArray[np.bool_]:
        """Returns a boolean array (n,) that is True for each missing target; a label never counts as missing."""
        column = table.column(self.name)
        return column.is_missing(self.labels if column.spelling.missing is None else ())

    def encode(self, table: Table) -> NDArray[np.intp]:
        """Returns the target y as an array (n,) that contains the index of each row's label."""
        return indices(table, self.name, self.labels, "class")

    def index(self, label: str) -> int:
        """Returns the index of a label; 1 and 1.0 are the same label. Raises ValueError if the label is unknown."""
        key = key_of(self.labels)
        keys = [key(each, PLAIN) for each in self.labels]
        wanted = key(label, PLAIN)
        if wanted in keys:
            return keys.index(wanted)
        return self.labels.index(checks.choice("class", label, self.labels))

    def answers(self, y_hat: NDArray[np.floating]) -> list[str]:
        """Returns the label of the most probable class for each row."""
        return [self.labels[k] for k in classes_of(y_hat)]

    def probabilities(self, y_hat: NDArray[np.floating]) -> NDArray[np.floating]:
        """Returns an array (n, classes) with the probability of each class for each row."""
        return np.hstack([1 - y_hat, y_hat]) if y_hat.shape[1] == 1 else y_hat


@dataclass(frozen=True)
class Quantity:
    """The target column for regression; a number v of the column becomes the target y = (v - mean) / scale.

    Parameters
    ----------
    name : str
        Name of the column.
    mean, scale : float
        The column's mean and standard deviation over the training rows; scale is 1 for a constant column.
    """

    name: str
    mean: float
    scale: float
    kind: ClassVar[str] = "quantity"
    losses: ClassVar[tuple[str, ...]] = ("mse", "sse")

    def __post_init__(self) -> None:
        checks.real("mean", self.mean)
        checks.positive("scale", self.scale)

    def width(self, loss: str) -> int:
        """Returns the number of outputs that a network needs, which is 1 for any loss."""
        return 1

    def missing(self, table: Table) -> NDArray[np.bool_]:
        """Returns a boolean array (n,) that is True for each missing target."""
        return table.column(self.name).missing

    def encode(self, table: Table) -> NDArray[np.float64]:
        """Returns the standardised target y as an array (n,)."""
        return (numbers(table, self.name) - self.mean) / self.scale

    def answers(self, y_hat: NDArray[np.floating]) -> list[float]:
        """Returns the prediction for each row, in the units of the target column."""
        return self.in_units(y_hat)[:, 0].tolist()

    def in_units(self, y: NDArray[np.floating]) -> NDArray[np.float64]:
        """Converts standardised targets or predictions to the units of the target column."""
        return y.astype(np.float64) * self.scale + self.mean

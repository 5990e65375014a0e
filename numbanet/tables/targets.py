"""Encodes the column that a network predicts, which contains classes (classification) or numbers (regression)."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numbanet import checks, inputs
from numbanet.tables.columns import Table
from numbanet.tables.features import distinct_strings, numbers
from numbanet.tables.labels import indices, key_of
from numbanet.tables.spelling import PLAIN
from numbanet.training.metrics import classes_of

ROUNDING = 1e-4  # the largest distance by which rounding, also in other programs, may move a probability out of [0, 1]


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
        object.__setattr__(self, "labels", distinct_strings("labels", self.labels, 2))

    def fits(self, loss: str) -> bool:
        """True if a network with the loss can learn the target."""
        return loss in self.losses

    def width(self, loss: str) -> int:
        """Returns the number of network outputs that the loss needs: one output for bce, and otherwise one output per class."""
        if loss == "bce" and len(self.labels) != 2:
            raise ValueError(
                f"loss 'bce' is for two classes, but the target {self.name!r} has {len(self.labels)}: use 'cce' (--loss cce)"
            )
        return 1 if loss == "bce" else len(self.labels)

    def missing(self, table: Table) -> NDArray[np.bool_]:
        """Returns a boolean array (n,) that is True for each missing target; a label, such as NA, never counts as missing."""
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

    def answers(self, y_hat: ArrayLike) -> list[str]:
        """Returns the label of the most probable class for each row of y_hat, the predictions of `Network.predict`.

        Raises
        ------
        ValueError, TypeError
            y_hat is not an array of probabilities of shape (n, classes) or, for two classes, (n, 1).
        """
        return [self.labels[k] for k in classes_of(self._checked(y_hat))]

    def probabilities(self, y_hat: ArrayLike) -> NDArray[np.floating]:
        """Returns an array (n, classes) with the probability of each class for each row of y_hat, which `predict` returned.

        Raises
        ------
        ValueError, TypeError
            y_hat is invalid, as described for `answers`.
        """
        y_hat = self._checked(y_hat)
        return np.hstack([1 - y_hat, y_hat]) if y_hat.shape[1] == 1 else y_hat

    def _checked(self, y_hat: ArrayLike) -> NDArray[np.floating]:
        """Returns the predictions as an array; raises an error unless they are probabilities of the right shape."""
        array = _predictions(y_hat, {len(self.labels), *[1] * (len(self.labels) == 2)})
        if array.size and (array.min() < -ROUNDING or array.max() > 1 + ROUNDING):
            raise ValueError(
                f"y_hat contains numbers from {array.min():g} to {array.max():g}, but probabilities lie in [0, 1]: pass "
                "net.predict(x), without logits=True"
            )
        return array


@dataclass(frozen=True)
class Quantity:
    """The target column for regression; a number v of the column becomes the target y = (v - mean) / scale.

    Parameters
    ----------
    name : str
        Name of the column.
    mean, scale : float
        The column's mean and standard deviation over the training rows. For a constant column, scale is 1, so that nothing is
        divided by 0.
    """

    name: str
    mean: float
    scale: float
    kind: ClassVar[str] = "quantity"
    losses: ClassVar[tuple[str, ...]] = ("mse", "sse")

    def __post_init__(self) -> None:
        checks.real("mean", self.mean)
        checks.positive("scale", self.scale)

    def fits(self, loss: str) -> bool:
        """True if a network with the loss can learn standardised numbers; always True for a loss that a user wrote."""
        return loss not in (*Classes.losses, "poisson", "hinge")

    def width(self, loss: str) -> int:
        """Returns the number of outputs that a network needs, which is 1 for any loss."""
        return 1

    def missing(self, table: Table) -> NDArray[np.bool_]:
        """Returns a boolean array (n,) that is True for each missing target."""
        return table.column(self.name).missing

    def encode(self, table: Table) -> NDArray[np.float64]:
        """Returns the standardised target y as an array (n,)."""
        return (numbers(table, self.name) - self.mean) / self.scale

    def answers(self, y_hat: ArrayLike) -> list[float]:
        """Returns the predictions y_hat of `Network.predict`, one per row, in the units of the target column.

        Raises
        ------
        ValueError, TypeError
            y_hat is not an array of finite numbers of shape (n, 1).
        """
        return self.in_units(_predictions(y_hat, {1}))[:, 0].tolist()

    def in_units(self, y: NDArray[np.floating]) -> NDArray[np.float64]:
        """Converts standardised targets or predictions to the units of the target column."""
        return y.astype(np.float64) * self.scale + self.mean


def _predictions(y_hat: ArrayLike, widths: Collection[int]) -> NDArray[np.floating]:
    """Returns predictions as an array; raises an error unless all are finite and the number of columns is in `widths`."""
    array = inputs.real_array("y_hat", y_hat)
    if array.ndim != 2 or array.shape[1] not in widths:
        known = " or ".join(f"(n, {width})" for width in sorted(widths, reverse=True))
        raise ValueError(f"y_hat has shape {array.shape}, but must have shape {known}: pass net.predict(x)")
    return inputs.finite("y_hat", array, np.result_type(array.dtype, np.float32))

"""Early stopping: ends a training that makes no more progress, and finds the best epoch."""

from dataclasses import dataclass
from typing import SupportsIndex

import numpy as np

from numbanet import checks
from numbanet.training.schedules import monitored


@dataclass(frozen=True)
class EarlyStopping:
    """Ends the training after `patience` epochs without progress, and gives the network the best epoch's parameters.

    The network gets the best epoch's parameters however the training ends: by early stopping, after the last epoch, by Ctrl-C
    or by an error.

    Parameters
    ----------
    patience : int
        Number of epochs without progress after which the training ends.
    monitor : str, optional
        Name of the monitored metric in the history; by default "val_loss" if there is validation data, else "loss".
    min_delta : float
        An improvement of the monitored metric counts as progress only if it is larger than min_delta.
    larger_is_better : bool, optional
        Whether larger values of the monitored metric are better. By default it is True if the metric's name contains
        accuracy, r2, f1 or auc, else False.

    Raises
    ------
    ValueError, TypeError
        patience is not a positive integer, or min_delta is not a non-negative number.
    """

    patience: int = 10
    monitor: str | None = None
    min_delta: float = 0.0
    larger_is_better: bool | None = None

    def __post_init__(self) -> None:
        checks.integer("patience", self.patience)
        checks.not_negative("min_delta", self.min_delta)

    def best(self, history: dict[str, list[float]]) -> int:
        """Returns the index of the best epoch of a history.

        Raises
        ------
        ValueError
            The history does not contain the monitored metric.
        """
        name = monitored(self.monitor, history)
        if name not in history:
            raise ValueError(f"early stopping monitors {name!r}, but the history contains only {', '.join(history)}")
        larger = self.larger_is_better
        if larger is None:
            larger = any(word in name for word in ("accuracy", "r2", "f1", "auc"))
        best, index = -np.inf, 0
        for e, value in enumerate(history[name]):
            value = value if larger else -value
            if value > best + self.min_delta:
                best, index = value, e
        return index

    def is_over(self, history: dict[str, list[float]]) -> bool:
        """Returns whether the last `patience` epochs of the history brought no progress."""
        return len(history[monitored(self.monitor, history)]) - 1 - self.best(history) >= self.patience


def early_stopping_of(value: SupportsIndex | EarlyStopping | None) -> EarlyStopping | None:
    """Returns the argument early_stopping of `Network.fit`, which may be a number of epochs, as an `EarlyStopping`."""
    if value is None or isinstance(value, EarlyStopping):
        return value
    return EarlyStopping(checks.integer("early_stopping", value))

"""Early stopping: the end of a training without progress, and the best epoch so far."""

from dataclasses import dataclass
from typing import SupportsIndex

import numpy as np

from numbanet import checks
from numbanet.training.schedules import monitored


@dataclass(frozen=True)
class EarlyStopping:
    """Ends the training after `patience` epochs without progress, and gives the network the best epoch's parameters.

    The network gets them however the training ends: by patience, with the last epoch, by Ctrl-C or by an error.

    Parameters
    ----------
    patience : int
        Number of epochs without progress.
    monitor : str, optional
        The figure of the history to watch; by default "val_loss" if there is validation data, else "loss".
    min_delta : float
        The least improvement that counts as progress.
    larger_is_better : bool, optional
        By default True for names that contain accuracy, r2, f1 or auc, else False.

    Raises
    ------
    ValueError, TypeError
        patience is not a positive integer, or min_delta is not a number of at least 0.
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
            The history does not have the figure to watch.
        """
        name = monitored(self.monitor, history)
        if name not in history:
            raise ValueError(f"early stopping watches {name!r}, but the history has {', '.join(history)}")
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
        """Returns whether the last `patience` epochs brought no progress."""
        return len(history[monitored(self.monitor, history)]) - 1 - self.best(history) >= self.patience


def early_stopping_of(value: SupportsIndex | EarlyStopping | None) -> EarlyStopping | None:
    """Returns the early stopping that `Network.fit` takes as an object or as a number of epochs."""
    if value is None or isinstance(value, EarlyStopping):
        return value
    return EarlyStopping(checks.integer("early_stopping", value))

"""Early stopping: ends a training that makes no more progress, and finds the best epoch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, SupportsIndex

from numbanet import checks
from numbanet.training.monitoring import Figures, Progress, check_monitor, monitored


@checks.none_is_default
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
        Name of the monitored figure in the history; by default "val_loss" if there is validation data, else "loss".
    min_delta : float
        An improvement of the monitored figure counts as progress only if it is larger than min_delta.
    mode : {"min", "max"}, optional
        Whether smaller or larger values of the monitored figure are better. It is known for the losses, the accuracies and the
        metrics of numbanet, and must be given for all other figures.

    Raises
    ------
    ValueError, TypeError
        patience is not a positive integer, min_delta is not a non-negative number, or mode is neither "min" nor "max".
    """

    patience: int = 10
    monitor: str | None = None
    min_delta: float = 0.0
    mode: Literal["min", "max"] | None = None

    def __post_init__(self) -> None:
        checks.integer("patience", self.patience)
        check_monitor(self.monitor, self.mode, self.min_delta)

    def started(self, figures: Figures) -> "Stopping":
        """Returns the early stopping of one training.

        Raises
        ------
        ValueError
            The training does not have the monitored figure, or its direction is unknown.
        """
        of = monitored("early_stopping", self.monitor, self.mode, self.min_delta, figures)
        return Stopping(self.patience, Progress(of))


class Stopping:
    """The early stopping of one training, which follows the training's history.

    Parameters
    ----------
    patience : int
        Number of epochs without progress after which the training ends.
    progress : Progress
        Follows the monitored figure.
    """

    def __init__(self, patience: int, progress: Progress):
        self.patience, self.progress = patience, progress

    def best(self, history: Mapping[str, list[float]]) -> int | None:
        """Returns the index of the best epoch; None if no epoch has the monitored figure."""
        self.progress.follow(history)
        return self.progress.best_index

    def is_over(self, history: Mapping[str, list[float]]) -> bool:
        """Returns whether `patience` epochs since the best one brought no progress."""
        self.progress.follow(history)
        return self.progress.waited >= self.patience


def early_stopping_of(value: SupportsIndex | EarlyStopping | None) -> EarlyStopping | None:
    """Returns the argument early_stopping of `Network.fit`, which may be a number of epochs, as an `EarlyStopping`."""
    if value is None or isinstance(value, EarlyStopping):
        return value
    if value is EarlyStopping:
        raise TypeError("early_stopping is the class EarlyStopping: pass an object, such as EarlyStopping(5)")
    return EarlyStopping(checks.integer("early_stopping", value))

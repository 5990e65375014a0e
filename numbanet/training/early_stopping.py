"""Early stopping: stops training when the monitored metric no longer improves, and finds the best epoch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, SupportsIndex

from numbanet import checks
from numbanet.training.monitoring import MeasuredMetrics, Progress, check_monitor, monitored


@checks.none_is_default
@dataclass(frozen=True)
class EarlyStopping:
    """Stops training if a metric has made no progress for `patience` epochs, and restores the parameters of the best epoch.

    The parameters of the best epoch are always restored, whether training ends by early stopping, after the last epoch, by
    Ctrl-C or by an error.

    Parameters
    ----------
    patience : int
        The number of epochs without progress (an improvement by more than min_delta) after which training stops.
    monitor : str, optional
        The name of the metric to monitor, as in the history; by default "val_loss" if there is validation data, else "loss".
    min_delta : float
        An improvement of the monitored metric counts as progress only if it is larger than min_delta.
    mode : {"min", "max"}, optional
        Whether smaller ("min") or larger ("max") values of the monitored metric are better. `mode` is required unless the
        metric is a loss, an accuracy, or another metric that numbanet defines.

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

    def started(self, measured: MeasuredMetrics) -> "Stopping":
        """Returns a new `Stopping` object, which decides when one call to `Network.fit` stops.

        Raises
        ------
        ValueError
            The monitored metric is not measured in this call to `fit`, or `mode` is missing for the metric.
        """
        of = monitored("early_stopping", self.monitor, self.mode, self.min_delta, measured)
        return Stopping(self.patience, Progress(of))


class Stopping:
    """Decides from the history of one call to `Network.fit` when training stops early, and which epoch was the best.

    Parameters
    ----------
    patience : int
        The number of epochs without progress after which training stops.
    progress : Progress
        Tracks the best value of the monitored metric.
    """

    def __init__(self, patience: int, progress: Progress):
        self.patience, self.progress = patience, progress

    def best(self, history: Mapping[str, list[float]]) -> int | None:
        """Returns the index of the best epoch in the history; None if the history does not contain the monitored metric."""
        self.progress.follow(history)
        return self.progress.best_index

    def is_over(self, history: Mapping[str, list[float]]) -> bool:
        """Returns True if training must stop, because the last `patience` epochs or more brought no progress."""
        self.progress.follow(history)
        return self.progress.waited >= self.patience


def early_stopping_of(value: SupportsIndex | EarlyStopping | None) -> EarlyStopping | None:
    """Converts the argument `early_stopping` of `Network.fit` to an `EarlyStopping` object; an integer is the patience."""
    if value is None or isinstance(value, EarlyStopping):
        return value
    if value is EarlyStopping:
        raise TypeError("early_stopping is the class EarlyStopping: pass an object, such as EarlyStopping(5)")
    try:
        return EarlyStopping(checks.integer("early_stopping", value))
    except TypeError:
        raise TypeError(
            "early_stopping must be the number of epochs without improvement after which training stops, or an EarlyStopping "
            f"such as EarlyStopping(5), not {checks.shown(value)}"
        ) from None

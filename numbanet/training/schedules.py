"""Learning rate schedules, which change the learning rate from epoch to epoch."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from numbanet import checks
from numbanet.training.monitoring import LARGER_IS_BETTER, MeasuredMetrics, Monitored, Progress, check_monitor, monitored


class Schedule:
    """Base class of schedules. The learning rate of an epoch is `factor` times the learning rate that was passed to `fit`.

    Schedules have no state: `factor` computes the factor from the number of the epoch and the history.
    """

    def started(self, measured: MeasuredMetrics) -> "Schedule":
        """Returns the schedule for one call to `fit`: a new object if the schedule needs a state, else the schedule itself.

        Parameters
        ----------
        measured : MeasuredMetrics
            The metrics that this call to `fit` measures.
        """
        return self

    def learning_rate(self, base: float, epoch: int, epochs: int, history: dict[str, list[float]]) -> float:
        """Returns the learning rate of an epoch.

        Parameters
        ----------
        base : float
            The learning rate that was passed to `fit`.
        epoch, epochs : int
            The number of the epoch, counted from 1, and the total number of epochs.
        history : dict of str to list of float
            The loss and metrics of the finished epochs.
        """
        return base * self.factor(epoch, epochs, history)

    def factor(self, epoch: int, epochs: int, history: dict[str, list[float]]) -> float:
        """Returns the factor for the learning rate of an epoch. The parameters are the same as in `learning_rate`."""
        raise NotImplementedError


@dataclass(frozen=True)
class Constant(Schedule):
    """Keeps the same learning rate in every epoch."""

    def factor(self, epoch: int, epochs: int, history: dict[str, list[float]]) -> float:
        return 1.0


@checks.none_is_default
@dataclass(frozen=True)
class Step(Schedule):
    """Multiplies the learning rate by `by` after every `every` epochs.

    Parameters
    ----------
    every : int
        The number of epochs between two changes of the learning rate.
    by : float
        The factor by which the learning rate is multiplied, which must be positive.
    """

    every: int = 10
    by: float = 0.1

    def __post_init__(self) -> None:
        checks.integer("every", self.every)
        checks.positive("by", self.by)

    def factor(self, epoch: int, epochs: int, history: dict[str, list[float]]) -> float:
        return _power(self.by, (epoch - 1) // self.every)


@checks.none_is_default
@dataclass(frozen=True)
class Exponential(Schedule):
    """Multiplies the learning rate by `by` after every epoch.

    Parameters
    ----------
    by : float
        The factor by which the learning rate is multiplied, which must be positive.
    """

    by: float = 0.95

    def __post_init__(self) -> None:
        checks.positive("by", self.by)

    def factor(self, epoch: int, epochs: int, history: dict[str, list[float]]) -> float:
        return _power(self.by, epoch - 1)


@checks.none_is_default
@dataclass(frozen=True)
class Cosine(Schedule):
    """Reduces the factor of the learning rate from 1 to `least` along half a cosine wave, after a linear warm-up.

    Loshchilov and Hutter (2017, arXiv:1608.03983) introduced the cosine schedule.

    Parameters
    ----------
    warm_up : int
        The number of epochs in which the learning rate increases linearly to the learning rate that was passed to `fit`.
    least : float
        The factor of the learning rate in the last epoch, in [0, 1).
    """

    warm_up: int = 0
    least: float = 0.01

    def __post_init__(self) -> None:
        checks.integer("warm_up", self.warm_up, 0)
        checks.fraction("least", self.least)

    def factor(self, epoch: int, epochs: int, history: dict[str, list[float]]) -> float:
        if epoch <= self.warm_up:
            return epoch / (self.warm_up + 1)
        part = (epoch - self.warm_up - 1) / max(1, epochs - self.warm_up - 1)
        return self.least + (1 - self.least) * (1 + math.cos(math.pi * part)) / 2


@checks.none_is_default
@dataclass(frozen=True)
class Plateau(Schedule):
    """Multiplies the learning rate by `by` if the monitored metric has not improved for `patience` epochs.

    Parameters
    ----------
    patience : int
        The number of epochs without progress after which the learning rate is multiplied by `by`.
    by : float
        The factor by which the learning rate is multiplied, which must be positive.
    monitor : str, optional
        The name of the metric to monitor, as in the history; by default "val_loss" if there is validation data, else "loss".
    min_delta : float
        An improvement of the monitored metric counts as progress only if it is larger than min_delta.
    mode : {"min", "max"}, optional
        Whether smaller ("min") or larger ("max") values of the monitored metric are better. `mode` is required unless the
        metric is a loss, an accuracy, or another metric that numbanet defines.
    cooldown : int
        The number of epochs after each change of the learning rate that do not count towards `patience`.
    least : float
        The smallest learning rate that the schedule sets.
    """

    patience: int = 5
    by: float = 0.1
    monitor: str | None = None
    min_delta: float = 0.0
    mode: Literal["min", "max"] | None = None
    cooldown: int = 0
    least: float = 0.0

    def __post_init__(self) -> None:
        checks.integer("patience", self.patience)
        checks.positive("by", self.by)
        check_monitor(self.monitor, self.mode, self.min_delta)
        checks.integer("cooldown", self.cooldown, 0)
        checks.not_negative("least", self.least)

    def started(self, measured: MeasuredMetrics) -> Schedule:
        """Returns a schedule with its own state for one call to `fit`.

        Raises
        ------
        ValueError
            The monitored metric is not measured in this call to `fit`, or `mode` is missing for the metric.
        """
        return _StartedPlateau(self, monitored("schedule", self.monitor, self.mode, self.min_delta, measured))

    def learning_rate(self, base: float, epoch: int, epochs: int, history: dict[str, list[float]]) -> float:
        """Returns the learning rate of an epoch, computed from the whole history. `Schedule` describes the parameters."""
        larger = {name: LARGER_IS_BETTER.get(name.removeprefix("val_")) for name in ("loss", *history)}
        return self.started(MeasuredMetrics(larger, others=True)).learning_rate(base, epoch, epochs, history)

    def factor(self, epoch: int, epochs: int, history: dict[str, list[float]]) -> float:
        return self.learning_rate(1.0, epoch, epochs, history)


class _StartedPlateau(Schedule):
    """The state of the schedule `Plateau` during one call to `fit`.

    Each call to `learning_rate` processes only the epochs that the history has gained since the previous call.
    """

    def __init__(self, plateau: Plateau, of: Monitored):
        self.plateau, self.progress, self.waited, self.cooling, self.cuts = plateau, Progress(of), 0, 0, 0

    def learning_rate(self, base: float, epoch: int, epochs: int, history: dict[str, list[float]]) -> float:
        for better in self.progress.follow(history):
            self.waited = 0 if better or self.cooling else self.waited + 1
            self.cooling = max(0, self.cooling - 1)
            if self.waited >= self.plateau.patience:
                self.cuts, self.waited, self.cooling = self.cuts + 1, 0, self.plateau.cooldown
        return max(base * _power(self.plateau.by, self.cuts), min(base, self.plateau.least))


def _power(by: float, count: int) -> float:
    """Returns by^count, or inf if the power exceeds the range of floats."""
    try:
        return float(by) ** count
    except OverflowError:
        return math.inf


@dataclass(frozen=True)
class OfEpoch(Schedule):
    """A schedule that calls the user's function, which returns the learning rate itself, not a factor.

    Parameters
    ----------
    function : callable
        A function that takes the number of the epoch, counted from 1, and returns the learning rate, which may be 0.
    """

    function: Callable[[int], float]

    def learning_rate(self, base: float, epoch: int, epochs: int, history: dict[str, list[float]]) -> float:
        return self.function(epoch)


SCHEDULES = {"constant": Constant, "step": Step, "exponential": Exponential, "cosine": Cosine, "plateau": Plateau}


def rate_of(
    schedule: Schedule, base: float, epoch: int, epochs: int, history: dict[str, list[float]], dtype: np.dtype
) -> float:
    """Returns the learning rate of an epoch. Checks that the learning rate is at least 0, and finite in the network's dtype."""
    rate = schedule.learning_rate(base, epoch, epochs, history)
    if isinstance(rate, np.ndarray) and rate.ndim == 0:
        rate = rate[()]
    return checks.not_negative(f"the learning rate that schedule returns for epoch {epoch}", rate, dtype)


def schedule_of(value: str | Schedule | Callable[[int], float] | None) -> Schedule | None:
    """Converts the argument `schedule` of `Network.fit` to a `Schedule`. The argument is a name, an object or a function.

    Raises
    ------
    ValueError, TypeError
        The name is unknown, or the value is neither a name, a schedule nor callable.
    """
    if value is None or isinstance(value, Schedule):
        return value
    if isinstance(value, str):
        return SCHEDULES[checks.choice("schedule", value, SCHEDULES)]()
    if isinstance(value, type) and issubclass(value, Schedule):
        raise TypeError(f"schedule is the class {value.__name__}: pass an object, such as {value.__name__}()")
    if callable(value):
        checks.takes("the function schedule", value, "epoch")
        return OfEpoch(value)
    raise TypeError(
        f"schedule must be one of {', '.join(SCHEDULES)}, a Schedule, or a function of the epoch, not {checks.shown(value)}"
    )

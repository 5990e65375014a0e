"""Learning rate schedules: how the learning rate changes from epoch to epoch."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from numbanet import checks


class Schedule:
    """Base class of schedules: the learning rate of an epoch is `factor` times the learning rate passed to `fit`.

    Schedules have no state: they compute the learning rate from the epoch and the history.
    """

    def learning_rate(self, base: float, epoch: int, epochs: int, history: dict[str, list[float]]) -> float:
        """Returns the learning rate eta of an epoch.

        Parameters
        ----------
        base : float
            The learning rate passed to `fit`.
        epoch, epochs : int
            The number of the epoch, counted from 1, and the total number of epochs.
        history : dict of str to list of float
            The loss and metrics of the epochs so far.
        """
        return base * self.factor(epoch, epochs, history)

    def factor(self, epoch: int, epochs: int, history: dict[str, list[float]]) -> float:
        """Returns the factor of the learning rate in an epoch; `learning_rate` describes the parameters."""
        raise NotImplementedError


@dataclass(frozen=True)
class Constant(Schedule):
    """Keeps the same learning rate in every epoch."""

    def factor(self, epoch: int, epochs: int, history: dict[str, list[float]]) -> float:
        return 1.0


@dataclass(frozen=True)
class Step(Schedule):
    """Multiplies the learning rate by `by` after every `every` epochs.

    Parameters
    ----------
    every : int
        Number of epochs between two changes of the learning rate.
    by : float
        The factor by which the learning rate is multiplied, positive.
    """

    every: int = 10
    by: float = 0.1

    def __post_init__(self) -> None:
        checks.integer("every", self.every)
        checks.positive("by", self.by)

    def factor(self, epoch: int, epochs: int, history: dict[str, list[float]]) -> float:
        return self.by ** ((epoch - 1) // self.every)


@dataclass(frozen=True)
class Exponential(Schedule):
    """Multiplies the learning rate by `by` after every epoch.

    Parameters
    ----------
    by : float
        The factor by which the learning rate is multiplied, positive.
    """

    by: float = 0.95

    def __post_init__(self) -> None:
        checks.positive("by", self.by)

    def factor(self, epoch: int, epochs: int, history: dict[str, list[float]]) -> float:
        return self.by ** (epoch - 1)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Lowers the factor from 1 to `least` along half a cosine wave, after a linear warm-up.

    Loshchilov and Hutter (2017, arXiv:1608.03983) introduced the cosine schedule.

    Parameters
    ----------
    warm_up : int
        Number of epochs in which the learning rate rises to the full value that `fit` was given.
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


@dataclass(frozen=True)
class Plateau(Schedule):
    """Multiplies the learning rate by `by` after `patience` epochs without a lower loss.

    Parameters
    ----------
    patience : int
        Number of epochs without improvement after which the learning rate is multiplied.
    by : float
        The factor by which the learning rate is multiplied, positive.
    monitor : str, optional
        Name of the metric that should fall; by default "val_loss" if there is validation data, else "loss".
    min_delta : float
        A decrease of the metric counts as an improvement only if it is larger than min_delta.
    """

    patience: int = 5
    by: float = 0.1
    monitor: str | None = None
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        checks.integer("patience", self.patience)
        checks.positive("by", self.by)
        checks.not_negative("min_delta", self.min_delta)

    def factor(self, epoch: int, epochs: int, history: dict[str, list[float]]) -> float:
        best, waited, cuts = math.inf, 0, 0
        for value in history.get(monitored(self.monitor, history), []):
            better = value < best - self.min_delta
            best, waited = (value, 0) if better else (best, waited + 1)
            if waited >= self.patience:
                cuts, waited = cuts + 1, 0
        return self.by**cuts


@dataclass(frozen=True)
class OfEpoch(Schedule):
    """A schedule given by a function, which returns the learning rate itself instead of a factor.

    Parameters
    ----------
    function : callable
        Takes the number of the epoch, counted from 1, and returns the learning rate.
    """

    function: Callable[[int], float]

    def learning_rate(self, base: float, epoch: int, epochs: int, history: dict[str, list[float]]) -> float:
        return checks.positive(f"the learning rate that schedule returns for epoch {epoch}", self.function(epoch))


SCHEDULES = {"constant": Constant, "step": Step, "exponential": Exponential, "cosine": Cosine, "plateau": Plateau}


def monitored(name: str | None, history: dict[str, list[float]]) -> str:
    """Returns the name of the metric to monitor: `name` if given, else "val_loss" if the history has it, else "loss"."""
    return name or ("val_loss" if "val_loss" in history else "loss")


def schedule_of(value: str | Schedule | Callable[[int], float] | None) -> Schedule | None:
    """Returns the argument schedule of `Network.fit`, a name, an object or a function, as a `Schedule`.

    Raises
    ------
    ValueError, TypeError
        The name is unknown, or the value is neither a name, a schedule nor callable.
    """
    if value is None or isinstance(value, Schedule):
        return value
    if isinstance(value, str):
        return SCHEDULES[checks.choice("schedule", value, SCHEDULES)]()
    if callable(value):
        return OfEpoch(value)
    raise TypeError(f"schedule must be one of {', '.join(SCHEDULES)}, a Schedule, or a function of the epoch, not {value!r}")

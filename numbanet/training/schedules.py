"""How the learning rate changes from epoch to epoch."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from numbanet import checks


class Schedule:
    """What all schedules have: eta of an epoch is `factor` times the learning rate that `fit` was given.

    A schedule remembers nothing: what it goes by, it is told.
    """

    def learning_rate(self, base: float, epoch: int, epochs: int, history: dict[str, list[float]]) -> float:
        """eta of an epoch (from 1 to epochs), after the epochs of that history; base is the learning rate of `fit`."""
        return base * self.factor(epoch, epochs, history)

    def factor(self, epoch: int, epochs: int, history: dict[str, list[float]]) -> float:
        """What base is multiplied by."""
        raise NotImplementedError


@dataclass(frozen=True)
class Constant(Schedule):
    """The same learning rate in every epoch."""

    def factor(self, epoch, epochs, history):
        return 1.0


@dataclass(frozen=True)
class Step(Schedule):
    """Times a factor after every so many epochs.

    Parameters
    ----------
    every : int
        Epochs.
    by : float
        The factor, positive.
    """

    every: int = 10
    by: float = 0.1

    def __post_init__(self):
        checks.integer("every", self.every)
        checks.positive("by", self.by)

    def factor(self, epoch, epochs, history):
        return self.by ** ((epoch - 1) // self.every)


@dataclass(frozen=True)
class Exponential(Schedule):
    """Times a factor after every epoch.

    Parameters
    ----------
    by : float
        The factor, positive.
    """

    by: float = 0.95

    def __post_init__(self):
        checks.positive("by", self.by)

    def factor(self, epoch, epochs, history):
        return self.by ** (epoch - 1)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a wave of the cosine, down from 1 (Loshchilov and Hutter, 2017, arXiv:1608.03983), after a linear warm-up.

    Parameters
    ----------
    warm_up : int
        Epochs in which the learning rate rises to its full value.
    least : float
        The factor of the last epoch, in [0, 1).
    """

    warm_up: int = 0
    least: float = 0.01

    def __post_init__(self):
        checks.integer("warm_up", self.warm_up, 0)
        checks.share("least", self.least)

    def factor(self, epoch, epochs, history):
        if epoch <= self.warm_up:
            return epoch / (self.warm_up + 1)
        part = (epoch - self.warm_up - 1) / max(1, epochs - self.warm_up - 1)
        return self.least + (1 - self.least) * (1 + math.cos(math.pi * part)) / 2


@dataclass(frozen=True)
class Plateau(Schedule):
    """Times a factor whenever so many epochs have brought no lower loss.

    Parameters
    ----------
    patience : int
        Epochs.
    by : float
        The factor, positive.
    monitor : str, optional
        Which figure of the history has to fall: "val_loss" where there is validation data, else "loss".
    min_delta : float
        By how much at least, for an epoch to count as better.
    """

    patience: int = 5
    by: float = 0.1
    monitor: str | None = None
    min_delta: float = 0.0

    def __post_init__(self):
        checks.integer("patience", self.patience)
        checks.positive("by", self.by)
        checks.not_negative("min_delta", self.min_delta)

    def factor(self, epoch, epochs, history):
        best, waited, cuts = math.inf, 0, 0
        for value in history.get(monitored(self.monitor, history), []):
            better = value < best - self.min_delta
            best, waited = (value, 0) if better else (best, waited + 1)
            if waited >= self.patience:
                cuts, waited = cuts + 1, 0
        return self.by**cuts


@dataclass(frozen=True)
class OfEpoch(Schedule):
    """Any function of the epoch, counted from 1, to the learning rate itself.

    Parameters
    ----------
    function : callable
    """

    function: Callable[[int], float]

    def learning_rate(self, base, epoch, epochs, history):
        return checks.positive(f"what schedule returns for epoch {epoch}", self.function(epoch))


SCHEDULES = {"constant": Constant, "step": Step, "exponential": Exponential, "cosine": Cosine, "plateau": Plateau}


def monitored(name: str | None, history: dict[str, list[float]]) -> str:
    """The figure of a history to watch: the one named, or the loss on data that are not trained on, if any."""
    return name or ("val_loss" if "val_loss" in history else "loss")


def schedule_of(value) -> Schedule:
    """The schedule that a name, an object or a function means."""
    if isinstance(value, Schedule):
        return value
    if isinstance(value, str):
        return SCHEDULES[checks.choice("schedule", value, SCHEDULES)]()
    if callable(value):
        return OfEpoch(value)
    raise TypeError(f"schedule must be one of {', '.join(SCHEDULES)}, a Schedule, or a function of the epoch, not {value!r}")

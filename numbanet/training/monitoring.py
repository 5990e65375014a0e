"""The monitored figure of early stopping and of the schedule Plateau: which figure it is, and whether it should fall or rise.

A figure is a number that the history has for an epoch, such as the loss or a metric.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from numbanet import checks
from numbanet.engines.topology import Topology
from numbanet.training.metrics import DIRECTIONS, METRICS, Metric, own

MODES = {"min": False, "max": True}
# Whether larger values are better, for the figures of `fit` and for the metrics of numbanet.
LARGER_IS_BETTER = {name: direction == "max" for name, direction in DIRECTIONS.items()}


class Figures(NamedTuple):
    """The figures that a training measures in every epoch, and whether it may have others.

    Parameters
    ----------
    larger : dict
        For each measured figure, by name, whether larger values are better; None if this is unknown.
    others : bool
        Whether callbacks may add further figures.
    """

    larger: dict[str, bool | None]
    others: bool = False


def figures_of(
    topology: Topology, metrics: Mapping[str, Metric], *, validation: bool, scheduled: bool, others: bool
) -> Figures:
    """Returns the figures of a training.

    Parameters
    ----------
    topology : Topology
    metrics : dict
        The metrics that are measured, as functions by name.
    validation, scheduled : bool
        Whether there is validation data, and whether there is a schedule.
    others : bool
        Whether callbacks may add further figures.
    """
    ours: dict[Any, bool] = {METRICS[name]: larger for name, larger in LARGER_IS_BETTER.items() if name in METRICS}
    larger: dict[str, bool | None] = {"loss": False}
    if topology.loss in ("bce", "cce"):
        larger["accuracy"] = True
    larger |= {name: ours.get(own(metric)) for name, metric in metrics.items()}
    if validation:
        larger |= {f"val_{name}": value for name, value in larger.items()}
    return Figures(larger | dict.fromkeys(["learning_rate"] * scheduled + ["seconds"]), others)


class Monitored(NamedTuple):
    """The figure that early stopping or a schedule monitors.

    Parameters
    ----------
    name : str
    larger_is_better : bool
    min_delta : float
        A better value counts as progress only if the difference is larger than min_delta.
    in_every_epoch : bool
        Whether each epoch has the figure. If not, an epoch without the figure does not count as an epoch without progress.
    """

    name: str
    larger_is_better: bool
    min_delta: float
    in_every_epoch: bool


def check_monitor(monitor: str | None, mode: str | None, min_delta: float) -> None:
    """Checks the parameters by which `EarlyStopping` and `Plateau` name the monitored figure."""
    if monitor is not None and not isinstance(monitor, str):
        raise TypeError(f"monitor must be the name of a figure of the history, not {checks.shown(monitor)}")
    if mode is not None:
        checks.choice("mode", mode, MODES, " (min: smaller values are better)")
    checks.not_negative("min_delta", min_delta)


def monitored(of: str, monitor: str | None, mode: str | None, min_delta: float, figures: Figures) -> Monitored:
    """Returns the monitored figure.

    Parameters
    ----------
    of : str
        "early_stopping" or "schedule", for messages.
    monitor : str or None
        The name of the figure; None stands for "val_loss" if it is measured, else "loss".
    mode : {"min", "max"} or None
        Whether the figure should fall or rise; None if the direction of the figure is known.
    min_delta : float
    figures : Figures

    Raises
    ------
    ValueError
        The training has no such figure, its direction is unknown and not given, or the given direction is wrong.
    """
    known, direction = figures.larger, None if mode is None else MODES[mode]
    name = monitor or ("val_loss" if "val_loss" in known else "loss")
    if name not in known and not (figures.others and direction is not None):
        hint = checks.suggestion(name, known)
        if name.removeprefix("val_") in known and name.startswith("val_") and "val_loss" not in known:
            hint = ": pass validation_data or validation_split"
        advice = "; if a callback adds this figure, pass mode='min' or mode='max', too" if figures.others else ""
        raise ValueError(f"{of} monitors {name!r}, but the training measures only {', '.join(known)}{hint}{advice}")
    expected = known.get(name)
    if expected is None and direction is None:
        raise ValueError(
            f"{of} monitors {name!r}, of which it is unknown whether it should fall or rise: pass mode='min' if smaller values "
            "are better, else mode='max'"
        )
    if None not in (expected, direction) and expected != direction:
        raise ValueError(
            f"{of} monitors {name!r} with mode={mode!r}, but {'larger' if expected else 'smaller'} values are better"
        )
    return Monitored(name, bool(expected if direction is None else direction), float(min_delta), name in known)


class Progress:
    """Follows the monitored figure through a training; each call costs the same, however many epochs have passed.

    Parameters
    ----------
    monitored : Monitored

    Attributes
    ----------
    best_index : int or None
        The index of the best epoch so far; None as long as no epoch has the figure.
    waited : int
        Number of epochs without progress since the best epoch.
    """

    def __init__(self, monitored: Monitored):
        self.monitored, self.best, self.waited, self.seen = monitored, -math.inf, 0, 0
        self.best_index: int | None = None

    def follow(self, history: Mapping[str, list[float]]) -> list[bool]:
        """Takes in the new epochs of a history; returns, for each of them that counts, whether it made progress."""
        name, larger, min_delta, in_every_epoch = self.monitored
        values = history.get(name, ())
        steps = []
        for index in range(self.seen, len(values)):
            value = values[index] if larger else -values[index]
            if math.isnan(value) and not in_every_epoch:
                continue
            better = value > self.best + min_delta
            self.best = value if better else self.best
            first = self.best_index is None
            self.best_index, self.waited = (index, 0) if better or first else (self.best_index, self.waited + 1)
            steps.append(better or first)
        self.seen = len(values)
        return steps

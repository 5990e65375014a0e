"""Finds the metric that `EarlyStopping` or the schedule `Plateau` monitors, and whether smaller or larger values are better.

In this module, a metric is any number that the history contains for each epoch, including the loss.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from numbanet import checks
from numbanet.engines.topology import Topology
from numbanet.training.metrics import DIRECTIONS, METRICS, Metric, own

MODES = {"min": False, "max": True}
# Whether larger values are better, for the loss, the accuracy and each metric that numbanet defines.
LARGER_IS_BETTER = {name: direction == "max" for name, direction in DIRECTIONS.items()}


class MeasuredMetrics(NamedTuple):
    """The metrics that a call to `fit` measures in every epoch, and whether callbacks may add other metrics.

    Parameters
    ----------
    larger : dict
        For each measured metric, by name, True if larger values are better, False if smaller values are better, and None if the
        better direction is unknown.
    others : bool
        Whether callbacks may add metrics that `fit` does not measure.
    """

    larger: dict[str, bool | None]
    others: bool = False


def measured_metrics(
    topology: Topology, metrics: Mapping[str, Metric], *, arrays: bool, validation: bool, scheduled: bool, others: bool
) -> MeasuredMetrics:
    """Returns the metrics, including the loss, that a call to `fit` measures in every epoch.

    Parameters
    ----------
    topology : Topology
    metrics : dict
        The metrics that were passed to `fit`, as functions by name.
    arrays : bool
        Whether the training data are arrays. If x yields batches, `fit` measures `metrics` only on the validation data.
    validation, scheduled : bool
        Whether `fit` has validation data (`validation`) and a schedule (`scheduled`).
    others : bool
        Whether callbacks may add metrics that `fit` does not measure.
    """
    ours: dict[Any, bool] = {METRICS[name]: larger for name, larger in LARGER_IS_BETTER.items() if name in METRICS}
    larger: dict[str, bool | None] = {"loss": False}
    if topology.loss in ("bce", "cce"):
        larger["accuracy"] = True
    more = {name: ours.get(own(metric)) for name, metric in metrics.items()}
    validated = {f"val_{name}": value for name, value in (larger | more).items()} if validation else {}
    larger |= (more if arrays else {}) | validated
    return MeasuredMetrics(larger | dict.fromkeys(["learning_rate"] * scheduled + ["seconds"]), others)


class Monitored(NamedTuple):
    """The metric that early stopping or a schedule monitors, and the conditions under which the metric counts as improved.

    Parameters
    ----------
    name : str
    larger_is_better : bool
    min_delta : float
        A value counts as progress only if it is better than the best previous value by more than min_delta.
    in_every_epoch : bool
        Whether the metric is measured in every epoch. If a metric is measured in some epochs only, the other epochs do not
        count as epochs without progress.
    """

    name: str
    larger_is_better: bool
    min_delta: float
    in_every_epoch: bool


def check_monitor(monitor: str | None, mode: str | None, min_delta: float) -> None:
    """Checks the parameters `monitor`, `mode` and `min_delta` of `EarlyStopping` and `Plateau`."""
    if monitor is not None and not isinstance(monitor, str):
        raise TypeError(f"monitor must be the name of a metric in the history, such as 'val_loss', not {checks.shown(monitor)}")
    if mode is not None:
        checks.choice("mode", mode, MODES, " (min: smaller values are better)")
    checks.not_negative("min_delta", min_delta)


def monitored(of: str, monitor: str | None, mode: str | None, min_delta: float, measured: MeasuredMetrics) -> Monitored:
    """Returns the metric that early stopping or a schedule monitors, after checking that `fit` measures this metric.

    Parameters
    ----------
    of : str
        The argument of `fit` that the error messages name: "early_stopping" or "schedule".
    monitor : str or None
        The name of the metric. None means "val_loss" if there is validation data, else "loss".
    mode : {"min", "max"} or None
        Whether smaller or larger values are better. `mode` may be None only if numbanet knows whether smaller or larger values
        of the metric are better.
    min_delta : float
        An improvement counts as progress only if it is larger than min_delta.
    measured : MeasuredMetrics
        The metrics that `fit` measures.

    Raises
    ------
    ValueError
        The metric is not measured, `mode` is missing although the better direction is unknown, or `mode` is the wrong
        direction.
    """
    known, direction = measured.larger, None if mode is None else MODES[mode]
    name = monitor or ("val_loss" if "val_loss" in known else "loss")
    if name not in known and not (measured.others and direction is not None):
        hint = checks.suggestion(name, known)
        if name.removeprefix("val_") in known and name.startswith("val_") and "val_loss" not in known:
            hint = ": pass validation_data or validation_split"
        advice = "; if a callback adds this metric, pass mode='min' or mode='max', too" if measured.others else ""
        raise ValueError(f"{of} monitors {name!r}, but fit measures only {', '.join(known)}{hint}{advice}")
    expected = known.get(name)
    if expected is None and direction is None:
        raise ValueError(
            f"{of} monitors {name!r}, but fit does not know whether smaller or larger values of this metric are better: pass "
            "mode='min' if smaller values are better, else mode='max'"
        )
    if None not in (expected, direction) and expected != direction:
        raise ValueError(
            f"{of} monitors {name!r} with mode={mode!r}, but {'larger' if expected else 'smaller'} values are better"
        )
    return Monitored(name, bool(expected if direction is None else direction), float(min_delta), name in known)


class Progress:
    """Tracks the best value of the monitored metric.

    `follow` processes only the epochs since its last call, so that its time does not grow with the length of the history.

    Parameters
    ----------
    monitored : Monitored

    Attributes
    ----------
    best_index : int or None
        The index of the best epoch so far; None if no epoch has had a value of the metric yet.
    waited : int
        The number of epochs without progress since the best epoch.
    """

    def __init__(self, monitored: Monitored):
        self.monitored, self.best, self.waited, self.seen = monitored, -math.inf, 0, 0
        self.best_index: int | None = None

    def follow(self, history: Mapping[str, list[float]]) -> list[bool]:
        """Updates the attributes with the new epochs in the history: the epochs since the last call.

        Returns a list that contains, for each new epoch in which the metric was measured, whether the metric improved.
        """
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

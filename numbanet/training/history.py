"""The class History, which contains the loss and metrics of each epoch of training."""

import math
from collections.abc import Callable, Iterator
from typing import ClassVar

import numpy as np

from numbanet import checks


class History:
    """The loss and metrics of each epoch of training, as returned by `Network.fit`.

    `history["loss"]` is an array with one value per epoch. Iterating over a history yields a dict for each epoch, so that
    `pandas.DataFrame(history)` has a row per epoch. A notebook displays a history as curves.

    Attributes
    ----------
    epoch : list of int
        The numbers of the finished epochs, counted from 1.
    history : dict of str to list of float
        For each name, a list with one value per epoch. "loss" and "accuracy" are measured on each training batch just before
        the update of the parameters. "val_loss" and "val_accuracy" are measured on the validation data at the end of the epoch.
        "seconds" is the duration of the epoch. `history` also contains the metrics passed to `fit`, "learning_rate" if there is
        a schedule, and the metrics that callbacks added. For an epoch in which a callback added no value, the value is nan.
        `history` contains "accuracy" and "val_accuracy" only for the losses cce and bce, and names that begin with "val_" only
        if there is validation data.
    interrupted : bool
        Whether Ctrl-C ended training.
    best_epoch : int or None
        With early stopping, the number of the epoch whose parameters the network has after training; None without early
        stopping, or if the monitored metric was not measured in any epoch.
    """

    # `numbanet.notebook` sets this method, because this module must not import `numbanet.pictures`.
    _repr_html_: ClassVar[Callable[["History"], str | None]]

    def __init__(self):
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}
        self.interrupted = False
        self.best_epoch: int | None = None

    def add(self, epoch: int, logs: dict[str, float]) -> None:
        """Appends the logs of a finished epoch: the values of its metrics.

        If `logs` lacks a metric that another epoch has, the value of the metric in this epoch is nan.
        """
        for name, value in logs.items():
            if name not in self.history:
                self.history[name] = [math.nan] * len(self.epoch)
            self.history[name].append(float(value))
        self.epoch.append(epoch)
        for values in self.history.values():
            if len(values) < len(self.epoch):
                values.append(math.nan)

    def __getitem__(self, name: str) -> np.ndarray:
        """Returns the values of the metric `name`, one per epoch.

        Raises
        ------
        KeyError
            The history does not contain `name`; the error message lists the names that the history contains.
        """
        if name == "epoch":
            return np.array(self.epoch)
        if name not in self.history:
            raise KeyError(f"{name!r} is not in the history, which contains epoch, {', '.join(self.history)}")
        return np.array(self.history[name])

    def __contains__(self, name: object) -> bool:
        """Returns True if `name` is "epoch" or a key of the dict `history`."""
        return name == "epoch" or name in self.history

    def __len__(self) -> int:
        """Returns the number of finished epochs."""
        return len(self.epoch)

    def __iter__(self) -> Iterator[dict[str, float]]:
        """Yields a dict for each epoch, with the number of the epoch, the loss and all metrics."""
        names = ("epoch", *self.history)
        for figures in zip(self.epoch, *self.history.values(), strict=True):
            yield dict(zip(names, figures, strict=True))

    def table(self) -> str:
        """Returns the loss and all metrics as text in columns, with one line per epoch."""
        lines = [[str(row.pop("epoch")), *(f"{value:.6g}" for value in row.values())] for row in self]
        return checks.aligned([["epoch", *self.history], *lines])

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={values[-1]:.4g}" for name, values in self.history.items())
        ended = ", interrupted" if self.interrupted else ""
        return f"<History of {checks.count(len(self.epoch), 'epoch')}{ended}{': ' if last else ''}{last}>"

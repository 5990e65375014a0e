"""The history of a training: the loss and metrics of each epoch."""

import math

import numpy as np


class History:
    """The loss and metrics of each epoch of a training; `Network.fit` returns a History.

    Attributes
    ----------
    epoch : list of int
        Numbers of the finished epochs, counted from 1.
    history : dict of str to list of float
        One value per epoch for each name. "loss" and "accuracy" are measured on the training batches while the network is
        trained on them; "val_loss" and "val_accuracy" are measured on the validation data after the epoch. "seconds" is the
        duration of the epoch. Further names are the metrics passed to `fit`, "learning_rate" if there is a schedule, and the
        numbers that callbacks added, with nan in the epochs for which they added none. Accuracies exist only for the losses
        cce and bce, names that begin with val_ only if there is validation data.
    interrupted : bool
        Whether Ctrl-C ended the training.
    best_epoch : int or None
        With early stopping, the number of the epoch whose parameters the network has; None without early stopping, or if no
        epoch had the monitored figure.
    """

    def __init__(self):
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}
        self.interrupted = False
        self.best_epoch: int | None = None

    def add(self, epoch: int, logs: dict[str, float]) -> None:
        """Appends the loss and metrics of a finished epoch; figures that only other epochs have become nan in this epoch."""
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
            The history does not contain `name`; the message lists the names that it contains.
        """
        if name == "epoch":
            return np.array(self.epoch)
        if name not in self.history:
            raise KeyError(f"{name!r} is not in the history, which has epoch, {', '.join(self.history)}")
        return np.array(self.history[name])

    def table(self) -> str:
        """Returns the loss and all metrics as text in columns, with one line per epoch."""
        names = list(self.history)
        lines = [["epoch", *names]]
        lines += [[str(epoch), *(f"{self.history[name][e]:.6g}" for name in names)] for e, epoch in enumerate(self.epoch)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={values[-1]:.4g}" for name, values in self.history.items())
        return f"<History of {len(self.epoch)} epochs{': ' if last else ''}{last}>"

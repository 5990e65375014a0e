"""The history of a training: its figures, epoch by epoch."""

import numpy as np


class History:
    """The figures of a training, epoch by epoch; what `Network.fit` returns.

    Attributes
    ----------
    epoch : list of int
        Numbers of the finished epochs, from 1.
    history : dict of str to list of float
        "loss" and "accuracy" of the batches as they were trained on, "val_loss" and "val_accuracy" after the epoch, and
        "seconds", its duration; further the metrics asked for, "learning_rate" if there is a schedule, and the figures that
        callbacks added. Accuracies exist for the losses cce and bce, figures with val_ if there is validation data.
    interrupted : bool
        Whether Ctrl-C ended the training.
    best_epoch : int or None
        With early stopping, the epoch whose parameters the network has.
    """

    def __init__(self):
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}
        self.interrupted = False
        self.best_epoch: int | None = None

    def add(self, epoch: int, logs: dict[str, float]) -> None:
        """Appends the figures of a finished epoch."""
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(float(value))

    def __getitem__(self, name: str) -> np.ndarray:
        """Returns the figures of that name, one per epoch.

        Raises
        ------
        KeyError
            There is no figure of that name; the message lists the names.
        """
        if name == "epoch":
            return np.array(self.epoch)
        if name not in self.history:
            raise KeyError(f"{name!r} is not in the history, which has epoch, {', '.join(self.history)}")
        return np.array(self.history[name])

    def table(self) -> str:
        """Returns all figures as text in columns, one line per epoch."""
        names = list(self.history)
        lines = [["epoch", *names]]
        lines += [[str(epoch), *(f"{self.history[name][e]:.6g}" for name in names)] for e, epoch in enumerate(self.epoch)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in lines)

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={values[-1]:.4g}" for name, values in self.history.items())
        return f"<History of {len(self.epoch)} epochs{': ' if last else ''}{last}>"

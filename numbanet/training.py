"""The fit loop: epochs, validation, history, progress."""

import sys
import time
from contextlib import nullcontext

import numpy as np
from tqdm import tqdm

from numbanet._compile import announced
from numbanet.engines.face import Engine, Totals
from numbanet.engines.topology import Topology

# An epoch that takes longer than this shows a bar.
BAR_AFTER_SECONDS = 1.0


class History:
    """What `Network.fit` saw, epoch by epoch.

    Attributes
    ----------
    epoch : list of int
        Numbers of the finished epochs, from 1.
    history : dict of str to list of float
        "loss" and "accuracy" of the batches as they were trained on, "val_loss" and "val_accuracy" after the epoch, "seconds"
        it took. Accuracies for the losses cce and bce; val_ where validation data was given.
    interrupted : bool
        Whether Ctrl-C ended the training.
    """

    def __init__(self):
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}
        self.interrupted = False

    def add(self, epoch: int, logs: dict[str, float]) -> None:
        """Appends the figures of a finished epoch."""
        self.epoch.append(epoch)
        for name, value in logs.items():
            self.history.setdefault(name, []).append(value)

    def __repr__(self):
        last = ", ".join(f"{name}={values[-1]:.4g}" for name, values in self.history.items())
        return f"<History of {len(self.epoch)} epochs{': ' if last else ''}{last}>"


def metrics(totals: Totals, topology: Topology) -> dict[str, float]:
    """The loss by the network's definition and, for cce and bce, the accuracy, from sums over samples."""
    result = {"loss": totals.loss if topology.loss == "sse" else totals.loss / totals.samples}
    if topology.loss == "cce":
        result["accuracy"] = totals.hits / totals.samples
    elif topology.loss == "bce":
        result["accuracy"] = totals.hits / (totals.samples * topology.sizes[-1])
    return result


def fit(
    engine: Engine,
    topology: Topology,
    generator: np.random.Generator,
    data: tuple[np.ndarray, np.ndarray],
    validation_data: tuple[np.ndarray, np.ndarray] | None,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    shuffle: bool,
    verbose: bool,
) -> History:
    """Trains; see `Network.fit`. The arrays and numbers are checked already."""
    history = History()
    data = tuple(engine.upload(array) for array in data)
    validation_data = validation_data and tuple(engine.upload(array) for array in validation_data)
    last_finite = engine.read()
    try:
        with announced() if verbose else nullcontext():
            for epoch in range(1, epochs + 1):
                start = time.perf_counter()
                order = generator.permutation(data[0].shape[0]) if shuffle else np.arange(data[0].shape[0])
                with _bar(f"epoch {epoch}/{epochs}", order.size, verbose) as bar:
                    totals = _train(engine, data, order, batch_size, learning_rate, bar)
                parameters = engine.read()
                if not (np.isfinite(totals.loss) and np.isfinite(parameters).all()):
                    engine.write(last_finite)
                    raise FloatingPointError(
                        f"the loss stopped being finite in epoch {epoch} with learning rate {learning_rate:g}; "
                        "the parameters are those of the epoch before. Try a smaller learning rate."
                    )
                last_finite = parameters
                logs = metrics(totals, topology)
                if validation_data:
                    validation = metrics(engine.evaluate(*validation_data), topology)
                    logs |= {f"val_{name}": value for name, value in validation.items()}
                logs["seconds"] = time.perf_counter() - start
                history.add(epoch, logs)
                if verbose:
                    print(_line(epoch, epochs, logs), flush=True)
    except KeyboardInterrupt:
        history.interrupted = True
        if verbose:
            print(f"interrupted in epoch {len(history.epoch) + 1}: the network keeps its last finished step", flush=True)
    return history


def _train(engine: Engine, data, order: np.ndarray, batch_size: int, learning_rate: float, bar) -> Totals:
    """One epoch, cut short as soon as the loss is not finite."""
    for totals in engine.train_epoch(*data, order, batch_size, learning_rate):
        bar.update(totals.samples - bar.n)
        if not np.isfinite(totals.loss):
            break
    return totals


def _bar(title: str, samples: int, verbose: bool) -> tqdm:
    """A bar on a terminal, which appears once the epoch has gone on for a while."""
    return tqdm(
        total=samples,
        desc=title,
        unit=" samples",
        delay=BAR_AFTER_SECONDS,
        leave=False,
        disable=not (verbose and sys.stderr.isatty()),
    )


def _line(epoch: int, epochs: int, logs: dict[str, float]) -> str:
    figures = "  ".join(f"{name} {value:.4f}" for name, value in logs.items() if name != "seconds")
    return f"epoch {epoch:{len(str(epochs))}d}/{epochs}  {figures}  {logs['seconds']:.2f} s"

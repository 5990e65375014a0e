"""The training loop: runs epochs, validation, schedule, early stopping, callbacks, checkpoints and the progress bar."""

import sys
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

import numpy as np
from tqdm import tqdm

from numbanet import inputs
from numbanet._compile import announced
from numbanet.engines.interface import Totals
from numbanet.inputs import Data
from numbanet.training.early_stopping import EarlyStopping
from numbanet.training.history import History
from numbanet.training.metrics import Metric, loss_and_accuracy, measure
from numbanet.training.model import Model, Snapshot
from numbanet.training.optimizers import Optimizer
from numbanet.training.processes import Batches, Partition, Processes
from numbanet.training.schedules import Schedule

# An epoch that takes longer than this shows a progress bar.
BAR_AFTER_SECONDS = 1.0
NO_TOTALS = Totals(0, 0.0, 0)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The checked arguments of `Network.fit`; with the defaults, training makes one pass in the given order, without output."""

    epochs: int = 1
    batch_size: int
    learning_rate: float
    optimizer: Optimizer
    schedule: Schedule | None = None
    shuffle: bool = False
    metrics: dict[str, Metric] = field(default_factory=dict)
    early_stopping: EarlyStopping | None = None
    callbacks: list[Any] = field(default_factory=list)
    verbose: bool = False


class NoBar:
    """Replaces the progress bar when none is shown, because a disabled `tqdm` takes 9 us, half the time of a small step."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def update(self, samples: int) -> None:
        """Does nothing, because there is no bar to update."""


NO_BAR = NoBar()


class Record(Protocol):
    """The interface of an object that saves the state of a training, such as a checkpoint file (`numbanet.persist`)."""

    def after_epoch(self, training: "Training", is_last: bool) -> None:
        """Runs after each epoch, and may save the present state of `training`."""
        ...


class Training:
    """Carries out one call of `Network.fit`.

    Parameters
    ----------
    model : Model
        The network's state, which the training changes.
    settings : Settings
    data : Data or callable
        The samples to train on, or a function that yields the batches of an epoch.
    validation : Data, optional
        Validation samples, on which the network is evaluated after each epoch.
    processes : Processes
        Divides the samples among the processes of a distributed training, and keeps the processes in agreement.
    record : Record, optional
        Its `after_epoch` is called after each epoch, to save a checkpoint.

    Attributes
    ----------
    history : History
    best : ndarray or None
        With early stopping, the flat parameter vector of the best epoch; None without early stopping.
    finite : Snapshot
        The network's state after the last epoch whose loss and parameters were finite. It is the only snapshot that a
        training keeps.
    """

    finite: Snapshot

    def __init__(
        self,
        model: Model,
        settings: Settings,
        data: Data | Batches,
        validation: Data | None = None,
        processes: Processes = Processes(),  # noqa: B008 - immutable
        record: Record | None = None,
    ):
        self.model, self.settings, self.data, self.validation = model, settings, data, validation
        self.partition, self.validation_partition, self.consensus = processes
        self.record, self.rule, self.stopped = record, settings.optimizer.rule(), False
        self.history, self.best = History(), None

    def run(self) -> History:
        """Trains until the last epoch, or until early stopping, a callback or Ctrl-C ends the training.

        Raises
        ------
        FloatingPointError
            The loss or a parameter stopped being finite; the model keeps the parameters of the previous epoch.
        ValueError
            The function that should yield batches yielded none, or the processes of a distributed training disagree about
            the training.
        """
        settings, history = self.settings, self.history
        with self.consensus.session(), announced() if settings.verbose else nullcontext():
            self.consensus.begin(self)
            self._upload()
            self.finite = self.model.snapshot()
            logs: dict[str, float] = {}
            try:
                self._call("on_train_begin", logs)
                self.stopped = self.consensus.settle(self, logs)
                while len(history.epoch) < settings.epochs and not self.is_over():
                    logs = self._epoch(len(history.epoch) + 1)
            except KeyboardInterrupt:
                if not self.consensus.interruptible:
                    raise
                self._note_interruption()
            finally:
                if self.best is not None:
                    self.model.engine.write(self.best)
                self._call("on_train_end", logs)
        return history

    def run_pass(self) -> dict[str, float]:
        """Trains for one epoch, without keeping a snapshot of the state before it, and returns the loss and accuracy."""
        self._upload()
        totals, _ = self._train(1, self.settings.learning_rate)
        return loss_and_accuracy(totals, self.model.topology)  # of all batches 1/n sum of weight times loss

    def stop_requested(self) -> bool:
        """Returns whether the attribute stop_training of any callback is True."""
        return any(getattr(callback, "stop_training", False) for callback in self.settings.callbacks)

    def is_over(self) -> bool:
        """Returns whether a callback or early stopping ends the training after this epoch."""
        stopping, figures = self.settings.early_stopping, self.history.history
        return self.stopped or bool(stopping and figures and stopping.is_over(figures))

    def present(self) -> Snapshot:
        """Returns the present state: the epoch's snapshot, or a new one if callbacks may have changed parameters since."""
        return self.model.snapshot() if self.settings.callbacks else self.finite

    # One epoch

    def _epoch(self, epoch: int) -> dict[str, float]:
        """Trains and evaluates for one epoch, and records and returns the epoch's loss and metrics."""
        settings, history = self.settings, self.history
        start = time.perf_counter()
        eta = settings.learning_rate
        if settings.schedule:
            eta = settings.schedule.learning_rate(eta, epoch, settings.epochs, history.history)
        self._call("on_epoch_begin", epoch, {"learning_rate": eta})
        totals, weight = self._train(epoch, eta)
        if not weight:
            self.model.restore(self.finite)
            raise ValueError(f"all weights are 0 in epoch {epoch}: x must yield at least one sample with a weight above 0")
        self._keep_if_finite(epoch, eta, totals)
        logs = self._figures(totals, weight)
        if settings.schedule:
            logs["learning_rate"] = eta
        logs["seconds"] = time.perf_counter() - start
        self._call("on_epoch_end", epoch, logs)
        self.stopped = self.consensus.settle(self, logs)
        history.add(epoch, logs)
        self._keep_if_best()
        if self.record:
            self.record.after_epoch(self, epoch == settings.epochs or self.is_over())
        if settings.verbose:
            print(_line(epoch, settings.epochs, logs), flush=True)
        return logs

    def _train(self, epoch: int, eta: float) -> tuple[Totals, float]:
        """Updates the parameters once per batch; returns the sums of losses and hits, and the total weight of the samples."""
        model, arrays = self.model, isinstance(self.data, Data)
        totals, weight = NO_TOTALS, 0.0
        with self._bar(epoch) as bar:
            for pass_ in self.partition.passes(self.data, self.settings.batch_size, self._order):
                data = pass_.data if arrays else pass_.data.uploaded(model.engine)
                updates = pass_.epoch(eta, self.rule, model.step + 1, self._dropout_key())
                batches, samples, last = 0, 0, NO_TOTALS
                for yields, last in enumerate(model.engine.train_epoch(data.x, data.y, updates), start=1):
                    before, (batches, samples) = (batches, samples), pass_.done(last, yields)
                    model.step += batches - before[0]
                    if samples > before[1] and arrays:
                        bar.update(samples - before[1])
                    if batches > before[0] and arrays:
                        self._call("on_train_batch_end", batches, {})
                    if pass_.is_lost(last):
                        break
                if not arrays:
                    bar.update(samples)
                own = self.partition.total(last)
                totals = Totals(totals.samples + own.samples, totals.loss + own.loss, totals.hits + own.hits)
                weight += pass_.weight
                if not np.isfinite(totals.loss):
                    break
        if not totals.samples:
            raise ValueError(f"x yielded no batch in epoch {epoch}: it must yield at least one batch per epoch")
        return totals, weight

    def _order(self, n: int) -> np.ndarray:
        return self.model.generator.permutation(n) if self.settings.shuffle else np.arange(n)

    def _dropout_key(self) -> int:
        return int(self.model.generator.integers(1 << 63)) if any(self.model.topology.dropout) else 0

    def _keep_if_finite(self, epoch: int, eta: float, totals: Totals) -> None:
        """Keeps a snapshot after an epoch; if it is not finite, restores the one before and raises FloatingPointError."""
        after = self.model.snapshot()
        if not (np.isfinite(totals.loss) and np.isfinite(after.parameters).all()):
            self.model.restore(self.finite)
            raise FloatingPointError(
                f"the loss stopped being finite in epoch {epoch} with learning rate {eta:g}; "
                "the network keeps the parameters of the previous epoch. Try a smaller learning rate."
            )
        self.finite = after

    def _keep_if_best(self) -> None:
        """Keeps the parameters of the epoch that has just ended if it is the best epoch so far."""
        stopping, history = self.settings.early_stopping, self.history
        if stopping is None:
            return
        best = stopping.best(history.history)
        history.best_epoch = history.epoch[best]
        if best == len(history.epoch) - 1:
            self.best = self.finite.parameters

    def _figures(self, totals: Totals, weight: float) -> dict[str, float]:
        """Returns the loss and accuracy from the totals of an epoch, and all values that are measured at the epoch's end."""
        topology = self.model.topology
        logs = loss_and_accuracy(totals, topology, weight)
        if isinstance(self.data, Data):
            logs |= self._measured(self.data, self.partition)
        if self.validation is not None:
            part = self.validation_partition.part(self.validation)
            own = NO_TOTALS if part is None else self.model.engine.evaluate(part.x, part.y, part.weights)
            totals, weight = self.validation_partition.total(own), self.validation_partition.weight(self.validation)
            figures = loss_and_accuracy(totals._replace(samples=weight), topology)
            figures |= self._measured(self.validation, self.validation_partition)
            logs |= {f"val_{name}": value for name, value in figures.items()}
        return logs

    def _measured(self, data: Data, partition: Partition) -> dict[str, float]:
        """Returns the metrics that the caller of `Network.fit` chose, computed over the samples of all processes."""
        if not self.settings.metrics:
            return {}
        part, topology = partition.part(data), self.model.topology
        y = y_hat = np.empty((0, topology.sizes[-1]), topology.dtype)
        if part is not None:
            y, y_hat = part.counted(inputs.on_host(part.y)), part.counted(self.model.engine.predict(part.x))
        return measure(self.settings.metrics, partition.gather(y), partition.gather(y_hat))

    def _upload(self) -> None:
        """Copies arrays to the engine's device if they fit there; batches from a function are copied one at a time later."""
        if isinstance(self.data, Data):
            self.data = self.data.uploaded(self.model.engine)
        if self.validation is not None:
            self.validation = self.validation.uploaded(self.model.engine)

    # Messages

    def _call(self, hook: str, *arguments: Any) -> None:
        for callback in self.settings.callbacks:
            method = getattr(callback, hook, None)
            if method is not None:
                method(*arguments)

    def _bar(self, epoch: int) -> "tqdm | NoBar":
        """Returns a progress bar, which appears on a terminal once the epoch has lasted for `BAR_AFTER_SECONDS`."""
        count = self.partition.count(self.data) if isinstance(self.data, Data) else None  # all processes count together
        if not (self.settings.verbose and sys.stderr.isatty()):
            return NO_BAR
        return tqdm(
            total=count,
            desc=f"epoch {epoch}/{self.settings.epochs}",
            unit=" samples",
            delay=BAR_AFTER_SECONDS,
            leave=False,
        )

    def _note_interruption(self) -> None:
        self.history.interrupted = True
        if self.settings.verbose:
            best = self.history.best_epoch
            kept = "its last finished step" if best is None else f"the parameters of epoch {best}, the best"
            print(f"interrupted in epoch {len(self.history.epoch) + 1}: the network keeps {kept}", flush=True)


def _line(epoch: int, epochs: int, logs: dict[str, float]) -> str:
    figures = "  ".join(f"{name} {value:.4f}" for name, value in logs.items() if name not in ("seconds", "learning_rate"))
    rate = f"  learning_rate {logs['learning_rate']:.3g}" if "learning_rate" in logs else ""
    return f"epoch {epoch:{len(str(epochs))}d}/{epochs}  {figures}{rate}  {logs['seconds']:.2f} s"

"""The training loop: epochs, validation, schedule, early stopping, callbacks, checkpoints, progress."""

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

# An epoch that takes longer than this shows a bar.
BAR_AFTER_SECONDS = 1.0
NO_TOTALS = Totals(0, 0.0, 0)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The checked arguments of `Network.fit`; the defaults make one silent pass over the samples in their order."""

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
    """Stands in for a progress bar; a disabled `tqdm` would take 9 us, as long as half of a small step."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def update(self, samples: int) -> None:
        """Does nothing."""


NO_BAR = NoBar()


class Record(Protocol):
    """Keeps a training beyond this process, see `numbanet.persist.checkpoint`."""

    def after_epoch(self, training: "Training", is_last: bool) -> None:
        """Runs after each epoch; `training` may be kept as it is now."""
        ...


class Training:
    """One call of `Network.fit`.

    Parameters
    ----------
    model : Model
        The network's state, which the training changes.
    settings : Settings
    data : Data or callable
        The samples to train on, or a function that yields the batches of an epoch.
    validation : Data, optional
        Samples to evaluate after each epoch.
    processes : Processes
        The division of the samples among processes, and the agreement between them.
    record : Record, optional
        Called after each epoch.

    Attributes
    ----------
    history : History
    best : ndarray or None
        The flat parameters of the best epoch, with early stopping.
    finite : Snapshot
        The state after the last epoch whose loss and parameters were finite: the only copy that this training keeps.
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
            A function yielded no batch, or processes disagree about the training.
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
        """Trains for one epoch without a snapshot to restore, and returns the epoch's loss and accuracy."""
        self._upload()
        totals, weight = self._train(1, self.settings.learning_rate)
        return loss_and_accuracy(totals, self.model.topology, weight)

    def stop_requested(self) -> bool:
        """Returns whether a callback wishes to end the training."""
        return any(getattr(callback, "stop_training", False) for callback in self.settings.callbacks)

    def is_over(self) -> bool:
        """Returns whether a callback or early stopping ends the training after this epoch."""
        stopping, figures = self.settings.early_stopping, self.history.history
        return self.stopped or bool(stopping and figures and stopping.is_over(figures))

    def present(self) -> Snapshot:
        """Returns the model's state now: that of the epoch's end, unless a callback may have changed the parameters."""
        return self.model.snapshot() if self.settings.callbacks else self.finite

    # One epoch

    def _epoch(self, epoch: int) -> dict[str, float]:
        """Trains for an epoch, evaluates it, records it, and returns its figures."""
        settings, history = self.settings, self.history
        start = time.perf_counter()
        eta = settings.learning_rate
        if settings.schedule:
            eta = settings.schedule.learning_rate(eta, epoch, settings.epochs, history.history)
        self._call("on_epoch_begin", epoch, {"learning_rate": eta})
        totals, weight = self._train(epoch, eta)
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
        """Updates the parameters once for each batch; returns totals and total weight of the epoch's samples."""
        model, arrays = self.model, isinstance(self.data, Data)
        totals, weight = NO_TOTALS, 0.0
        with self._bar(epoch) as bar:
            for pass_ in self.partition.passes(self.data, self.settings.batch_size, self._order):
                data = pass_.data if arrays else pass_.data.uploaded(model.engine)
                updates = pass_.epoch(eta, self.rule, model.step + 1, self._dropout_key())
                batches, samples, last = 0, 0, NO_TOTALS
                try:
                    for yields, last in enumerate(model.engine.train_epoch(data.x, data.y, updates), start=1):
                        before, (batches, samples) = samples, pass_.done(last, yields)
                        if samples > before and arrays:
                            bar.update(samples - before)
                            self._call("on_train_batch_end", batches, {})
                        if pass_.is_lost(last):
                            break
                finally:
                    model.step += batches
                if not arrays:
                    bar.update(samples)
                own = self.partition.total(last)
                totals = Totals(totals.samples + own.samples, totals.loss + own.loss, totals.hits + own.hits)
                weight += pass_.weight
                if not np.isfinite(totals.loss):
                    break
        if not totals.samples:
            raise ValueError(f"x yielded no batch in epoch {epoch}")
        return totals, weight

    def _order(self, n: int) -> np.ndarray:
        return self.model.generator.permutation(n) if self.settings.shuffle else np.arange(n)

    def _dropout_key(self) -> int:
        return int(self.model.generator.integers(1 << 63)) if any(self.model.topology.dropout) else 0

    def _keep_if_finite(self, epoch: int, eta: float, totals: Totals) -> None:
        """Copies the state after an epoch; or restores the state before it, and raises FloatingPointError."""
        after = self.model.snapshot()
        if not (np.isfinite(totals.loss) and np.isfinite(after.parameters).all()):
            self.model.restore(self.finite)
            raise FloatingPointError(
                f"the loss stopped being finite in epoch {epoch} with learning rate {eta:g}; "
                "the network keeps the parameters of the previous epoch. Try a smaller learning rate."
            )
        self.finite = after

    def _keep_if_best(self) -> None:
        """Keeps the parameters of the epoch that has just ended if it is the best so far."""
        stopping, history = self.settings.early_stopping, self.history
        if stopping is None:
            return
        best = stopping.best(history.history)
        history.best_epoch = history.epoch[best]
        if best == len(history.epoch) - 1:
            self.best = self.finite.parameters

    def _figures(self, totals: Totals, weight: float) -> dict[str, float]:
        """Returns the figures of an epoch: of the batches as they were trained on, and of the validation data now."""
        topology = self.model.topology
        logs = loss_and_accuracy(totals, topology, weight)
        if isinstance(self.data, Data):
            logs |= self._measured(self.data, self.partition)
        if self.validation is not None:
            part = self.validation_partition.part(self.validation)
            own = NO_TOTALS if part is None else self.model.engine.evaluate(part.x, part.y)
            figures = loss_and_accuracy(self.validation_partition.total(own), topology)
            figures |= self._measured(self.validation, self.validation_partition)
            logs |= {f"val_{name}": value for name, value in figures.items()}
        return logs

    def _measured(self, data: Data, partition: Partition) -> dict[str, float]:
        """Returns the metrics asked for, over the samples of all processes."""
        if not self.settings.metrics:
            return {}
        part, topology = partition.part(data), self.model.topology
        y = y_hat = np.empty((0, topology.sizes[-1]), topology.dtype)
        if part is not None:
            y, y_hat = inputs.on_host(part.y), self.model.engine.predict(part.x)
        return measure(self.settings.metrics, partition.gather(y), partition.gather(y_hat))

    def _upload(self) -> None:
        """Moves arrays to the engine's device, if they fit there; batches move one at a time."""
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

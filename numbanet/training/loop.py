"""The training loop, which runs the epochs, with validation, schedule, early stopping, callbacks and checkpoints."""

import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from numbanet import checks, inputs
from numbanet._compile import announced
from numbanet.engines.interface import Totals
from numbanet.inputs import Data
from numbanet.training import reporting
from numbanet.training.callbacks import finish_epoch, overrides
from numbanet.training.early_stopping import EarlyStopping
from numbanet.training.history import History
from numbanet.training.metrics import Metric, loss_and_accuracy, measure, own
from numbanet.training.model import RESTORE, Model, Snapshot
from numbanet.training.monitoring import measured_metrics
from numbanet.training.optimizers import Optimizer
from numbanet.training.processes import Batches, Partition, Pass, Processes
from numbanet.training.schedules import Schedule, rate_of
from numbanet.training.steps import NO_TOTALS, added, train_parts


class NoMoreBatchesError(Exception):
    """Raised to end training if `steps_per_epoch` is given and x yields no more batches."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The checked arguments of `Network.fit`. By default, training runs for one epoch, does not shuffle, and prints nothing."""

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
    steps_per_epoch: int | None = None


class Record(Protocol):
    """The interface of objects that save the state of training, such as the checkpoint files of `numbanet.persist`."""

    def after_epoch(self, training: "Training", is_last: bool) -> None:
        """Called after each epoch; may save the current state of `training`."""
        ...


class Training:
    """Trains the network in one call to `Network.fit`.

    Parameters
    ----------
    model : Model
        The network's state, which training changes.
    settings : Settings
    data : Data or callable
        The samples to train on, or a function that yields the batches of an epoch.
    validation : Data, optional
        The validation samples. The network is evaluated on the validation samples after each epoch.
    processes : Processes
        Divides the samples among the processes of distributed training, and keeps the processes in the same state.
    record : Record, optional
        An object whose method `after_epoch` is called after each epoch, to save a checkpoint.

    Attributes
    ----------
    history : History
    best : ndarray or None
        With early stopping, the network's parameters after the best epoch, as one vector; None without early stopping.
    finite : Snapshot
        The network's state after the last epoch with finite loss and parameters, including the changes by callbacks.
    ended : bool
        True if training resumed from a checkpoint that was written after a callback had stopped training.
    callbacks_anywhere : bool
        Whether this process or, in distributed training, rank 0 calls callbacks, which may change the parameters.
    first_loss, last_loss : float or None
        The losses of the first and of the last epoch of this call.
    """

    finite: Snapshot
    first_loss: float | None = None
    last_loss: float | None = None

    def __init__(
        self,
        model: Model,
        settings: Settings,
        data: Data | Batches,
        validation: Data | None = None,
        processes: Processes = Processes(),  # noqa: B008 - `Processes` is immutable
        record: Record | None = None,
    ):
        self.model, self.settings, self.data, self.validation = model, settings, data, validation
        self.partition, self.validation_partition, self.consensus = processes
        self.record, self.rule, self.stopped, self.ended = record, settings.optimizer.rule(), False, False
        self.history, self.best, self.replaced = History(), None, set[str]()
        self.loss_of_best: float | None = None
        self.lines = reporting.EpochLines()
        self.callbacks_anywhere = bool(settings.callbacks)
        self.stopping, self.schedule = None, settings.schedule
        if settings.early_stopping or settings.schedule:
            measured = measured_metrics(
                model.topology,
                settings.metrics,
                arrays=isinstance(data, Data),
                validation=validation is not None,
                scheduled=settings.schedule is not None,
                others=self.consensus.follows or any(overrides(each, "on_epoch_end") for each in settings.callbacks),
            )
            self.stopping = settings.early_stopping and settings.early_stopping.started(measured)
            self.schedule = settings.schedule and settings.schedule.started(measured)

    def run(self) -> History:
        """Trains until the last epoch, or until early stopping, a callback or Ctrl-C stops training.

        Raises
        ------
        FloatingPointError
            The loss or a parameter became infinite or NaN; the model keeps the parameters of the previous or the best epoch.
        ValueError
            The function that should yield batches yielded no batch, or the processes of distributed training have different
            arguments or states.
        """
        settings, history = self.settings, self.history
        self.errors = np.geterr()  # the user's np.errstate, for callbacks, metrics and schedules
        with np.errstate(all="ignore"), self.consensus.session(), announced() if settings.verbose else nullcontext():
            self.consensus.begin(self)
            self._upload()
            logs: dict[str, float] = {}
            resumed = len(history.epoch)
            if resumed and settings.verbose:
                done = "; the training is complete" if resumed >= settings.epochs or self.is_over() else ""
                reporting.say(f"the checkpoint contains {resumed} of {checks.count(settings.epochs, 'epoch')}{done}")
            if isinstance(self.data, inputs.Batches):
                self.data.skip(resumed)
            self.finite = self.model.snapshot()
            start = self.finite.parameters
            try:
                self._call("on_train_begin", logs)
                self.stopped = self.consensus.settle(self, logs)
                if self.callbacks_anywhere:  # a callback may have changed parameters
                    self.finite = self.model.snapshot()
                if wrong := inputs.first_wrong_parameter(self.finite.parameters, self.model.topology):
                    raise FloatingPointError(f"{wrong} already before the first update of fit: {RESTORE}")
                while len(history.epoch) < settings.epochs and not self.is_over():
                    logs = self._epoch(len(history.epoch) + 1)
            except NoMoreBatchesError:
                count = checks.count(len(history.epoch), "epoch")
                checks.warn(f"x yields no more batches: the training ends after {count} of {settings.epochs}")
            except KeyboardInterrupt:
                if not self.consensus.interruptible:
                    raise
                self._note_interruption()
            finally:
                self.lines.end()
                if self.best is not None:
                    self.model.engine.write(self.best)
                self._call("on_train_end", logs)
            if len(history.epoch) > resumed:
                del self.finite  # `_warn` creates another network, which can use the memory of the snapshot
                self._warn(start)
        return history

    def stop_requested(self) -> bool:
        """Returns whether the attribute stop_training of any callback is True."""
        return self.ended or any(getattr(callback, "stop_training", False) for callback in self.settings.callbacks)

    def is_over(self) -> bool:
        """Returns whether a callback or early stopping stops training after this epoch."""
        return self.stopped or bool(self.stopping and self.stopping.is_over(self.history.history))

    # One epoch

    def _epoch(self, epoch: int) -> dict[str, float]:
        """Trains for one epoch, measures the loss and metrics, adds them to the history, and returns them."""
        settings, history, dtype = self.settings, self.history, self.model.topology.dtype
        start = time.perf_counter()
        eta = settings.learning_rate
        if self.schedule:
            with np.errstate(**self.errors):
                eta = rate_of(self.schedule, eta, epoch, settings.epochs, history.history, dtype)
        self._call("on_epoch_begin", epoch, {"learning_rate": eta})
        totals, weight = self._train(epoch, eta)
        if not weight:
            self.model.restore(self.finite)
            raise ValueError(f"all weights are 0 in epoch {epoch}: x must yield at least one sample with a weight above 0")
        self._keep_if_finite(totals, f"the loss stopped being finite in epoch {epoch} with learning rate {eta:g}")
        logs = self._metrics(totals, weight)
        self.last_loss = logs["loss"]
        self.first_loss = logs["loss"] if self.first_loss is None else self.first_loss
        if self.schedule:
            logs["learning_rate"] = eta
        logs["seconds"] = time.perf_counter() - start
        if settings.callbacks:
            with np.errstate(**self.errors):
                self.replaced |= finish_epoch(settings.callbacks, epoch, logs)
        self.stopped = self.consensus.settle(self, logs)
        if self.callbacks_anywhere:
            self._keep_if_finite(totals, f"a callback made a parameter infinite or NaN in epoch {epoch}")
        history.add(epoch, logs)
        self._keep_if_best()
        if self.record:
            self.record.after_epoch(self, epoch == settings.epochs or self.is_over())
        if settings.verbose:
            self.lines.show(reporting.line(epoch, settings.epochs, logs))
        return logs

    def _train(self, epoch: int, eta: float) -> tuple[Totals, float]:
        """Trains on all batches of an epoch.

        Returns the `Totals` of the epoch (samples, losses, correct outputs), and the sum of the sample weights.
        """
        totals, weight = NO_TOTALS, 0.0
        with self._bar(epoch) as bar:
            for number, pass_ in enumerate(self.partition.passes(self.data, self.settings.batch_size, self._order), start=1):
                totals = added(totals, self.partition.total(self._train_pass(pass_, eta, bar)))
                weight += pass_.weight
                if not isinstance(self.data, Data):  # each pass is one batch
                    self._call("on_train_batch_end", number, {})
                if not np.isfinite(totals.loss):
                    break
        if not totals.samples:
            if self.settings.steps_per_epoch is not None and self.first_loss is not None:
                raise NoMoreBatchesError
            raise ValueError(f"x yielded no batch in epoch {epoch}: it must yield at least one batch per epoch")
        return totals, weight

    def _train_pass(self, pass_: Pass, eta: float, bar: reporting.Bar) -> Totals:
        """Trains on the batches of `pass_`, adds the number of updates to `model.step`, and returns the pass's `Totals`."""
        model, arrays = self.model, isinstance(self.data, Data)
        data = pass_.data if arrays else pass_.data.uploaded(model.engine)
        updates = pass_.epoch(eta, self.rule, model.step + 1, model.dropout_key())
        batches, samples, yields, last = 0, 0, 0, NO_TOTALS
        try:
            for yields, last in enumerate(train_parts(model, data, updates), start=1):
                before, (batches, samples) = (batches, samples), pass_.done(last, yields)
                model.step += batches - before[0]
                if samples > before[1] and arrays:
                    bar.update(samples - before[1])
                if batches > before[0] and arrays:
                    self._call("on_train_batch_end", batches, {})
                if pass_.is_lost(last):
                    break
        except BaseException:  # for example Ctrl-C after the updates of `last`, but before they were counted
            model.step += pass_.done(last, yields)[0] - batches
            raise
        if not arrays:
            bar.update(samples)
        return last

    def _order(self, n: int) -> np.ndarray:
        return self.model.generator.permutation(n) if self.settings.shuffle else np.arange(n)

    def _keep_if_finite(self, totals: Totals, failure: str) -> None:
        """Stores the network's state after an epoch in the attribute `finite`, if the loss and all parameters are finite.

        If the loss or a parameter is infinite or NaN, restores the network's state from the previous value of `finite`, and
        raises FloatingPointError with the message `failure`.
        """
        after = self.model.snapshot()
        if not (np.isfinite(totals.loss) and inputs.first_not_finite(after.parameters) is None):
            self.model.restore(self.finite)
            epoch, best = len(self.history.epoch), self.history.best_epoch
            kept = f"of epoch {best}, the best" if best else "of the previous epoch" if epoch else "from before the training"
            raise FloatingPointError(f"{failure}; the network keeps the parameters {kept}. Try a smaller learning rate.")
        self.finite = after

    def _keep_if_best(self) -> None:
        """Stores the current parameters in `best` if the epoch that has just ended is the best epoch so far."""
        history = self.history
        best = self.stopping.best(history.history) if self.stopping else None
        if best is None:
            return
        history.best_epoch = history.epoch[best]
        if best == len(history.epoch) - 1:
            self.best, self.loss_of_best = self.finite.parameters, self.last_loss

    def _metrics(self, totals: Totals, weight: float) -> dict[str, float]:
        """Returns the loss and metrics of an epoch on training and validation data; `_train` returned `totals` and `weight`."""
        topology = self.model.topology
        logs = loss_and_accuracy(totals, topology, weight)
        if isinstance(self.data, Data):
            logs |= self._measured(self.data, self.partition)
        if self.validation is not None:
            part = self.validation_partition.part(self.validation)
            here = NO_TOTALS if part is None else self.model.engine.evaluate(part.x, part.y, part.weights)
            totals, weight = self.validation_partition.total(here), self.validation_partition.weight(self.validation)
            values = loss_and_accuracy(totals._replace(samples=weight), topology)
            values |= self._measured(self.validation, self.validation_partition)
            logs |= {f"val_{name}": value for name, value in values.items()}
        return logs

    def _measured(self, data: Data, partition: Partition) -> dict[str, float]:
        """Returns the values of the metrics passed to `Network.fit`, over the samples of all processes (see `Partition`)."""
        if not self.settings.metrics:
            return {}
        part, topology = partition.part(data), self.model.topology
        y = y_hat = np.empty((0, topology.sizes[-1]), topology.dtype)
        if part is not None:
            y, y_hat = part.counted(inputs.on_host(part.y)), part.counted(self.model.engine.predict(part.x))
        y, y_hat = partition.gather(y), partition.gather(y_hat)
        values = {}
        for name, metric in self.settings.metrics.items():
            with np.errstate(**self.errors) if own(metric) is None else nullcontext():
                values |= measure({name: metric}, y, y_hat)
        return values

    def _upload(self) -> None:
        """Copies the samples to the engine's device, if the device has enough memory.

        Batches that a function yields are not copied here: `_train_pass` copies each batch just before training on it.
        """
        if isinstance(self.data, Data):
            self.data = self.data.uploaded(self.model.engine)
        if self.validation is not None:
            self.validation = self.validation.uploaded(self.model.engine)

    # Messages

    def _call(self, hook: str, *arguments: Any) -> None:
        for callback in self.settings.callbacks:
            if overrides(callback, hook):
                with np.errstate(**self.errors):
                    getattr(callback, hook)(*arguments)

    def _bar(self, epoch: int) -> reporting.Bar:
        """Returns the progress bar of an epoch; if verbose is 0, the bar shows nothing."""
        count = self.partition.count(self.data) if isinstance(self.data, Data) else None  # every process must call `count`
        title = f"epoch {epoch}/{self.settings.epochs}"
        return reporting.Bar(title, count, "samples", self.settings.verbose, self.lines.bars)

    def _note_interruption(self) -> None:
        self.history.interrupted = True
        if self.settings.verbose:
            best = self.history.best_epoch
            kept = "its last finished step" if best is None else f"the parameters of epoch {best}, the best"
            message = f"interrupted in epoch {len(self.history.epoch) + 1}: the network keeps {kept}"
            self.lines.end_by_interruption(message)

    def _warn(self, start: np.ndarray) -> None:
        """Warns about problems that raised no error, such as a loss that has grown; `start` contains the initial parameters."""
        loss = self.last_loss if self.best is None else self.loss_of_best
        if any(getattr(callback, "keeps_best", False) for callback in self.settings.callbacks):
            loss = None  # `keeps_best` says that the callback will restore better parameters later
        if self.consensus.follows:
            return
        if loss is not None:
            message = None
            with suppress(MemoryError):  # the GPU may have no room for the second network, which measures the initial loss
                message = reporting.worse_than_at_first(self, start, loss)
            if message and self.settings.verbose:
                reporting.say(f"warning: {message}")
            elif message:
                checks.warn(message)
        if self.replaced:
            names = ", ".join(map(repr, sorted(self.replaced)))
            checks.warn(
                f"a callback set {names} in logs, but the history keeps the values that fit measured: use other names in logs"
            )
        if self.stopping:
            name = self.stopping.progress.monitored.name
            if np.isnan(self.history.history.get(name, [])).all():
                checks.warn(
                    f"early_stopping had no effect: the metric {name!r} was missing or nan in every epoch; "
                    "monitor another metric"
                )

"""The fit loop: epochs, validation, schedule, early stopping, callbacks, progress."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from tqdm import tqdm

from numbanet import checks, inputs
from numbanet._compile import announced
from numbanet.engines.epoch import epoch_of
from numbanet.engines.interface import Engine, Totals
from numbanet.engines.rule import Rule
from numbanet.engines.topology import Topology
from numbanet.training.history import History
from numbanet.training.schedules import Schedule, monitored

# An epoch that takes longer than this shows a bar.
BAR_AFTER_SECONDS = 1.0


class Data(NamedTuple):
    """Samples, targets and weights, checked; weights are None where all samples weigh 1."""

    x: Any
    y: Any
    weights: np.ndarray | None = None


@dataclass(frozen=True)
class EarlyStopping:
    """Ends the training when so many epochs have brought nothing better; the network then has the best epoch's parameters.

    It has them however the training ends: by patience, with the last epoch, by Ctrl-C or by an error.

    Parameters
    ----------
    patience : int
        Epochs.
    monitor : str, optional
        Which figure of the history to watch: "val_loss" where there is validation data, else "loss".
    min_delta : float
        By how much a figure has to be better to count.
    larger_is_better : bool, optional
        True for names that contain accuracy, r2, f1 or auc, unless told.
    """

    patience: int = 10
    monitor: str | None = None
    min_delta: float = 0.0
    larger_is_better: bool | None = None

    def __post_init__(self):
        checks.integer("patience", self.patience)
        checks.not_negative("min_delta", self.min_delta)

    def best(self, history: dict[str, list[float]]) -> int:
        """The index of the best epoch of a history."""
        name = monitored(self.monitor, history)
        larger = self.larger_is_better
        if larger is None:
            larger = any(word in name for word in ("accuracy", "r2", "f1", "auc"))
        best, index = -np.inf, 0
        for e, value in enumerate(history[name]):
            value = value if larger else -value
            if value > best + self.min_delta:
                best, index = value, e
        return index

    def is_over(self, history: dict[str, list[float]]) -> bool:
        """Whether patience has run out."""
        return len(history[monitored(self.monitor, history)]) - 1 - self.best(history) >= self.patience


def early_stopping_of(value) -> EarlyStopping | None:
    """The early stopping that a number of epochs or an object means."""
    return (
        value if value is None or isinstance(value, EarlyStopping) else EarlyStopping(checks.integer("early_stopping", value))
    )


@dataclass
class State:
    """What a training has come to, from which it can go on: beside it, only the data and the settings are needed.

    Parameters
    ----------
    generator : numpy.random.Generator
        Shuffles, and lets neurons drop out.
    step : int
        Updates by the present rule so far.
    history : History
    best : ndarray, optional
        Parameters of the best epoch, flat, where early stopping watches.
    """

    generator: np.random.Generator
    step: int = 0
    history: History = field(default_factory=History)
    best: np.ndarray | None = None


@dataclass(frozen=True)
class Settings:
    """The arguments of `Network.fit`, checked."""

    epochs: int
    batch_size: int
    learning_rate: float
    rule: Rule
    schedule: Schedule | None
    shuffle: bool
    metrics: dict[str, Callable]
    early_stopping: EarlyStopping | None
    callbacks: list
    verbose: bool
    save: Callable[[], None] | None = None
    save_every: int = 1

    @classmethod
    def of_pass(cls, rule: Rule, batch_size: int, learning_rate: float) -> "Settings":
        """Of a single quiet pass over samples, in their order."""
        return cls(1, batch_size, learning_rate, rule, None, False, {}, None, [], False)


def metrics(totals: Totals, topology: Topology, weight: float | None = None) -> dict[str, float]:
    """The loss by the network's definition and, for cce and bce, the accuracy, from sums over samples of that total weight."""
    weight = totals.samples if weight is None else weight
    result = {"loss": totals.loss if topology.loss == "sse" else totals.loss / weight}
    if topology.loss == "cce":
        result["accuracy"] = totals.hits / totals.samples
    elif topology.loss == "bce":
        result["accuracy"] = totals.hits / (totals.samples * topology.sizes[-1])
    return result


def measured(engine: Engine, data: Data, functions: dict[str, Callable]) -> dict[str, float]:
    """What these functions of targets and predictions say of samples."""
    if not functions:
        return {}
    return judged(inputs.on_host(data.y), engine.predict(data.x), functions)


def judged(y: np.ndarray, y_hat: np.ndarray, functions: dict[str, Callable]) -> dict[str, float]:
    """What these functions say of targets and predictions."""
    return {name: float(function(y, y_hat)) for name, function in functions.items()}


class Snapshot(NamedTuple):
    """An engine's parameters, what they remember, and the updates so far."""

    parameters: np.ndarray
    moments: list[np.ndarray]
    step: int


class Training:
    """One call of `Network.fit`.

    Parameters
    ----------
    engine : Engine
    topology : Topology
    state : State
    settings : Settings
    """

    def __init__(self, engine: Engine, topology: Topology, state: State, settings: Settings):
        self.engine, self.topology, self.state, self.settings = engine, topology, state, settings

    def run(self, data: Data | Callable[[], Iterable[Data]], validation: Data | None) -> History:
        """Trains on data, or on batches of them that a callable gives anew for each epoch."""
        history, settings = self.state.history, self.settings
        if isinstance(data, Data):
            data = self._uploaded(data)
        validation = validation and self._uploaded(validation)
        self.finite = self._snapshot()
        logs: dict[str, float] = {}
        try:
            with announced() if settings.verbose else nullcontext():
                self._call("on_train_begin", logs)
                while len(history.epoch) < settings.epochs and not self._is_over():
                    logs = self._epoch(len(history.epoch) + 1, data, validation)
        except KeyboardInterrupt:
            self._interrupted()
        finally:
            self._restore_best()
            self._call("on_train_end", logs)
        return history

    def run_pass(self, data: Data) -> dict[str, float]:
        """One pass over data, and what it showed of them."""
        totals, weight = self._train(1, self._uploaded(data), self.settings.learning_rate)
        return metrics(totals, self.topology, weight)

    def _interrupted(self) -> None:
        history = self.state.history
        history.interrupted = True
        if self.settings.verbose:
            print(f"interrupted in epoch {len(history.epoch) + 1}: the network keeps {self._kept()}", flush=True)

    def _epoch(self, epoch: int, data, validation: Data | None) -> dict[str, float]:
        """One epoch, and what is to be done after it."""
        state, settings = self.state, self.settings
        start = time.perf_counter()
        eta = settings.learning_rate
        if settings.schedule:
            eta = settings.schedule.learning_rate(eta, epoch, settings.epochs, state.history.history)
        self._call("on_epoch_begin", epoch, {"learning_rate": eta})
        totals, weight = self._train(epoch, data, eta)
        after = self._snapshot()
        if not (np.isfinite(totals.loss) and np.isfinite(after.parameters).all()):
            self._go_back()
            raise FloatingPointError(
                f"the loss stopped being finite in epoch {epoch} with learning rate {eta:g}; "
                "the parameters are those of the epoch before. Try a smaller learning rate."
            )
        self.finite = after
        logs = metrics(totals, self.topology, weight)
        if isinstance(data, Data):
            logs |= self._measured(data)
        if validation:
            figures = metrics(self._evaluated(validation), self.topology) | self._measured(validation)
            logs |= {f"val_{name}": value for name, value in figures.items()}
        if settings.schedule:
            logs["learning_rate"] = eta
        logs["seconds"] = time.perf_counter() - start
        self._call("on_epoch_end", epoch, logs)
        state.history.add(epoch, logs)
        self._keep_best()
        if settings.save and (epoch % settings.save_every == 0 or epoch == settings.epochs or self._is_over()):
            settings.save()
        if settings.verbose:
            print(_line(epoch, settings.epochs, logs), flush=True)
        return logs

    def _train(self, epoch: int, data, eta: float) -> tuple[Totals, float]:
        """The updates of an epoch; the totals and the weight of its samples."""
        title = f"epoch {epoch}/{self.settings.epochs}"
        if isinstance(data, Data):
            with _bar(title, self._count(data), self.settings.verbose) as bar:
                order = self._order(data.x.shape[0])
                return self._pass(data, order, self.settings.batch_size, eta, bar), self._weight(data)
        totals, weight = Totals(0, 0.0, 0), 0.0
        with _bar(title, None, self.settings.verbose) as bar:
            for batch, order, n in self._batches(data):
                found = self._pass(self._uploaded(batch), order, n, eta, None)
                totals = Totals(*(a + b for a, b in zip(totals, found, strict=True)))
                weight += self._weight(batch)
                bar.update(n)
                if not np.isfinite(totals.loss):
                    break
        if not totals.samples:
            raise ValueError(f"there was no batch in epoch {epoch}")
        return totals, weight

    def _batches(self, data: Callable[[], Iterable[Data]]) -> Iterator[tuple[Data, np.ndarray, int]]:
        """The batches of an epoch, the order of their samples, and how many those are."""
        for batch in data():
            n = batch.x.shape[0]
            yield batch, np.arange(n), n

    def _count(self, data: Data) -> int:
        """How many samples an epoch has."""
        return data.x.shape[0]

    def _weight(self, data: Data) -> float:
        """The weight of all samples together."""
        return float(data.x.shape[0] if data.weights is None else data.weights.sum(dtype=np.float64))

    def _order(self, count: int) -> np.ndarray:
        return self.state.generator.permutation(count) if self.settings.shuffle else np.arange(count)

    def _pass(self, data: Data, order: np.ndarray, batch_size: int, eta: float, bar: tqdm | None) -> Totals:
        """Updates for the batches of an order, cut short as soon as the loss is not finite."""
        state, batch_size = self.state, min(batch_size, order.size)
        options = {"first_step": state.step + 1, "weights": data.weights, "dropout_key": self._dropout_key()}
        this = epoch_of(order, batch_size, eta, self.settings.rule, **options)
        totals = Totals(0, 0.0, 0)
        try:
            for totals in self.engine.train_epoch(data.x, data.y, this):
                if bar is not None:
                    bar.update(totals.samples - bar.n)
                    self._call("on_train_batch_end", -(-totals.samples // batch_size), {})
                if not np.isfinite(totals.loss):
                    break
        finally:
            state.step += -(-totals.samples // batch_size)
        return totals

    def _dropout_key(self) -> int:
        return int(self.state.generator.integers(1 << 63)) if any(self.topology.dropout) else 0

    def _evaluated(self, data: Data) -> Totals:
        return self.engine.evaluate(data.x, data.y)

    def _measured(self, data: Data) -> dict[str, float]:
        return measured(self.engine, data, self.settings.metrics)

    def _uploaded(self, data: Data) -> Data:
        return data._replace(x=self.engine.upload(data.x), y=self.engine.upload(data.y))

    # Going back to an epoch before

    def _snapshot(self) -> "Snapshot":
        return Snapshot(self.engine.read(), self.engine.read_moments(self.settings.rule.moments), self.state.step)

    def _go_back(self) -> None:
        """To the last epoch that was finite."""
        parameters, moments, self.state.step = self.finite
        self.engine.write(parameters)
        self.engine.write_moments(moments)

    def _keep_best(self) -> None:
        """Keeps the parameters of the epoch that has just ended, if it is the best so far."""
        stopping, history = self.settings.early_stopping, self.state.history
        if stopping is None:
            return
        name = monitored(stopping.monitor, history.history)
        if name not in history.history:
            raise ValueError(f"early stopping watches {name!r}, but the history has {', '.join(history.history)}")
        best = stopping.best(history.history)
        history.best_epoch = history.epoch[best]
        if best == len(history.epoch) - 1:
            self.state.best = self.finite.parameters

    def _restore_best(self) -> None:
        if self.state.best is not None:
            self.engine.write(self.state.best)

    def _kept(self) -> str:
        best = self.state.history.best_epoch
        return "its last finished step" if best is None else f"the parameters of epoch {best}, the best"

    # Callbacks

    def _call(self, hook: str, *arguments) -> None:
        for callback in self.settings.callbacks:
            method = getattr(callback, hook, None)
            if method is not None:
                method(*arguments)

    def _is_over(self) -> bool:
        stopping, history = self.settings.early_stopping, self.state.history.history
        if any(getattr(callback, "stop_training", False) for callback in self.settings.callbacks):
            return True
        return bool(stopping and history and stopping.is_over(history))


def _bar(title: str, samples: int | None, verbose: bool) -> tqdm:
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
    figures = "  ".join(f"{name} {value:.4f}" for name, value in logs.items() if name not in ("seconds", "learning_rate"))
    rate = f"  learning_rate {logs['learning_rate']:.3g}" if "learning_rate" in logs else ""
    return f"epoch {epoch:{len(str(epochs))}d}/{epochs}  {figures}{rate}  {logs['seconds']:.2f} s"

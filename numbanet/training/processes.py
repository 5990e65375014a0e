"""Interfaces through which several processes train one network: `Partition` and `Consensus`.

A `Partition` divides the samples among the processes, and a `Consensus` keeps the processes in the same state. `Whole` and
`Alone` implement `Partition` and `Consensus` for training by one process; `numbanet.distributed` implements both interfaces for
several processes.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np

from numbanet.engines.epoch import BatchShare, Epoch, epoch_of, rates_of
from numbanet.engines.interface import Totals
from numbanet.engines.rule import Rule
from numbanet.inputs import Data

if TYPE_CHECKING:
    from numbanet.training.loop import Training

# The arguments of `Network.fit` that are arrays of samples: the fields of `Data` in the same order, then validation_data.
ARRAYS = ("x", "y", "sample_weight", "validation_data")

# A function that returns an iterable of the batches of an epoch.
Batches = Callable[[], Iterable[Data]]
# A function of the number of samples that returns the row indices of the samples in the order of an epoch.
Order = Callable[[int], np.ndarray]


class SharedBatches(NamedTuple):
    """The division of the batches of a `Pass` among the processes.

    Parameters
    ----------
    share : BatchShare
        The part of each batch that this process computes.
    ends : (steps,) int
        For each batch, the number of samples that all processes together have processed at the end of the batch.
    """

    share: BatchShare
    ends: np.ndarray

    def sizes(self) -> np.ndarray:
        """Returns the number of samples in each batch, counted over all processes."""
        return np.diff(self.ends, prepend=0)


def finished_batches(processed: int, n: int, batch_size: int) -> int:
    """Returns the number of whole batches among the first `processed` of `n` samples; the last batch may be smaller."""
    return -(-processed // batch_size) if processed == n else processed // batch_size


class Pass(NamedTuple):
    """One pass over samples in this process, with one update of the parameters after each batch.

    Parameters
    ----------
    data : Data
        The samples of this process.
    order : (m,) int
        The indices of the m rows of `data` that the pass uses, in the order of their use.
    batch_size : int
    weight : float
        The sum of the sample weights, over the samples of all processes.
    batches : SharedBatches, optional
        The division of each batch among the processes; None if there is only one process.
    """

    data: Data
    order: np.ndarray
    batch_size: int
    weight: float
    batches: SharedBatches | None = None

    def epoch(self, eta: float, rule: Rule, first_step: int, dropout_key: int) -> Epoch:
        """Converts the pass to an `Epoch` with the learning rate `eta`; the number of its first update is `first_step`."""
        order, size, weights = self.order, self.batch_size, self.data.weights
        if self.batches is None:
            return epoch_of(order, size, eta, rule, first_step=first_step, weights=weights, dropout_key=dropout_key)
        rates = rates_of(self.batches.sizes(), eta, rule, first_step)
        return Epoch(order, size, rule, rates, weights, dropout_key, self.batches.share)

    def done(self, totals: Totals, yields: int) -> tuple[int, int]:
        """Returns the number of finished batches, and the number of samples that all processes together have processed.

        A batch is finished as soon as the parameters have been updated with its gradient.

        Parameters
        ----------
        totals : Totals
            The last `Totals` that the engine yielded.
        yields : int
            The number of times that the engine has yielded `Totals`. If batches are divided among processes, the engine yields
            `Totals` after each batch, and possibly once more after the last batch.
        """
        if self.batches is None:
            return finished_batches(totals.samples, self.order.size, self.batch_size), totals.samples
        count = min(yields, self.batches.ends.size)
        return count, int(self.batches.ends[count - 1])

    def is_lost(self, totals: Totals) -> bool:
        """Returns True if the pass should end early: the loss is not finite, and no other process shares the batches."""
        return self.batches is None and not math.isfinite(totals.loss)


class Partition(Protocol):
    """Interface for dividing samples among processes. All processes must call the methods in the same order."""

    def count(self, data: Data) -> int:
        """Returns the number of samples of all processes together. All processes must call this method."""
        ...

    def passes(self, source: Data | Batches, batch_size: int, order: Order) -> Iterator[Pass]:
        """Yields each `Pass` of an epoch: a single one if `source` is `Data`, or one per batch if `source` is a function."""
        ...

    def part(self, data: Data) -> Data | None:
        """Returns the samples that this process evaluates, or None if it has no samples to evaluate."""
        ...

    def weight(self, data: Data) -> float:
        """Returns the sum of the sample weights, over the samples of all processes. All processes must call this method."""
        ...

    def total(self, totals: Totals) -> Totals:
        """Returns the sum of the `Totals` over all processes."""
        ...

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Returns the rows of all processes as one array, in the order of the processes' ranks."""
        ...


class Whole:
    """The partition for training by a single process, which has all samples."""

    def count(self, data: Data) -> int:
        """Returns the number of samples."""
        return data.n

    def passes(self, source: Data | Batches, batch_size: int, order: Order) -> Iterator[Pass]:
        """Yields a single `Pass` if `source` is `Data`, or one `Pass` for each batch if `source` is a function."""
        if isinstance(source, Data):
            yield Pass(source, order(source.n), min(batch_size, source.n), source.total_weight)
        else:
            for data in source():
                yield Pass(data, np.arange(data.n), data.n, data.total_weight)

    def part(self, data: Data) -> Data:
        """Returns all samples, because there is only one process."""
        return data

    def weight(self, data: Data) -> float:
        """Returns the sum of the sample weights."""
        return data.total_weight

    def total(self, totals: Totals) -> Totals:
        """Returns the totals unchanged, because there is only one process."""
        return totals

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Returns the rows unchanged, because there is only one process."""
        return rows


class Consensus(Protocol):
    """Interface for keeping the processes of distributed training in the same state.

    Attributes
    ----------
    interruptible : bool
        Whether Ctrl-C may stop training without an error: True only if no other process would wait for this process.
    follows : bool
        Whether another process calls the callbacks and issues the warnings, and this process copies the metrics and decisions
        of the other process.
    """

    interruptible: bool
    follows: bool

    def session(self) -> AbstractContextManager[None]:
        """Returns a context manager, inside which the whole training runs."""
        ...

    def begin(self, training: "Training") -> None:
        """Brings all processes into the same state. Training calls this method before the first epoch."""
        ...

    def settle(self, training: "Training", logs: dict[str, float]) -> bool:
        """Gives all processes the same `logs` and parameters; returns whether training must stop.

        Training calls this method before the first epoch and after each epoch, each time after the callbacks.
        """
        ...


class Alone:
    """The consensus for training by a single process, which has no other process to agree with."""

    interruptible, follows = True, False

    def session(self) -> AbstractContextManager[None]:
        """Returns a context manager that does nothing."""
        return nullcontext()

    def begin(self, training: "Training") -> None:
        """Does nothing, because there is only one process."""

    def settle(self, training: "Training", logs: dict[str, float]) -> bool:
        """Returns whether a callback requested to stop training."""
        return training.stop_requested()


class Processes(NamedTuple):
    """The two `Partition` objects and the `Consensus` object that training uses in one process.

    Parameters
    ----------
    partition, validation : Partition
        The partition of the training samples, and the partition of the validation samples.
    consensus : Consensus
    """

    partition: Partition = Whole()
    validation: Partition = Whole()
    consensus: Consensus = Alone()

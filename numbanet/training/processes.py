"""The processes of a distributed training: how samples are divided among them, and how they stay in agreement.

`Partition` and `Consensus` are the interfaces. `Whole` and `Alone` implement them for a training in one process;
`numbanet.distributed` implements them for several processes.
"""

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

# A function that yields the batches of an epoch.
Batches = Callable[[], Iterable[Data]]
# A function of n that returns the order in which an epoch takes n samples.
Order = Callable[[int], np.ndarray]


class SharedBatches(NamedTuple):
    """The batches of a pass, each of which is divided among the processes.

    Parameters
    ----------
    share : BatchShare
        The part of each batch that this process computes.
    ends : (steps,) int
        For each batch, the number of samples that all processes together have trained on after the batch.
    """

    share: BatchShare
    ends: np.ndarray

    def sizes(self) -> np.ndarray:
        """Returns, for each batch, the number of its samples in all processes together."""
        return np.diff(self.ends, prepend=0)


class Pass(NamedTuple):
    """One pass of this process over samples, with one update after each batch.

    Parameters
    ----------
    data : Data
        The samples of this process.
    order : (m,) int
        The row indices of data, in the order in which the rows are trained on.
    batch_size : int
    weight : float
        The total weight of the samples of all processes.
    batches : SharedBatches, optional
        How each batch is divided among the processes; None if there is only one process.
    """

    data: Data
    order: np.ndarray
    batch_size: int
    weight: float
    batches: SharedBatches | None = None

    def epoch(self, eta: float, rule: Rule, first_step: int, dropout_key: int) -> Epoch:
        """Returns the pass as an `Epoch`, the form that engines take; its first update is the rule's update `first_step`."""
        order, size, weights = self.order, self.batch_size, self.data.weights
        if self.batches is None:
            return epoch_of(order, size, eta, rule, first_step=first_step, weights=weights, dropout_key=dropout_key)
        rates = rates_of(self.batches.sizes(), eta, rule, first_step)
        return Epoch(order, size, rule, rates, weights, dropout_key, self.batches.share)

    def done(self, totals: Totals, yields: int) -> tuple[int, int]:
        """Returns the number of whole batches and the number of samples that all processes together have trained on.

        A batch of which the engine has seen only a part does not count, because its update has not happened.

        Parameters
        ----------
        totals : Totals
            The sums of losses and hits that the engine yielded last.
        yields : int
            How often the engine has yielded. If batches are divided among processes, the engine yields after each batch, and
            perhaps once more at the end.
        """
        if self.batches is None:
            whole = totals.samples == self.order.size  # the last batch may be smaller
            return (-(-totals.samples // self.batch_size) if whole else totals.samples // self.batch_size), totals.samples
        count = min(yields, self.batches.ends.size)
        return count, int(self.batches.ends[count - 1])

    def is_lost(self, totals: Totals) -> bool:
        """Returns whether to end this pass early: if its loss is not finite and no other process waits for its gradients."""
        return self.batches is None and not np.isfinite(totals.loss)


class Partition(Protocol):
    """Interface: divides samples among the processes of a training; all processes call its methods in the same order."""

    def count(self, data: Data) -> int:
        """Returns the number of samples of all processes; every process must call this method."""
        ...

    def passes(self, source: Data | Batches, batch_size: int, order: Order) -> Iterator[Pass]:
        """Yields the passes of an epoch: one pass over arrays in the given order, or a pass for each batch of a function."""
        ...

    def part(self, data: Data) -> Data | None:
        """Returns the samples that this process evaluates, or None if it has no samples to evaluate."""
        ...

    def weight(self, data: Data) -> float:
        """Returns the total weight of the samples of all processes; every process must call this method."""
        ...

    def total(self, totals: Totals) -> Totals:
        """Returns the totals (sums of losses and hits), added up over all processes."""
        ...

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Returns the rows of all processes as one array, in the order of the processes' ranks."""
        ...


class Whole:
    """A partition that leaves all samples to the only process."""

    def count(self, data: Data) -> int:
        """Returns the number of samples."""
        return data.n

    def passes(self, source: Data | Batches, batch_size: int, order: Order) -> Iterator[Pass]:
        """Yields one pass over the samples in arrays, or a pass for each batch that a function yields."""
        if isinstance(source, Data):
            yield Pass(source, order(source.n), min(batch_size, source.n), source.total_weight)
        else:
            for data in source():
                yield Pass(data, np.arange(data.n), data.n, data.total_weight)

    def part(self, data: Data) -> Data:
        """Returns all samples, because there is only one process."""
        return data

    def weight(self, data: Data) -> float:
        """Returns the total weight of the samples."""
        return data.total_weight

    def total(self, totals: Totals) -> Totals:
        """Returns the totals unchanged, because there is only one process."""
        return totals

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Returns the rows unchanged, because there is only one process."""
        return rows


class Consensus(Protocol):
    """Interface: keeps the processes of a training in the same state.

    Attributes
    ----------
    interruptible : bool
        Whether Ctrl-C may end the training without an error, because no other process would wait for this process.
    follows : bool
        Whether this process takes over figures and decisions of another process, which may call callbacks and gives warnings.
    """

    interruptible: bool
    follows: bool

    def session(self) -> AbstractContextManager[None]:
        """Returns the context manager in which a training runs."""
        ...

    def begin(self, training: "Training") -> None:
        """Runs before the first epoch, and brings all processes into the same state."""
        ...

    def settle(self, training: "Training", logs: dict[str, float]) -> bool:
        """Makes logs and parameters the same in all processes after callbacks; returns whether any wants to stop."""
        ...


class Alone:
    """The consensus of a training in one process, which has nothing to agree on."""

    interruptible, follows = True, False

    def session(self) -> AbstractContextManager[None]:
        """Returns a context manager that does nothing."""
        return nullcontext()

    def begin(self, training: "Training") -> None:
        """Does nothing, because there is only one process."""

    def settle(self, training: "Training", logs: dict[str, float]) -> bool:
        """Returns whether a callback asked to stop the training."""
        return training.stop_requested()


class Processes(NamedTuple):
    """The partitions and the consensus that one process of a training uses.

    Parameters
    ----------
    partition, validation : Partition
        The division of the training samples, and the division of the validation samples.
    consensus : Consensus
    """

    partition: Partition = Whole()
    validation: Partition = Whole()
    consensus: Consensus = Alone()

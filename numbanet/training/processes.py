"""The processes of a training: the division of the samples among them, and their agreement.

`Partition` and `Consensus` are the interfaces; `Whole` and `Alone` implement them for one process, `numbanet.distributed` for
several.
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
    """The batches of a pass, of which each process has a part.

    Parameters
    ----------
    share : BatchShare
        The part of this process in each batch.
    ends : (steps,) int
        The number of samples that all processes have trained on after each batch.
    divisors : (steps,) float or int
        The total weight of each batch, over all processes: the divisors of its mean loss.
    """

    share: BatchShare
    ends: np.ndarray
    divisors: np.ndarray


class Pass(NamedTuple):
    """One pass of this process over samples, with one update after each batch.

    Parameters
    ----------
    data : Data
        The samples of this process.
    order : (m,) int
        The rows of data, in the order in which they are trained on.
    batch_size : int
    weight : float
        The total weight of the samples, over all processes.
    batches : SharedBatches, optional
        Given if there are several processes.
    """

    data: Data
    order: np.ndarray
    batch_size: int
    weight: float
    batches: SharedBatches | None = None

    def epoch(self, eta: float, rule: Rule, first_step: int, dropout_key: int) -> Epoch:
        """Returns the pass as engines take it; its first update is number `first_step` of the rule."""
        order, size, weights = self.order, self.batch_size, self.data.weights
        if self.batches is None:
            return epoch_of(order, size, eta, rule, first_step=first_step, weights=weights, dropout_key=dropout_key)
        rates = rates_of(self.batches.divisors, eta, rule, first_step)
        return Epoch(order, size, rule, rates, weights, dropout_key, self.batches.share)

    def done(self, totals: Totals, yields: int) -> tuple[int, int]:
        """Returns the numbers of batches and of samples that are done, over all processes.

        Parameters
        ----------
        totals : Totals
            The totals that the engine yielded last.
        yields : int
            How often the engine has yielded: after each batch, and perhaps at the end, if batches are shared.
        """
        if self.batches is None:
            return -(-totals.samples // self.batch_size), totals.samples
        count = min(yields, self.batches.ends.size)
        return count, int(self.batches.ends[count - 1])

    def is_lost(self, totals: Totals) -> bool:
        """Returns whether to end this pass early: its loss is not finite, and no other process waits for its gradients."""
        return self.batches is None and not np.isfinite(totals.loss)


class Partition(Protocol):
    """The division of samples among the processes of a training, which call all methods in the same order."""

    def count(self, data: Data) -> int:
        """Returns the number of samples of all processes; all of them call it."""
        ...

    def passes(self, source: Data | Batches, batch_size: int, order: Order) -> Iterator[Pass]:
        """Yields the passes of an epoch: one over arrays, in shuffled order, or one over each batch of a function."""
        ...

    def part(self, data: Data) -> Data | None:
        """Returns the samples that this process evaluates; None if there are none."""
        ...

    def total(self, totals: Totals) -> Totals:
        """Returns the sums of the totals of all processes."""
        ...

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Returns the rows of all processes, in the order of their ranks."""
        ...


class Whole:
    """All samples, in the only process."""

    def count(self, data: Data) -> int:
        """Returns the number of samples."""
        return data.n

    def passes(self, source: Data | Batches, batch_size: int, order: Order) -> Iterator[Pass]:
        """Yields one pass over arrays, or one over each batch that a function yields."""
        if isinstance(source, Data):
            yield Pass(source, order(source.n), min(batch_size, source.n), source.total_weight)
        else:
            for data in source():
                yield Pass(data, np.arange(data.n), data.n, data.total_weight)

    def part(self, data: Data) -> Data:
        """Returns all samples."""
        return data

    def total(self, totals: Totals) -> Totals:
        """Returns the totals."""
        return totals

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Returns the rows."""
        return rows


class Consensus(Protocol):
    """The agreement of the processes of a training.

    Attributes
    ----------
    interruptible : bool
        Whether Ctrl-C may end the training without an error: no other process would then wait for this one.
    """

    interruptible: bool

    def session(self) -> AbstractContextManager[None]:
        """Returns the context in which a training runs."""
        ...

    def begin(self, training: "Training") -> None:
        """Runs before the first epoch: all processes start in the same state."""
        ...

    def settle(self, training: "Training", logs: dict[str, float]) -> bool:
        """Runs after callbacks: logs, parameters and the wish to stop become the same everywhere. Returns that wish."""
        ...


class Alone:
    """The only process, which agrees with itself."""

    interruptible = True

    def session(self) -> AbstractContextManager[None]:
        """Returns an empty context."""
        return nullcontext()

    def begin(self, training: "Training") -> None:
        """Changes nothing."""

    def settle(self, training: "Training", logs: dict[str, float]) -> bool:
        """Returns whether a callback wishes to stop."""
        return training.stop_requested()


class Processes(NamedTuple):
    """The processes of a training, as one of them sees them.

    Parameters
    ----------
    partition, validation : Partition
        The division of the samples to train on, and of those to validate with.
    consensus : Consensus
    """

    partition: Partition = Whole()
    validation: Partition = Whole()
    consensus: Consensus = Alone()

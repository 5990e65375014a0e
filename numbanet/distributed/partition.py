"""Divides the samples among several processes that train one network.

All processes hold the same parameters. In each step, every process computes the gradients of its part of the batch. The
gradients of all processes are added up, and every process performs the same update with the sum. Except for rounding
errors, this is the update of a single process that trains on the whole batch.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from numbanet.distributed.communicators import Communicator
from numbanet.engines.epoch import BatchShare
from numbanet.engines.interface import Totals
from numbanet.engines.topology import Topology
from numbanet.inputs import Data
from numbanet.training.processes import Batches, Order, Pass, SharedBatches


class Part(NamedTuple):
    """The samples that one process trains on in an epoch, divided into batches.

    Parameters
    ----------
    order : (m,) int
        The row indices of the samples in the arrays x and y of the process, in the order of training.
    ends : (steps,) int
        For each batch, the position in `order` at which the process's part of the batch ends.
    firsts : (steps,) int
        For each batch, the index of the process's first sample, counted over the samples of all processes in the epoch.
    sizes : (steps,) int
        For each batch, the number of samples in all processes together.
    """

    order: np.ndarray
    ends: np.ndarray
    firsts: np.ndarray
    sizes: np.ndarray


def part_of_whole(order: np.ndarray, batch_size: int, rank: int, size: int) -> Part:
    """Returns the `Part` of process `rank`; every process has all samples.

    The part contains about 1/`size` of the samples of each batch.
    """
    starts = np.arange(0, order.size, batch_size)
    sizes = np.minimum(batch_size, order.size - starts)
    firsts, lasts = starts + sizes * rank // size, starts + sizes * (rank + 1) // size
    batch, position = np.arange(order.size) // batch_size, np.arange(order.size)
    mine = (firsts[batch] <= position) & (position < lasts[batch])
    return Part(order[mine], np.cumsum(lasts - firsts), firsts, sizes)


def part_of_shards(order: np.ndarray, counts: np.ndarray, batch_size: int, rank: int) -> Part:
    """Returns the `Part` of process `rank`; each process has its own samples.

    counts[r] is the number of samples of process r. Each batch takes the same fraction of each process's samples, up to
    rounding.
    """
    steps = -(-int(counts.sum()) // batch_size)
    ends = counts[:, None] * np.arange(steps + 1) // steps  # of shape (size, steps + 1)
    pieces = np.diff(ends)
    sizes = pieces.sum(axis=0)
    firsts = np.cumsum(sizes) - sizes + pieces[:rank].sum(axis=0)
    return Part(order, ends[rank, 1:], firsts, sizes)


class Exchange:
    """Combines numbers or arrays of all processes; for example, each process passes its numbers to `sums`, and gets the sums.

    Parameters
    ----------
    communicator : Communicator
    """

    def __init__(self, communicator: Communicator):
        self.communicator = communicator

    def counts(self, n: int) -> np.ndarray:
        """Returns an array that contains, for each rank, the number n that the process with this rank passes."""
        counts = np.zeros(self.communicator.size, np.int64)
        counts[self.communicator.rank] = n
        self.communicator.sum(counts)
        return counts

    def sums(self, *numbers: float) -> list[float]:
        """Returns a list: for each argument, the sum of the numbers that all processes pass for this argument."""
        sums = np.array(numbers, np.float64)
        self.communicator.sum(sums)
        return sums.tolist()

    def total(self, totals: Totals) -> Totals:
        """Adds up the totals of all processes: the numbers of samples, the losses, and the numbers of correct outputs."""
        samples, loss, hits = self.sums(*totals)
        return Totals(int(samples), loss, hits)

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Returns the rows of all processes in one array, in the order of the ranks."""
        counts, rank = self.counts(rows.shape[0]), self.communicator.rank
        gathered = np.zeros((int(counts.sum()), rows.shape[1]), rows.dtype)
        first = int(counts[:rank].sum())
        gathered[first : first + rows.shape[0]] = rows
        self.communicator.sum(gathered.reshape(-1))
        return gathered

    def batches(self, part: Part) -> SharedBatches:
        """Returns the `SharedBatches` of a part; their function `share.add_up` adds up the gradients of all processes."""
        return SharedBatches(BatchShare(part.ends, part.firsts, self.communicator.sum), np.cumsum(part.sizes))


class Shared:
    """The division of samples if every process has all samples: each process computes a part of every batch.

    When `fit` measures the loss and metrics after an epoch, each process evaluates a part of the samples.

    Parameters
    ----------
    communicator : Communicator
    """

    def __init__(self, communicator: Communicator):
        self.communicator, self.exchange = communicator, Exchange(communicator)
        self.total, self.gather = self.exchange.total, self.exchange.gather

    def count(self, data: Data) -> int:
        """Returns `data.n`: every process has all samples, so the numbers of the processes are not added up."""
        return data.n

    def passes(self, source: Data | Batches, batch_size: int, order: Order) -> Iterator[Pass]:
        """Yields one `Pass`: a pass over the samples in which this process computes its part of each batch.

        All processes determine the same order of the samples.
        """
        assert isinstance(source, Data)  # only `Shards` supports a function that yields batches
        rows = order(source.n)
        part = part_of_whole(rows, min(batch_size, source.n), self.communicator.rank, self.communicator.size)
        yield Pass(source, part.order, batch_size, source.total_weight, self.exchange.batches(part))

    def part(self, data: Data) -> Data | None:
        """Returns this process's share of the samples to evaluate, or None if it has no share; all shares are about equal."""
        n, rank, size = data.n, self.communicator.rank, self.communicator.size
        rows = slice(n * rank // size, n * (rank + 1) // size)
        return data.rows(rows) if rows.start < rows.stop else None

    def weight(self, data: Data) -> float:
        """Returns the sum of the weights of `data`: every process has all samples, so the processes' sums are not added up."""
        return data.total_weight


class Shards:
    """The division of samples if each process has its own samples.

    If x is an array, every batch contains the same fraction of each process's samples, up to rounding. If x is a function that
    yields batches, the first batches of all processes together form one batch, then the second batches, and so on.

    Parameters
    ----------
    communicator : Communicator
    topology : Topology
    """

    def __init__(self, communicator: Communicator, topology: Topology):
        self.communicator, self.topology, self.exchange = communicator, topology, Exchange(communicator)
        self.total, self.gather = self.exchange.total, self.exchange.gather

    def count(self, data: Data) -> int:
        """Returns the number of samples of all processes together."""
        return int(self.exchange.counts(data.n).sum())

    def passes(self, source: Data | Batches, batch_size: int, order: Order) -> Iterator[Pass]:
        """Yields one `Pass` over the samples if `source` is `Data`, or one `Pass` per batch if `source` is a function.

        If the function yields fewer batches in one process than in others, this process contributes no samples to the later
        batches.
        """
        if isinstance(source, Data):
            counts = self.exchange.counts(source.n)
            # Every process draws the random orders of all processes, so that the random generators of all processes stay equal.
            rows = [order(int(n)) for n in counts][self.communicator.rank]
            yield self._pass(source, rows, counts, batch_size)
            return
        batches = iter(source())
        while True:
            data = next(batches, None)
            n = 0 if data is None else data.n
            counts = self.exchange.counts(n)
            if not counts.any():
                return
            yield self._pass(zeros(self.topology) if data is None else data, np.arange(n), counts, int(counts.sum()))

    def _pass(self, data: Data, rows: np.ndarray, counts: np.ndarray, batch_size: int) -> Pass:
        part = part_of_shards(rows, counts, batch_size, self.communicator.rank)
        weight = self.exchange.sums(data.total_weight if rows.size else 0.0)[0]
        return Pass(data, part.order, batch_size, weight, self.exchange.batches(part))

    def part(self, data: Data) -> Data:
        """Returns all samples of this process, because each process evaluates its own samples."""
        return data

    def weight(self, data: Data) -> float:
        """Returns the sum of the sample weights over all processes."""
        return self.exchange.sums(data.total_weight)[0]


def zeros(topology: Topology) -> Data:
    """Returns `Data` with one sample, in which x and y are 0, for a process that has no samples in a batch."""
    x, y = (np.zeros((1, topology.sizes[k]), topology.dtype) for k in (0, -1))
    x.flags.writeable = y.flags.writeable = False
    return Data(x, y)

"""How long a step takes on n nodes that train together: a model, from what was measured on one.

    compute(b)      = t_update + c b
    allreduce(n, M) = 2 ceil(log2 n) alpha + 2 (n - 1)/n M / bandwidth + (n - 1)/n M gamma
    step            = compute(b) + allreduce(n, M)

b is the largest share of the batch: ceil(B/n) where all share the batch of one node, B where each has as much as one. M is the
size of the gradients, gamma how long adding a byte takes. The allreduce is Rabenseifner's: a reduce-scatter by recursive
halving, then an allgather by recursive doubling (Thakur, Rabenseifner, Gropp 2005, doi:10.1177/1094342005051521). Not in the
model: nodes that wait for the slowest, wires that several pairs share, shares too small to be computed as fast as others.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

NODES = tuple(2**k for k in range(3, 11))


class Line(NamedTuple):
    """seconds = fixed + rate x, and by how much it misses what was measured: the root mean square of relative errors."""

    fixed: float
    rate: float
    error: float

    def seconds(self, x: float) -> float:
        """At x."""
        return self.fixed + self.rate * x


def line_of(x, seconds) -> Line:
    """The line through measured times by least squares of relative errors: times lie orders of magnitude apart."""
    x, seconds = np.asarray(x, float), np.asarray(seconds, float)
    columns = np.stack([1 / seconds, x / seconds], axis=1)
    scale = np.abs(columns).max(axis=0)
    (fixed, rate), *_ = np.linalg.lstsq(columns / scale, np.ones(x.size))
    fixed, rate = float(fixed / scale[0]), float(rate / scale[1])
    return Line(fixed, rate, float(np.sqrt(np.mean(((fixed + rate * x) / seconds - 1) ** 2))))


class Wire(NamedTuple):
    """What connects nodes.

    Parameters
    ----------
    name : str
    latency : float
        Seconds from one process to another, for a short message.
    bandwidth : float
        Bytes per second, each way.
    """

    name: str
    latency: float
    bandwidth: float


# Assumed: between processes, by MPI. TCP over 10 Gbit/s Ethernet, and InfiniBand or RoCE at 100 Gbit/s.
WIRES = (Wire("10 Gbit/s", 20e-6, 10e9 / 8), Wire("100 Gbit/s", 2e-6, 100e9 / 8))


def allreduce(n: int, size: float, wire: Wire, adding: float = 0.0) -> float:
    """Seconds in which n processes add up so many bytes; adding is gamma, in seconds per byte."""
    rounds = (n - 1).bit_length()  # ceil(log2 n)
    return 2 * rounds * wire.latency + (n - 1) / n * size * (2 / wire.bandwidth + adding)


@dataclass(frozen=True)
class Work:
    """What one node does in a step.

    Parameters
    ----------
    alone : float
        Seconds of a step of one node that shares nothing: it needs not keep gradients apart from the update.
    compute : Line
        Seconds over samples of a node that shares: t_update and c.
    batch : int
        B.
    size : float
        M, in bytes.
    layers : list of (n_in, n_out)
    adding : float
        gamma, in seconds per byte.
    """

    alone: float
    compute: Line
    batch: int
    size: float
    layers: tuple[tuple[int, int], ...]
    adding: float = 0.0

    def strong(self, n: int, wire: Wire) -> tuple[float, float]:
        """Seconds of a step where n nodes share the batch of one, and of them those of the allreduce."""
        return self._step(-(-self.batch // n), n, wire)

    def weak(self, n: int, wire: Wire) -> tuple[float, float]:
        """The same, where each of n nodes has a batch as large as that of one."""
        return self._step(self.batch, n, wire)

    def _step(self, share: int, n: int, wire: Wire) -> tuple[float, float]:
        adding_up = allreduce(n, self.size, wire, self.adding)
        return self.compute.seconds(share) + adding_up, adding_up

    def overlapped(self, n: int, wire: Wire) -> float:
        """Seconds of a weak step in which each layer's gradients are added up as soon as they are there, last layer first.

        The time of the samples is shared out by operations: 2 per weight forward, 2 for dw, 2 for delta of the layer before.
        """
        weights = np.array([n_in * n_out for n_in, n_out in self.layers], float)
        per_weight = self.compute.rate * self.batch / (3 * weights.sum() - weights[0])
        clock, arrived = per_weight * weights.sum(), 0.0
        for l in reversed(range(weights.size)):
            clock += per_weight * weights[l]  # dw
            part = self.size * weights[l] / weights.sum()
            arrived = max(arrived, clock) + allreduce(n, part, wire, self.adding)
            clock += per_weight * weights[l]  # delta of the layer before
        return arrived + self.compute.fixed


def efficiency_strong(work: Work, n: int, wire: Wire) -> float:
    """How much faster n nodes are than one, over n."""
    return work.alone / (n * work.strong(n, wire)[0])


def efficiency_weak(work: Work, n: int, wire: Wire) -> float:
    """How many more samples n nodes train on than one, in the same time, over n."""
    return work.alone / work.weak(n, wire)[0]


def taken_over(step, wire: Wire, nodes=NODES) -> int | None:
    """From how many nodes on the allreduce takes more than half of a step, `Work.strong` or `Work.weak`; None where never."""
    return next((n for n in nodes if step(n, wire)[1] > step(n, wire)[0] / 2), None)


def remedies(work: Work, n: int, wire: Wire, node: Wire, processes: int, times: int) -> dict[str, float]:
    """How many times as many samples per second n nodes would train on, each with a batch as large as that of one, if

    - batches were so many times as large,
    - each layer's gradients were added up while those of the layers before are computed,
    - gradients had half as many bits,
    - they were added up once in so many steps,
    - the so many processes of a node, whose wire they share, first added up among themselves, by what connects them there.
    """
    step, adding_up = work.weak(n, wire)
    shared = wire._replace(bandwidth=wire.bandwidth / processes)
    flat = allreduce(n * processes, work.size, shared, work.adding)
    in_two = allreduce(processes, work.size, node) + allreduce(n, work.size, wire, work.adding)
    computing = step - adding_up
    return {
        f"{times} times the batch": times * step / (work.compute.seconds(times * work.batch) + adding_up),
        "overlap": step / min(step, work.overlapped(n, wire)),
        "half the bits": step / (computing + allreduce(n, work.size / 2, wire, work.adding)),
        f"every {times} steps": step / (computing + adding_up / times),
        "by node first": (computing + flat) / (computing + in_two),
    }

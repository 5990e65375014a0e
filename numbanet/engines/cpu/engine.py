"""The fast CPU engine: it owns the memory of a network, and trains by calling `numbanet.engines.cpu.epoch.run` in slices."""

import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np

from numbanet._compile import collection_paused
from numbanet.engines.cpu import threads
from numbanet.engines.cpu.arguments import Draw, Job, Samples, Workspace
from numbanet.engines.cpu.blocks import BLOCK_ROWS, BLOCK_WEIGHTS, FORWARD_ROWS, SHARED_WEIGHTS
from numbanet.engines.cpu.epoch import DESCEND, EVALUATE, LOGITS, PREDICT, TRAIN, run
from numbanet.engines.cpu.kernels.descent import UpdateRule, constants_of
from numbanet.engines.cpu.kernels.layout import Layout, needs_jacobian
from numbanet.engines.epoch import RATES, Epoch, epoch_of
from numbanet.engines.interface import Pace, Totals
from numbanet.engines.loops import added_up
from numbanet.engines.rule import Rule
from numbanet.engines.samples import hits
from numbanet.engines.topology import Topology

NOTHING, NO_RATES, NO_DRAW = Totals(0, 0.0, 0), np.empty((0, RATES)), Draw(np.uint64(0), 0)
ONE_POSITION = np.zeros(1, np.int64)  # the order of DESCEND, which reads no sample


class FastCpuEngine:
    """The engine that trains on the CPU by one compiled function, each call of which processes a slice of an epoch.

    Parameters
    ----------
    topology : Topology
        The sizes, activations, loss and dtype of the network.
    """

    def __init__(self, topology: Topology):
        self.topology = topology
        self.most_rows = max(1, min(BLOCK_ROWS, BLOCK_WEIGHTS // topology.parameter_count))
        self.training_pace, self.forward_pace = Pace(FORWARD_ROWS), Pace(FORWARD_ROWS)
        self.no_outputs, self.no_targets = np.empty((2, 0, topology.sizes[-1]), topology.dtype)
        self.no_weights = np.empty(0, topology.dtype)
        # Targets are read-only; Numba would compile again for a writable array, which has another type.
        self.no_targets.flags.writeable = False
        self.compiles = True  # the first call may compile
        self.rule = Rule()  # the last rule: predictions then use the code compiled for training
        self.lock = threads.Lock()
        self.layout = Layout(topology, self.most_rows)
        self.jacobian = needs_jacobian(topology) or None  # the type decides what is compiled

    def read(self) -> np.ndarray:
        with self.lock:
            return self.layout.read()

    def write(self, parameters: np.ndarray) -> None:
        with self.lock:
            self.layout.write(parameters)

    def read_moments(self, count: int) -> list[np.ndarray]:
        with self.lock:
            return [self.layout.read(offset) for offset in self.layout.moments[:count]]

    def write_moments(self, moments: list[np.ndarray]) -> None:
        with self.lock:
            for moment, offset in zip(moments, self.layout.moments, strict=False):
                self.layout.write(moment, offset)

    def upload(self, array: np.ndarray) -> np.ndarray:
        return array

    def predict(self, x: np.ndarray, out: Any = None, *, logits: bool = False) -> Any:
        outputs = np.empty((x.shape[0], self.topology.sizes[-1]), self.topology.dtype) if out is None else out
        return self._outputs_of_layer(len(self.topology.kinds), x, outputs, logits)

    def evaluate(self, x: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> Totals:
        totals = NOTHING
        for rows in self._slices(x.shape[0]):
            job = Job(EVALUATE, FORWARD_ROWS, rows.size, False)
            sums = self._run(job, self._samples(x, y, rows, weights), totals._replace(samples=0))
            totals = sums._replace(samples=totals.samples + rows.size)
        return totals if weights is None else totals._replace(hits=self._weighted_hits(x, y, weights))

    def _weighted_hits(self, x: np.ndarray, y: np.ndarray, weights: np.ndarray) -> float:
        """Returns the sum of the right answers, each multiplied by its sample's weight; the compiled run counts each as 1."""
        hits_of_sample = np.empty(x.shape[0], np.int32)
        for first in range(0, x.shape[0], FORWARD_ROWS):
            part = slice(first, first + FORWARD_ROWS)
            hits(self.topology.loss_kind, y[part], self.predict(x[part]), hits_of_sample[part])
        return added_up(hits_of_sample, weights)

    def loss_and_gradients(self, x: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> tuple[float, np.ndarray]:
        with self.lock:
            *_, totals = self._gradient_blocks(x, y, weights)
            return totals.loss, self.layout.read(self.layout.gradients)

    def train_epoch(self, x: np.ndarray, y: np.ndarray, epoch: Epoch) -> Iterator[Totals]:
        self.rule, totals, count = epoch.rule, NOTHING, epoch.order.size
        if epoch.share:
            yield from self._train_share(x, y, epoch, epoch.share.add_up)
            return
        samples, draw = self._samples(x, y, epoch.order, epoch.weights), Draw(np.uint64(epoch.dropout_key), 0)
        while totals.samples < count:
            first, start = totals.samples, time.perf_counter()
            job = Job(TRAIN, epoch.batch_size, min(first + self.training_pace.samples, count), True)
            totals = self._run(job, samples, totals, epoch.rates, draw)
            self.training_pace.took(totals.samples - first, time.perf_counter() - start)
            yield totals

    def _train_share(self, x, y, epoch: Epoch, add_up: Callable) -> Iterator[Totals]:
        """Trains one epoch whose batches are shared by several processes: each step sums the gradients of all, then updates."""
        gradients, totals = self.layout.all_gradients(), NOTHING
        samples = self._samples(x, y, epoch.order, epoch.weights)
        for k, (first, last, position) in enumerate(epoch.steps()):
            rates = epoch.rates[k : k + 1]
            if first < last:
                job, draw = Job(TRAIN, last - first, last - first, False), Draw(np.uint64(epoch.dropout_key), position)
                of_step = samples._replace(order=samples.order[first:last])
                totals = self._run(job, of_step, totals._replace(samples=0), rates, draw)._replace(samples=last)
            else:
                gradients[:] = 0
            add_up(gradients)
            self._run(Job(DESCEND, 1, 1, True), samples._replace(order=ONE_POSITION), NOTHING, rates)
            yield totals

    def trace(self, x: np.ndarray, y: np.ndarray) -> dict[str, list[np.ndarray]]:
        n, dtype, sizes = x.shape[0], self.topology.dtype, self.topology.sizes[1:]
        z, a, delta = ([np.empty((n, n_out), dtype) for n_out in sizes] for _ in range(3))
        with self.lock:
            for l in range(len(sizes)):
                self._outputs_of_layer(l + 1, x, z[l], logits=True)
                self._outputs_of_layer(l + 1, x, a[l])
            first, rows = 0, self._block_rows(n)
            (header,), layers, _ = self.layout.records(rows)
            for totals in self._gradient_blocks(x, y):
                for l, n_out in enumerate(sizes):
                    block = self.layout.rows_of(layers["delta"][l], header["rows"], totals.samples - first, n_out)
                    delta[l][first : totals.samples] = block
                first = totals.samples
        return {"z": z, "a": a, "delta": delta}

    def _outputs_of_layer(self, count: int, x, outputs, logits: bool = False):
        """Writes a, or z if `logits`, of layer number `count` to `outputs`, and returns `outputs`."""
        for rows in self._slices(x.shape[0]):
            job = Job(LOGITS if logits else PREDICT, FORWARD_ROWS, rows.size, False)
            samples = self._samples(x, self.no_targets, rows, outputs=outputs[rows[0] : rows[-1] + 1])
            self._run(job, samples, layers=count)
        return outputs

    def _gradient_blocks(self, x, y, weights=None) -> Iterator[Totals]:
        """Adds up the gradients of one batch; yields after each block of samples, when its deltas are in memory."""
        n, totals = x.shape[0], NOTHING
        batch = epoch_of(np.arange(n), n, 0.0, self.rule)
        samples = self._samples(x, y, batch.order, weights)
        while totals.samples < n:
            totals = self._run(Job(TRAIN, n, totals.samples + 1, False), samples, totals, batch.rates)
            yield totals

    def _samples(self, x, y, order, weights=None, outputs=None) -> Samples:
        """Returns the arrays in the types that the compiled functions expect; for other types Numba would compile again."""
        weights = self.no_weights if weights is None else weights.astype(self.topology.dtype)  # a copy: writable and aligned
        outputs = self.no_outputs if outputs is None else outputs
        return Samples(x, y, weights, np.ascontiguousarray(order, np.int64), outputs)

    def _block_rows(self, batch_size: int) -> int:
        """Returns the number of samples in a block, such that a batch is cut into blocks of equal size."""
        blocks = -(-batch_size // self.most_rows)
        return -(-batch_size // blocks)

    def _run(self, job: Job, samples: Samples, totals=NOTHING, rates=NO_RATES, draw: Draw | None = None, layers=None) -> Totals:
        """Calls `epoch.run` from position `totals.samples`, for the first `layers` layers; draw None means no dropout."""
        job = job._replace(batch_size=min(job.batch_size, samples.order.size))
        rows, layout, topology = self._block_rows(job.batch_size), self.layout, self.topology
        header, records, _ = layout.records(rows, drops=draw is not None)
        workspace = Workspace(layout.memory, header, records[:layers], layout.integers, layout.random, self.jacobian)
        rule = UpdateRule(*constants_of(self.rule, topology.dtype), rates)
        draw = (draw or NO_DRAW) if topology.dropout else None
        arguments = tuple(job), tuple(workspace), tuple(samples), rule, tuple(totals), draw
        most = layout.threads if rows * topology.parameter_count >= SHARED_WEIGHTS else 1
        with self.lock, collection_paused() if self.compiles else nullcontext():
            totals = Totals(*threads.crew.call(run, arguments, most))
        self.compiles = False
        return totals

    def _slices(self, count: int) -> Iterator[np.ndarray]:
        """Yields the row indices 0 to count - 1 in slices of samples that the network processes in about 50 ms."""
        first = 0
        while first < count:
            rows, start = np.arange(first, min(first + self.forward_pace.samples, count)), time.perf_counter()
            yield rows
            self.forward_pace.took(rows.size, time.perf_counter() - start)
            first += rows.size

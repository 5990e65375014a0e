"""The engine of the fast rung on the CPU: owns the memory, and calls `numbanet.engines.cpu.epoch` in slices."""

import time
from collections.abc import Iterator
from contextlib import nullcontext

import numpy as np

from numbanet._compile import collection_paused
from numbanet.engines.cpu import epoch, threads
from numbanet.engines.cpu.kernels import descent
from numbanet.engines.cpu.kernels.layout import Layout, needs_jacobian
from numbanet.engines.epoch import RATES, Epoch, epoch_of
from numbanet.engines.interface import Pace, Totals
from numbanet.engines.rule import Rule
from numbanet.engines.topology import Topology
from numbanet.equations.activations import IDENTITY

# A block has at most this many rows, fewer where that many would take longer than about a second.
BLOCK_ROWS = 516  # 86 groups of 6
BLOCK_WEIGHTS = 10**10
# Rows of a block when nothing asks for a batch.
FORWARD_ROWS = 258
# A block with fewer products than this is done before other threads have been told of it.
SHARED_WEIGHTS = 10**6
NOTHING, ONE, NO_RATES = Totals(0, 0.0, 0), np.zeros(1, np.int64), np.empty((0, RATES))


class FastCpuEngine:
    """Whole epochs in one compiled call, in slices.

    Parameters
    ----------
    topology : Topology
    """

    def __init__(self, topology: Topology):
        self.topology = topology
        self.most_rows = max(1, min(BLOCK_ROWS, BLOCK_WEIGHTS // topology.parameter_count))
        self.training_pace, self.forward_pace = Pace(FORWARD_ROWS), Pace(FORWARD_ROWS)
        self.no_outputs, self.no_targets = np.empty((2, 0, topology.sizes[-1]), topology.dtype)
        self.no_weights = np.empty(0, topology.dtype)
        self.no_targets.flags.writeable = False  # as targets are: another type would be compiled again
        self.jacobian = needs_jacobian(topology) or None  # the type says it: see `output`
        self.no_key = np.uint64(0) if topology.dropout else None  # likewise: see `dropout`
        self.compiles = True  # perhaps, when it runs for the first time
        self.rule = Rule()  # the last one: what is compiled for it predicts, too
        self.lock = threads.Lock()
        self.layout = Layout(topology, self.most_rows)

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

    def predict(self, x, out=None) -> np.ndarray:
        y_hat = np.empty((x.shape[0], self.topology.sizes[-1]), self.topology.dtype) if out is None else out
        for rows in self._slices(x.shape[0]):
            self._run(epoch.PREDICT, x, self.no_targets, rows, FORWARD_ROWS, y_hat=y_hat[rows[0] : rows[-1] + 1])
        return y_hat

    def evaluate(self, x, y) -> Totals:
        totals = NOTHING
        for rows in self._slices(x.shape[0]):
            now = self._run(epoch.EVALUATE, x, y, rows, FORWARD_ROWS, totals=totals._replace(samples=0))
            totals = now._replace(samples=totals.samples + rows.size)
        return totals

    def loss_and_gradients(self, x, y) -> tuple[float, np.ndarray]:
        n, totals = x.shape[0], NOTHING
        batch = epoch_of(np.arange(n), n, 0.0, self.rule)
        with self.lock:
            while totals.samples < n:  # a block at a time, so that Ctrl-C is heard
                totals = self._train(x, y, batch, totals, totals.samples + 1, updates=False)
            return totals.loss, self.layout.read(self.layout.gradients)

    def train_epoch(self, x, y, this: Epoch) -> Iterator[Totals]:
        self.rule, totals, count = this.rule, NOTHING, this.order.size
        if this.weights is not None:
            # Copied to be writable and aligned, whatever is given: another type would be compiled again.
            this = this._replace(weights=this.weights.astype(self.topology.dtype))
        if this.shares:
            yield from self._train_shares(x, y, this)
            return
        while totals.samples < count:
            first, start = totals.samples, time.perf_counter()
            stop = min(first + self.training_pace.samples, count)
            totals = self._train(x, y, this, totals, stop, updates=True)
            self.training_pace.took(totals.samples - first, time.perf_counter() - start)
            yield totals

    def _train_shares(self, x, y, this: Epoch) -> Iterator[Totals]:
        gradients, totals = self.layout.all_gradients(), NOTHING
        for k, (first, last, position) in enumerate(this.steps()):
            share = this._replace(order=this.order[first:last], batch_size=last - first, rates=this.rates[k : k + 1])
            if first < last:
                done = self._train(x, y, share, totals._replace(samples=0), last - first, updates=False, before=position)
                totals = done._replace(samples=last)
            else:
                gradients[:] = 0
            this.shares.add_up(gradients)
            self._run(epoch.DESCEND, x, y, ONE, 1, rates=share.rates, weights=this.weights, updates=True)
            yield totals

    def trace(self, x, y) -> dict[str, list[np.ndarray]]:
        tracer = FastCpuEngine(self.topology)
        tracer.most_rows = x.shape[0]  # in one block, which stays in memory
        tracer.layout = Layout(self.topology, tracer.most_rows)
        tracer.write(self.read())
        tracer.loss_and_gradients(x, y)
        return tracer._symbols(x)

    def _symbols(self, x) -> dict[str, list[np.ndarray]]:
        """z, a, delta of the block in memory, whose samples are x."""
        n, sizes = x.shape[0], self.topology.sizes[1:]
        _, layers, _ = self.layout.records(n)
        y_hat, everything = np.empty((n, sizes[-1]), x.dtype), np.arange(n)
        delta = [self.layout.rows_of(start, n, n_out) for start, n_out in zip(layers["delta"], sizes, strict=True)]
        a = [self.layout.rows_of(start, n, n_out) for start, n_out in zip(layers["a"], sizes, strict=True)]
        self._run(epoch.PREDICT, x, self.no_targets, everything, n, y_hat=y_hat)
        a[-1], z = y_hat.copy(), []
        for l in range(len(sizes)):  # a takes the place of z in memory: without the activation z stays
            kind, layers[l]["kind"] = layers[l]["kind"], IDENTITY
            self._run(epoch.PREDICT, x, self.no_targets, everything, n, y_hat=y_hat)
            layers[l]["kind"] = kind
            z.append(self.layout.rows_of(layers[l]["a"], n, sizes[l]))
        return {"z": z, "a": a, "delta": delta}

    def _train(self, x, y, this: Epoch, totals: Totals, stop: int, updates: bool, before: int | None = None) -> Totals:
        """Updates, or gradients alone, without dropout unless it is told how many samples of the epoch are before these."""
        return self._run(
            *(epoch.TRAIN, x, y, this.order, this.batch_size),
            totals=totals,
            stop=stop,
            rates=this.rates,
            weights=this.weights,
            updates=updates,
            key=this.dropout_key,
            before=before or 0,
            drops=updates or before is not None,
        )

    def _run(
        self,
        task,
        x,
        y,
        order,
        batch_size,
        *,
        totals=NOTHING,
        stop=None,
        y_hat=None,
        rates=None,
        weights=None,
        updates=False,
        key=0,
        before=0,
        drops=False,
    ) -> Totals:
        """`epoch.run` from where the totals stand, to `stop` or a little further."""
        batch_size = min(batch_size, order.size)
        blocks = -(-batch_size // self.most_rows)
        rows = -(-batch_size // blocks)
        layout = self.layout
        net, layers, _ = layout.records(rows, drops=drops)
        y_hat = self.no_outputs if y_hat is None else y_hat
        weights = self.no_weights if weights is None else weights
        rates = NO_RATES if rates is None else rates
        arguments = (
            task,
            epoch.Workspace(layout.memory, net, layers, layout.numbers, layout.random),
            epoch.Samples(x, y, weights, np.ascontiguousarray(order, np.int64), y_hat),
            batch_size,
            updates,
            epoch.Descent(*descent.constants(self.rule, self.topology.dtype), rates),
            *(totals.samples, order.size if stop is None else stop, totals.loss, totals.hits),
            (self.jacobian, self.no_key if self.no_key is None else np.uint64(key), before),
        )
        worth_sharing = rows * self.topology.parameter_count >= SHARED_WEIGHTS
        with self.lock, collection_paused() if self.compiles else nullcontext():
            totals = Totals(*threads.call(epoch.run, arguments, most=layout.threads if worth_sharing else 1))
        self.compiles = False
        return totals

    def _slices(self, count: int) -> Iterator[np.ndarray]:
        """The rows 0 to count, in slices that a forward pass has done in a moment."""
        first = 0
        while first < count:
            rows, start = np.arange(first, min(first + self.forward_pace.samples, count)), time.perf_counter()
            yield rows
            self.forward_pace.took(rows.size, time.perf_counter() - start)
            first += rows.size

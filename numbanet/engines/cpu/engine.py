"""The engine of the fast rung on the CPU: owns the arrays, and calls `numbanet.engines.cpu.epoch` in slices."""

import time
from collections.abc import Iterator

import numpy as np

from numbanet.engines.cpu import epoch, product
from numbanet.engines.face import SLICE_SECONDS, Totals
from numbanet.engines.topology import Topology

# A block is this many rows, fewer where that many would take longer than a fraction of a second.
BLOCK_ROWS = 256
BLOCK_WEIGHTS = 25 * 10**8


class Pace:
    """How many samples fit into a slice, from how long the last slice took."""

    def __init__(self, samples: int):
        self.samples = samples

    def took(self, samples: int, seconds: float) -> None:
        factor = SLICE_SECONDS * samples / max(seconds, 1e-9) / self.samples
        self.samples = max(1, int(self.samples * min(max(factor, 0.1), 8.0)))


class FastCpuEngine:
    """Whole epochs in one compiled call, in slices.

    Parameters
    ----------
    topology : Topology
    """

    def __init__(self, topology: Topology):
        self.topology = topology
        self.parameters = np.zeros(topology.parameter_count, topology.dtype)
        self.gradients = np.zeros(topology.parameter_count, topology.dtype)
        self.plan = _plan(topology)
        self.rows = max(1, min(BLOCK_ROWS, BLOCK_WEIGHTS // topology.parameter_count))
        self.workspace = _workspace(topology, self.rows)
        self.training_pace, self.forward_pace = Pace(self.rows), Pace(self.rows)

    def read(self) -> np.ndarray:
        return self.parameters.copy()

    def write(self, parameters: np.ndarray) -> None:
        self.parameters[:] = parameters

    def upload(self, array: np.ndarray) -> np.ndarray:
        return array

    def predict(self, x) -> np.ndarray:
        y_hat = np.empty((x.shape[0], self.topology.sizes[-1]), self.topology.dtype)
        for rows in self._slices(x.shape[0]):
            epoch.predict(self.plan, self.parameters, self.workspace, x, rows, y_hat[rows[0] : rows[-1] + 1])
        return y_hat

    def evaluate(self, x, y) -> Totals:
        loss, hits = 0.0, 0
        for rows in self._slices(x.shape[0]):
            loss, hits = epoch.evaluate(self.plan, self.parameters, self.workspace, x, y, rows, loss, hits)
        return Totals(x.shape[0], loss, hits)

    def loss_and_gradients(self, x, y) -> tuple[float, np.ndarray]:
        n, totals = x.shape[0], Totals(0, 0.0, 0)
        order = np.arange(n)
        while totals.samples < n:  # a block at a time, so that Ctrl-C is heard
            totals = self._train(self.workspace, x, y, order, n, 0.0, totals, stop=totals.samples + 1)
        return totals.loss, self.gradients.copy()

    def train_epoch(self, x, y, order: np.ndarray, batch_size: int, eta: float) -> Iterator[Totals]:
        totals = Totals(0, 0.0, 0)
        while totals.samples < order.size:
            first, start = totals.samples, time.perf_counter()
            stop = min(first + self.training_pace.samples, order.size)
            totals = self._train(self.workspace, x, y, order, batch_size, eta, totals, stop)
            self.training_pace.took(totals.samples - first, time.perf_counter() - start)
            yield totals

    def trace(self, x, y) -> dict[str, list[np.ndarray]]:
        n = x.shape[0]
        workspace = _workspace(self.topology, n)
        self._train(workspace, x, y, np.arange(n), n, 0.0, Totals(0, 0.0, 0), stop=n)
        ends = n * self.plan.columns[1:-1]
        return {
            symbol: [layer.reshape(n, -1) for layer in np.split(getattr(workspace, symbol), ends)]
            for symbol in ("z", "a", "delta")
        }

    def _train(self, workspace, x, y, order, batch_size, eta, totals: Totals, stop: int) -> Totals:
        """`epoch.train` from where the totals stand, to `stop` or a little further."""
        state = (self.plan, self.parameters, workspace, self.gradients)
        eta = self.topology.dtype.type(eta)
        return Totals(*epoch.train(*state, x, y, order, batch_size, eta, totals.samples, stop, totals.loss, totals.hits))

    def _slices(self, count: int) -> Iterator[np.ndarray]:
        """The rows 0 to count, in slices that a forward pass has done in a moment."""
        first = 0
        while first < count:
            rows, start = np.arange(first, min(first + self.forward_pace.samples, count)), time.perf_counter()
            yield rows
            self.forward_pace.took(rows.size, time.perf_counter() - start)
            first += rows.size


def _plan(topology: Topology) -> epoch.Plan:
    sizes = np.array(topology.sizes, np.int64)
    lengths = sizes[:-1] * sizes[1:] + sizes[1:]
    return epoch.Plan(
        sizes=sizes,
        kinds=np.array(topology.kinds, np.int64),
        starts=np.cumsum(lengths) - lengths,
        columns=np.concatenate(([0], np.cumsum(sizes[1:]))),
        loss_kind=topology.loss_kind,
        epsilon=topology.dtype.type(topology.epsilon),
    )


def _workspace(topology: Topology, rows: int) -> epoch.Workspace:
    def empty(count):
        return np.empty(count, topology.dtype)

    neurons = rows * sum(topology.sizes[1:])
    return epoch.Workspace(
        z=empty(neurons),
        a=empty(neurons),
        delta=empty(neurons),
        x=empty(rows * topology.sizes[0]),
        y=empty(rows * topology.sizes[-1]),
        scratch=empty(2 * rows * max(topology.sizes[1:])),
        packed=product.room(topology.dtype),
        z_max=empty(rows),
        others=empty(rows),
        loss_of_sample=empty(rows),
        hits_of_sample=np.empty(rows, np.int32),
        rows=rows,
    )

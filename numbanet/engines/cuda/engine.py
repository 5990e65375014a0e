"""The engine of the fast rung on GPUs: everything stays there, and losses come back once an epoch."""

import functools
import time
from collections.abc import Callable, Iterator

import numpy as np

from numbanet._cuda import SIMULATED, configured, cuda
from numbanet.engines.cuda import output, planning, resident
from numbanet.engines.cuda.grid import Grid
from numbanet.engines.cuda.memory import allow_shared_memory, ensure_free, limits
from numbanet.engines.cuda.product import Products
from numbanet.engines.cuda.steps import Steps
from numbanet.engines.face import SLICE_SECONDS, Pace, Totals
from numbanet.engines.reference import CudaLoops
from numbanet.engines.topology import Topology
from numbanet.equations import activations, backprop
from numbanet.equations.activations import IDENTITY, SOFTMAX

# Samples that pass through the network at once when nothing asks for a whole batch.
CHUNK = 16384
# Sizes of batches and chunks that room is kept for: an epoch has two, and a validation two more.
MOST_ROOMS = 4
# Threads of a block where one does a sample: few, so that a batch is spread over many multiprocessors. A simulated one costs a
# thread of Python.
ROW_THREADS = 2 if SIMULATED else 32


class Room:
    """What lies on the GPU while so many samples pass through a network.

    Parameters
    ----------
    topology : Topology
    n : int

    Attributes
    ----------
    a, delta : list of device array (n, n_out), one per layer
    z, dl : dict of device array (n, n_out)
        z and dL/da of the layers whose activation needs whole rows of them: softmax, and the last layer.
    u : device array (n, n_out)
        What `output` works with.
    z_max, others : device array (n,)
        The two parts of a softmax sum.
    order : device array (n,)
        0 to n - 1.
    """

    def __init__(self, topology: Topology, n: int):
        def empty(*shape):
            return cuda.device_array(shape, topology.dtype)

        whole = self.whole_rows(topology)
        self.a, self.delta = ([empty(n, width) for width in topology.sizes[1:]] for _ in range(2))
        self.z, self.dl = ({l: empty(n, width) for l, width in whole.items()} for _ in range(2))
        self.u, self.z_max, self.others = empty(n, topology.sizes[-1]), empty(n), empty(n)
        self.order = cuda.to_device(np.arange(n))

    @staticmethod
    def whole_rows(topology: Topology) -> dict[int, int]:
        """Widths of the layers whose activation, or error, needs whole rows."""
        last = len(topology.kinds) - 1
        return {l: width for l, width in enumerate(topology.sizes[1:]) if l == last or topology.kinds[l] == SOFTMAX}

    @classmethod
    def bytes_for(cls, topology: Topology, n: int) -> int:
        """How much of the GPU's memory that takes."""
        numbers = 2 * sum(topology.sizes[1:]) + 2 * sum(cls.whole_rows(topology).values()) + topology.sizes[-1] + 2
        return n * (numbers * topology.dtype.itemsize + 8)


class FastCudaEngine:
    """Trains as `planning` says; predicts and evaluates by products, a chunk of samples at a time.

    Parameters
    ----------
    topology : Topology
    """

    def __init__(self, topology: Topology):
        self.topology = topology
        self.last = len(topology.kinds) - 1
        self.epsilon = topology.dtype.type(topology.epsilon)
        self.limits = limits()
        self.products = Products(topology.dtype, self.limits.multiprocessors)
        self.loops = CudaLoops()
        self.pace = Pace(1)
        self.parameters, self.gradients = (cuda.device_array(topology.parameter_count, topology.dtype) for _ in range(2))
        self.wb, self.d_wb = self._matrices(self.parameters), self._matrices(self.gradients)
        self.rooms: dict[int, Room] = {}
        self.steps: Steps | None = None
        self.grid: Grid | None = None

    def read(self) -> np.ndarray:
        return self.parameters.copy_to_host()

    def write(self, parameters: np.ndarray) -> None:
        self.parameters.copy_to_device(np.ascontiguousarray(parameters, self.topology.dtype))

    def upload(self, array):
        if isinstance(array, np.ndarray):
            ensure_free(array.nbytes, array.shape[0], "holding")
        return self.loops.upload(array)

    def predict(self, x, out=None):
        y_hat = np.empty((x.shape[0], self.topology.sizes[-1]), self.topology.dtype) if out is None else out
        for rows, room in self._chunks(x.shape[0]):
            self._forward(x[rows], room)
            self._activate(self.last, room)
            self.loops.copy(room.a[-1], y_hat[rows])
        self.loops.wait()
        return y_hat

    def evaluate(self, x, y) -> Totals:
        loss_of_sample, hits_of_sample = self._notes(x.shape[0])
        for rows, room in self._chunks(x.shape[0]):
            self._forward(x[rows], room)
            self._score(y[rows], room.order, room, x.shape[0], loss_of_sample[rows], hits_of_sample[rows])
        return self._totals(loss_of_sample, hits_of_sample)

    def loss_and_gradients(self, x, y) -> tuple[float, np.ndarray]:
        room = self._room(x.shape[0])
        loss_of_sample, hits_of_sample = self._notes(x.shape[0])
        self._forward(x, room)
        self._score(y, room.order, room, x.shape[0], loss_of_sample, hits_of_sample)
        for l in self._backward(room):
            x_l, order = self._input(l, x, room.order, room)
            self.products.gradient(x_l, order, room.delta[l], self.d_wb[l])
        return self._totals(loss_of_sample, hits_of_sample).loss, self.gradients.copy_to_host()

    def train_epoch(self, x, y, order: np.ndarray, batch_size: int, eta: float) -> Iterator[Totals]:
        batch_size = min(batch_size, order.size)
        plan, eta = self.plan(batch_size), self.topology.dtype.type(eta)
        if plan.way == planning.COOPERATIVE:
            return self._train_cooperative(plan.shares, x, y, order, batch_size, eta)
        train = self._train_resident if plan.way == planning.RESIDENT else self._train_by_products
        return train(x, y, order, batch_size, eta)

    def plan(self, batch_size: int) -> planning.Plan:
        """How batches of that size are trained."""
        return planning.plan(self.topology, batch_size, self.limits)

    def trace(self, x, y) -> dict[str, list[np.ndarray]]:
        self.loss_and_gradients(x, y)
        room, z = self._room(x.shape[0]), []
        for l, (_, n_out) in enumerate(self.topology.layers):
            z.append(cuda.device_array((x.shape[0], n_out), self.topology.dtype))
            x_l, order = self._input(l, x, room.order, room)
            self.products.forward(IDENTITY, self.epsilon, x_l, order, self.wb[l], z[l])
        return {
            symbol: [array.copy_to_host() for array in arrays]
            for symbol, arrays in (("z", z), ("a", room.a), ("delta", room.delta))
        }

    # Ways to train an epoch. Losses stay where they are until it is over.

    def _train_resident(self, x, y, order: np.ndarray, batch_size: int, eta) -> Iterator[Totals]:
        """Slices of the epoch in one launch of one block each."""
        notes = self._notes(order.size)
        order = cuda.to_device(np.ascontiguousarray(order, np.int64))
        layers, rows, count = resident.places(self.topology, batch_size)
        kernel, shared_bytes = resident.training_kernel(self.topology.dtype), count * self.topology.dtype.itemsize
        table, rows = cuda.to_device(layers), cuda.to_device(rows)

        def train(first, stop):
            arguments = (
                *(table, rows, self.topology.loss_kind, self.epsilon, eta, batch_size, x, y, order, first, stop),
                *(self.parameters, *notes),
            )
            allow_shared_memory(kernel, arguments, shared_bytes)
            configured(kernel, 1, resident.THREADS, shared_bytes)(*arguments)

        yield from self._slices(train, order.size, batch_size)
        yield self._totals(*notes)

    def _train_cooperative(self, shares, x, y, order: np.ndarray, batch_size: int, eta) -> Iterator[Totals]:
        """Slices of the epoch in one launch of many blocks each."""
        if self.grid is None or (self.grid.batch_size, self.grid.shares) != (batch_size, shares):
            self.grid = Grid(self.topology, batch_size, shares)
        notes, grid = self._notes(order.size), self.grid
        order = cuda.to_device(np.ascontiguousarray(order, np.int64))

        def train(first, stop):
            grid.train(self.epsilon, eta, x, y, order, first, stop, self.parameters, *notes)

        yield from self._slices(train, order.size, batch_size)
        yield self._totals(*notes)

    def _slices(self, train: Callable, count: int, batch_size: int) -> Iterator[Totals]:
        """train(first, stop) of so many batches of an epoch as fill a slice, until the last; totals after all but that."""
        first = 0
        while first < count:
            start = time.perf_counter()
            stop = min(first + max(1, self.pace.samples // batch_size) * batch_size, count)
            train(first, stop)
            cuda.synchronize()
            self.pace.took(stop - first, time.perf_counter() - start)
            first = stop
            if first < count:
                yield Totals(first, 0.0, 0)

    def _train_by_products(self, x, y, order: np.ndarray, batch_size: int, eta) -> Iterator[Totals]:
        """Some kernels for each batch, or one call that repeats them."""
        if self.steps is None or not self.steps.are_of(x, y, order.size, batch_size, eta):
            train = functools.partial(self._train, self._room(batch_size))
            self.steps = Steps(x, y, order.size, batch_size, eta, train)
        steps = self.steps
        steps.begin(order)
        deadline = time.perf_counter() + SLICE_SECONDS
        for first in range(0, order.size, batch_size):
            if first + batch_size <= order.size:
                steps.take()
            else:
                notes = steps.loss_of_sample[first:], steps.hits_of_sample[first:]
                self._train(self._room(order.size - first), x, y, steps.order[first:], eta, *notes)
            if time.perf_counter() > deadline and first + batch_size < order.size:
                cuda.synchronize()
                yield Totals(first + batch_size, 0.0, 0)
                deadline = time.perf_counter() + SLICE_SECONDS
        yield self._totals(steps.loss_of_sample, steps.hits_of_sample)

    def _train(self, room: Room, x, y, batch, eta, loss_of_batch, hits_of_batch) -> None:
        """One step, on the rows of x and y that the batch names."""
        self._forward(x, room, batch)
        self._score(y, batch, room, batch.shape[0], loss_of_batch, hits_of_batch)
        for l in self._backward(room):
            x_l, order = self._input(l, x, batch, room)
            self.products.update(eta, x_l, order, room.delta[l], self.wb[l])

    # One pass of the samples that a room is for

    def _forward(self, x, room: Room, order=None) -> None:
        """a of every layer but the last, whose z it leaves."""
        for l, kind in enumerate(self.topology.kinds):
            whole = l in room.z
            x_l, order_l = self._input(l, x, room.order if order is None else order, room)
            z = room.z[l] if whole else room.a[l]
            self.products.forward(IDENTITY if whole else kind, self.epsilon, x_l, order_l, self.wb[l], z)
            if whole and l < self.last:
                self._activate(l, room)

    def _activate(self, l: int, room: Room) -> None:
        """a of a layer from whole rows of z."""
        if self.topology.kinds[l] == SOFTMAX:
            self.loops.run(activations.softmax_sum, room.z[l], room.z_max, room.others)
            self.loops.run(activations.softmax_activation, room.z[l], room.z_max, room.others, room.a[l])
        else:
            self.loops.run(activations.activation, self.topology.kinds[l], self.epsilon, room.z[l], room.a[l])

    def _score(self, y, order, room: Room, n: int, loss_of_sample, hits_of_sample) -> None:
        """a and delta of the last layer, losses (with n = 1) and hits, in a batch of n samples."""
        grid = -(-order.size // ROW_THREADS)
        configured(output.output_rows, grid, ROW_THREADS)(
            *(self.topology.loss_kind, self.topology.kinds[-1], self.epsilon, n, y, order, room.z[self.last], room.a[-1]),
            *(room.delta[-1], room.u, room.dl[self.last], room.z_max, room.others, loss_of_sample, hits_of_sample),
        )

    def _backward(self, room: Room) -> Iterator[int]:
        """The layers from the last to the first, each once the layer before has its delta; then its parameters may change."""
        for l in range(self.last, 0, -1):
            softmax = self.topology.kinds[l - 1] == SOFTMAX
            kind, to = (IDENTITY, room.dl[l - 1]) if softmax else (self.topology.kinds[l - 1], room.delta[l - 1])
            self.products.backward(kind, self.epsilon, self.wb[l], room.delta[l], room.a[l - 1], to)
            if softmax:
                self.loops.run(backprop.softmax_error, to, room.a[l - 1], room.delta[l - 1])
            yield l
        yield 0

    def _input(self, l: int, x, order, room: Room):
        """What layer l has as x, and the order of its rows."""
        return (x, order) if l == 0 else (room.a[l - 1], room.order)

    def _matrices(self, flat) -> list:
        """A view (n_in + 1, n_out) of each layer's w, with b behind it, in a flat vector."""
        views, start = [], 0
        for n_in, n_out in self.topology.layers:
            end = start + (n_in + 1) * n_out
            views.append(flat[start:end].reshape(n_in + 1, n_out))
            start = end
        return views

    def _room(self, n: int) -> Room:
        if n not in self.rooms:
            if len(self.rooms) >= MOST_ROOMS:
                self.rooms.clear()
            ensure_free(Room.bytes_for(self.topology, n), n, "computing with")
            self.rooms[n] = Room(self.topology, n)
        return self.rooms[n]

    def _chunks(self, count: int) -> Iterator[tuple[slice, Room]]:
        for first in range(0, count, CHUNK):
            rows = slice(first, min(first + CHUNK, count))
            yield rows, self._room(rows.stop - rows.start)

    def _notes(self, count: int):
        """Room for the losses and the hits of samples."""
        return cuda.device_array(count, self.topology.dtype), cuda.device_array(count, np.int32)

    def _totals(self, loss_of_sample, hits_of_sample) -> Totals:
        loss, right = loss_of_sample.copy_to_host(), hits_of_sample.copy_to_host()
        return Totals(loss.size, float(loss.sum(dtype=np.float64)), int(right.sum()))

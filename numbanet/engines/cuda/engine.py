"""The engine of the fast rung on GPUs: everything stays there, and losses come back once an epoch."""

import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from numbanet._cuda import SIMULATED, configured, cuda
from numbanet.engines.cuda import output, planning
from numbanet.engines.cuda.cooperative.grid import Grid
from numbanet.engines.cuda.memory import allow_shared_memory, ensure_free, limits
from numbanet.engines.cuda.products import dropout
from numbanet.engines.cuda.products.descent import Descent, is_plain
from numbanet.engines.cuda.products.product import Products
from numbanet.engines.cuda.products.steps import Batch, Steps
from numbanet.engines.cuda.resident import kernel as resident
from numbanet.engines.cuda.streaming import Chunks, fits
from numbanet.engines.epoch import ETA, Epoch
from numbanet.engines.interface import SLICE_SECONDS, Pace, Totals
from numbanet.engines.loops import CudaLoops
from numbanet.engines.topology import Topology
from numbanet.equations import activations, backprop
from numbanet.equations.activations import IDENTITY, SOFTMAX

# Samples that pass through the network at once when nothing asks for a whole batch.
CHUNK = 16384
# Sizes of batches and chunks that room is kept for: an epoch has two, and a validation two more.
MOST_ROOMS = 4
# Order, loss and hits of a sample, as an epoch notes them and its recorded steps do, at most.
NOTES_BYTES = 40
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
    x : dict of device array (n, n_out)
        What the next layer sees of the layers whose neurons drop out.
    order : device array (n,)
        0 to n - 1.
    ones, rates : device array (n,), (4,)
        Weights and rates of a batch of n samples that all weigh 1.
    """

    def __init__(self, topology: Topology, n: int):
        def empty(*shape):
            return cuda.device_array(shape, topology.dtype)

        whole = self.whole_rows(topology)
        self.a, self.delta = ([empty(n, width) for width in topology.sizes[1:]] for _ in range(2))
        self.z, self.dl = ({l: empty(n, width) for l, width in whole.items()} for _ in range(2))
        self.u, self.z_max, self.others = empty(n, topology.sizes[-1]), empty(n), empty(n)
        self.x = {l: empty(n, topology.sizes[l + 1]) for l, rate in enumerate(topology.dropout_rates) if rate}
        self.order, self.ones = cuda.to_device(np.arange(n)), cuda.to_device(np.ones(n, topology.dtype))
        self.rates = cuda.to_device(np.array([n, 0, 0, 0], topology.dtype))

    @staticmethod
    def whole_rows(topology: Topology) -> dict[int, int]:
        """Widths of the layers whose activation, or error, needs whole rows, or a pass of its own: neurons may drop out."""
        last = len(topology.kinds) - 1
        apart = [kind == SOFTMAX or rate > 0 for kind, rate in zip(topology.kinds, topology.dropout_rates, strict=True)]
        return {l: width for l, width in enumerate(topology.sizes[1:]) if l == last or apart[l]}

    @classmethod
    def bytes_for(cls, topology: Topology, n: int) -> int:
        """How much of the GPU's memory that takes."""
        dropped = sum(width for width, rate in zip(topology.sizes[1:], topology.dropout_rates, strict=True) if rate)
        numbers = 2 * sum(topology.sizes[1:]) + 2 * sum(cls.whole_rows(topology).values()) + dropped + topology.sizes[-1] + 3
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
        self.moments: list[Any] = []
        self.steps: list[Steps] = []
        self.grid: Grid | None = None
        self.chunks = Chunks(topology)
        self.ways = {
            planning.RESIDENT: self._train_resident,
            planning.COOPERATIVE: self._train_cooperative,
            planning.PRODUCTS: self._train_by_products,
        }

    def read(self) -> np.ndarray:
        return self.parameters.copy_to_host()

    def write(self, parameters: np.ndarray) -> None:
        self.parameters.copy_to_device(np.ascontiguousarray(parameters, self.topology.dtype))

    def read_moments(self, count: int) -> list[np.ndarray]:
        return [moment.copy_to_host() for moment in self._moments(count)]

    def write_moments(self, moments: list[np.ndarray]) -> None:
        for there, moment in zip(self._moments(len(moments)), moments, strict=True):  # where they are: recorded steps hold
            there.copy_to_device(np.ascontiguousarray(moment, self.topology.dtype))

    def upload(self, array):
        """The array on the GPU; itself where it does not fit there, beside what a chunk of its samples is computed with."""
        n = array.shape[0]
        beside = Room.bytes_for(self.topology, min(n, CHUNK)) + n * NOTES_BYTES
        return self.loops.upload(array) if fits(array.nbytes + beside) else array

    def predict(self, x, out=None):
        y_hat = np.empty((x.shape[0], self.topology.sizes[-1]), self.topology.dtype) if out is None else out
        for rows, room, (x_rows,) in self._chunks(x):
            self._forward(x_rows, room)
            self._activate(self.last, room)
            self.loops.copy(room.a[-1], y_hat[rows])
        self.loops.wait()
        return y_hat

    def evaluate(self, x, y) -> Totals:
        loss_of_sample, hits_of_sample = self._notes(x.shape[0])
        for rows, room, (x_rows, y_rows) in self._chunks(x, y):
            self._forward(x_rows, room)
            self._score(y_rows, room.order, room, room.rates, room.ones, loss_of_sample[rows], hits_of_sample[rows])
        return self._totals(loss_of_sample, hits_of_sample)

    def loss_and_gradients(self, x, y) -> tuple[float, np.ndarray]:
        x, y = self._whole(x), self._whole(y)
        room = self._room(x.shape[0])
        loss_of_sample, hits_of_sample = self._notes(x.shape[0])
        self._forward(x, room)
        self._score(y, room.order, room, room.rates, room.ones, loss_of_sample, hits_of_sample)
        for l in self._backward(room):
            x_l, order = self._input(l, x, room.order, room)
            self.products.gradient(x_l, order, room.delta[l], self.d_wb[l])
        return self._totals(loss_of_sample, hits_of_sample).loss, self.gradients.copy_to_host()

    def train_epoch(self, x, y, epoch: Epoch) -> Iterator[Totals]:
        if epoch.share:
            yield from self._train_shares(x, y, epoch)
            return
        epoch = epoch._replace(batch_size=min(epoch.batch_size, epoch.order.size))
        plan, notes = self.plan(epoch.batch_size, epoch), self._notes(epoch.order.size)
        for part, rows, (x_rows, y_rows) in self.chunks.of(epoch.batch_size, (x, y), epoch.order):
            of_part, of_notes = self._part(epoch, part, rows), [note[part] for note in notes]
            for samples in self.ways[plan.way](plan, x_rows, y_rows, of_part, part.start, *of_notes):
                yield Totals(part.start + samples, 0.0, 0)
            if part.stop < epoch.order.size:
                yield Totals(part.stop, 0.0, 0)
        yield self._totals(*notes)

    def plan(self, batch_size: int, epoch: Epoch | None = None) -> planning.Plan:
        """How batches of that size are trained, plainly or as an epoch demands."""
        plain = epoch is None or (is_plain(epoch.rule) and epoch.weights is None and not self.topology.dropout)
        return planning.plan(self.topology, batch_size, self.limits, plain)

    @staticmethod
    def _part(epoch: Epoch, part: slice, rows: np.ndarray) -> Epoch:
        """The samples of a part of an epoch, as an epoch whose order is rows, whose weights go by them."""
        steps = slice(part.start // epoch.batch_size, -(-part.stop // epoch.batch_size))
        weights = epoch.weights
        if weights is not None and part.stop - part.start < epoch.order.size:
            weights = weights[epoch.order[part]]
        return epoch._replace(order=rows, rates=epoch.rates[steps], weights=weights)

    def trace(self, x, y) -> dict[str, list[np.ndarray]]:
        x, y = self._whole(x), self._whole(y)
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

    # Ways to train on a part of an epoch, which has so many samples before it. They note losses and hits, and yield how many
    # samples are done.

    def _train_resident(self, plan, x, y, part: Epoch, before: int, *notes) -> Iterator[int]:
        """Slices of the order in one launch of one block each."""
        order, eta = cuda.to_device(np.ascontiguousarray(part.order, np.int64)), self._eta(part)
        layers, rows, count = resident.places(self.topology, part.batch_size)
        kernel, shared_bytes = resident.training_kernel(self.topology.dtype), count * self.topology.dtype.itemsize
        table, rows = cuda.to_device(layers), cuda.to_device(rows)

        def train(first, stop):
            arguments = (
                *(table, rows, self.topology.loss_kind, self.epsilon, eta, part.batch_size, x, y, order, first, stop),
                *(self.parameters, *notes),
            )
            allow_shared_memory(kernel, arguments, shared_bytes)
            configured(kernel, 1, resident.THREADS, shared_bytes)(*arguments)

        return self._slices(train, part.order.size, part.batch_size)

    def _train_cooperative(self, plan, x, y, part: Epoch, before: int, *notes) -> Iterator[int]:
        """Slices of the order in one launch of many blocks each."""
        if self.grid is None or (self.grid.batch_size, self.grid.shares) != (part.batch_size, plan.shares):
            self.grid = Grid(self.topology, part.batch_size, plan.shares)
        grid, order, eta = self.grid, cuda.to_device(np.ascontiguousarray(part.order, np.int64)), self._eta(part)

        def train(first, stop):
            grid.train(self.epsilon, eta, x, y, order, first, stop, self.parameters, *notes)

        return self._slices(train, part.order.size, part.batch_size)

    def _eta(self, part: Epoch):
        """The learning rate, which is that of all steps."""
        return self.topology.dtype.type(part.rates[0, ETA])

    def _slices(self, train: Callable, count: int, batch_size: int) -> Iterator[int]:
        """train(first, stop) of so many batches of an order as fill a slice, until the last."""
        first = 0
        while first < count:
            start = time.perf_counter()
            stop = min(first + max(1, self.pace.samples // batch_size) * batch_size, count)
            train(first, stop)
            cuda.synchronize()
            self.pace.took(stop - first, time.perf_counter() - start)
            first = stop
            if first < count:
                yield first

    def _train_by_products(self, plan, x, y, part: Epoch, before: int, *notes) -> Iterator[int]:
        """Some kernels for each batch, or one call that repeats them."""
        count, batch_size = part.order.size, part.batch_size
        steps = self._steps(x, y, batch_size, part.rule, part.weights is not None)
        steps.begin(part, before)
        deadline = time.perf_counter() + SLICE_SECONDS
        for first in range(0, count, batch_size):
            if first + batch_size <= count:
                steps.take()
            else:
                steps.take_rest(count - first)
            if time.perf_counter() > deadline and first + batch_size < count:
                cuda.synchronize()
                yield first + batch_size
                deadline = time.perf_counter() + SLICE_SECONDS
        for noted, note in zip((steps.loss_of_sample, steps.hits_of_sample), notes, strict=True):
            note.copy_to_device(noted[:count])

    def _steps(self, *kind) -> Steps:
        """Those of x, y, a batch size, a rule and weights or none, recorded before or not yet.

        Two are kept: chunks come by turns in two places.
        """
        for steps in self.steps:
            if steps.are_of(*kind):
                return steps
        _, _, batch_size, rule, _ = kind
        train = functools.partial(self._train, self._room(batch_size), Descent(self.topology, rule))
        self.steps = [*self.steps[-1:], Steps(*kind, train)]
        return self.steps[-1]

    def _train(self, room: Room, descent: Descent, x, y, batch: Batch) -> None:
        """One step, on the rows of x and y that the batch names, in that room if it is one for so many."""
        n = batch.order.shape[0]
        room = room if n == room.order.shape[0] else self._room(n)
        for l, x_l, order in self._layers_to_change(room, x, y, batch):
            if descent.plain:
                self.products.update(batch.rates, x_l, order, room.delta[l], self.wb[l])
            else:
                self.products.gradient(x_l, order, room.delta[l], self.d_wb[l])
        if not descent.plain:
            self._descend(descent, batch.rates)

    def _layers_to_change(self, room: Room, x, y, batch: Batch) -> Iterator[tuple[int, Any, Any]]:
        """The layers from the last to the first, each once its delta is there, with its x and the order of its rows."""
        self._forward(x, room, batch.order, batch.counter)
        self._score(y, batch.order, room, batch.rates, batch.weights, batch.loss, batch.hits)
        for l in self._backward(room, batch.counter):
            yield l, *self._input(l, x, batch.order, room, drops=True)

    def _descend(self, descent: Descent, rates) -> None:
        """One step of all parameters, from the gradients."""
        descent.launch(rates, self.gradients, self._moments(descent.rule.moments), self.parameters)

    def _train_shares(self, x, y, epoch: Epoch) -> Iterator[Totals]:
        """The steps of an epoch whose batches other processes share."""
        descent, notes = Descent(self.topology, epoch.rule), self._notes(max(1, epoch.order.size))
        rates = cuda.to_device(epoch.rates.astype(self.topology.dtype))
        for k, (first, last, position) in enumerate(epoch.steps()):
            if first < last:
                self._gradients_of_share(x, y, epoch, slice(first, last), position, rates[k], notes)
            else:
                self.gradients.copy_to_device(np.zeros(self.topology.parameter_count, self.topology.dtype))
            epoch.share.add_up(self.gradients)
            self._descend(descent, rates[k])
            yield Totals(last, 0.0, 0)
        yield self._totals(*(note[: epoch.order.size] for note in notes)) if epoch.order.size else Totals(0, 0.0, 0)

    def _gradients_of_share(self, x, y, epoch: Epoch, part: slice, position: int, rates, notes) -> None:
        """The gradients of that part of the order, whose first sample is the one at that position of the whole epoch."""
        order = np.ascontiguousarray(epoch.order[part], np.int64)
        room = self._room(order.size)
        weights = room.ones if epoch.weights is None else cuda.to_device(epoch.weights[order])
        counter = cuda.to_device(np.array([epoch.dropout_key, position, position], np.int64))
        for _, rows, (x_rows, y_rows) in self.chunks.of(order.size, (x, y), order):  # a share is never cut
            batch = Batch(cuda.to_device(rows), rates, weights, counter, *(note[part] for note in notes))
            for l, x_l, rows_l in self._layers_to_change(room, x_rows, y_rows, batch):
                self.products.gradient(x_l, rows_l, room.delta[l], self.d_wb[l])

    def _moments(self, count: int) -> list:
        """What parameters remember, which begins at 0."""
        while len(self.moments) < count:
            self.moments.append(cuda.to_device(np.zeros(self.topology.parameter_count, self.topology.dtype)))
        return self.moments[:count]

    # One pass of the samples that a room is for

    def _forward(self, x, room: Room, order=None, counter=None) -> None:
        """a of every layer but the last, whose z it leaves. With a counter of samples neurons drop out."""
        for l, kind in enumerate(self.topology.kinds):
            whole = l in room.z
            x_l, order_l = self._input(l, x, room.order if order is None else order, room, counter is not None)
            z = room.z[l] if whole else room.a[l]
            self.products.forward(IDENTITY if whole else kind, self.epsilon, x_l, order_l, self.wb[l], z)
            if whole and l < self.last:
                self._activate(l, room)
            if counter is not None and l in room.x:
                dropout.drop(self.topology.dropout_rates[l], l + 1, counter, room.a[l], room.x[l])

    def _activate(self, l: int, room: Room) -> None:
        """a of a layer from whole rows of z."""
        if self.topology.kinds[l] == SOFTMAX:
            self.loops.run(activations.softmax_sum, room.z[l], room.z_max, room.others)
            self.loops.run(activations.softmax_activation, room.z[l], room.z_max, room.others, room.a[l])
        else:
            self.loops.run(activations.activation, self.topology.kinds[l], self.epsilon, room.z[l], room.a[l])

    def _score(self, y, order, room: Room, rates, weights, loss_of_sample, hits_of_sample) -> None:
        """a and delta of the last layer, losses (with n = 1) and hits, in a batch of those rates and weights."""
        grid = -(-order.size // ROW_THREADS)
        configured(output.output_rows, grid, ROW_THREADS)(
            *(self.topology.loss_kind, self.topology.kinds[-1], self.epsilon, rates, weights, y, order),
            *(
                room.z[self.last],
                room.a[-1],
                room.delta[-1],
                room.u,
                room.dl[self.last],
                room.z_max,
                room.others,
                loss_of_sample,
                hits_of_sample,
            ),
        )

    def _backward(self, room: Room, counter=None) -> Iterator[int]:
        """The layers from the last to the first, each once the layer before has its delta; then its parameters may change."""
        for l in range(self.last, 0, -1):
            kind, a, delta = self.topology.kinds[l - 1], room.a[l - 1], room.delta[l - 1]
            apart = l - 1 in room.dl
            to = room.dl[l - 1] if apart else delta
            self.products.backward(IDENTITY if apart else kind, self.epsilon, self.wb[l], room.delta[l], a, to)
            if counter is not None and l - 1 in room.x:
                dropout.drop(self.topology.dropout_rates[l - 1], l, counter, to, to)
            if kind == SOFTMAX:
                self.loops.run(backprop.softmax_error, to, a, delta)
            elif apart:  # the derivatives of the rectifiers are taken at a, which is positive where z is
                self.loops.run(backprop.activation_error, kind, self.epsilon, to, a, a, delta)
            yield l
        yield 0

    def _input(self, l: int, x, order, room: Room, drops: bool = False):
        """What layer l has as x, and the order of its rows."""
        if l == 0:
            return x, order
        return room.x[l - 1] if drops and l - 1 in room.x else room.a[l - 1], room.order

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

    def _chunks(self, *arrays) -> Iterator[tuple[slice, Room, list]]:
        """CHUNK samples at a time: which ones, room for them, and their rows of the arrays, on the GPU."""
        for part, _, there in self.chunks.of(CHUNK, arrays):
            for first in range(part.start, part.stop, CHUNK):
                rows = slice(first, min(first + CHUNK, part.stop))
                within = slice(rows.start - part.start, rows.stop - part.start)
                yield rows, self._room(rows.stop - first), [array[within] for array in there]

    def _whole(self, array):
        """The array on the GPU, all of it at once."""
        if isinstance(array, np.ndarray):
            ensure_free(array.nbytes, array.shape[0], "holding")
        return self.loops.upload(array)

    def _notes(self, count: int):
        """Room for the losses and the hits of samples."""
        return cuda.device_array(count, self.topology.dtype), cuda.device_array(count, np.int32)

    def _totals(self, loss_of_sample, hits_of_sample) -> Totals:
        loss, right = loss_of_sample.copy_to_host(), hits_of_sample.copy_to_host()
        return Totals(loss.size, float(loss.sum(dtype=np.float64)), int(right.sum()))

"""The fast GPU engine: parameters and activations stay on the GPU, and losses are copied to the host once per epoch."""

import math
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbanet._cuda import cuda
from numbanet.engines.cuda import limits, planning
from numbanet.engines.cuda.arrays import EpochArrays
from numbanet.engines.cuda.cooperative.grid import Grid
from numbanet.engines.cuda.cooperative.layout import GridPlan
from numbanet.engines.cuda.limits import ensure_free, present_limits
from numbanet.engines.cuda.notes import Notes
from numbanet.engines.cuda.planning import TrainingPlan
from numbanet.engines.cuda.products.batch import Batch
from numbanet.engines.cuda.products.descent import ParameterUpdate, is_plain
from numbanet.engines.cuda.products.propagation import Propagation
from numbanet.engines.cuda.products.steps import Steps
from numbanet.engines.cuda.resident.block import Block
from numbanet.engines.cuda.streaming import Chunks, fits
from numbanet.engines.cuda.workspace import Workspace, Workspaces, workspace_bytes
from numbanet.engines.epoch import ETA, Epoch
from numbanet.engines.interface import SLICE_SECONDS, Pace, Totals
from numbanet.engines.loops import CudaLoops, Moments
from numbanet.engines.rule import Rule
from numbanet.engines.topology import Topology

# The largest number of samples that `predict` and `evaluate` pass through the network at once.
CHUNK = 16384
# The largest number of bytes of GPU memory that training needs for a sample's row index, loss and number of correct outputs.
NOTES_BYTES = 40


class FastCudaEngine:
    """The fast engine for an NVIDIA GPU.

    The engine trains in one thread block, in many blocks that wait for each other, or with several kernels per step. The module
    `planning` chooses one of these three ways by estimated training times. To predict and evaluate, the engine computes a
    matrix product per layer, for at most CHUNK = 16384 samples at a time.

    Parameters
    ----------
    topology : Topology
        The network's layer sizes, activation functions, loss and dtype.
    """

    def __init__(self, topology: Topology):
        self.topology = topology
        self.last = len(topology.kinds) - 1
        self.epsilon = topology.dtype.type(topology.epsilon)
        self.limits = present_limits()
        self.loops = CudaLoops()
        self.pace = Pace(1)
        self.parameters, self.gradients = (cuda.device_array(topology.parameter_count, topology.dtype) for _ in range(2))
        self.propagation = Propagation(topology, self.limits.multiprocessors, self.parameters, self.gradients)
        self.workspaces, self.chunks = Workspaces(topology), Chunks(topology)
        self.moments = Moments(self.loops, topology.parameter_count, topology.dtype)
        self.steps: list[Steps] = []
        self.grid: Grid | None = None

    def read(self) -> NDArray[np.floating]:
        """Returns a copy of the parameters in host memory."""
        return self.parameters.copy_to_host()

    def write(self, parameters: NDArray[np.floating]) -> None:
        """Replaces the parameters on the GPU."""
        self.parameters.copy_to_device(np.ascontiguousarray(parameters, self.topology.dtype))

    def read_moments(self, count: int) -> list[NDArray[np.floating]]:
        """Returns copies, in host memory, of the first `count` moments of the update rule (velocity, or Adam's m and v)."""
        return self.moments.read(count)

    def write_moments(self, moments: list[NDArray[np.floating]]) -> None:
        """Replaces the first `len(moments)` moments of the update rule (velocity, or Adam's m and v) on the GPU."""
        self.moments.write(moments)

    def upload(self, array: Any) -> Any:
        """Copies an array to the GPU if it fits into GPU memory together with the activations and errors of a chunk of samples.

        If the array does not fit, `upload` returns the array itself, and the engine copies its samples in chunks during the
        computation.
        """
        n = array.shape[0]
        beside = workspace_bytes(self.topology, min(n, CHUNK)) + n * NOTES_BYTES
        return self.loops.upload(array) if fits(array.nbytes + beside) else array

    def predict(self, x: Any, out: Any = None, *, logits: bool = False) -> Any:
        """Returns y_hat, or z of the last layer if `logits` is True, as an array of shape (n, n_out).

        The returned values are written to `out`, or to a new NumPy array if `out` is None.
        """
        result = np.empty((x.shape[0], self.topology.sizes[-1]), self.topology.dtype) if out is None else out
        for rows, work, (x_rows,) in self._chunks(x):
            self.propagation.forward(x_rows, work.batch(), work)
            if not logits:
                self.propagation.activate(self.last, work)
            self.loops.copy(work.z[self.last] if logits else work.a[-1], result[rows])
        self.loops.wait()
        return result

    def evaluate(self, x: Any, y: Any, weights: NDArray[np.floating] | None = None) -> Totals:
        """Returns the weighted sum of the losses, and the weighted number of correct outputs, over all samples."""
        notes = Notes.empty(x.shape[0], self.topology.dtype)
        for rows, work, (x_rows, y_rows) in self._chunks(x, y):
            batch = work.batch(notes.of(rows), None if weights is None else weights[rows])
            self.propagation.forward(x_rows, batch, work)
            self.propagation.score(y_rows, batch, work)
        return notes.totals(weights)

    def loss_and_gradients(
        self, x: Any, y: Any, weights: NDArray[np.floating] | None = None
    ) -> tuple[float, NDArray[np.floating]]:
        """Returns the sum of the samples' losses, and the batch's gradients as a vector in the order of the parameters."""
        self._make_room(x.shape[0], x, y)
        x, y = self._whole(x), self._whole(y)
        work, notes = self.workspaces.of(x.shape[0]), Notes.empty(x.shape[0], self.topology.dtype)
        self.propagation.gradients(x, y, work.batch(notes, weights), work)
        return notes.totals().loss, self.gradients.copy_to_host()

    def trace(self, x: Any, y: Any) -> dict[str, list[NDArray[np.floating]]]:
        """Returns z, a and delta of one batch, each as a list with one array per layer."""
        x, y = self._whole(x), self._whole(y)
        self.loss_and_gradients(x, y)
        work = self.workspaces.of(x.shape[0])
        symbols = {"z": self.propagation.logits(x, work), "a": work.a, "delta": work.delta}
        return {symbol: [array.copy_to_host() for array in arrays] for symbol, arrays in symbols.items()}

    def plan(self, batch_size: int, epoch: Epoch | None = None) -> TrainingPlan:
        """Returns the plan for batches of `batch_size` samples: to train in one block, in many blocks, or by several kernels.

        The plan depends on the update rule of `epoch`, and on the presence of sample weights. If `epoch` is None, the plan is
        for plain gradient descent without sample weights.
        """
        plain = epoch is None or (is_plain(epoch.rule) and epoch.weights is None and not self.topology.dropout)
        return planning.plan(self.topology, batch_size, self.limits, plain)

    def train_epoch(self, x: Any, y: Any, epoch: Epoch) -> Iterator[Totals]:
        """Updates the parameters once for every batch of the epoch.

        Yields, several times during the epoch, the number of samples processed so far. At the end of the epoch, the method also
        yields the sum of the losses and the number of correct outputs.
        """
        if epoch.share:
            yield from self._train_share(x, y, epoch, epoch.share.add_up)
            return
        epoch = epoch._replace(batch_size=min(epoch.batch_size, epoch.order.size))
        if _are_streamed((x, y)):
            self._make_room(epoch.batch_size, x, y)
        plan, notes = self.plan(epoch.batch_size, epoch), Notes.empty(epoch.order.size, self.topology.dtype)
        for samples, rows, (x_rows, y_rows) in self.chunks.of(epoch.batch_size, (x, y), epoch.order):
            part = part_of(epoch, samples, rows)
            for done in self._train(plan, x_rows, y_rows, part, samples.start, notes.of(samples)):
                yield Totals(samples.start + done, 0.0, 0)
            if samples.stop < epoch.order.size:
                yield Totals(samples.stop, 0.0, 0)
        yield notes.totals()

    def _train(self, plan: TrainingPlan, x: Any, y: Any, part: Epoch, before: int, notes: Notes) -> Iterator[int]:
        """Trains on a part of an epoch, and yields, several times, the number of samples of this part processed so far.

        `before` is the number of samples in the earlier parts of the epoch.
        """
        if plan.way == planning.PRODUCTS:
            return self._train_by_products(x, y, part, before, notes)
        if plan.grid is not None:
            return self._train_in_shared_memory(self._grid(part.batch_size, plan.grid), x, y, part, notes)
        return self._train_in_shared_memory(Block(self.topology, part.batch_size), x, y, part, notes)

    # Training in shared memory: each kernel launch trains on one or more batches

    def _slices(self, train: Callable[[int, int], None], part: Epoch) -> Iterator[int]:
        """Calls train(first, stop) for successive ranges of `part.order`, and yields the end of every range except the last.

        A range contains as many batches as the GPU processes in about SLICE_SECONDS = 0.05 s, but at least one batch.
        """
        first, count, batch_size = 0, part.order.size, part.batch_size
        while first < count:
            start = time.perf_counter()
            stop, launched = min(first + max(1, self.pace.samples // batch_size) * batch_size, count), False
            try:
                train(first, stop)
                launched = True
                self.loops.wait()
            except KeyboardInterrupt:
                if launched:
                    yield stop  # before the exception, the caller learns which steps take effect
                raise
            self.pace.took(stop - first, time.perf_counter() - start)
            first = stop
            if first < count:
                yield first

    def _train_in_shared_memory(self, grid: Block | Grid, x: Any, y: Any, part: Epoch, notes: Notes) -> Iterator[int]:
        """Trains on successive ranges of the row indices `part.order`, with one kernel launch for each range.

        `grid` is a `Block`, which trains in a single thread block, or a `Grid`, whose thread blocks wait for each other.
        """
        order, eta = cuda.to_device(np.ascontiguousarray(part.order, np.int64)), self.topology.dtype.type(part.rates[0, ETA])
        arrays = EpochArrays(x, y, order, self.parameters, notes)
        return self._slices(lambda first, stop: grid.train(arrays, self.epsilon, eta, first, stop), part)

    def _grid(self, batch_size: int, plan: GridPlan) -> Grid:
        """Returns the grid of thread blocks that trains on all multiprocessors, as `plan` describes.

        The engine keeps the grid for later calls with the same batch size and plan.
        """
        if self.grid is None or (self.grid.batch_size, self.grid.plan) != (batch_size, plan):
            self.grid = Grid(self.topology, batch_size, plan)
        return self.grid

    # Training by products

    def _train_by_products(self, x: Any, y: Any, part: Epoch, before: int, notes: Notes) -> Iterator[int]:
        """Trains with several kernel launches per batch, or with one launch of a recorded CUDA graph per batch."""
        count, batch_size = part.order.size, part.batch_size
        steps, done = self._take_steps(x, y, part), 0
        try:
            steps.begin(part, before)
            deadline = time.perf_counter() + SLICE_SECONDS
            for first in range(0, count, batch_size):
                if first + batch_size <= count:
                    steps.take()
                else:
                    steps.take_rest(count - first)
                done = min(first + batch_size, count)
                if time.perf_counter() > deadline and done < count:
                    self.loops.wait()
                    yield done
                    deadline = time.perf_counter() + SLICE_SECONDS
            steps.notes.of(slice(count)).copy_to(notes)
        except KeyboardInterrupt:
            if done:
                yield done  # before the exception, the caller learns which steps take effect
            raise
        finally:
            self.steps = [*self.steps[-1:], steps]

    def _take_steps(self, x: Any, y: Any, part: Epoch) -> Steps:
        """Returns the `Steps` object that runs training steps on the arrays x and y, with the batch size and rule of `part`.

        A `Steps` object records a training step as a CUDA graph, and replays the graph in later steps. The engine keeps the
        last two `Steps` objects in `self.steps`, because chunks of samples alternate between two buffers on the GPU.
        `_take_steps` removes the returned object from `self.steps`, and the caller adds the object again after use. If a
        callback trains on the same arrays meanwhile, `_take_steps` creates another `Steps` object.
        """
        kind = x, y, part.batch_size, part.weights is not None
        for steps in self.steps:
            if steps.are_of(*kind, part.rule):
                self.steps = [other for other in self.steps if other is not steps]
                return steps
        return Steps(*kind, self._update(part.rule), self.propagation, self.workspaces)

    def _update(self, rule: Rule) -> ParameterUpdate:
        return ParameterUpdate(self.topology, rule, self.gradients, self.moments.first(rule.moments), self.parameters)

    def _train_share(self, x: Any, y: Any, epoch: Epoch, add_up: Callable[[Any], None]) -> Iterator[Totals]:
        """Trains on this process's part of each batch, while other processes train on the other parts.

        `add_up` replaces the gradients with their sum over all processes.
        """
        update, notes = self._update(epoch.rule), Notes.empty(max(1, epoch.order.size), self.topology.dtype)
        rates = cuda.to_device(epoch.rates.astype(self.topology.dtype))
        for k, (first, last, position) in enumerate(epoch.steps()):
            if first < last:
                self._gradients_of_share(x, y, epoch, slice(first, last), position, rates[k], notes)
            else:
                self.gradients.copy_to_device(np.zeros(self.topology.parameter_count, self.topology.dtype))
            add_up(self.gradients)
            update.launch(rates[k])
            yield Totals(last, 0.0, 0)
        yield notes.of(slice(epoch.order.size)).totals() if epoch.order.size else Totals(0, 0.0, 0)

    def _gradients_of_share(self, x, y, epoch: Epoch, samples: slice, position: int, rates, notes: Notes) -> None:
        """Computes the gradients of this process's part of a batch.

        The part of the batch consists of the samples with the row indices epoch.order[samples]. `position` is the index, within
        the whole epoch, of the first sample of this process's part.
        """
        order = np.ascontiguousarray(epoch.order[samples], np.int64)
        work = self.workspaces.of(order.size)
        weights = work.ones if epoch.weights is None else cuda.to_device(epoch.weights[order])
        counter = cuda.to_device(np.array([epoch.dropout_key, position, position, 0], np.int64))
        for _, rows, (x_rows, y_rows) in self.chunks.of(order.size, (x, y), order):  # a single chunk holds all samples
            batch = Batch(cuda.to_device(rows), rates, weights, counter, notes.of(samples))
            self.propagation.gradients(x_rows, y_rows, batch, work)

    # Samples on the GPU

    def _chunks(self, *arrays: Any) -> Iterator[tuple[slice, Workspace, list]]:
        """Divides samples into chunks of at most CHUNK = 16384 samples.

        For each chunk, yields the range of its indices, a workspace (GPU arrays for intermediate values), and the chunk's rows
        of the given arrays, in GPU memory. If CHUNK samples do not fit into the free memory, yields fewer samples at a time.
        """
        count = min(CHUNK, arrays[0].shape[0])
        free = self._make_room(count, *arrays)
        while count > 1 and self._bytes_for(count, *arrays) > free:
            count = -(-count // 2)
        for part, _, there in self.chunks.of(count, arrays):
            for first in range(part.start, part.stop, count):
                rows = slice(first, min(first + count, part.stop))
                within = slice(rows.start - part.start, rows.stop - part.start)
                yield rows, self.workspaces.of(rows.stop - first), [array[within] for array in there]

    def _bytes_for(self, count: int, *arrays: Any) -> int:
        """Returns the number of bytes of GPU memory that are needed to compute with `count` samples at a time.

        If there are more than `count` samples, the memory holds two workspaces (arrays for intermediate values): one for groups
        of `count` samples, and one for the last group, which may be smaller. If samples are streamed (copied to the GPU in
        chunks), the memory also holds two buffers of `count` samples.
        """
        workspaces = workspace_bytes(self.topology, count) * (2 if arrays[0].shape[0] > count else 1)
        buffers = 2 * count * self.chunks.bytes_of_sample if _are_streamed(arrays) else 0
        return workspaces + buffers + arrays[0].shape[0] * NOTES_BYTES

    def _make_room(self, count: int, *arrays: Any) -> float:
        """Deletes the arrays kept for later calls if `count` samples do not fit into the free memory beside them.

        Returns the number of free bytes, or infinity if the arrays for `count` samples exist already.
        """
        if count in self.workspaces.kept and (self.chunks.rows >= count or not _are_streamed(arrays)):
            return math.inf
        free = limits.free_bytes()
        if self._bytes_for(count, *arrays) <= free:
            return free
        self.workspaces, self.chunks, self.steps, self.grid = Workspaces(self.topology), Chunks(self.topology), [], None
        return limits.free_bytes()

    def _whole(self, array: Any) -> Any:
        """Returns a GPU array with all rows of `array`.

        Raises MemoryError if the array does not fit into the GPU's free memory.
        """
        if isinstance(array, np.ndarray):
            ensure_free(array.nbytes, array.shape[0], "holding")
        return self.loops.upload(array)


def _are_streamed(arrays: tuple) -> bool:
    """Returns True if samples are copied to the GPU chunk by chunk, because their array x or y is in host memory."""
    return any(isinstance(array, np.ndarray) for array in arrays)


def part_of(epoch: Epoch, samples: slice, rows: NDArray[np.integer]) -> Epoch:
    """Returns an epoch that consists of the samples epoch.order[samples].

    `rows` holds the row indices of these samples, and becomes the order of the returned epoch. If all samples are in GPU
    memory, `rows` is `epoch.order` itself, and the returned epoch has the sample weights of `epoch`. If the samples are
    streamed (copied to the GPU in chunks), `rows` holds indices into the buffer of a chunk, and the returned epoch has only the
    chunk's sample weights.
    """
    steps = slice(samples.start // epoch.batch_size, -(-samples.stop // epoch.batch_size))
    weights = epoch.weights
    if weights is not None and rows is not epoch.order:
        weights = weights[epoch.order[samples]]
    return epoch._replace(order=rows, rates=epoch.rates[steps], weights=weights)

"""Runs the training steps of an epoch: records one step as a CUDA graph, and replays the graph for later steps.

All arrays that a training step reads and writes keep their addresses, so that the recorded CUDA graph stays valid. The order of
the samples is an array of row indices; a counter in GPU memory holds the position in this array at which the next batch begins.
Numba's CUDA simulator and Numba's built-in CUDA target cannot record CUDA graphs. With the simulator and the built-in target,
every step launches its kernels one by one.
"""

import functools
import warnings
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from numbanet._cuda import NUMBA_CUDA, SIMULATED, configured, cuda, launching_on
from numbanet.engines.cuda.notes import Notes
from numbanet.engines.cuda.products.batch import BEFORE, COUNTERS, FIRST, POSITION, Batch
from numbanet.engines.cuda.products.descent import ParameterUpdate
from numbanet.engines.cuda.products.propagation import Propagation
from numbanet.engines.cuda.workspace import Workspaces
from numbanet.engines.epoch import RATES, Epoch
from numbanet.engines.rule import Rule

# The number of threads in the single block of `begin_step`, and in each block of `end_step`. In the simulator, a block has few
# threads, because each CUDA thread is a Python thread.
THREADS = 2 if SIMULATED else 256


@cuda.jit
def begin_step(batch_size, order, all_rates, all_weights, counter, batch, rates, weights):
    """Computes batch[s] = order[position + s], with position = counter[POSITION], and advances counter[POSITION].

    Also copies the batch's sample weights, and its row of `all_rates`: the divisor n of the loss, the learning rate eta, and
    Adam's eta_t and epsilon_t. The kernel runs in a single thread block, so that no thread reads counter[POSITION] after
    another thread has advanced it. `all_weights` has one weight for each of the N training samples, or length 1 if all weights
    are equal. Reads order (N,), all_rates (steps, 4) and all_weights. Writes batch (m,) and weights (m,), for a batch of m
    samples, and rates (4,). Updates counter.
    """
    first, weighted = counter[POSITION], 1 if all_weights.shape[0] > 1 else 0
    for s in range(cuda.threadIdx.x, batch.shape[0], cuda.blockDim.x):
        batch[s] = order[first + s]
        weights[s] = all_weights[batch[s] * weighted]
    for column in range(cuda.threadIdx.x, rates.shape[0], cuda.blockDim.x):
        rates[column] = all_rates[first // batch_size, column]
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        counter[POSITION] = first + batch.shape[0]
        counter[FIRST] = counter[BEFORE] + first


@cuda.jit
def end_step(counter, loss_of_batch, hits_of_batch, loss_of_sample, hits_of_sample):
    """Copies the losses and the numbers of correct outputs of a batch's samples to the arrays of the whole epoch.

    `begin_step` has already advanced counter[POSITION] by the m samples of the batch. Therefore, the batch's first sample has
    the index counter[POSITION] - m in the arrays of the epoch. Reads counter (4,), loss_of_batch (m,) and hits_of_batch (m,).
    Writes loss_of_sample (N,) and hits_of_sample (N,), for N training samples.
    """
    s = cuda.grid(1)
    if s < loss_of_batch.shape[0]:
        at = counter[POSITION] - loss_of_batch.shape[0] + s
        loss_of_sample[at] = loss_of_batch[s]
        hits_of_sample[at] = hits_of_batch[s]


class Steps:
    """Runs the training steps of an epoch. All batches have the same size, except the last batch, which may be smaller.

    Parameters
    ----------
    x, y : device arrays (N, n_in) and (N, n_out)
        The samples and targets from which the steps take their batches.
    batch_size : int
        Number of samples in a batch.
    weighted : bool
        Whether there are sample weights.
    update : ParameterUpdate
        Updates the parameters from a batch's gradients.
    propagation : Propagation
        Passes a batch forward and backward through the network.
    workspaces : Workspaces
        Provides the arrays that hold a batch's values, such as a and delta of every layer.

    Attributes
    ----------
    notes : Notes
        The loss and the number of correct outputs of each of the N samples, in the order in which the epoch visits the samples.
    """

    def __init__(
        self,
        x: Any,
        y: Any,
        batch_size: int,
        weighted: bool,
        update: ParameterUpdate,
        propagation: Propagation,
        workspaces: Workspaces,
    ):
        self.x, self.y = weakref.ref(x), weakref.ref(y)  # strong references would keep x and y on the GPU after training
        self.batch_size, self.weighted = batch_size, weighted
        self.update, self.propagation, self.workspaces = update, propagation, workspaces
        self.work = workspaces.of(batch_size)
        count, dtype, steps = x.shape[0], x.dtype, -(-x.shape[0] // batch_size)
        self.order = cuda.device_array(count, np.int64)
        self.rates = cuda.device_array((steps, RATES), dtype)
        self.weights = cuda.to_device(np.ones(count if weighted else 1, dtype))
        self.notes = Notes.empty(count, dtype)
        self.batch = Batch(
            cuda.device_array(batch_size, np.int64),
            cuda.device_array(RATES, dtype),
            cuda.device_array(batch_size, dtype),
            cuda.device_array(COUNTERS, np.int64),
            Notes.empty(batch_size, dtype),
        )
        self.launched, self.repeat = False, None

    def are_of(self, x: Any, y: Any, batch_size: int, weighted: bool, rule: Rule) -> bool:
        """Returns True if this object was created with the same x, y, batch size, value of `weighted` and update rule."""
        same = (self.batch_size, self.weighted, self.update.rule) == (batch_size, weighted, rule)
        return same and self.x() is x and self.y() is y

    def begin(self, part: Epoch, before: int) -> None:
        """Begins a part of an epoch: copies the part's row indices, step rates and sample weights to the GPU.

        The part must not have more samples than the array x, which determines the size of the GPU arrays. `before` is the
        number of samples in the earlier parts of the epoch.
        """
        dtype = self.rates.dtype
        self.order[: part.order.size].copy_to_device(np.ascontiguousarray(part.order, np.int64))
        self.rates[: len(part.rates)].copy_to_device(np.ascontiguousarray(part.rates, dtype))
        if part.weights is not None:
            self.weights[: part.weights.size].copy_to_device(np.ascontiguousarray(part.weights, dtype))
        self.batch.counter.copy_to_device(np.array([part.dropout_key, before, before, 0], np.int64))

    def take(self) -> None:
        """Runs the next training step.

        The first step launches its kernels one by one, which also compiles the kernels. The second step records the kernels as
        a CUDA graph. The second and all later steps replay the graph.
        """
        if not self.launched:
            self._launch(self.batch, self.work)
            self.launched = True
        else:
            self.repeat = self.repeat or recorded(functools.partial(self._launch, self.batch, self.work))
            self.repeat()

    def take_rest(self, n: int) -> None:
        """Runs the last training step of an epoch if its batch is smaller than the other batches; n is its size."""
        self._launch(self.batch.of_first(n), self.workspaces.of(n))

    def _launch(self, batch: Batch, work: Any) -> None:
        begin, end = configured(begin_step, 1, THREADS), configured(end_step, -(-batch.order.shape[0] // THREADS), THREADS)
        begin(self.batch_size, self.order, self.rates, self.weights, batch.counter, batch.order, batch.rates, batch.weights)
        self.propagation.step(self.x(), self.y(), batch, work, self.update)
        end(batch.counter, *batch.notes, *self.notes)


def recorded(launch: Callable[[], None]) -> Callable[[], None]:
    """Records the kernels that `launch` launches as a CUDA graph, and returns a function that replays the graph.

    If no graph can be recorded, the function returns `launch` itself.
    """
    if not NUMBA_CUDA:
        return launch
    try:
        from cuda.core import Device, Stream

        device = Device()
        device.set_current()
        stream, builder = Stream.from_handle(0), device.create_graph_builder()
        try:
            builder.begin_building()
            with launching_on(builder):
                launch()
            graph = builder.end_building().complete()
        finally:
            builder.close()
    except Exception as error:  # the CUDA driver and cuda.core raise exceptions that have no common base class
        warnings.warn(f"no CUDA graph could be recorded, so training launches kernels one by one: {error}", stacklevel=2)
        return launch
    return lambda: graph.launch(stream)

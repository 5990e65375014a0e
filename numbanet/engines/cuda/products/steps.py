"""Steps that differ only in which samples they take: recorded once as a CUDA graph, and repeated by one call each.

All that a step reads and writes stays where it is, so that the record stays valid: a position on the GPU says which part of the
order is next. In the simulator and with Numba's built-in target, which cannot record, the kernels are launched again.
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

# Threads of the single block of `begin_step`, and of each block of `end_step`. A simulated thread is a Python thread.
THREADS = 2 if SIMULATED else 256


@cuda.jit
def begin_step(batch_size, order, all_rates, all_weights, counter, batch, rates, weights):
    """batch_s = order[position + s], with its rates and weights; the counter advances.

    One block: no thread reads the position once it has advanced. Reads order (n,), all_rates (steps, 4), all_weights (N,), or
    (1,) for all samples; writes batch, weights (m,), rates (4,); updates counter (4,).
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
    """Copies losses and hits of a batch to where its samples are in the order, before the position.

    Reads counter (4,), loss_of_batch, hits_of_batch (m,); writes loss_of_sample, hits_of_sample (n,).
    """
    s = cuda.grid(1)
    if s < loss_of_batch.shape[0]:
        at = counter[POSITION] - loss_of_batch.shape[0] + s
        loss_of_sample[at] = loss_of_batch[s]
        hits_of_sample[at] = hits_of_batch[s]


class Steps:
    """The steps of an epoch, whose batches all have the same size, except perhaps the last.

    Parameters
    ----------
    x, y : device array (N, n_in), (N, n_out)
    batch_size : int
    weighted : bool
        Whether samples have weights.
    update : ParameterUpdate
    propagation : Propagation
    workspaces : Workspaces

    Attributes
    ----------
    notes : Notes
        Losses and hits of N samples, in the order of the epoch.
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
        self.x, self.y = weakref.ref(x), weakref.ref(y)  # else they would stay on the GPU after the training
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
        """Returns True if these are the steps of such a training."""
        same = (self.batch_size, self.weighted, self.update.rule) == (batch_size, weighted, rule)
        return same and self.x() is x and self.y() is y

    def begin(self, part: Epoch, before: int) -> None:
        """Begins a part of an epoch, of at most N samples, which comes after `before` samples."""
        dtype = self.rates.dtype
        self.order[: part.order.size].copy_to_device(np.ascontiguousarray(part.order, np.int64))
        self.rates[: len(part.rates)].copy_to_device(np.ascontiguousarray(part.rates, dtype))
        if part.weights is not None:
            self.weights[: part.weights.size].copy_to_device(np.ascontiguousarray(part.weights, dtype))
        self.batch.counter.copy_to_device(np.array([part.dropout_key, before, before, 0], np.int64))

    def take(self) -> None:
        """Takes the next step. The first step of all compiles its kernels; the second is recorded."""
        if not self.launched:
            self._launch(self.batch, self.work)
            self.launched = True
        else:
            self.repeat = self.repeat or recorded(functools.partial(self._launch, self.batch, self.work))
            self.repeat()

    def take_rest(self, n: int) -> None:
        """Takes the last step, of n samples, which are fewer than a batch."""
        self._launch(self.batch.of_first(n), self.workspaces.of(n))

    def _launch(self, batch: Batch, work: Any) -> None:
        begin, end = configured(begin_step, 1, THREADS), configured(end_step, -(-batch.order.shape[0] // THREADS), THREADS)
        begin(self.batch_size, self.order, self.rates, self.weights, batch.counter, batch.order, batch.rates, batch.weights)
        self.propagation.step(self.x(), self.y(), batch, work, self.update)
        end(batch.counter, *batch.notes, *self.notes)


def recorded(launch: Callable[[], None]) -> Callable[[], None]:
    """Returns a function that repeats the kernels that `launch` launches, by one call; `launch` itself if it cannot record."""
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
    except Exception as error:  # the driver and cuda.core each raise their own kind
        warnings.warn(f"kernels are launched one by one, because no CUDA graph could be recorded: {error}", stacklevel=2)
        return launch
    return lambda: graph.launch(stream)

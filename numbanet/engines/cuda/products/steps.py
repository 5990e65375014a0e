"""Steps that differ in nothing but which samples they take: recorded once as a CUDA graph, and repeated by one call each.

Everything a step reads and writes stays at its place, so that the record holds: a position on the GPU says which part of the
order is next. Where nothing can be recorded, in the simulator and by Numba's built-in target, the kernels are launched again.
"""

import functools
import warnings
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from numbanet._cuda import NUMBA_CUDA, SIMULATED, configured, cuda, launching_on
from numbanet.engines.epoch import RATES, Epoch
from numbanet.engines.rule import Rule

# Threads of the single block of `begin_step`, and of each block of `end_step`. A simulated one costs a thread of Python.
THREADS = 2 if SIMULATED else 256


@cuda.jit
def begin_step(position, batch_size, order, all_rates, all_weights, counter, batch, rates, weights):
    """batch_s = order[position + s], with its rates and weights; the position and the counter of samples move on.

    One block: nobody reads the position once it has moved. Reads order (n,), all_rates (steps, 4), all_weights (N,), or (1,)
    for all; writes batch, weights (m,), rates (4,), updates position (1,) and counter (3,).
    """
    first, weighted = position[0], 1 if all_weights.shape[0] > 1 else 0
    for s in range(cuda.threadIdx.x, batch.shape[0], cuda.blockDim.x):
        batch[s] = order[first + s]
        weights[s] = all_weights[batch[s] * weighted]
    for column in range(cuda.threadIdx.x, rates.shape[0], cuda.blockDim.x):
        rates[column] = all_rates[first // batch_size, column]
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        position[0] = first + batch.shape[0]
        counter[1] = counter[2] + first


@cuda.jit
def end_step(position, loss_of_batch, hits_of_batch, loss_of_sample, hits_of_sample):
    """Losses and hits of a batch go where its samples are in the order, before the position.

    Reads loss_of_batch, hits_of_batch (m,); writes loss_of_sample, hits_of_sample (n,).
    """
    s = cuda.grid(1)
    if s < loss_of_batch.shape[0]:
        at = position[0] - loss_of_batch.shape[0] + s
        loss_of_sample[at] = loss_of_batch[s]
        hits_of_sample[at] = hits_of_batch[s]


class Batch(NamedTuple):
    """What the kernels of a step find on the GPU, at places that stay.

    Parameters
    ----------
    order : device array (m,)
        Rows of x and y.
    rates : device array (4,)
        See `numbanet.engines.rule`.
    weights : device array (m,)
    counter : device array (3,) int64
        The key of `dropout`, the number of the batch's first sample in the epoch, and how many were before this part of it.
    loss, hits : device array (m,)
        What is noted of its samples.
    """

    order: Any
    rates: Any
    weights: Any
    counter: Any
    loss: Any
    hits: Any

    def of_first(self, n: int) -> "Batch":
        """The same of the first n samples."""
        order, weights, loss, hits = (array[:n] for array in (self.order, self.weights, self.loss, self.hits))
        return self._replace(order=order, weights=weights, loss=loss, hits=hits)


class Steps:
    """The steps of an epoch, whose batches are all of one size, but perhaps the last.

    Parameters
    ----------
    x, y : device array (N, n_in), (N, n_out)
    batch_size : int
    rule : Rule
    weighted : bool
        Whether samples have weights.
    train : callable
        train(x, y, batch) launches the kernels of a step; it holds what they work in.

    Attributes
    ----------
    loss_of_sample, hits_of_sample : device array (N,)
        What is noted of the samples, in the order of the epoch.
    """

    def __init__(self, x, y, batch_size: int, rule: Rule, weighted: bool, train: Callable):
        self.x, self.y = weakref.ref(x), weakref.ref(y)  # else they would stay on the GPU when the training is over
        self.kind, self.batch_size, self.train = (batch_size, rule, weighted), batch_size, train
        count, dtype, steps = x.shape[0], x.dtype, -(-x.shape[0] // batch_size)
        self.order, self.position = cuda.device_array(count, np.int64), cuda.device_array(1, np.int64)
        self.rates = cuda.device_array((steps, RATES), dtype)
        self.weights = cuda.to_device(np.ones(count if weighted else 1, dtype))
        self.loss_of_sample, self.hits_of_sample = cuda.device_array(count, dtype), cuda.device_array(count, np.int32)
        self.batch = Batch(
            cuda.device_array(batch_size, np.int64),
            cuda.device_array(RATES, dtype),
            cuda.device_array(batch_size, dtype),
            cuda.device_array(3, np.int64),
            cuda.device_array(batch_size, dtype),
            cuda.device_array(batch_size, np.int32),
        )
        self.launched, self.repeat = False, None

    def are_of(self, x, y, batch_size: int, rule: Rule, weighted: bool) -> bool:
        """Whether these are such steps."""
        return self.x() is x and self.y() is y and self.kind == (batch_size, rule, weighted)

    def begin(self, part: Epoch, before: int) -> None:
        """Begins a part of an epoch, of at most N samples, with so many before it."""
        dtype = self.rates.dtype
        self.order[: part.order.size].copy_to_device(np.ascontiguousarray(part.order, np.int64))
        self.rates[: len(part.rates)].copy_to_device(np.ascontiguousarray(part.rates, dtype))
        if part.weights is not None:
            self.weights[: part.weights.size].copy_to_device(np.ascontiguousarray(part.weights, dtype))
        self.batch.counter.copy_to_device(np.array([part.dropout_key, before, before], np.int64))
        self.position.copy_to_device(np.zeros(1, np.int64))

    def take(self) -> None:
        """The next step. The first one compiles its kernels; the second is recorded, if it comes to that."""
        if not self.launched:
            self._launch(self.batch)
            self.launched = True
        else:
            self.repeat = self.repeat or recorded(functools.partial(self._launch, self.batch))
            self.repeat()

    def take_rest(self, n: int) -> None:
        """The last step, of n samples, which are fewer."""
        self._launch(self.batch.of_first(n))

    def _launch(self, batch: Batch) -> None:
        start = configured(begin_step, 1, THREADS)
        here = batch.counter, batch.order, batch.rates, batch.weights
        start(self.position, self.batch_size, self.order, self.rates, self.weights, *here)
        self.train(self.x(), self.y(), batch)
        notes = batch.loss, batch.hits, self.loss_of_sample, self.hits_of_sample
        configured(end_step, -(-batch.loss.shape[0] // THREADS), THREADS)(self.position, *notes)


def recorded(launch: Callable) -> Callable:
    """What repeats the kernels that `launch` launches, by one call; `launch` itself where nothing can be recorded."""
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
        warnings.warn(f"kernels are launched one by one, for no CUDA graph could be recorded: {error}", stacklevel=2)
        return launch
    return lambda: graph.launch(stream)

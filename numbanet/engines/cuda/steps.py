"""Steps that differ in nothing but which samples they take: recorded once as a CUDA graph, and repeated by one call each.

Everything a step reads and writes stays at its place, so that the record holds: a position on the GPU says which part of the
order is next. Where nothing can be recorded, in the simulator and by Numba's built-in target, the kernels are launched again.
"""

import warnings
import weakref
from collections.abc import Callable

import numpy as np

from numbanet._cuda import NUMBA_CUDA, SIMULATED, configured, cuda, launching_on

# Threads of the single block of `begin_step`, and of each block of `end_step`. A simulated one costs a thread of Python.
THREADS = 2 if SIMULATED else 256


@cuda.jit
def begin_step(position, order, batch):
    """batch_s = order[position + s], and the position moves on. One block: nobody reads the position once it has moved.

    Reads order (n,); writes batch (m,), updates position (1,).
    """
    first = position[0]
    for s in range(cuda.threadIdx.x, batch.shape[0], cuda.blockDim.x):
        batch[s] = order[first + s]
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        position[0] = first + batch.shape[0]


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


class Steps:
    """The steps of an epoch whose batches are all of one size.

    Parameters
    ----------
    x, y : device array (N, n_in), (N, n_out)
    batch_size : int
    eta : scalar
    train : callable
        train(x, y, batch, eta, loss_of_batch, hits_of_batch) launches the kernels of a step; it holds what they work in.

    Attributes
    ----------
    order, loss_of_sample, hits_of_sample : device array (N,)
        The order of the epoch, and what is noted of the samples in it.
    """

    def __init__(self, x, y, batch_size: int, eta, train: Callable):
        self.x, self.y = weakref.ref(x), weakref.ref(y)  # else they would stay on the GPU when the training is over
        self.batch_size, self.eta, self.train = batch_size, eta, train
        count = x.shape[0]
        self.order, self.position = cuda.device_array(count, np.int64), cuda.device_array(1, np.int64)
        self.batch = cuda.device_array(batch_size, np.int64)
        self.loss_of_batch, self.loss_of_sample = (cuda.device_array(n, eta.dtype) for n in (batch_size, count))
        self.hits_of_batch, self.hits_of_sample = (cuda.device_array(n, np.int32) for n in (batch_size, count))
        self.launched, self.repeat = False, None

    def are_of(self, x, y, batch_size: int, eta) -> bool:
        """Whether these are such steps."""
        return self.x() is x and self.y() is y and (self.batch_size, self.eta) == (batch_size, eta)

    def begin(self, order: np.ndarray) -> None:
        """Begins an epoch, of at most N samples."""
        self.order[: order.size].copy_to_device(np.ascontiguousarray(order, np.int64))
        self.position.copy_to_device(np.zeros(1, np.int64))

    def take(self) -> None:
        """The next step. The first one compiles its kernels; the second is recorded, if it comes to that."""
        if not self.launched:
            self._launch()
            self.launched = True
        else:
            self.repeat = self.repeat or recorded(self._launch)
            self.repeat()

    def _launch(self) -> None:
        configured(begin_step, 1, THREADS)(self.position, self.order, self.batch)
        self.train(self.x(), self.y(), self.batch, self.eta, self.loss_of_batch, self.hits_of_batch)
        notes = self.loss_of_batch, self.hits_of_batch, self.loss_of_sample, self.hits_of_sample
        configured(end_step, -(-self.batch_size // THREADS), THREADS)(self.position, *notes)


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

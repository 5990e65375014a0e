"""Runs the sheet as it stands: its loops on the CPU or, by their twins, on the GPU. One batch after another, layer by layer."""

import sys
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from numbanet._cuda import SIMULATED, configured, cuda
from numbanet.engines import samples
from numbanet.engines.face import SLICE_SECONDS, Totals
from numbanet.engines.topology import Topology
from numbanet.equations import activations, backprop, descent, losses, neuron
from numbanet.equations.activations import IDENTITY, SIGMOID, SOFTMAX
from numbanet.equations.losses import BCE, CCE

# Samples that pass through the network at once when nothing asks for a whole batch.
CHUNK = 1024
# The most blocks CUDA starts along the second and third dimension of a grid.
MOST_BLOCKS = 65535


class CpuLoops:
    """Calls the loops; arrays are NumPy's."""

    empty = staticmethod(np.empty)

    @staticmethod
    def upload(array: np.ndarray) -> np.ndarray:
        return array

    @staticmethod
    def download(array: np.ndarray) -> np.ndarray:
        return array.copy()

    @staticmethod
    def copy(array: np.ndarray, to: np.ndarray) -> None:
        to[...] = array

    @staticmethod
    def run(loop, *arguments) -> None:
        loop(*arguments)

    @staticmethod
    def wait() -> None:
        pass


class CudaLoops:
    """Launches the twins of the loops, one thread per element of the last argument; arrays are on the GPU."""

    # Threads per block for outputs of 1, 2 and 3 dimensions. The last index of an array is the x of a thread, so that
    # neighbouring threads touch neighbouring numbers. A simulated thread costs one of Python's.
    block_shapes = ((4,), (4, 2), (2, 2, 2)) if SIMULATED else ((256,), (32, 8), (32, 4, 2))

    empty = staticmethod(cuda.device_array)

    @staticmethod
    def upload(array):
        return cuda.to_device(array) if isinstance(array, np.ndarray) else array

    @staticmethod
    def download(array) -> np.ndarray:
        return array.copy_to_host()

    @staticmethod
    def copy(array, to) -> None:
        if isinstance(to, np.ndarray):
            array.copy_to_host(to)
        else:
            to.copy_to_device(array)

    def run(self, loop, *arguments) -> None:
        shape = arguments[-1].shape[::-1]
        block = self.block_shapes[len(shape) - 1]
        grid = tuple(-(-extent // threads) for extent, threads in zip(shape, block, strict=True))
        if max(grid[1:], default=0) > MOST_BLOCKS:
            raise ValueError(f"{shape[-1]} samples at once are too many for the GPU: take at most {MOST_BLOCKS * block[-1]}")
        configured(self.twin(loop), grid, block)(*arguments)

    @staticmethod
    def twin(loop):
        """The kernel that stands beside a loop: the same name in the same module, with _cuda appended."""
        function = loop.py_func
        return getattr(sys.modules[function.__module__], f"{function.__name__}_cuda")

    @staticmethod
    def wait() -> None:
        cuda.synchronize()


class ReferenceEngine:
    """The engine whose arithmetic is the sheet's loops and nothing else.

    Parameters
    ----------
    topology : Topology
    device : str
        "cpu" or "cuda".
    """

    def __init__(self, topology: Topology, device: str):
        self.topology = topology
        self.loops = CpuLoops() if device == "cpu" else CudaLoops()
        self.epsilon = topology.dtype.type(topology.epsilon)
        self.parameters = self.loops.upload(np.zeros(topology.parameter_count, topology.dtype))
        self.gradients = self.loops.empty(topology.parameter_count, topology.dtype)

    def read(self) -> np.ndarray:
        return self.loops.download(self.parameters)

    def write(self, parameters: np.ndarray) -> None:
        self.parameters = self.loops.upload(np.array(parameters, self.topology.dtype))

    def upload(self, array) -> Any:
        return self.loops.upload(array)

    def predict(self, x, out=None) -> Any:
        y_hat = np.empty((x.shape[0], self.topology.sizes[-1]), self.topology.dtype) if out is None else out
        for first in range(0, x.shape[0], CHUNK):
            last = min(first + CHUNK, x.shape[0])
            batch = self._batch(x, np.arange(first, last))
            self.loops.copy(self._forward(batch)["a"][-1], y_hat[first:last])
        self.loops.wait()
        return y_hat

    def evaluate(self, x, y) -> Totals:
        count = x.shape[0]
        loss_of_sample, hits_of_sample = self._empty(count), self.loops.empty(count, np.int32)
        for first in range(0, count, CHUNK):
            last = min(first + CHUNK, count)
            order = np.arange(first, last)
            y_batch, layers = self._batch(y, order), self._forward(self._batch(x, order))
            self._loss_of_samples(y_batch, layers, loss_of_sample[first:last])
            self._hits_of_samples(y_batch, layers, hits_of_sample[first:last])
        return self._totals(loss_of_sample, hits_of_sample)

    def loss_and_gradients(self, x, y) -> tuple[float, np.ndarray]:
        everything = np.arange(x.shape[0])
        x, y = self._batch(x, everything), self._batch(y, everything)
        layers = self._forward(x)
        loss_of_sample = self._empty(x.shape[0])
        self._loss_of_samples(y, layers, loss_of_sample)
        self._backward(x, y, layers)
        return float(self.loops.download(loss_of_sample).sum(dtype=np.float64)), self.loops.download(self.gradients)

    def train_epoch(self, x, y, order: np.ndarray, batch_size: int, eta: float) -> Iterator[Totals]:
        count, dtype = order.shape[0], self.topology.dtype
        loss_of_sample, hits_of_sample = self.loops.empty(count, dtype), self.loops.empty(count, np.int32)
        order = self.loops.upload(np.ascontiguousarray(order, np.int64))
        deadline = time.perf_counter() + SLICE_SECONDS
        for first in range(0, count, batch_size):
            last = min(first + batch_size, count)
            x_batch, y_batch = self._batch(x, order[first:last]), self._batch(y, order[first:last])
            layers = self._forward(x_batch)
            self._loss_of_samples(y_batch, layers, loss_of_sample[first:last])
            self._hits_of_samples(y_batch, layers, hits_of_sample[first:last])
            self._backward(x_batch, y_batch, layers)
            self.loops.run(descent.gradient_descent, dtype.type(eta), self.gradients, self.parameters)
            if time.perf_counter() > deadline:
                self.loops.wait()
                yield Totals(last, 0.0, 0)  # their losses stay where they are until the epoch is over
                deadline = time.perf_counter() + SLICE_SECONDS
        yield self._totals(loss_of_sample, hits_of_sample)

    def trace(self, x, y) -> dict[str, list[np.ndarray]]:
        everything = np.arange(x.shape[0])
        x, y = self._batch(x, everything), self._batch(y, everything)
        layers = self._forward(x)
        layers["delta"] = self._backward(x, y, layers)
        return {symbol: [self.loops.download(array) for array in layers[symbol]] for symbol in ("z", "a", "delta")}

    # One batch: the loops in the order of the sheet.

    def _batch(self, rows, order):
        batch = self._empty(order.shape[0], rows.shape[1])
        self.loops.run(samples.gather, rows, self.loops.upload(order), batch)
        return batch

    def _forward(self, x) -> dict[str, list]:
        """z and a of every layer; of each softmax layer the two parts of its sum, too."""
        layers: dict[str, list] = {"z": [], "a": [], "sums": []}
        for (w, b), kind in zip(self.topology.views(self.parameters), self.topology.kinds, strict=True):
            z, a = self._empty(x.shape[0], w.shape[1]), self._empty(x.shape[0], w.shape[1])
            sums = ()
            self.loops.run(neuron.forward_sum, x, w, b, z)
            if kind == SOFTMAX:
                sums = (self._empty(x.shape[0]), self._empty(x.shape[0]))
                self.loops.run(activations.softmax_sum, z, *sums)
                self.loops.run(activations.softmax_activation, z, *sums, a)
            else:
                self.loops.run(activations.activation, kind, self.epsilon, z, a)
            for symbol, value in (("z", z), ("a", a), ("sums", sums)):
                layers[symbol].append(value)
            x = a
        return layers

    def _loss_of_samples(self, y, layers, loss_of_sample) -> None:
        """The losses of the samples, with n = 1."""
        loss_kind = self.topology.loss_kind
        if loss_kind == CCE:
            self.loops.run(losses.cce_loss, 1, y, layers["z"][-1], *layers["sums"][-1], loss_of_sample)
        elif loss_kind == BCE:
            self.loops.run(losses.bce_from_z_loss, 1, y, self._logit(layers), loss_of_sample)
        else:
            self.loops.run(losses.loss, loss_kind, 1, y, layers["a"][-1], loss_of_sample)

    def _hits_of_samples(self, y, layers, hits_of_sample) -> None:
        self.loops.run(samples.hits, self.topology.loss_kind, y, layers["a"][-1], hits_of_sample)

    def _logit(self, layers):
        """What sigmoid turns into y_hat: z itself for a sigmoid output, u for softmax."""
        z = layers["z"][-1]
        if self.topology.kinds[-1] == SIGMOID:
            return z
        u = self._empty(*z.shape)
        self.loops.run(activations.softmax_logit, z, u)
        return u

    def _output_error(self, y, layers):
        """delta of the last layer."""
        z, a = layers["z"][-1], layers["a"][-1]
        n, kind, loss_kind = y.shape[0], self.topology.kinds[-1], self.topology.loss_kind
        delta = self._empty(*a.shape)
        if loss_kind in (BCE, CCE):
            self.loops.run(backprop.short_error, n, y, a, delta)
            if loss_kind == BCE and kind == SOFTMAX:
                dl_du, delta = delta, self._empty(*a.shape)
                self.loops.run(backprop.softmax_logit_error, dl_du, z, self._logit(layers), delta)
            return delta
        dl_da = self._empty(*a.shape)
        self.loops.run(losses.d_loss, loss_kind, n, y, a, dl_da)
        if kind == SOFTMAX:
            self.loops.run(backprop.softmax_error, dl_da, a, delta)
        else:
            self.loops.run(backprop.activation_error, kind, self.epsilon, dl_da, z, a, delta)
        return delta

    def _delta_before(self, l, delta, layers):
        """delta of layer l - 1 (index 0 is layer 1) from delta of layer l."""
        w, _ = self.topology.views(self.parameters)[l]
        kind, z_prev, a_prev = self.topology.kinds[l - 1], layers["z"][l - 1], layers["a"][l - 1]
        delta_prev = self._empty(*a_prev.shape)
        if kind == SOFTMAX:  # with da/dz = 1 the recurrence gives dL/da, which then meets the Jacobian
            dl_da = self._empty(*a_prev.shape)
            self.loops.run(backprop.delta_recurrence, IDENTITY, self.epsilon, w, delta, z_prev, a_prev, dl_da)
            self.loops.run(backprop.softmax_error, dl_da, a_prev, delta_prev)
        else:
            self.loops.run(backprop.delta_recurrence, kind, self.epsilon, w, delta, z_prev, a_prev, delta_prev)
        return delta_prev

    def _backward(self, x, y, layers):
        """Fills the gradients; returns delta of every layer."""
        deltas = [self._output_error(y, layers)]
        for l in range(len(self.topology.kinds) - 1, 0, -1):
            deltas.insert(0, self._delta_before(l, deltas[0], layers))
        inputs = [x, *layers["a"][:-1]]
        for (dw, db), x_l, delta in zip(self.topology.views(self.gradients), inputs, deltas, strict=True):
            self.loops.run(backprop.weight_gradient, x_l, delta, dw)
            self.loops.run(backprop.bias_gradient, delta, db)
        return deltas

    def _empty(self, *shape):
        return self.loops.empty(shape, self.topology.dtype)

    def _totals(self, loss_of_sample, hits_of_sample) -> Totals:
        loss, right = self.loops.download(loss_of_sample), self.loops.download(hits_of_sample)
        return Totals(loss.shape[0], float(loss.sum(dtype=np.float64)), int(right.sum()))

"""Runs a loop of `numbanet.equations` on the CPU, or its CUDA kernel on the GPU.

The class `Moments` keeps the optimizer's state on the device.
"""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbanet._compile import njit
from numbanet._cuda import SIMULATED, configured, cuda
from numbanet.engines.interface import Totals

# The largest number of blocks that CUDA starts along the second and third dimension of a grid.
MOST_BLOCKS = 65535


class CpuLoops:
    """Runs loops of `numbanet.equations` on NumPy arrays."""

    @staticmethod
    def empty(shape: Any, dtype: Any) -> Any:
        """Returns a new NumPy array with undefined values."""
        return np.empty(shape, dtype)

    @staticmethod
    def upload(array: Any) -> Any:
        """Returns the array itself, because the CPU computes with NumPy arrays directly."""
        return array

    @staticmethod
    def download(array: Any) -> NDArray[Any]:
        """Returns a copy of the array in host memory."""
        return array.copy()

    @staticmethod
    def copy(array: Any, to: Any) -> None:
        """Copies the values of `array` to the array `to`."""
        to[...] = array

    @staticmethod
    def run(loop: Any, *arguments: Any) -> None:
        """Calls a loop with its arguments. The last argument is the array that the loop writes."""
        loop(*arguments)

    @staticmethod
    def wait() -> None:
        """Returns immediately, because every loop and copy on the CPU has ended when its call returns."""


class CudaLoops:
    """Launches the CUDA kernels of loops on arrays of the GPU, with one thread per element of a loop's last argument."""

    # Threads per block for outputs of 1, 2 and 3 dimensions. The last index of an array is the x of a thread, so that
    # neighbouring threads access neighbouring elements. In the simulator blocks are small: each thread is a Python thread.
    block_shapes = ((4,), (4, 2), (2, 2, 2)) if SIMULATED else ((256,), (32, 8), (32, 4, 2))

    @staticmethod
    def empty(shape: Any, dtype: Any) -> Any:
        """Returns a new array on the GPU with undefined values."""
        return cuda.device_array(shape, dtype)

    @staticmethod
    def upload(array: Any) -> Any:
        """Copies a NumPy array to the GPU. An array that already lies on the GPU is returned unchanged."""
        return cuda.to_device(array) if isinstance(array, np.ndarray) else array

    @staticmethod
    def download(array: Any) -> NDArray[Any]:
        """Returns a copy of the array in host memory."""
        return array.copy_to_host()

    @staticmethod
    def copy(array: Any, to: Any) -> None:
        """Copies `array` to `to`: from the GPU to the GPU or to host memory, or from host memory to the GPU."""
        if isinstance(to, np.ndarray):
            array.copy_to_host(to)
        else:
            to.copy_to_device(array)

    def run(self, loop: Any, *arguments: Any) -> None:
        """Launches the CUDA kernel of a loop. The last argument is the array that the kernel writes.

        Raises
        ------
        ValueError
            The array that the kernel writes has more samples than a CUDA grid has threads along that dimension.
        """
        shape = arguments[-1].shape[::-1]
        block = self.block_shapes[len(shape) - 1]
        grid = tuple(-(-extent // threads) for extent, threads in zip(shape, block, strict=True))
        if max(grid[1:], default=0) > MOST_BLOCKS:
            raise ValueError(
                f"{shape[-1]} samples at once are too many for the GPU: pass at most {MOST_BLOCKS * block[-1]} at a time"
            )
        configured(self.twin(loop), grid, block)(*arguments)

    @staticmethod
    def twin(loop: Any) -> Any:
        """Returns the CUDA kernel of a loop: the function with the loop's name plus `_cuda`, in the same module."""
        function = loop.py_func
        return getattr(sys.modules[function.__module__], f"{function.__name__}_cuda")

    @staticmethod
    def wait() -> None:
        """Waits until all kernels and copies on the GPU have ended."""
        cuda.synchronize()


class Moments:
    """The optimizer's state (moments) on the device of `loops`: arrays as long as the parameter vector, which are 0 at first.

    Parameters
    ----------
    loops : CpuLoops or CudaLoops
        Determines the device that holds the moments.
    count : int
        Length of the parameter vector.
    dtype : numpy.dtype
        float32 or float64: the type of the network's parameters.
    """

    def __init__(self, loops: CpuLoops | CudaLoops, count: int, dtype: np.dtype):
        self.loops, self.count, self.dtype = loops, count, dtype
        self.arrays: list[Any] = []

    def first(self, count: int) -> list[Any]:
        """Returns the first `count` moments, on the device. Every call returns the same arrays."""
        while len(self.arrays) < count:
            self.arrays.append(self.loops.upload(np.zeros(self.count, self.dtype)))
        return self.arrays[:count]

    def read(self, count: int) -> list[NDArray[np.floating]]:
        """Returns copies of the first `count` moments in host memory."""
        return [self.loops.download(array) for array in self.first(count)]

    def write(self, moments: list[NDArray[np.floating]]) -> None:
        """Overwrites the first `len(moments)` moments in place, because recorded CUDA graphs refer to these arrays."""
        for moment, array in zip(moments, self.first(len(moments)), strict=True):
            self.loops.copy(np.ascontiguousarray(moment, self.dtype), array)


def totals_of(
    loops: CpuLoops | CudaLoops, loss_of_sample: Any, hits_of_sample: Any, weights: NDArray[np.floating] | None = None
) -> Totals:
    """Returns the sums over samples of their losses and correct predictions, two arrays (n,) on the device of `loops`.

    If `weights` is given, each correct prediction counts as the weight of its sample; the losses contain the weights already.
    """
    loss, hits = loops.download(loss_of_sample), loops.download(hits_of_sample)
    return Totals(
        loss.shape[0], float(loss.sum(dtype=np.float64)), int(hits.sum()) if weights is None else weighted_hits(hits, weights)
    )


@njit
def weighted_hits(hits_of_sample, weights):
    """Returns sum_s c_s h_s in float64, for the number h_s of correct predictions of each sample s and its weight c_s."""
    total = 0.0
    for s in range(hits_of_sample.shape[0]):
        total += weights[s] * hits_of_sample[s]
    return total

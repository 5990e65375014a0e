"""Runs a loop of `numbanet.equations` on the CPU, or the loop's CUDA kernel on the GPU.

The class `Moments` keeps the optimizer's state on the device that runs the loops.
"""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbanet._compile import njit
from numbanet._cuda import SIMULATED, configured, cuda, wait
from numbanet.engines.binding import UNBOUND, Binding
from numbanet.engines.interface import Totals

# The largest number of blocks that CUDA allows along the second and the third dimension of a grid.
MOST_BLOCKS = 65535


class CpuLoops:
    """Runs loops of `numbanet.equations` on NumPy arrays.

    Parameters
    ----------
    bound : Binding
        Puts formulas that the user wrote, such as an activation function, into the loops.
    """

    def __init__(self, bound: Binding = UNBOUND):
        self.bound = bound

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

    def run(self, loop: Any, *arguments: Any) -> None:
        """Calls a loop with the given arguments. The last argument is the array to which the loop writes."""
        self.bound(loop)(*arguments)

    @staticmethod
    def wait() -> None:
        """Does nothing, because a loop or a copy on the CPU is complete when its call returns."""


class CudaLoops:
    """Launches the loops' CUDA kernels on GPU arrays, with one thread per element of the kernel's last argument.

    Parameters
    ----------
    bound : Binding
        Puts formulas that the user wrote, such as an activation function, into the kernels.
    """

    # The shapes of thread blocks for outputs with 1, 2 and 3 dimensions. The last index of an array is the x index of a thread,
    # so that neighbouring threads access neighbouring elements. In the simulator, which runs each CUDA thread as a Python
    # thread, blocks are small.
    block_shapes = ((4,), (4, 2), (2, 2, 2)) if SIMULATED else ((256,), (32, 8), (32, 4, 2))

    def __init__(self, bound: Binding = UNBOUND):
        self.bound = bound

    @staticmethod
    def empty(shape: Any, dtype: Any) -> Any:
        """Returns a new array on the GPU with undefined values."""
        return cuda.device_array(shape, dtype)

    @staticmethod
    def upload(array: Any) -> Any:
        """Copies a NumPy array to the GPU, and returns the copy.

        If `array` is on the GPU already, `upload` returns the array itself.
        """
        return cuda.to_device(array) if isinstance(array, np.ndarray) else array

    @staticmethod
    def download(array: Any) -> NDArray[Any]:
        """Returns a copy of the array in host memory."""
        return array.copy_to_host()

    @staticmethod
    def copy(array: Any, to: Any) -> None:
        """Copies the values of `array` to the array `to`. At least one of the two arrays must be on the GPU."""
        if isinstance(to, np.ndarray):
            array.copy_to_host(to)
        else:
            to.copy_to_device(array)

    def run(self, loop: Any, *arguments: Any) -> None:
        """Launches a loop's CUDA kernel with the given arguments. The last argument is the array to which the kernel writes.

        Raises
        ------
        ValueError
            The last argument has too many samples: a CUDA grid has at most MOST_BLOCKS blocks along the samples' dimension.
        """
        shape = arguments[-1].shape[::-1]
        block = self.block_shapes[len(shape) - 1]
        grid = tuple(-(-extent // threads) for extent, threads in zip(shape, block, strict=True))
        if max(grid[1:], default=0) > MOST_BLOCKS:
            raise ValueError(
                f"{shape[-1]} samples at once are too many for the GPU: pass at most {MOST_BLOCKS * block[-1]} at a time"
            )
        configured(self.bound(self.twin(loop)), grid, block)(*arguments)

    @staticmethod
    def twin(loop: Any) -> Any:
        """Returns a loop's CUDA kernel, which is in the same module and has the loop's name with the suffix `_cuda`."""
        function = loop.py_func
        return getattr(sys.modules[function.__module__], f"{function.__name__}_cuda")

    @staticmethod
    def wait() -> None:
        """Waits until all kernels and copies in the default stream are complete.

        The kernels of the loops use no stream other than the default stream.
        """
        wait()


class Moments:
    """The optimizer's state: arrays, called moments, that have the length of the parameter vector and are initialised with 0.

    Parameters
    ----------
    loops : CpuLoops or CudaLoops
        Determines the device on which the moments are stored.
    count : int
        Length of the parameter vector.
    dtype : numpy.dtype
        float32 or float64: the type of the network's parameters.
    """

    def __init__(self, loops: CpuLoops | CudaLoops, count: int, dtype: np.dtype):
        self.loops, self.count, self.dtype = loops, count, dtype
        self.arrays: list[Any] = []

    def first(self, count: int) -> list[Any]:
        """Returns the first `count` moments as arrays on the device. Later calls return the same array for a moment."""
        while len(self.arrays) < count:
            self.arrays.append(self.loops.upload(np.zeros(self.count, self.dtype)))
        return self.arrays[:count]

    def read(self, count: int) -> list[NDArray[np.floating]]:
        """Returns copies of the first `count` moments in host memory."""
        return [self.loops.download(array) for array in self.first(count)]

    def write(self, moments: list[NDArray[np.floating]]) -> None:
        """Overwrites the values of the first `len(moments)` moments with the values in `moments`.

        The arrays that hold the moments remain, because recorded CUDA graphs refer to these arrays.
        """
        for moment, array in zip(moments, self.first(len(moments)), strict=True):
            self.loops.copy(np.ascontiguousarray(moment, self.dtype), array)


def totals_of(
    loops: CpuLoops | CudaLoops, loss_of_sample: Any, hits_of_sample: Any, weights: NDArray[np.floating] | None = None
) -> Totals:
    """Returns the sum of the samples' losses, and the sum of the samples' numbers of correct outputs.

    `loss_of_sample` and `hits_of_sample` are arrays of shape (n,) on the device of `loops`. If the sample weights `weights` are
    given, each correct output counts with the weight of its sample. The losses must already be multiplied by the sample
    weights.
    """
    loss, hits = loops.download(loss_of_sample), loops.download(hits_of_sample)
    return Totals(
        loss.shape[0], float(loss.sum(dtype=np.float64)), int(hits.sum()) if weights is None else weighted_hits(hits, weights)
    )


@njit
def weighted_hits(hits_of_sample, weights):
    """Returns sum_s c_s h_s in float64. c_s is the weight of sample s, and h_s is the number of its correct outputs."""
    total = 0.0
    for s in range(hits_of_sample.shape[0]):
        total += weights[s] * hits_of_sample[s]
    return total

"""Runs a loop of `numbanet.equations`, or its CUDA twin, on arrays of the device; keeps optimizer state there."""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbanet._cuda import SIMULATED, configured, cuda
from numbanet.engines.interface import Totals

# The largest number of blocks that CUDA starts along the second and third dimension of a grid.
MOST_BLOCKS = 65535


class CpuLoops:
    """Calls the loops, on NumPy arrays."""

    @staticmethod
    def empty(shape: Any, dtype: Any) -> Any:
        """Returns a new array with any content."""
        return np.empty(shape, dtype)

    @staticmethod
    def upload(array: Any) -> Any:
        """Returns the array on the device: itself."""
        return array

    @staticmethod
    def download(array: Any) -> NDArray[Any]:
        """Returns a copy in host memory."""
        return array.copy()

    @staticmethod
    def copy(array: Any, to: Any) -> None:
        """Copies an array of the device to another one."""
        to[...] = array

    @staticmethod
    def run(loop: Any, *arguments: Any) -> None:
        """Runs a loop; its arguments end with the array that it writes."""
        loop(*arguments)

    @staticmethod
    def wait() -> None:
        """Returns once all loops and copies have ended: at once."""


class CudaLoops:
    """Launches the twins of the loops, one thread per element of the last argument, on arrays of the GPU."""

    # Threads per block for outputs of 1, 2 and 3 dimensions. The last index of an array is the x of a thread, so that
    # neighbouring threads touch neighbouring numbers. A simulated thread costs a Python thread.
    block_shapes = ((4,), (4, 2), (2, 2, 2)) if SIMULATED else ((256,), (32, 8), (32, 4, 2))

    @staticmethod
    def empty(shape: Any, dtype: Any) -> Any:
        """Returns a new array on the GPU with any content."""
        return cuda.device_array(shape, dtype)

    @staticmethod
    def upload(array: Any) -> Any:
        """Returns the array on the GPU; itself if it lies there."""
        return cuda.to_device(array) if isinstance(array, np.ndarray) else array

    @staticmethod
    def download(array: Any) -> NDArray[Any]:
        """Returns a copy in host memory."""
        return array.copy_to_host()

    @staticmethod
    def copy(array: Any, to: Any) -> None:
        """Copies an array of the GPU to another one there or in host memory, or one in host memory to the GPU."""
        if isinstance(to, np.ndarray):
            array.copy_to_host(to)
        else:
            to.copy_to_device(array)

    def run(self, loop: Any, *arguments: Any) -> None:
        """Launches the twin of a loop; its arguments end with the array that it writes.

        Raises
        ------
        ValueError
            If that array has more samples than a grid has threads along them.
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
        """Returns the kernel of a loop: the same name in the same module, with _cuda appended."""
        function = loop.py_func
        return getattr(sys.modules[function.__module__], f"{function.__name__}_cuda")

    @staticmethod
    def wait() -> None:
        """Returns once all kernels and copies have ended."""
        cuda.synchronize()


class Moments:
    """Optimizer state on the device of `loops`: arrays like the parameter vector, which are 0 at first.

    Parameters
    ----------
    loops : CpuLoops or CudaLoops
    count : int
        Length of the parameter vector.
    dtype : numpy.dtype
    """

    def __init__(self, loops: CpuLoops | CudaLoops, count: int, dtype: np.dtype):
        self.loops, self.count, self.dtype = loops, count, dtype
        self.arrays: list[Any] = []

    def first(self, count: int) -> list[Any]:
        """Returns the first `count` moments, on the device. Each stays the same array."""
        while len(self.arrays) < count:
            self.arrays.append(self.loops.upload(np.zeros(self.count, self.dtype)))
        return self.arrays[:count]

    def read(self, count: int) -> list[NDArray[np.floating]]:
        """Returns copies of the first `count` moments, in host memory."""
        return [self.loops.download(array) for array in self.first(count)]

    def write(self, moments: list[NDArray[np.floating]]) -> None:
        """Replaces the first moments in place: recorded steps hold the arrays."""
        for moment, array in zip(moments, self.first(len(moments)), strict=True):
            self.loops.copy(np.ascontiguousarray(moment, self.dtype), array)


def totals_of(loops: CpuLoops | CudaLoops, loss_of_sample: Any, hits_of_sample: Any) -> Totals:
    """Returns the sums of the losses and hits of samples, (n,) each on the device of `loops`."""
    loss, hits = loops.download(loss_of_sample), loops.download(hits_of_sample)
    return Totals(loss.shape[0], float(loss.sum(dtype=np.float64)), int(hits.sum()))

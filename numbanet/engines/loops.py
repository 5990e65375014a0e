"""Runs a loop of `numbanet.equations` or its CUDA twin, on arrays that lie where it runs."""

import sys

import numpy as np

from numbanet._cuda import SIMULATED, configured, cuda

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

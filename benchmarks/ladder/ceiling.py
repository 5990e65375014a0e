"""Measures the ceiling of the CPU: the rate of multiply-adds on vectors in registers, which no network can exceed."""

import functools
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from benchmarks.measuring import seconds_of

SECONDS = 0.02  # duration of a measurement


@functools.cache
def _multiply_add() -> Any:
    """Returns a compiled function multiply_add(x, turns), which performs multiply-adds and returns the number of operations.

    The function computes twelve independent sums at a time, because the next multiply-add of a sum must wait several cycles for
    the multiply-add before it. The sums start from different numbers, because otherwise the compiler would merge the sums.
    """
    import numba

    from numbanet.engines.cpu.kernels.vector import broadcast, lanes, load, store

    @numba.njit(nogil=True, fastmath={"contract"})
    def multiply_add(x, turns):
        width = lanes(x)  # pyright: ignore[reportCallIssue]  (an intrinsic: Numba passes the first argument)
        factor, term = broadcast(x[0]), broadcast(x[1])
        c_0, c_1, c_2, c_3 = load(x, 0 * width), load(x, 1 * width), load(x, 2 * width), load(x, 3 * width)
        c_4, c_5, c_6, c_7 = load(x, 4 * width), load(x, 5 * width), load(x, 6 * width), load(x, 7 * width)
        c_8, c_9, c_10, c_11 = load(x, 8 * width), load(x, 9 * width), load(x, 10 * width), load(x, 11 * width)
        for _ in range(turns):
            c_0 = c_0 * factor + term
            c_1 = c_1 * factor + term
            c_2 = c_2 * factor + term
            c_3 = c_3 * factor + term
            c_4 = c_4 * factor + term
            c_5 = c_5 * factor + term
            c_6 = c_6 * factor + term
            c_7 = c_7 * factor + term
            c_8 = c_8 * factor + term
            c_9 = c_9 * factor + term
            c_10 = c_10 * factor + term
            c_11 = c_11 * factor + term
        store(x, 12 * width, c_0 + c_1 + c_2 + c_3 + c_4 + c_5 + c_6 + c_7 + c_8 + c_9 + c_10 + c_11)
        return 2 * 12 * width * turns

    return multiply_add


class Ceiling:
    """Measures how many operations per second several CPU cores perform if they perform only multiply-adds.

    Parameters
    ----------
    dtype : str
        float32 or float64.
    cores : int
        Number of cores.
    """

    def __init__(self, dtype: str, cores: int):
        self.multiply_add = _multiply_add()
        self.arrays = [np.linspace(0, 1, 1024, dtype=np.dtype(dtype)) for _ in range(cores)]
        for x in self.arrays:
            x[:2] = 0.5, 0.25  # c <- c / 2 + 1/4 converges to 1/2, so that sums neither overflow nor become subnormal
        self.threads = ThreadPoolExecutor(cores)
        self.turns = 1_000_000
        self.measure()  # compiles the function
        self.turns = int(self.turns * SECONDS / seconds_of(self._run))

    def _run(self) -> int:
        return sum(self.threads.map(self.multiply_add, self.arrays, [self.turns] * len(self.arrays)))

    def measure(self) -> float:
        """Runs the multiply-adds once on all cores, and returns the number of operations per second."""
        start = time.perf_counter()
        operations = self._run()
        return operations / (time.perf_counter() - start)

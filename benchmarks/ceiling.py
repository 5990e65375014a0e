"""How fast this machine can multiply and add: fused operations on vectors that never leave their registers."""

import functools
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from .measuring import seconds_of

SECONDS = 0.02


@functools.cache
def _fused():
    """A function of an array, in which it finds its numbers, and of a number of turns; it returns its operations.

    Twelve sums that do not wait for each other, for the units of a core take several turns to finish one; and they start from
    different numbers, or the compiler would make them one.
    """
    import numba

    from numbanet.engines.cpu.kernels.vector import broadcast, lanes, load, store

    @numba.njit(nogil=True, fastmath={"contract"})
    def fused(x, turns):
        width = lanes(x)
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

    return fused


class Ceiling:
    """Operations per second of so many cores, in float32 or float64."""

    def __init__(self, dtype, cores):
        self.fused = _fused()
        self.arrays = [np.linspace(0, 1, 1024, dtype=dtype) for _ in range(cores)]
        for x in self.arrays:
            x[:2] = 0.5, 0.25  # c <- c / 2 + 1/4 approaches 1/2 from any start: neither overflow nor subnormal numbers
        self.threads = ThreadPoolExecutor(cores)
        self.turns = 1_000_000
        self.measure()  # compiles
        self.turns = int(self.turns * SECONDS / seconds_of(self._all))

    def _all(self) -> int:
        return sum(self.threads.map(self.fused, self.arrays, [self.turns] * len(self.arrays)))

    def measure(self) -> float:
        """Operations per second, now."""
        start = time.perf_counter()
        operations = self._all()
        return operations / (time.perf_counter() - start)

"""Memory operations on a GPU: the loads, stores, copies and barriers that `numba.cuda` does not provide.

Kernels import the memory operations from this package. On a GPU, the operations come from the module `device`; in Numba's
simulator, they come from the module `simulated`. The operations take flat arrays, and indices that must not be negative. On a
GPU, the operations do not check indices.
"""

from numbanet._cuda import SIMULATED
from numbanet.engines.cuda.limits import QUAD

if SIMULATED:
    from numbanet.engines.cuda.memory.simulated import (
        arrive,
        arrived,
        await_copies,
        copy_later,
        get,
        get_quad,
        limited,
        matrix,
        own_memory,
        put,
        quotient,
        shared_numbers,
    )
else:
    from numbanet.engines.cuda.memory.device import (
        arrive,
        arrived,
        await_copies,
        copy_later,
        get,
        get_quad,
        limited,
        matrix,
        own_memory,
        put,
        quotient,
        shared_numbers,
    )

__all__ = [
    "QUAD",
    "arrive",
    "arrived",
    "await_copies",
    "copy_later",
    "get",
    "get_quad",
    "limited",
    "matrix",
    "own_memory",
    "put",
    "quotient",
    "shared_numbers",
]

"""Memory of the GPU: its limits, and the loads, stores, copies and barriers that `numba.cuda` has no names for.

Kernels import the functions from here: from `device`, or in the simulator from `simulated`. Arrays are flat. An index
is not negative; only the simulator checks indices.
"""

from numbanet._cuda import SIMULATED
from numbanet.engines.cuda.memory.limits import QUAD, Limits, allow_shared_memory, ensure_free, present_gpu

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
    "Limits",
    "allow_shared_memory",
    "arrive",
    "arrived",
    "await_copies",
    "copy_later",
    "ensure_free",
    "get",
    "get_quad",
    "limited",
    "matrix",
    "own_memory",
    "present_gpu",
    "put",
    "quotient",
    "shared_numbers",
]

"""The limits of a GPU, and of its memory as it is now."""

import math
from typing import Any, NamedTuple

from numbanet._cuda import NUMBA_CUDA, SIMULATED, cuda

# Shared memory that a block gets without asking the driver for more.
PLAIN_SHARED_BYTES = 48 * 1024
QUAD = 4  # numbers that are loaded together: 16 bytes of float32, 32 of float64


class Limits(NamedTuple):
    """The limits of a GPU.

    Parameters
    ----------
    multiprocessors : int
        Number of multiprocessors.
    shared_bytes : int
        The most shared memory that a block may ask for.
    grid_blocks : int
        The most blocks, each with shared_bytes of shared memory, that run at once and can wait for each other; 0 if no blocks
        can.
    """

    multiprocessors: int
    shared_bytes: int
    grid_blocks: int


def present_limits() -> Limits:
    """Returns the limits of the GPU that this thread uses; the simulator's limits are made up."""
    if SIMULATED:
        return Limits(2, PLAIN_SHARED_BYTES, 2)
    device = cuda.get_current_device()
    multiprocessors = device.MULTIPROCESSOR_COUNT
    if not NUMBA_CUDA:
        return Limits(multiprocessors, PLAIN_SHARED_BYTES, 0)
    # copies in the background came with compute capability 8.0
    grid_blocks = multiprocessors if device.COOPERATIVE_LAUNCH and device.compute_capability >= (8, 0) else 0
    return Limits(multiprocessors, device.MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, grid_blocks)


def present_gpu() -> int:
    """Returns the number of the GPU that this thread uses."""
    return 0 if SIMULATED else cuda.get_current_device().id


def free_bytes() -> float:
    """Returns the bytes of the GPU's memory that are free, after Numba has released deleted arrays; inf in the simulator."""
    if SIMULATED:
        return math.inf
    context = cuda.current_context()
    context.deallocations.clear()
    return context.get_memory_info()[0]


def ensure_free(wanted: int, samples: int, what: str) -> None:
    """Ensures that the GPU has `wanted` bytes of memory free.

    Parameters
    ----------
    wanted : int
        Bytes.
    samples : int
        The number of samples that take these bytes.
    what : str
        What they are wanted for, such as "computing with".

    Raises
    ------
    MemoryError
        Fewer bytes are free; the message says how many samples would fit.
    """
    free = free_bytes()
    if wanted > free:
        raise MemoryError(
            f"{what} {samples:,} samples takes {wanted:,} bytes of the GPU's memory, of which {free:,} are free: "
            f"{free * samples // wanted:,} samples at once would fit"
        )


def stream_beside() -> Any:
    """Returns a stream that does not wait for the default stream; with Numba's built-in target, all streams wait for it."""
    if not NUMBA_CUDA:
        return cuda.stream()
    from cuda.core import Device

    device = Device()
    device.set_current()
    return device.create_stream()


def allow_shared_memory(kernel: Any, arguments: tuple, shared_bytes: int, fixed_bytes: int = 0) -> None:
    """Lets a block of a kernel have more shared memory than the driver grants without being asked.

    Parameters
    ----------
    kernel : dispatcher
        Compiled here for these arguments if it is not yet.
    arguments : tuple
        The arguments it will be launched with.
    shared_bytes : int
        Bytes that it will be launched with.
    fixed_bytes : int
        Bytes of the arrays in its code, which come on top.
    """
    if SIMULATED or shared_bytes + fixed_bytes <= PLAIN_SHARED_BYTES:
        return
    # numba-cuda has no name for it (its issue 94); its own function for the carveout sets that attribute this way
    compiled = kernel.compile(tuple(kernel.typeof_pyval(argument) for argument in arguments))
    function = compiled._codelibrary.get_cufunc()
    attribute = cuda.cudadrv.driver.binding.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    cuda.cudadrv.driver.driver.cuKernelSetAttribute(attribute, shared_bytes, function.handle, function.device.id)

"""The hardware limits of a GPU, and a check that the GPU has enough free memory."""

import math
from typing import Any, NamedTuple

from numbanet._cuda import NUMBA_CUDA, SIMULATED, cuda

# Largest number of bytes of shared memory that a thread block can use without a request to the driver.
PLAIN_SHARED_BYTES = 48 * 1024
QUAD = 4  # number of neighbouring values that a thread loads together: 16 bytes in float32, 32 bytes in float64


class Limits(NamedTuple):
    """The hardware limits of a GPU that determine which kernels train a network.

    Parameters
    ----------
    multiprocessors : int
        Number of multiprocessors of the GPU.
    shared_bytes : int
        The largest number of bytes of shared memory that a thread block can request.
    grid_blocks : int
        The largest number of thread blocks that can run at the same time and wait for each other, if each block uses
        `shared_bytes` bytes of shared memory. `grid_blocks` is 0 if the thread blocks of a kernel cannot wait for each other on
        this GPU.
    """

    multiprocessors: int
    shared_bytes: int
    grid_blocks: int


def present_limits() -> Limits:
    """Returns the limits of the GPU that the calling thread uses; in Numba's simulator, the limits of an imaginary GPU."""
    if SIMULATED:
        return Limits(2, PLAIN_SHARED_BYTES, 2)
    device = cuda.get_current_device()
    multiprocessors = device.MULTIPROCESSOR_COUNT
    if not NUMBA_CUDA:
        return Limits(multiprocessors, PLAIN_SHARED_BYTES, 0)
    # The cooperative kernel copies asynchronously to shared memory, which requires compute capability 8.0.
    grid_blocks = multiprocessors if device.COOPERATIVE_LAUNCH and device.compute_capability >= (8, 0) else 0
    return Limits(multiprocessors, device.MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, grid_blocks)


def present_gpu() -> int:
    """Returns the device index of the GPU that the calling thread uses; 0 in Numba's simulator."""
    return 0 if SIMULATED else cuda.get_current_device().id


def free_bytes() -> float:
    """Makes Numba release the memory of deleted arrays, and returns the number of free bytes of GPU memory.

    In Numba's simulator, the result is infinity.
    """
    if SIMULATED:
        return math.inf
    context = cuda.current_context()
    # Numba's memory manager has a queue of deleted arrays. The memory managers of other libraries, such as RMM, have no queue.
    deleted = getattr(context.memory_manager, "deallocations", None)
    if deleted is not None:
        deleted.clear()
    return context.get_memory_info()[0]


def ensure_free(wanted: int, samples: int, what: str) -> None:
    """Raises MemoryError unless at least `wanted` bytes of GPU memory are free.

    Parameters
    ----------
    wanted : int
        Number of bytes that the caller is about to allocate.
    samples : int
        Number of samples that need the `wanted` bytes.
    what : str
        The beginning of the error message, which states the purpose of the memory, such as "computing with".

    Raises
    ------
    MemoryError
        The error message states how many samples would fit into the free memory.
    """
    free = free_bytes()
    if wanted > free:
        raise MemoryError(
            f"{what} {samples:,} samples takes {wanted:,} bytes of GPU memory, but only {free:,} bytes are free: "
            f"at most {free * samples // wanted:,} samples fit at once"
        )


def stream_beside() -> Any:
    """Returns a CUDA stream that does not wait for the default stream.

    If the package numba-cuda is not installed, the stream comes from Numba's built-in CUDA target, and does wait for the
    default stream.
    """
    if not NUMBA_CUDA:
        return cuda.stream()
    from cuda.core import Device

    device = Device()
    device.set_current()
    return device.create_stream()


def allow_shared_memory(kernel: Any, arguments: tuple, shared_bytes: int, fixed_bytes: int = 0) -> None:
    """Requests permission from the driver to launch a kernel with more than 48 KiB of shared memory per thread block.

    Parameters
    ----------
    kernel : dispatcher
        The kernel, which this function compiles for `arguments` if necessary.
    arguments : tuple
        The arguments with which the kernel will be launched.
    shared_bytes : int
        The number of bytes of dynamic shared memory per block with which the kernel will be launched.
    fixed_bytes : int
        Bytes of the shared arrays declared in the kernel's code, which a block needs in addition to `shared_bytes`.
    """
    if SIMULATED or shared_bytes + fixed_bytes <= PLAIN_SHARED_BYTES:
        return
    # numba-cuda has no public function that sets this attribute (see numba-cuda's issue 94). The private calls are the same as
    # in numba-cuda's own code, which sets the preferred shared memory carveout.
    compiled = kernel.compile(tuple(kernel.typeof_pyval(argument) for argument in arguments))
    function = compiled._codelibrary.get_cufunc()
    attribute = cuda.cudadrv.driver.binding.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    cuda.cudadrv.driver.driver.cuKernelSetAttribute(attribute, shared_bytes, function.handle, function.device.id)

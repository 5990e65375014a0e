"""The only folder that accesses `numba.cuda`: it compiles and launches kernels, and explains why a GPU cannot be used.

The module `numba.cuda` comes from NVIDIA's package `numba-cuda` if the package is installed (the extras `cuda12` and `cuda13`
install it). Without `numba-cuda`, `numba.cuda` comes from its successor `numba-cuda-mlir` or, if neither package is installed,
from Numba's built-in CUDA target. If the environment variable NUMBA_ENABLE_CUDASIM is 1, Numba's simulator provides
`numba.cuda`.
"""

import contextlib
import contextvars
import functools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numba.core.config
from numba.extending import intrinsic

from numbanet._cuda import compatibility, mlir
from numbanet._cuda.numba_cuda import NumbaCuda, SimulatedCuda, is_of_nvidia

__all__ = [
    "NUMBA_CUDA",
    "SIMULATED",
    "callable_in_kernels",
    "configured",
    "cuda",
    "device_function",
    "devices",
    "intrinsic_on_gpu",
    "launching_on",
    "no_fast_kernels",
    "overload_on_gpu",
    "provider",
    "recompiled",
    "select",
    "unusable_reason",
    "versions",
    "wait",
]

config: Any = numba.core.config  # typed as Any, because Numba creates this module's attributes from environment variables

SIMULATED = bool(config.ENABLE_CUDASIM)
_OF_NVIDIA = is_of_nvidia()
# True if the package numba-cuda runs the kernels. Unlike Numba's built-in CUDA target, numba-cuda can record CUDA graphs and
# request more shared memory.
NUMBA_CUDA = _OF_NVIDIA and not SIMULATED
# True if the package numba-cuda-mlir runs the kernels.
_MLIR = not _OF_NVIDIA and not SIMULATED and mlir.is_installed()

cuda: Any = SimulatedCuda() if SIMULATED else mlir.MlirCuda() if _MLIR else NumbaCuda()


def provider() -> str:
    """Returns the name of the package or simulator that provides `numba.cuda`, for messages to users."""
    if _MLIR:
        return f"numba-cuda-mlir {mlir.version()}"
    name = "numba-cuda" if _OF_NVIDIA else "numba's built-in target"
    return f"{name}, simulated on the CPU" if SIMULATED else name


def no_fast_kernels() -> str | None:
    """Returns None if the fast kernels can be compiled, else the reason why they cannot, and what the user can do."""
    return mlir.NO_FAST_KERNELS if _MLIR else None


# The CUDA stream on which kernels are launched, or the graph builder that records kernels. 0 stands for the default stream.
_stream: contextvars.ContextVar[Any] = contextvars.ContextVar("_stream", default=0)


@contextlib.contextmanager
def launching_on(stream: Any) -> Iterator[None]:
    """Returns a context manager in which kernels are launched on a CUDA stream.

    In the with block, the kernels that `configured` returns run on the CUDA stream `stream`. If `stream` is a graph builder,
    the kernels are not launched, but recorded in the builder's CUDA graph.
    """
    token = _stream.set(stream)
    try:
        yield
    finally:
        _stream.reset(token)


def configured(kernel: Any, grid: Any, block: Any, shared_bytes: int = 0) -> Any:
    """Returns kernel[grid, block, stream, shared_bytes], and suppresses numba.cuda's warning about small grids."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kernel[grid, block, _stream.get(), shared_bytes]


def wait(stream: Any = None) -> None:
    """Waits until the work in a CUDA stream has finished.

    If `stream` is None, waits for CUDA's default stream. This wait includes the work in all blocking streams, but not the work
    in non-blocking streams.
    """
    stream = cuda.default_stream() if stream is None else stream
    synchronize = getattr(stream, "sync", None) or stream.synchronize  # the names of the method in cuda.core and in numba.cuda
    synchronize()


def overload_on_gpu(function: Callable) -> Any:
    """Works like `numba.extending.overload`, but only for kernels.

    In the simulator, kernels call the Python function `function`. Kernels that numba-cuda-mlir compiles call the function in
    the module math with the same name as `function` (see the module `_cuda.mlir`).
    """

    def overload(implementation: Callable) -> Callable:
        if isinstance(cuda, NumbaCuda):
            cuda.overload(function, implementation)
        return implementation

    return overload


def callable_in_kernels(loop: Any) -> Any:
    """Returns the function by which CUDA kernels can call `loop`, which is compiled for the CPU.

    On a GPU, the result is `loop` itself. In the simulator, the result is the loop's uncompiled Python function.
    """
    return getattr(loop, "py_func", loop) if SIMULATED else loop


def device_function(function: Callable) -> Any:
    """Compiles a device function, which kernels can call. In the simulator, kernels call the Python function itself."""
    return function if SIMULATED else cuda.jit(device=True)(function)


def recompiled(kernel: Any, function: Callable) -> Any:
    """Compiles `function`, made at run time, with the compiler options of `kernel` (a kernel or device function)."""
    return cuda.jit(function) if SIMULATED else kernel.recompiled(function)


def intrinsic_on_gpu(function: Callable) -> Any:
    """Works like `numba.extending.intrinsic`, but kernels on a GPU (not in the simulator) can call the resulting function."""
    return getattr(cuda.extending, "intrinsic", intrinsic)(function)


@cuda.jit
def _probe(x):
    x[0] = 1


def _first_lines(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" :")]
    return " ".join(lines[:2]) or type(error).__name__


def versions() -> compatibility.Versions:
    """Returns the versions of the driver, the CUDA toolkit and numba-cuda on this machine, and the GPU's compute capability."""
    return compatibility.find(
        _or_none(lambda: cuda.runtime.get_version()), _or_none(lambda: cuda.get_current_device().compute_capability)
    )


def _or_none(query: Callable[[], Any]) -> Any:
    try:
        return query()
    except Exception:  # the driver, the toolkit and the simulator raise exceptions without a common base class
        return None


@functools.cache
def unusable_reason() -> str | None:
    """Returns None if a kernel can run on a GPU or in the simulator.

    If no kernel can run, returns a message that says what is missing and what the user can do.
    """
    if SIMULATED:
        return None
    try:
        cuda.current_context()  # without a driver or a GPU, this call raises an error with the driver's own message
        configured(_probe, 1, 1)(cuda.device_array(1))
        wait()
    except Exception as error:  # the driver, the toolkit and the linker raise exceptions without a common base class
        found, message = versions(), _first_lines(error)
        details = f"Found: {found}. The error was: {message.rstrip('.')}."
        if found.driver_cuda is None and "cannot be found" in message:  # the advice already says that there is no driver
            details = f"Found: {str(found).removeprefix('no driver library, ')}."
        return (
            f"device='cuda' needs an NVIDIA GPU, its driver and numba-cuda. {compatibility.what_to_do(found, str(error))} "
            f"{details} To run the kernels slowly on the CPU instead, set the environment variable NUMBA_ENABLE_CUDASIM=1 "
            "before Python starts."
        )
    return None


def select(number: int) -> None:
    """Makes the calling thread use the GPU with the index `number` modulo the number of GPUs. Does nothing without a GPU."""
    if SIMULATED:
        return
    try:
        cuda.select_device(number % len(cuda.gpus))
    except Exception:  # the driver's errors have no common base class; `unusable_reason` reports them later
        return


def devices() -> list[str]:
    """Returns a description of each usable GPU: name, compute capability, number of multiprocessors, and memory size."""
    if unusable_reason() is not None:
        return []
    if SIMULATED:
        return ["simulator"]
    lines = []
    for gpu in cuda.gpus:
        with gpu:
            device, (_, total) = cuda.get_current_device(), cuda.current_context().get_memory_info()
            name = device.name.decode() if isinstance(device.name, bytes) else device.name
            capability = ".".join(map(str, device.compute_capability))
            count = device.MULTIPROCESSOR_COUNT
            lines.append(f"{name}, compute capability {capability}, {count} multiprocessors, {total / 2**30:.0f} GiB")
    return lines

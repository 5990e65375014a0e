"""The only module that accesses `numba.cuda`: it compiles and launches kernels, and explains why a GPU cannot be used.

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
import numba.cuda
from numba.extending import intrinsic, overload

from numbanet import _cuda_mlir, _cuda_versions

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

# Both modules are typed as Any, because type checkers cannot find their names: the provider of `numba.cuda` is chosen at run
# time, and `numba.core.config` creates its names from environment variables.
_provided: Any = numba.cuda
config: Any = numba.core.config

SIMULATED = bool(config.ENABLE_CUDASIM)
if not SIMULATED and getattr(_provided, "implementation", "Built-in") == "Built-in" and _cuda_mlir.version():
    _provided = _cuda_mlir.MlirCuda()
# True if the package numba-cuda-mlir runs the kernels.
_MLIR = isinstance(_provided, _cuda_mlir.MlirCuda)


class _SimulatedCuda:
    """A replacement for `numba.cuda` that works in every module if Numba's simulator is used.

    The simulator itself provides `threadIdx`, `syncthreads` and similar names only in the module that contains the running
    kernel.
    """

    def __getattr__(self, name: str) -> Any:
        running = _provided.simulator.kernel._get_kernel_context()
        try:
            return getattr(running, name)
        except AttributeError:  # no kernel is running, or the simulator does not define `name` for kernels
            return getattr(_provided, name)

    def default_stream(self) -> Any:
        """Returns a CUDA stream without work, because in the simulator a kernel has finished when its launch returns."""
        return _provided.stream()


cuda: Any = _SimulatedCuda() if SIMULATED else _provided
# True if the package numba-cuda runs the kernels. Unlike Numba's built-in CUDA target, numba-cuda can record CUDA graphs and
# request more shared memory.
NUMBA_CUDA = getattr(cuda, "implementation", "Built-in") == "NVIDIA" and not SIMULATED


def provider() -> str:
    """Returns the name of the package or simulator that provides `numba.cuda`, for messages to users."""
    implementation = getattr(cuda, "implementation", "Built-in")
    if _MLIR:
        return f"numba-cuda-mlir {_cuda_mlir.version()}"
    name = "numba-cuda" if implementation == "NVIDIA" else "numba's built-in target"
    return f"{name}, simulated on the CPU" if SIMULATED else name


def no_fast_kernels() -> str | None:
    """Returns None if the fast kernels can be compiled, else the reason why they cannot, and what the user can do."""
    return _cuda_mlir.NO_FAST_KERNELS if _MLIR else None


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

    If `stream` is None, waits for CUDA's default stream, and thereby for the work in all blocking streams, but not for the work
    in non-blocking streams.
    """
    stream = cuda.default_stream() if stream is None else stream
    synchronize = getattr(stream, "sync", None) or stream.synchronize  # the names of the method in cuda.core and in numba.cuda
    synchronize()


def overload_on_gpu(function: Callable) -> Any:
    """Works like `numba.extending.overload`, but only for kernels.

    In the simulator, kernels call the Python function `function`. If numba-cuda-mlir compiles the kernels, the module
    `_cuda_mlir` replaces `function` with the function of the same name in the module math.
    """
    if SIMULATED or _MLIR:
        return lambda implementation: implementation
    # Recent versions of numba-cuda have their own registry of overloads; older versions and the built-in target use Numba's.
    return getattr(cuda.extending, "overload", overload)(function, target="cuda")


def callable_in_kernels(loop: Any) -> Any:
    """Returns a compiled loop for the CPU in a form that CUDA kernels can call.

    In the simulator, the result is the loop's uncompiled Python function.
    """
    return getattr(loop, "py_func", loop) if SIMULATED else loop


def device_function(function: Callable) -> Any:
    """Compiles a device function, which kernels can call. In the simulator, kernels call the Python function itself."""
    return function if SIMULATED else cuda.jit(device=True)(function)


def recompiled(kernel: Any, function: Callable) -> Any:
    """Compiles a function, which is made at run time, with the compiler options of a kernel or device function."""
    if SIMULATED:
        return cuda.jit(function)
    if isinstance(kernel, _cuda_mlir.Kernel):
        return kernel.recompiled(function)
    return type(kernel)(function, targetoptions=dict(kernel.targetoptions))


def intrinsic_on_gpu(function: Callable) -> Any:
    """Works like `numba.extending.intrinsic`, which emits LLVM code, but for CUDA kernels on a GPU, not in the simulator."""
    return getattr(cuda.extending, "intrinsic", intrinsic)(function)


@cuda.jit
def _probe(x):
    x[0] = 1


def _first_lines(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" :")]
    return " ".join(lines[:2]) or type(error).__name__


def versions() -> _cuda_versions.Versions:
    """Returns the versions of the driver, the CUDA toolkit and numba-cuda on this machine, and the GPU's compute capability."""
    return _cuda_versions.find(
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
        return (
            f"device='cuda' needs an NVIDIA GPU, its driver and numba-cuda. {_cuda_versions.what_to_do(found, str(error))} "
            f"Found: {found}. The error was: {message.rstrip('.')}. To run the kernels slowly on the CPU instead, set the "
            "environment variable NUMBA_ENABLE_CUDASIM=1 before Python starts."
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

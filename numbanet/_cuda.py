"""The only import of `numba.cuda`: kernels, the simulator, and one clear error where there is no usable GPU.

`numba.cuda` is NVIDIA's `numba-cuda` where that is installed (extras `cuda12` and `cuda13`), Numba's built-in target
otherwise, and its simulator where the environment variable NUMBA_ENABLE_CUDASIM is 1.
"""

import contextlib
import contextvars
import functools
import warnings
from typing import Any

import numba.cuda
from numba.extending import intrinsic, overload

from numbanet import _cuda_versions

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
    "overload_on_gpu",
    "provider",
    "select",
    "unusable_reason",
    "versions",
]

# Neither module declares what it holds: the provider of `numba.cuda` is chosen at run time, and `numba.config` fills itself.
cuda: Any = numba.cuda
config: Any = numba.config

SIMULATED = bool(config.ENABLE_CUDASIM)
# Whether kernels run by numba-cuda: it can record them, and ask for shared memory, as Numba's built-in target cannot.
NUMBA_CUDA = getattr(cuda, "implementation", "Built-in") == "NVIDIA" and not SIMULATED


def provider() -> str:
    """Which implementation of `numba.cuda` this is, in words."""
    implementation = getattr(cuda, "implementation", "Built-in")
    name = "numba-cuda" if implementation == "NVIDIA" else "numba's built-in target"
    return f"{name}, simulated on the CPU" if SIMULATED else name


# What numba-cuda launches kernels on: a stream, 0 for the default one, or what records them.
_stream = contextvars.ContextVar("_stream", default=0)


@contextlib.contextmanager
def launching_on(stream):
    """A context in which `configured` kernels are launched on a stream, or recorded by a graph's builder."""
    token = _stream.set(stream)
    try:
        yield
    finally:
        _stream.reset(token)


def configured(kernel, grid, block, shared_bytes=0):
    """kernel[grid, block, stream, shared_bytes], without numba.cuda's warning of small grids: small networks have no larger."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kernel[grid, block, _stream.get(), shared_bytes]


def overload_on_gpu(function):
    """`numba.extending.overload` for kernels alone; the simulator's call the Python function."""
    if SIMULATED:
        return lambda implementation: implementation
    # numba-cuda looks up functions in tables of its own, older ones and the built-in target in Numba's
    return getattr(cuda.extending, "overload", overload)(function, target="cuda")


def callable_in_kernels(loop):
    """A CPU's loop, as kernels can call it with arrays; the simulator's arrays are none of Numba's."""
    return getattr(loop, "py_func", loop) if SIMULATED else loop


def device_function(function):
    """`cuda.jit(device=True)`, for what kernels of the same file call; the simulator's own way to call it is slow."""
    return function if SIMULATED else cuda.jit(device=True)(function)


def intrinsic_on_gpu(function):
    """`numba.extending.intrinsic` for kernels; the simulator has none."""
    return getattr(cuda.extending, "intrinsic", intrinsic)(function)


@cuda.jit
def _probe(x):
    x[0] = 1


def _first_lines(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip(" :")]
    return " ".join(lines[:2]) or type(error).__name__


def versions() -> _cuda_versions.Versions:
    """Driver, toolkit, numba-cuda and GPU of this machine."""
    return _cuda_versions.find(
        _if_known(lambda: cuda.runtime.get_version()), _if_known(lambda: cuda.get_current_device().compute_capability)
    )


def _if_known(ask):
    try:
        return ask()
    except Exception:  # the driver, the toolkit and the simulator each raise their own kind
        return None


@functools.cache
def unusable_reason() -> str | None:
    """None where a kernel runs (on a GPU, or in the simulator); else what was found, what is wrong and what to install."""
    if SIMULATED:
        return None
    try:
        cuda.current_context()  # the driver's own words when there is no driver or no GPU
        configured(_probe, 1, 1)(cuda.device_array(1))
        cuda.synchronize()
    except Exception as error:  # the driver, the toolkit and the linker each raise their own kind
        found, words = versions(), _first_lines(error)
        return (
            f"device='cuda' needs an NVIDIA GPU, its driver and numba-cuda. {_cuda_versions.what_to_do(found, str(error))} "
            f"Found: {found}. The error was: {words.rstrip('.')}. To run the kernels slowly on the CPU instead, set the "
            "environment variable NUMBA_ENABLE_CUDASIM=1 before Python starts."
        )
    return None


def select(number: int) -> None:
    """Lets this thread compute on the GPU of that number, counted around where there are fewer; nothing where there is none."""
    if SIMULATED:
        return
    try:
        cuda.select_device(number % len(cuda.gpus))
    except Exception:  # the driver's errors have no common class; whoever asks for a GPU is told
        return


def devices() -> list[str]:
    """One line per usable GPU: its name, compute capability, multiprocessors and memory."""
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

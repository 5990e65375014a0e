"""Lets numba-cuda-mlir, the successor of numba-cuda, compile numbanet's kernels.

numba-cuda-mlir does not use Numba, and knows neither the functions that `numba.njit` has compiled, nor Numba's overloads.
`MlirCuda.jit` therefore replaces such functions in a kernel's code. A function compiled by `njit` becomes a device function
with the same Python code. A function of `numbanet._elementary` becomes the function of the same name in the module math.

The kernels for kernels="reference" are written in plain Python, and work with numba-cuda-mlir. The kernels for kernels="fast"
do not work with numba-cuda-mlir: they use functions that generate LLVM code with llvmlite (`engines/cuda/memory/device.py`),
but numba-cuda-mlir generates MLIR.
"""

import functools
import importlib.metadata
import importlib.util
import inspect
import math
import types
from collections.abc import Callable, Iterator
from typing import Any

from numbanet._cuda.kernel import Kernel

NO_FAST_KERNELS = (
    "numba-cuda-mlir cannot compile the fast kernels, which generate code with llvmlite: pass kernels='reference', or install "
    "the package numba-cuda"
)
_OF_MATH = ("exp", "expm1", "log1p")  # the functions of `numbanet._elementary`


def is_installed() -> bool:
    """Returns True if the package numba-cuda-mlir is installed."""
    return importlib.util.find_spec("numba_cuda_mlir") is not None


def version() -> str:
    """Returns the version of the package numba-cuda-mlir, which must be installed."""
    return importlib.metadata.version("numba-cuda-mlir")


class MlirCuda:
    """A replacement for the module `numba.cuda`: only `jit` is numbanet's own, all other names come from numba-cuda-mlir."""

    implementation = "numba-cuda-mlir"

    def __init__(self):
        from numba_cuda_mlir import cuda, extending

        self._cuda = cuda
        _lower_type(extending)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cuda, name)

    def jit(self, function: Callable | None = None, **options: Any) -> Any:
        """Works like `numba.cuda.jit`. The function is compiled when it is first called."""
        if function is None:
            return functools.partial(self.jit, **options)
        return Kernel(self._compiled, function, options)

    def _compiled(self, function: Callable, **options: Any) -> Any:
        """Hands a function to numba-cuda-mlir, with lto=True: as in numba-cuda, the linker may inline device functions."""
        return self._cuda.jit(lto=True, **options)(_rebuilt(function, self))


@functools.cache
def _device_function(function: Callable, provider: MlirCuda) -> Any:
    return provider._compiled(function, device=True)


def _rebuilt(function: Any, provider: MlirCuda) -> Callable:
    """Returns a function with the same code as `function`, which calls only functions that numba-cuda-mlir can compile."""
    names = dict(function.__globals__)
    for name in set(_names_in(function.__code__)) & names.keys():
        names[name] = _compilable(names[name], provider)
    closure = tuple(types.CellType(_compilable(cell.cell_contents, provider)) for cell in function.__closure__ or ())
    return types.FunctionType(function.__code__, names, function.__name__, function.__defaults__, closure)


def _compilable(value: Any, provider: MlirCuda) -> Any:
    if value is provider:
        return provider._cuda
    if getattr(value, "__module__", None) == "numbanet._elementary" and value.__name__ in _OF_MATH:
        return getattr(math, value.__name__)
    return _device_function(value.py_func, provider) if hasattr(value, "py_func") else value


def _names_in(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if inspect.iscode(constant):
            yield from _names_in(constant)


def _lower_type(extending: Any) -> None:
    """Makes numba-cuda-mlir generate code for the function `type`, as in type(z)(1).

    By default, numba-cuda-mlir infers the type of such a call, but cannot generate code for the call.
    """
    from numba_cuda_mlir.numba_cuda import types as mlir_types

    @extending.lower_builtin(type, mlir_types.Any)
    def lower_type(lowering, target, arguments, keywords):
        lowering.store_var(target, lowering.get_numba_type(target.name))

    extending.refresh_registries()

"""Two classes that replace the module `numba.cuda`.

`NumbaCuda` delays the import of `numba.cuda` until the module is needed. `SimulatedCuda` is for Numba's simulator.
"""

import functools
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import types
from numba.extending import overload

from numbanet._cuda.kernel import Kernel


def is_of_nvidia() -> bool:
    """Returns True if NVIDIA's package numba-cuda provides the module `numba.cuda`, and False if Numba itself provides it.

    The function does not import `numba.cuda`.
    """
    spec = importlib.util.find_spec("numba.cuda")
    return spec is not None and "numba_cuda" in Path(spec.origin or "").parts


class NumbaCuda:
    """Replaces the module `numba.cuda`, and delays its import.

    `numba.cuda` is imported when a kernel, or a name other than `jit` and `overload`, is first used.

    A process that computes on the CPU does not need `numba.cuda`, whose import takes a tenth of the time until the first epoch
    is trained.
    """

    def __init__(self):
        self._overloads: list[tuple[Callable, Callable]] = []

    @functools.cached_property
    def _module(self) -> Any:
        import numba.cuda

        module: Any = numba.cuda
        # Recent versions of numba-cuda have their own registry of overloads; the built-in target uses the registry of Numba.
        register = getattr(module.extending, "overload", overload)
        while self._overloads:
            function, implementation = self._overloads.pop()
            register(function, target="cuda")(implementation)
        return module

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)

    @property
    def _numba_type_(self) -> Any:
        """The Numba type of the name `cuda` in kernels: the type of the module `numba.cuda`."""
        return types.Module(self._module)

    def jit(self, function: Callable | None = None, **options: Any) -> Any:
        """Works like `numba.cuda.jit`. The function is handed to `numba.cuda.jit` when it is first used."""
        if function is None:
            return functools.partial(self.jit, **options)
        return Kernel(lambda function, **options: self._module.jit(**options)(function), function, options)

    def overload(self, function: Callable, implementation: Callable) -> None:
        """Overloads `function` in kernels, like numba.extending.overload(function)(implementation)."""
        self._overloads.append((function, implementation))


class SimulatedCuda:
    """A replacement for `numba.cuda` in Numba's simulator, with which every module can use names such as `threadIdx`.

    The simulator itself provides `threadIdx`, `syncthreads` and similar names only in the module that contains the running
    kernel.
    """

    def __init__(self):
        import numba.cuda

        self._module: Any = numba.cuda

    def __getattr__(self, name: str) -> Any:
        running = self._module.simulator.kernel._get_kernel_context()
        try:
            return getattr(running, name)
        except AttributeError:  # no kernel is running, or the simulator does not define `name` for kernels
            return getattr(self._module, name)

    def default_stream(self) -> Any:
        """Returns a stream with no pending work: in the simulator, a kernel has finished when its launch returns."""
        return self._module.stream()

"""Defines `Kernel`: a CUDA kernel or device function that is compiled when it is first used."""

import functools
from collections.abc import Callable
from typing import Any


class Kernel:
    """A CUDA kernel or device function, which at its first use is handed to the package that compiles it, such as numba-cuda.

    Before the first use, that package need not be imported, and the globals of the function need not be defined.

    Parameters
    ----------
    compiler : callable
        compiler(function, **options) returns a dispatcher object, which compiles and launches the function.
    function : callable
        The Python function.
    options : dict
        The compiler's options, such as `device` and `max_registers`.
    """

    def __init__(self, compiler: Callable, function: Callable, options: dict[str, Any]):
        self.compiler, self.py_func, self.options = compiler, function, options
        functools.update_wrapper(self, function)  # type: ignore[arg-type]

    @functools.cached_property
    def dispatcher(self) -> Any:
        """The dispatcher object, which compiles and launches the function."""
        return self.compiler(self.py_func, **self.options)

    def __getitem__(self, configuration: Any) -> Any:
        return self.dispatcher[configuration]

    def __getattr__(self, name: str) -> Any:
        """Returns an attribute of the dispatcher.

        When another kernel calls this object, Numba's compiler reads the object's Numba type from the attribute `_numba_type_`.
        """
        if name.startswith("__"):  # Python itself and tools look up such names, which must not start an import
            raise AttributeError(name)
        return getattr(self.dispatcher, name)

    def recompiled(self, function: Callable) -> "Kernel":
        """Returns a kernel or device function with the code of `function` and the compiler options of this object."""
        return Kernel(self.compiler, function, self.options)

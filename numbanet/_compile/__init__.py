"""Compilation for the CPU: decorators with the package's compiler flags, and a cache of the compiled functions.

=============== ============================ ====== ========================================================================
decorator       callers                      cached use it for
=============== ============================ ====== ========================================================================
`njit`          Python and compiled code     yes    loops of the sheet, and formulas of a few instructions
`njit_formula`  Python and compiled code     yes    longer formulas, so that LLVM inlines and vectorises the loop around them
`njit_entry`    Python, once per slice       yes    the function by which an engine enters compiled code
`njit_part`     compiled code only           no     phases of an epoch: machine code is made once, in the caller
`njit_merged`   compiled code only           no     microkernels and small helpers: like `njit_part`, inlined at every call
=============== ============================ ====== ========================================================================

`parts_of` turns formulas of `numbanet.equations` into `njit_merged` functions. `overload` and `register_jitable` of Numba take
options instead of a decorator; MERGED contains the options of `njit_merged`. Functions compiled by `njit_part` or `njit_merged`
need no cache of their own, because their code is cached with the `njit_entry` function that calls them.

No other module of the package imports `numba.njit`.
"""

import contextlib
import functools
import gc
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numba
import numba.core.config
from numba import extending
from numba.core import event
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

from numbanet._compile.cache import FunctionCache
from numbanet._compile.folder import cache_folder
from numbanet._compile.interrupts import signals_held

config: Any = numba.core.config  # reads the environment; its attributes are not declared for type checkers
intrinsic: Any = extending.intrinsic  # its declared type would include the typing context among the parameters

# error_model "numpy": a division by zero gives inf or NaN as in IEEE arithmetic. The default, "python", puts a branch into
# every loop that divides, and such a loop does not vectorise.
# fastmath "contract": a * b + c may become one fused operation. Never reassoc, nnan or ninf: they change sums with the
# vector width and delete the tests for NaN.
# nogil: other Python threads can run while a compiled function runs.
# no_cfunc_wrapper: C code never calls a compiled function, so Numba need not compile a wrapper for such calls.
FLAGS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}, "nogil": True, "no_cfunc_wrapper": True}

# Without forceinline, LLVM does not inline a function of more than about fifty instructions, and the calling loop stays scalar.
_INLINED = FLAGS | {"forceinline": True}


def njit(function: Callable, flags: dict[str, Any] = FLAGS) -> Any:
    """Compiles a function like `numba.njit`, with the flags of the package, and with its cache (see `FunctionCache`)."""
    dispatcher: Any = numba.njit(**flags)(function)
    if config.DISABLE_JIT:  # it is the plain Python function
        return dispatcher
    # numba.cuda takes any of the fastmath flags for all, and would approximate exp, log and division.
    dispatcher.targetoptions = dispatcher.targetoptions | {"fastmath": False}
    dispatcher._cache = FunctionCache(function)
    dispatcher.compile = _heard(dispatcher.compile)
    return dispatcher


def _heard(compile: Callable) -> Callable:
    """Returns the method `compile` of a dispatcher, made such that Ctrl-C ends it (see `signals_held`)."""

    @functools.wraps(compile)
    def compile_(sig: Any) -> Any:
        with signals_held():
            return compile(sig)

    return compile_


def compile_for(dispatcher: Any, arguments: tuple) -> None:
    """Compiles a function for the types of these arguments, unless it is compiled already, without calling it."""
    if not config.DISABLE_JIT:
        dispatcher.compile(tuple(map(dispatcher.typeof_pyval, arguments)))


def njit_formula(function: Callable) -> Any:
    """Compiles a formula like `njit`, but so that LLVM inlines it into every loop that calls it, even if it is long."""
    return njit(function, _INLINED)


class _PartLibrary(JITCodeLibrary):
    """The code of a function compiled by `njit_part`, which is not optimised until it is linked into its caller.

    By default, Numba would optimise the function and generate its machine code, and repeat this work for every caller.
    """

    def _optimize_final_module(self):
        pass

    def _finalize_final_module(self):
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        return 0

    @property
    def codegen(self) -> Any:
        return self

    def set_env(self, name: str, env: Any) -> None:
        """Does nothing, because Python never calls a function of `njit_part`, so that it needs no environment object."""


class _PartCompiler(Compiler):
    def define_pipelines(self):
        self.state.library = _PartLibrary(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        return super().define_pipelines()


# _nrt False: arrays are not reference-counted. No compiled function returns an array, and each count is a locked instruction.
_ENTRY: dict[str, Any] = FLAGS | {"_nrt": False}
_PART: dict[str, Any] = _ENTRY | {"no_cpython_wrapper": True, "pipeline_class": _PartCompiler}
MERGED: Any = _PART | _INLINED


def njit_entry(function: Callable) -> Any:
    """Compiles a function that Python calls to start the compiled code of an engine."""
    return njit(function, _ENTRY)


def njit_part(function: Callable) -> Any:
    """Compiles a function that only compiled code calls; this takes a third less time than with `njit`."""
    return numba.njit(**_PART)(function)


def njit_merged(function: Callable) -> Any:
    """Compiles a function that LLVM inlines into every caller, so that vectors stay in registers and arguments cost nothing."""
    return numba.njit(**MERGED)(function)


def parts_of(*formulas: Any) -> tuple[Any, ...]:
    """Compiles formulas again by `njit_merged`, so that an engine does not have to compile their wrappers for Python."""
    if config.DISABLE_JIT:
        return formulas
    return tuple(njit_merged(formula.py_func) for formula in formulas)


@contextlib.contextmanager
def collection_paused() -> Iterator[None]:
    """Returns a context that pauses garbage collection, which otherwise takes a tenth of the time of a long compilation."""
    enabled = gc.isenabled()
    try:
        gc.disable()  # within try, because a signal handler may raise an exception right after it
        yield
    finally:
        if enabled:
            gc.enable()


class _FirstCompilation(event.Listener):
    """A listener that reports the first compilation; Numba sends no event if a function is loaded from the cache."""

    reported = False

    def on_start(self, event: Any) -> None:
        if not _FirstCompilation.reported:
            _FirstCompilation.reported = True
            once = ", once" if (folder := cache_folder()) and os.access(folder, os.W_OK) else ""
            with contextlib.suppress(AttributeError, ValueError, OSError):  # standard error may be absent or closed
                sys.stderr.write(f"numbanet: compiling for this machine{once}; this takes some seconds ...\n")  # type: ignore
                sys.stderr.flush()  # type: ignore[union-attr]

    def on_end(self, event: Any) -> None:
        pass


def announced() -> contextlib.AbstractContextManager:
    """Returns a context manager that reports the first compilation within it on stderr."""
    return event.install_listener("numba:compile", _FirstCompilation())

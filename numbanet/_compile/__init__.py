"""Compilation for the CPU: decorators with the package's compiler flags, and a cache of the compiled functions.

=============== ============================ ====== ========================================================================
decorator       callers                      cached use it for
=============== ============================ ====== ========================================================================
`njit`          Python and compiled code     yes    reference loops, and formulas of a few instructions
`njit_formula`  Python and compiled code     yes    longer formulas, which LLVM inlines, so that it can vectorise the loop
`njit_entry`    Python, once per slice       yes    the function that an engine calls to start compiled code
`njit_part`     compiled code only           no     phases of an epoch; their machine code is generated in the caller only
`njit_merged`   compiled code only           no     microkernels and small functions, which are inlined at every call
=============== ============================ ====== ========================================================================

`parts_of` compiles formulas of `numbanet.equations` again, as `njit_merged` functions. Numba's `overload` and
`register_jitable` take options instead of a decorator; MERGED contains the options that `njit_merged` uses. The code of
`njit_part` and `njit_merged` functions is cached as a part of the `njit_entry` function that calls them.

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

config: Any = numba.core.config  # typed as Any, because Numba creates the attributes from environment variables
intrinsic: Any = extending.intrinsic  # typed as Any, because the declared type includes the parameter `typingctx`

# error_model "numpy": a division by zero returns inf or NaN, as in IEEE arithmetic. The default, "python", adds a branch to
# every loop that divides; LLVM cannot vectorise such a loop.
# fastmath "contract": LLVM may fuse a * b + c into one operation. The flags reassoc, nnan and ninf must not be used: with
# reassoc, sums depend on the vector width; with nnan and ninf, LLVM deletes tests for NaN and infinity.
# nogil: other Python threads can run while a compiled function runs.
# no_cfunc_wrapper: Numba compiles no wrapper for calls from C code, because C code never calls the compiled functions.
FLAGS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}, "nogil": True, "no_cfunc_wrapper": True}

# Without forceinline, LLVM does not inline functions of more than about fifty instructions, and cannot vectorise the calling
# loop.
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
    """Compiles a formula like `njit`, and makes LLVM inline it into every loop that calls it, even if the formula is long."""
    return njit(function, _INLINED)


class _PartLibrary(JITCodeLibrary):
    """The code of a function that `njit_part` compiles. The code is not optimised until it is linked into its caller.

    By default, Numba would optimise the function and generate its machine code, and then repeat this work for every caller.
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
        """Does nothing. Python never calls a function that `njit_part` compiles, so that it needs no environment object."""


class _PartCompiler(Compiler):
    def define_pipelines(self):
        self.state.library = _PartLibrary(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        return super().define_pipelines()


# With _nrt False, Numba does not count references to arrays. Counting is not needed, because no compiled function returns an
# array, and slow, because each count is an atomic instruction.
_ENTRY: dict[str, Any] = FLAGS | {"_nrt": False}
_PART: dict[str, Any] = _ENTRY | {"no_cpython_wrapper": True, "pipeline_class": _PartCompiler}
MERGED: Any = _PART | _INLINED


def njit_entry(function: Callable) -> Any:
    """Compiles a function that Python calls to start an engine's compiled code."""
    return njit(function, _ENTRY)


def njit_part(function: Callable) -> Any:
    """Compiles a function that is called only from compiled code. The compilation takes a third less time than with `njit`."""
    return numba.njit(**_PART)(function)


def njit_merged(function: Callable) -> Any:
    """Compiles a function that LLVM inlines into every caller, so that vectors stay in registers and arguments are free."""
    return numba.njit(**MERGED)(function)


def parts_of(*formulas: Any) -> tuple[Any, ...]:
    """Compiles formulas again with `njit_merged`, so that an engine need not compile their wrappers for calls from Python."""
    if config.DISABLE_JIT:
        return formulas
    return tuple(njit_merged(formula.py_func) for formula in formulas)


@contextlib.contextmanager
def collection_paused() -> Iterator[None]:
    """Returns a context manager that pauses garbage collection, which would take a tenth of the time of a long compilation."""
    enabled = gc.isenabled()
    try:
        gc.disable()  # within try, because a signal handler may raise an exception right after this call
        yield
    finally:
        if enabled:
            gc.enable()


class _FirstCompilation(event.Listener):
    """A listener that reports the first compilation. If a function is loaded from the cache, Numba sends no event."""

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
    """Returns a context manager that, at the first compilation within the context, writes a message to standard error."""
    return event.install_listener("numba:compile", _FirstCompilation())

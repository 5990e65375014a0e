"""Compiles functions for the CPU: defines decorators that set the package's compiler flags and cache the machine code.

An engine runs several consecutive training steps, called a slice, in one call to compiled code.

=============== ============================ ====== ========================================================================
decorator       callers                      cached use it for
=============== ============================ ====== ========================================================================
`njit`          Python and compiled code     yes    reference loops, and formulas of a few instructions
`njit_formula`  Python and compiled code     yes    longer formulas; LLVM inlines them, and can vectorise the calling loop
`njit_entry`    Python, once per slice       yes    the function that an engine calls to start compiled code
`njit_routine`  compiled code, by address    yes    functions that only some networks need, such as activations or training
`njit_part`     compiled code only           no     loops of an engine's function; only the caller contains their code
`njit_merged`   compiled code only           no     microkernels and small functions, which are inlined at every call
=============== ============================ ====== ========================================================================

`parts_of` compiles a formula of `numbanet.equations` a second time, with the decorator `njit_merged`, so that LLVM inlines the
formula. MERGED contains the compiler options of `njit_merged`; other modules pass MERGED to `njit` and to Numba's `overload`
and `register_jitable`. The code of `njit_part` and `njit_merged` functions is cached as a part of the `njit_entry` or
`njit_routine` function that calls them.

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
import numpy as np
from llvmlite.binding.newpassmanagers import create_new_function_pass_manager
from numba import extending, types
from numba.core import event, typed_passes, untyped_passes
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.registry import CPUDispatcher
from numba.np import numpy_support

from numbanet._compile.cache import FunctionCache
from numbanet._compile.folder import cache_folder
from numbanet._compile.interrupts import signals_held
from numbanet._compile.repetition import without_repetition

config: Any = numba.core.config  # typed as Any, because Numba creates this module's attributes from environment variables
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


def njit(function: Callable, flags: dict[str, Any] = FLAGS, cached: bool = True) -> Any:
    """Compiles a function as `numba.njit` does, but with the package's compiler flags and the package's `FunctionCache`.

    The cache recognises a function by its module, name, line number and bytecode. `cached` must be False for a function
    that is made at run time: functions with the same code, but other global or closure variables, would share a cache file.
    """
    dispatcher: Any = numba.njit(**flags)(function)
    if config.DISABLE_JIT:  # without compilation, `dispatcher` is the plain Python function
        return dispatcher
    # If one fastmath flag is set, numba.cuda sets all of them, and would then approximate exp, log and division.
    dispatcher.targetoptions = dispatcher.targetoptions | {"fastmath": False}
    if cached:
        dispatcher._cache = FunctionCache(function, flags.get("_nrt", True))
    dispatcher.compile = _heard(dispatcher.compile)
    return dispatcher


def _heard(compile: Callable) -> Callable:
    """Returns a wrapper of Numba's method `compile` that saves an eighth of the time, and that Ctrl-C can interrupt safely."""

    @functools.wraps(compile)
    def compile_(sig: Any) -> Any:
        with signals_held(), without_repetition():
            return compile(sig)

    return compile_


def types_of(arguments: tuple) -> tuple:
    """Returns the Numba types of a call's arguments, or an empty tuple if Numba's compiler is disabled."""
    return () if config.DISABLE_JIT else tuple(map(_type_of, arguments))


def _type_of(value: Any) -> Any:
    """Returns `numba.typeof(value)`, but does not import numpy.ma; for an array, `numba.typeof` would import it."""
    if type(value) is tuple:
        return types.BaseTuple.from_types(tuple(map(_type_of, value)))
    if isinstance(value, np.ndarray):
        dtype, layout = numpy_support.from_dtype(value.dtype), numpy_support.map_layout(value)
        return types.Array(dtype, value.ndim, layout, readonly=not value.flags.writeable)
    return numba.typeof(value)


def compiled_for(dispatcher: Any, argument_types: tuple) -> Callable:
    """Returns the machine code of `dispatcher`, a compiled function, for given argument types, as a function for Python.

    Compiles the function if necessary. The returned function does not determine the types of its arguments, which saves some
    microseconds per call. Arguments of other types, or arrays that are not contiguous, would make the returned function read
    wrong memory.
    """
    return dispatcher if config.DISABLE_JIT else dispatcher.compile(argument_types)


def must_be_compiled(dispatcher: Any, argument_types: tuple) -> bool:
    """Returns True if, for the given types, a function is neither compiled in this process nor stored in the compile cache."""
    if config.DISABLE_JIT or argument_types in dispatcher.overloads:
        return False
    return not dispatcher._cache.holds(argument_types, dispatcher.targetctx.codegen())


def njit_formula(function: Callable, cached: bool = True) -> Any:
    """Compiles a formula as `njit` does, and makes LLVM inline even a long formula into every loop that calls the formula."""
    return njit(function, _INLINED, cached)


def is_dispatcher(function: Any) -> bool:
    """Returns True if `njit` compiled the function, and False for Python functions and CUDA kernels."""
    return isinstance(function, CPUDispatcher)


def recompiled(dispatcher: Any, function: Callable) -> Any:
    """Compiles `function`, which was made at run time, with the compiler flags of the compiled function `dispatcher`."""
    return njit(function, _INLINED if dispatcher.targetoptions.get("forceinline") else FLAGS, cached=False)


class _EngineLibrary(JITCodeLibrary):
    """The LLVM code of a function that an engine calls. The code is optimised in less time than in Numba's default library.

    Numba's default library runs all passes over each function before it links the function's callees. After linking, Numba's
    library runs two rounds of passes. The first round inlines the callees, so that reference counts can be removed; the second
    round optimises everything. The first round is unnecessary here, because the functions of the engines do not count
    references to arrays.
    """

    def _optimize_functions(self, ll_module):
        """Makes the functions small, so that LLVM inlines them into their callers."""
        ll_module.data_layout = self._codegen._data_layout
        passes, builder = create_new_function_pass_manager(), self._codegen._pass_builder()
        passes.add_sroa_pass()
        passes.add_instruction_combine_pass()
        passes.add_simplify_cfg_pass()
        for function in ll_module.functions:
            passes.run(function, builder)

    def _optimize_final_module(self):
        passes, builder = self._codegen._module_pass_manager()
        passes.run(self._final_module, builder)


class _PartLibrary(_EngineLibrary):
    """The LLVM code of a function that `njit_part` compiles. LLVM optimises the code only after linking it into a caller.

    An `_EngineLibrary` would also contain optimised machine code of the function itself, which nothing calls.
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
        """Does nothing.

        A function that `njit_part` compiles needs no environment (Numba's store of Python objects), because Python
        never calls the function.
        """


# The compiler passes that the functions of an engine do not need. The first six passes rewrite closures, `with` blocks, `raise`
# statements, and calls to functions that Numba itself inlines. `LiteralUnroll` and the next two passes handle literal
# arguments. `NopythonRewrites` fuses whole-array expressions. `IRLegalization` marks the last use of each variable, for Numba's
# reference counting. The last two passes warn of deprecated types, and annotate the source code with types.
_UNNEEDED = {
    untyped_passes.WithLifting,
    untyped_passes.InlineClosureLikes,
    untyped_passes.RewriteDynamicRaises,
    untyped_passes.MakeFunctionToJitFunction,
    untyped_passes.InlineInlinables,
    typed_passes.InlineOverloads,
    untyped_passes.LiteralUnroll,
    untyped_passes.FindLiterallyCalls,
    untyped_passes.LiteralPropagationSubPipelinePass,
    typed_passes.NopythonRewrites,
    typed_passes.IRLegalization,
    typed_passes.NoPythonSupportedFeatureValidation,
    typed_passes.AnnotateTypes,
}


class _EntryCompiler(Compiler):
    """Compiles a function without Numba's compiler passes in _UNNEEDED, which saves about a tenth of the time."""

    library: type[JITCodeLibrary] = _EngineLibrary

    def define_pipelines(self):
        self.state.library = self.library(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        self.state.library.enable_object_caching()
        pipelines = super().define_pipelines()
        for pipeline in pipelines:
            pipeline.passes = [step for step in pipeline.passes if step[0] not in _UNNEEDED]
        return pipelines


class _PartCompiler(_EntryCompiler):
    library = _PartLibrary


# With _nrt False, Numba does not count references to arrays. Reference counting is unnecessary, because no compiled function
# returns an array. Reference counting would also be slow, because it uses atomic instructions.
_ENTRY: dict[str, Any] = FLAGS | {"_nrt": False, "pipeline_class": _EntryCompiler}
_ROUTINE: dict[str, Any] = _ENTRY | {"no_cpython_wrapper": True}
_PART: dict[str, Any] = _ROUTINE | {"pipeline_class": _PartCompiler}
MERGED: Any = _PART | _INLINED


def njit_entry(function: Callable) -> Any:
    """Compiles a function that Python calls to start an engine's compiled code."""
    return njit(function, _ENTRY)


def njit_routine(function: Callable) -> Any:
    """Compiles a function that compiled code calls by its address, which `address_of` returns."""
    return njit(function, _ROUTINE)


def address_of(routine: Any, argument_types: tuple) -> int:
    """Returns the address of a function's machine code for the given argument types. Compiles the function if necessary."""
    if argument_types not in routine.overloads:
        routine.compile(argument_types)
    compiled = routine.overloads[argument_types]
    return compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)


def njit_part(function: Callable) -> Any:
    """Compiles a function that only compiled code calls. The compilation takes a third less time than with `njit`."""
    return numba.njit(**_PART)(function)


def njit_merged(function: Callable) -> Any:
    """Compiles a function that LLVM inlines into every caller, so that vectors stay in registers and arguments cost no time."""
    return numba.njit(**MERGED)(function)


def parts_of(*formulas: Any) -> tuple[Any, ...]:
    """Compiles formulas a second time, with `njit_merged`, for callers that are compiled functions.

    LLVM inlines the code of a formula compiled with `njit_merged` at every call. Compiling a formula with `njit_merged` is
    faster than with `njit`, because no wrapper for calls from Python is created.
    """
    if config.DISABLE_JIT:
        return formulas
    return tuple(njit_merged(formula.py_func) for formula in formulas)


@contextlib.contextmanager
def collection_paused() -> Iterator[None]:
    """Returns a context manager that pauses garbage collection, which would make a long compilation a tenth slower."""
    enabled = gc.isenabled()
    try:
        gc.disable()  # within try, because a signal handler may raise an exception right after this call
        yield
    finally:
        if enabled:
            gc.enable()


class _FirstCompilation(event.Listener):
    """Writes a message to standard error when the first compilation in this process starts.

    Numba calls `on_start` before it compiles a function, but not before it loads a function from the cache.
    """

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
    """Returns a context manager that writes a message to standard error when the process's first compilation starts."""
    return event.install_listener("numba:compile", _FirstCompilation())

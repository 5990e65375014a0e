"""How every CPU loop is compiled: the only import of `numba.njit`, the flags by name, and the cache, in one place."""

import contextlib
import functools
import gc
import hashlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite
import numba
from numba import extending
from numba.core import event
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

config: Any = numba.config  # fills itself from the environment; no attribute is declared
intrinsic: Any = extending.intrinsic  # its declared type is that of the function it decorates, typing context included

# error_model "numpy": a division by zero gives inf or NaN as in IEEE arithmetic. The default, "python", puts a branch into
# every loop that divides, and no such loop vectorises.
# fastmath "contract": a * b + c may become one fused operation. Never reassoc, nnan or ninf: they change sums with the
# vector width and delete the tests for NaN.
# nogil: other threads of Python go on while a loop runs.
# no_cfunc_wrapper: nothing but Python and other loops calls a loop.
FLAGS = {"error_model": "numpy", "fastmath": {"contract"}, "nogil": True, "no_cfunc_wrapper": True}

# LLVM leaves a call to a function of more than some fifty instructions as it is, and the loop around it scalar.
INLINED = FLAGS | {"forceinline": True}


def _folder_by_sources() -> str:
    """A folder named by all of our sources and the compiler's versions.

    Numba's own cache looks at the file of the compiled function only: a loop that calls a formula from another file would
    keep the machine code of a formula edited since (numba issues 1833 and 8396).
    """
    package = Path(__file__).parent
    stamp = hashlib.sha256(f"{numba.__version__} {llvmlite.__version__} {sys.version}".encode())
    for source in sorted(package.rglob("*.py")):
        stamp.update(source.relative_to(package).as_posix().encode())
        stamp.update(source.read_bytes())
    base = config.CACHE_DIR or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return str(Path(base) / "numbanet" / stamp.hexdigest()[:16])


@functools.cache
def cache_folder() -> str | None:
    """The cache folder, or None where it cannot be written."""
    try:
        folder = _folder_by_sources()
        Path(folder).mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: no home directory
        return None
    return folder if os.access(folder, os.W_OK) else None


def _exact_on_gpu(dispatcher):
    """numba.cuda takes any fastmath flag of a formula for all of them, and would approximate exp, log and division."""
    if not config.DISABLE_JIT:  # then it is the Python function itself
        dispatcher.targetoptions = dispatcher.targetoptions | {"fastmath": False}
    return dispatcher


def njit(function: Callable, flags: dict[str, Any] = FLAGS) -> Any:
    """`numba.njit` with this package's flags and cache; without the cache where no folder for it can be written."""
    folder = cache_folder()
    if folder is None:
        return _exact_on_gpu(numba.njit(**flags)(function))
    before, config.CACHE_DIR = config.CACHE_DIR, folder  # read by Numba while it decorates, and only then
    try:
        return _exact_on_gpu(numba.njit(cache=True, **flags)(function))
    finally:
        config.CACHE_DIR = before


def njit_formula(function: Callable) -> Any:
    """`njit` for a formula of many instructions: LLVM writes it into every loop that calls it, however long it is."""
    return njit(function, INLINED)


class _PartLibrary(JITCodeLibrary):
    """The code of a part, which waits for a caller's to be optimised with it.

    Numba would optimise it and make machine code of it, to do both again in every caller, and again in theirs.
    """

    def _optimize_final_module(self):
        pass

    def _finalize_final_module(self):
        self._finalized = True

    def get_pointer_to_function(self, name):
        return 0

    @property
    def codegen(self):
        return self

    def set_env(self, name, env):
        """What Numba keeps in memory for a function that Python calls."""


class _PartCompiler(Compiler):
    def define_pipelines(self):
        self.state.library = _PartLibrary(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        return super().define_pipelines()


# _nrt: nobody counts who has an array, and no function returns one. Each count would be a locked instruction.
ENTRY = FLAGS | {"_nrt": False}
PART = ENTRY | {"no_cpython_wrapper": True, "pipeline_class": _PartCompiler}
MERGED: Any = PART | INLINED  # Numba declares a closed set of options, without pipeline_class


def njit_entry(function: Callable) -> Any:
    """`njit` for what Python calls of an engine."""
    return njit(function, ENTRY)


def njit_part(function: Callable) -> Any:
    """`njit` for what only other compiled functions call; it takes a third less to compile that way."""
    return numba.njit(**PART)(function)


def njit_merged(function: Callable) -> Any:
    """`njit_part` that LLVM writes into every caller, so that vectors pass in registers and arguments cost nothing."""
    return numba.njit(**MERGED)(function)


def parts_of(*formulas: Any) -> tuple[Any, ...]:
    """Formulas as `njit_merged` parts: a call of an engine need not compile what Python would call them by."""
    if config.DISABLE_JIT:
        return formulas
    return tuple(njit_merged(formula.py_func) for formula in formulas)


@contextlib.contextmanager
def collection_paused():
    """A context without garbage collection: it would take a tenth of the time that a long compilation takes."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _FirstCompilation(event.Listener):
    """Says once that something is being compiled; Numba's event does not fire for what the cache holds."""

    said = False

    def on_start(self, event):
        if not _FirstCompilation.said:
            _FirstCompilation.said = True
            print("numbanet: compiling for this machine, once; this takes some seconds ...", file=sys.stderr, flush=True)

    def on_end(self, event):
        pass


def announced():
    """A context in which the first compilation says so on stderr."""
    return event.install_listener("numba:compile", _FirstCompilation())

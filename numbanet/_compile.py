"""Compilation for the CPU: the only import of `numba.njit`, the flags with their reasons, and the cache.

=============== ============================ ====== ========================================================================
decorator       called by                    cached use it for
=============== ============================ ====== ========================================================================
`njit`          Python and compiled code     yes    loops of the sheet, and formulas of a few instructions
`njit_formula`  Python and compiled code     yes    longer formulas, so that LLVM inlines and vectorises the loop around them
`njit_entry`    Python, once per slice       yes    the function by which an engine enters compiled code
`njit_part`     compiled code only           no     phases of an epoch: machine code is made once, in the caller
`njit_merged`   compiled code only           no     microkernels and small helpers: like `njit_part`, inlined at every call
=============== ============================ ====== ========================================================================

`parts_of` turns formulas of the sheet into `njit_merged` functions. Where Numba takes options in place of a decorator
(`overload`, `register_jitable`), MERGED holds those of `njit_merged`. Parts need no cache: the entry that holds them has one.
"""

import contextlib
import functools
import gc
import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numba.core.config
import numba.extending
from numba.core import event
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

config: Any = numba.core.config  # fills itself from the environment; no attribute is declared
intrinsic: Any = numba.extending.intrinsic  # its declared type is that of the function it decorates, typing context included

# error_model "numpy": a division by zero gives inf or NaN as in IEEE arithmetic. The default, "python", puts a branch into
# every loop that divides, and such a loop does not vectorise.
# fastmath "contract": a * b + c may become one fused operation. Never reassoc, nnan or ninf: they change sums with the
# vector width and delete the tests for NaN.
# nogil: other Python threads run during a loop.
# no_cfunc_wrapper: C code never calls a loop, so Numba need not compile a wrapper for it.
FLAGS: dict[str, Any] = {"error_model": "numpy", "fastmath": {"contract"}, "nogil": True, "no_cfunc_wrapper": True}

# Without it LLVM does not inline a function of more than about fifty instructions, and the loop around the call stays scalar.
_INLINED = FLAGS | {"forceinline": True}


def _folder_by_sources() -> str:
    """Returns the path of a cache folder, named by a hash of all sources of the package and of the compiler's versions.

    Numba's own cache checks only the file of the compiled function: a loop that calls a formula from another file would
    keep the machine code of the formula before an edit (numba issues 1833 and 8396).
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
    """Returns the path of the cache folder, or None if it cannot be written."""
    try:
        folder = _folder_by_sources()
        Path(folder).mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):  # RuntimeError: no home directory
        return None
    return folder if os.access(folder, os.W_OK) else None


def _exact_on_gpu(dispatcher: Any) -> Any:
    """Hides fastmath from numba.cuda, which reads any of its flags as all, and would approximate exp, log and division."""
    if not config.DISABLE_JIT:  # if it is set, the dispatcher is the plain Python function
        dispatcher.targetoptions = dispatcher.targetoptions | {"fastmath": False}
    return dispatcher


def njit(function: Callable, flags: dict[str, Any] = FLAGS) -> Any:
    """Compiles like `numba.njit`, with the package's flags and its cache; without the cache if its folder cannot be written."""
    folder = cache_folder()
    if folder is None:
        return _exact_on_gpu(numba.njit(**flags)(function))
    before, config.CACHE_DIR = config.CACHE_DIR, folder  # Numba reads it while it decorates, and only then
    try:
        return _exact_on_gpu(numba.njit(cache=True, **flags)(function))
    finally:
        config.CACHE_DIR = before


def njit_formula(function: Callable) -> Any:
    """Compiles a formula of many instructions such that LLVM inlines it into every loop that calls it."""
    return njit(function, _INLINED)


class _PartLibrary(JITCodeLibrary):
    """The code of a part, left unoptimised until it is linked into its caller.

    Numba would optimise a part and generate its machine code, and then do both again in every caller and its callers.
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
        """Does nothing: a part needs no environment in memory, because Python never calls it."""


class _PartCompiler(Compiler):
    def define_pipelines(self):
        self.state.library = _PartLibrary(self.state.targetctx.codegen(), self.state.func_id.func_qualname)
        return super().define_pipelines()


# _nrt False: arrays are not reference-counted. No compiled function returns an array, and each count is a locked instruction.
_ENTRY: dict[str, Any] = FLAGS | {"_nrt": False}
_PART: dict[str, Any] = _ENTRY | {"no_cpython_wrapper": True, "pipeline_class": _PartCompiler}
MERGED: Any = _PART | _INLINED


def njit_entry(function: Callable) -> Any:
    """Compiles the function by which Python enters an engine's compiled code."""
    return njit(function, _ENTRY)


def njit_part(function: Callable) -> Any:
    """Compiles a function that only compiled code calls, in a third less time than `njit`."""
    return numba.njit(**_PART)(function)


def njit_merged(function: Callable) -> Any:
    """Compiles a part that LLVM inlines into every caller: vectors pass in registers, and arguments cost nothing."""
    return numba.njit(**MERGED)(function)


def parts_of(*formulas: Any) -> tuple[Any, ...]:
    """Compiles formulas of the sheet once more as `njit_merged` parts, which saves an engine their wrappers for Python."""
    if config.DISABLE_JIT:
        return formulas
    return tuple(njit_merged(formula.py_func) for formula in formulas)


@contextlib.contextmanager
def collection_paused() -> Iterator[None]:
    """Returns a context without garbage collection, which takes a tenth of the time of a long compilation."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class _FirstCompilation(event.Listener):
    """A listener that reports the first compilation once; Numba fires no event for functions loaded from the cache."""

    reported = False

    def on_start(self, event: Any) -> None:
        if not _FirstCompilation.reported:
            _FirstCompilation.reported = True
            print("numbanet: compiling for this machine, once; this takes some seconds ...", file=sys.stderr, flush=True)

    def on_end(self, event: Any) -> None:
        pass


def announced() -> contextlib.AbstractContextManager:
    """Returns a context in which the first compilation is reported on stderr."""
    return event.install_listener("numba:compile", _FirstCompilation())

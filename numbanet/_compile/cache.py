"""Caches compiled functions: stores their machine code in files, and checks each file before loading it."""

import contextlib
import hashlib
import os
import pickle
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba.core.caching import NullCache
from numba.core.compiler import CompileResult
from numba.core.runtime.nrt import rtsys
from numba.core.serialize import dumps

from numbanet._compile.folder import cache_folder, is_foreign

_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # O_NONBLOCK: opening a pipe must not wait
_MODE = 0o644  # permissions of new files
_HASH_BYTES = hashlib.sha256().digest_size


class FunctionCache(NullCache):
    """Caches the machine code of one function: one file for each combination of argument types and processor.

    Numba's own cache raises an exception if a cache file is damaged or cannot be written, does not notice a flipped bit in
    machine code, and unpickles files of other users. `FunctionCache` instead ignores a file that is damaged or that another
    user could have written; Numba then compiles the function again, and the cache replaces the file. If no cache file can be
    written, each process compiles the function again.

    Parameters
    ----------
    function : callable
        The Python function, which must be defined in a module of this package, and must not have a closure.
    counts_references : bool
        Whether the machine code counts references to arrays, and therefore calls functions of Numba's runtime.
    """

    def __init__(self, function: Callable, counts_references: bool):
        self.function, self.counts_references = function, counts_references

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Returns the compiled function for the argument types `sig`, or None if Numba has to compile it."""
        # Numba's own cache calls `target_context.refresh()`, which compiles the functions of Numba's runtime, imports modules
        # that only a compilation needs, such as scipy.linalg, and takes longer than the rest of this method.
        if self.counts_references:
            rtsys.initialize(target_context)
        key, folder = self._key(sig, target_context.codegen()), cache_folder()
        if folder is None:
            return None
        with contextlib.suppress(Exception):  # pickle can raise any exception; if it does, the function is compiled again
            stored, result = pickle.loads(_read(self._file(folder, key)))
            if stored == key:
                return CompileResult._rebuild(target_context, *result)
        return None

    def holds(self, sig: Any, codegen: Any) -> bool:
        """Returns True if there is a cache file for the argument types `sig`, even if the file is damaged."""
        folder = cache_folder()
        return folder is not None and self._file(folder, self._key(sig, codegen)).exists()

    def save_overload(self, sig: Any, cres: Any) -> None:
        """Writes a compiled function to its cache file. Does nothing if there is no cache folder or if writing fails."""
        folder = cache_folder()
        if folder is None or cres.library.has_dynamic_globals:  # code with addresses of this process cannot be cached
            return
        key = self._key(sig, cres.codegen)
        with contextlib.suppress(OSError):
            _write(self._file(folder, key), dumps((key, cres._reduce())))

    def _key(self, sig: Any, codegen: Any) -> tuple:
        code = self.function.__code__
        bytecode = hashlib.sha256(code.co_code).hexdigest()
        return self.function.__module__, self.function.__qualname__, code.co_firstlineno, bytecode, sig, codegen.magic_tuple()

    def _file(self, folder: Path, key: tuple) -> Path:
        return folder / f"{self.function.__name__.strip('<>')}-{hashlib.sha256(repr(key).encode()).hexdigest()[:20]}.nbc"


def _read(path: Path) -> bytes:
    """Returns the content of a cache file. The file begins with the SHA-256 hash of its content; `_read` checks the hash.

    Raises
    ------
    OSError
        The file cannot be read.
    PermissionError
        The file is not a regular file, or a user other than root and the current user could have written it.
    ValueError
        The hash in the file is not the hash of the content.
    """
    with open(os.open(path, _READ), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or is_foreign(status):
            raise PermissionError(f"{path} is not a regular file, or another user could have written it")
        expected, content = file.read(_HASH_BYTES), file.read()
    if hashlib.sha256(content).digest() != expected:
        raise ValueError(f"{path} is damaged")
    return content


def _write(path: Path, content: bytes) -> None:
    """Atomically replaces the file `path` with a new file that contains the hash of `content`, followed by `content`.

    Only the current user can write the new file, whatever the umask is.
    """
    temporary = f"{path}.{os.getpid()}.{secrets.token_hex(4)}"
    try:
        with open(temporary, "xb", opener=lambda name, flags: os.open(name, flags, _MODE)) as file:
            file.write(hashlib.sha256(content).digest())
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise

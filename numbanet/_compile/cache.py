"""The compile cache: the machine code of functions in files that are checked before they are loaded."""

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
from numba.core.serialize import dumps

from numbanet._compile.folder import cache_folder, is_foreign

_READ = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # a pipe must not block
_MODE = 0o644  # of new files
_HASH_BYTES = hashlib.sha256().digest_size


class FunctionCache(NullCache):
    """The machine code of one function: a file for each combination of argument types and processor.

    Numba's own cache raises an exception if a file is damaged or cannot be written, runs machine code with a flipped bit, and
    unpickles files of other users. Here, a file that is damaged or that another user could have written is compiled anew and
    replaced. If no file can be written, the function is compiled in every process.

    Parameters
    ----------
    function : callable
        The Python function; it must be a function of a module of this package, and have no closure.
    """

    def __init__(self, function: Callable):
        self.function = function

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Returns the compiled function for the argument types `sig`, or None if Numba has to compile it."""
        target_context.refresh()  # as Numba's own cache does
        key, folder = self._key(sig, target_context.codegen()), cache_folder()
        if folder is None:
            return None
        with contextlib.suppress(Exception):  # by whatever pickle raises: an unreadable file costs time, not the call
            stored, result = pickle.loads(_read(self._file(folder, key)))
            if stored == key:
                return CompileResult._rebuild(target_context, *result)
        return None

    def save_overload(self, sig: Any, cres: Any) -> None:
        """Writes a compiled function to its file, if there is a folder for it, and the disk takes it."""
        folder = cache_folder()
        if folder is None or cres.library.has_dynamic_globals:  # machine code with addresses of this process
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
    """Returns the content of a file after its hash.

    Raises
    ------
    OSError
        The file cannot be read.
    PermissionError
        The file is not a regular file, or a user other than this one and root could have written it.
    ValueError
        The file is damaged.
    """
    with open(os.open(path, _READ), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode) or is_foreign(status):
            raise PermissionError(f"{path} is not a file that only this user can write")
        expected, content = file.read(_HASH_BYTES), file.read()
    if hashlib.sha256(content).digest() != expected:
        raise ValueError(f"{path} is damaged")
    return content


def _write(path: Path, content: bytes) -> None:
    """Replaces a file by a hash and the content, in one operation; only this user can write the file, whatever the umask is."""
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

"""Runs a function of this package in a second process, which compiles while this process compiles other functions.

The two processes share the compile cache: the second process writes machine code to the cache, and this process loads it.
Compiling in two threads of one process would save no time, because Numba compiles only one function at a time.
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator

from numbanet._compile.folder import cache_folder

SECONDS = 60.0  # the longest time to wait for the second process

# With the same path, the second process imports the same modules as this process, but not numbanet/__init__.py: its imports
# take a tenth of a second, and no compilation needs them.
_CODE = (
    "import sys, types; sys.path[:] = {path!r}; "
    "package = sys.modules[{root!r}] = types.ModuleType({root!r}); package.__path__ = {folders!r}; "
    "from {module} import {name}; {name}(*{arguments!r})"
)


@contextlib.contextmanager
def called_aside(function: Callable, arguments: tuple[str, ...]) -> Iterator[Callable[[], None]]:
    """Returns a context manager that calls a function in a second process, which fills the compile cache.

    The with statement provides a function that waits until the second process has ended. At its end, the with statement stops
    the second process if it is still running. If there is no cache folder that can be written to, or if no Python process can
    be started, `function` is not called.
    """
    root = function.__module__.partition(".")[0]
    folders, names = list(sys.modules[root].__path__), {"module": function.__module__, "name": function.__name__}
    process = _start(_CODE.format(path=sys.path, root=root, folders=folders, arguments=arguments, **names))
    if process is None:
        yield lambda: None
        return
    try:
        yield lambda: _wait(process)
    finally:
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen) -> None:
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(SECONDS)


def _start(code: str) -> subprocess.Popen | None:
    folder = cache_folder()
    # In programs that embed Python, sys.executable may be another program, or None.
    is_python = os.path.basename(sys.executable or "").startswith("python") and not getattr(sys, "frozen", False)
    if folder is None or not os.access(folder, os.W_OK) or not is_python:
        return None
    silent = subprocess.DEVNULL
    try:
        return subprocess.Popen([sys.executable, "-c", code], stdin=silent, stdout=silent, stderr=silent)
    except OSError:  # the process could not start, for example because their number is limited
        return None

"""Compiles functions of tests and caches their machine code."""

import hashlib
import inspect
from collections.abc import Callable
from typing import Any

from numbanet._compile import njit_entry


def compiled(function: Callable) -> Any:
    """Compiles a test function that calls compiled code of numbanet, with the flags of a function that starts an engine.

    The function's name in the cache contains a hash of its source code. A changed function is therefore compiled again; all
    functions are compiled again after any change of numbanet.
    """
    source = inspect.getsource(function)
    function.__qualname__ += "_" + hashlib.sha256(source.encode()).hexdigest()[:20]
    return njit_entry(function)

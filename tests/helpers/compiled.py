"""Compiles functions of tests and caches their machine code."""

import hashlib
import inspect
from collections.abc import Callable
from typing import Any

from numbanet._compile import njit_entry


def compiled(function: Callable) -> Any:
    """Compiles a test function that calls compiled functions of numbanet, with the compiler flags that numbanet uses.

    The function's name in the cache contains a hash of the function's source code, so a changed function is compiled again.
    After any change of numbanet, all functions are compiled again.
    """
    source = inspect.getsource(function)
    function.__qualname__ += "_" + hashlib.sha256(source.encode()).hexdigest()[:20]
    return njit_entry(function)

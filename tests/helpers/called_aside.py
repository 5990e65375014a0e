"""The functions that tests/compile/test_aside.py calls in a second process.

The second process imports this module only. It therefore starts in a tenth of the time that it would need to import the tests.
"""

import importlib
import os
import time


def write(path: str, text: str) -> None:
    """Writes a file."""
    with open(path, "w") as file:
        file.write(text)


def write_and_sleep(path: str) -> None:
    """Writes the process's id to a file, waits longer than a test, and then replaces the id by "waited"."""
    write(path, str(os.getpid()))
    time.sleep(5)
    write(path, "waited")


def write_content_of(module: str, path: str) -> None:
    """Imports a module, and writes its variable `content` to a file."""
    write(path, importlib.import_module(module).content)


def fail(path: str) -> None:
    """Writes a file, and then raises an error."""
    write(path, "before the error")
    raise ValueError

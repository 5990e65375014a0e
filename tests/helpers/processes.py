"""Starts Python processes for tests."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def python(*arguments, **options) -> Iterator[subprocess.Popen]:
    """A context manager that starts Python with the given arguments and a pipe for its output, and kills it at the end."""
    command = [sys.executable, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()

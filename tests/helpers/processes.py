"""Starts Python processes for tests."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def python(*arguments, **options) -> Iterator[subprocess.Popen]:
    """Starts Python with these arguments and with a pipe for its standard output. Kills the process when the context ends."""
    command = [sys.executable, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()

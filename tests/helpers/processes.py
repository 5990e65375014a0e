"""Processes that tests start and send signals to."""

import contextlib
import subprocess
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def python(*arguments, **options) -> Iterator[subprocess.Popen]:
    """Python with these arguments and its output in a pipe, killed at the end of the block if it still runs."""
    command = [sys.executable, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options) as process:
        try:
            yield process
        finally:
            process.kill()

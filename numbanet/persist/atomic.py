"""Atomic writing: a file is replaced completely or not at all."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """Opens a temporary binary file for writing, which replaces `path` if the context ends without an exception.

    The new file is complete and on the disk before it replaces the old file; if writing fails, the old file stays unchanged.
    """
    path = Path(os.path.abspath(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: the folder {path.parent} does not exist")
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def refuse_unwritable(path: str | os.PathLike[str]) -> None:
    """Raises OSError if a file cannot be written; called before a long training, so that its result is not lost at the end."""
    folder = Path(path).absolute().parent
    if Path(path).is_dir():
        raise OSError(f"cannot write {path}: it is a folder")
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise OSError(f"cannot write {path}: the folder {folder} does not exist, or is not writable")


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

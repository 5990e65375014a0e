"""Distinguishes paths from file objects, and returns their names for error messages."""

import io
import os
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

Location = str | os.PathLike[str] | BinaryIO


def is_file_object(location: Any, method: str) -> TypeGuard[BinaryIO]:
    """Returns True if the location is an open binary file, False if it is a path.

    Parameters
    ----------
    location : path or binary file object
    method : {"read", "write"}
        The method that a file object must have.

    Raises
    ------
    TypeError
        The location is neither a path nor a binary file object, or it is a file object in text mode.
    """
    if isinstance(location, str | bytes | os.PathLike):
        return False
    if not callable(getattr(location, method, None)):
        raise TypeError(f"a file must be a path or a binary file object, not {type(location).__name__}")
    if isinstance(location, io.TextIOBase) or hasattr(location, "encoding"):
        raise TypeError(f"the file object was opened as text: open it in mode '{method[0]}b'")
    return True


def name_of(location: Location) -> str:
    """Returns a path as a string; for a file object, returns its attribute `name`, if it has one, or the name of its class."""
    if isinstance(location, str | bytes | os.PathLike):
        return os.fsdecode(location)
    name = getattr(location, "name", None)
    return name if isinstance(name, str) and name else f"the {type(location).__name__} object"


def suffix_of(location: Location) -> str:
    """Returns the suffix of `name_of(location)` in lower case, such as ".npz", or "" if the name has no suffix."""
    return Path(name_of(location)).suffix.lower()

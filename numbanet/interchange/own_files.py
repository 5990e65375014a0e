"""Refuses numbanet's own networks and files if they are passed to functions that import models of other libraries."""

import os
from pathlib import Path
from typing import Any

from numbanet.files import is_model
from numbanet.network import Network


def refuse_own(source: Any, function: str) -> None:
    """Raises an error if the source that was passed to a function such as from_torch is a network or a file of numbanet.

    Raises
    ------
    TypeError
        The source is a `Network`.
    ValueError
        The source is the path of a file that `Network.save` wrote; the message names `Network.load`.
    """
    if isinstance(source, Network):
        raise TypeError(f"source is a numbanet Network already: use it as it is, without {function}")
    if isinstance(source, str | os.PathLike) and _is_own(Path(source)):
        name = os.fspath(source)
        raise ValueError(f"{name} is a file of numbanet, not of another library: load it with Network.load({str(name)!r})")


def _is_own(path: Path) -> bool:
    """Returns True if a file contains a network that numbanet saved; returns False if the file cannot be opened."""
    try:
        with path.open("rb") as file:
            return is_model(file)
    except OSError:
        return False

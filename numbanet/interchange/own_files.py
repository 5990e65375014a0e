"""Rejects numbanet's own networks and files as sources of the functions that import models of other libraries."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

from numbanet.network import Network

HEADER_LIMIT = 1 << 24  # the most bytes of a safetensors header that are read


def refuse_own(source: Any, function: str) -> None:
    """Raises an error if the source that a function such as from_torch was given is a network or a file of numbanet.

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
    """Returns whether a file is an NPZ or safetensors file that numbanet wrote; returns False if the file cannot be read."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
            if start.startswith(b"PK"):
                with zipfile.ZipFile(file) as archive:
                    return {"description.npy", "parameters.npy"} <= set(archive.namelist())
            if start[8:] == b"{":
                file.seek(8)
                header = json.loads(file.read(min(int.from_bytes(start[:8], "little"), HEADER_LIMIT)))
                return "numbanet" in header.get("__metadata__", {})
    except Exception:  # the function that reads a damaged file raises an error with the reason
        pass
    return False

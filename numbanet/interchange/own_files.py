"""Recognises networks and files of numbanet, which `Network.load` reads and other libraries' functions do not."""

import json
import os
import zipfile
from pathlib import Path
from typing import Any

from numbanet.network import Network

HEADER_LIMIT = 1 << 24  # bytes of a safetensors header that are searched


def refuse_own(source: Any, function: str) -> None:
    """Raises an error if the source of a function such as from_torch is a network or a file of numbanet.

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
    """Returns whether the file at path is an NPZ or safetensors file of numbanet; False if it cannot be read."""
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
    except Exception:  # a damaged file is refused, with the reason, when it is read
        pass
    return False

"""Recognises the files in which numbanet saves networks, so that functions that read data can refuse them."""

import json
import zipfile
from typing import BinaryIO

HEADER_LIMIT = 1 << 24  # the largest number of bytes of a safetensors header to read


def is_model(file: BinaryIO) -> bool:
    """Returns whether an open file is an NPZ or safetensors file that numbanet wrote.

    Does not change the current position in the file.

    `is_model` returns False for a damaged file, so that the function that reads the file raises an error with the reason.
    """
    position = file.tell()
    try:
        start = file.read(9)
        if start.startswith(b"PK"):
            with zipfile.ZipFile(file) as archive:
                return {"description.npy", "parameters.npy"} <= set(archive.namelist())
        if start[8:] == b"{":
            file.seek(position + 8)
            header = json.loads(file.read(min(int.from_bytes(start[:8], "little"), HEADER_LIMIT)))
            return "numbanet" in header.get("__metadata__", {})
        return False
    except Exception:
        return False
    finally:
        file.seek(position)


def refuse_model(file: BinaryIO, source: str) -> None:
    """Raises ValueError if an open file that should contain data contains a network; `source` names the file."""
    if is_model(file):
        raise ValueError(
            f"{source} is a network that numbanet saved, not data: Network.load reads it, and the commands numbanet evaluate "
            "and numbanet predict take it as their first argument, MODEL, before the file of data; numbanet train can resume "
            "the training of a checkpoint (--checkpoint)"
        )

"""Reads the tensors and the header of a safetensors file."""

import json
from typing import Any, BinaryIO, NamedTuple

from numbanet._extras import imported


class Tensor(NamedTuple):
    """A tensor as stored in a file: the dtype, such as "F32", the shape, and the bytes in C order."""

    dtype: str
    shape: tuple[int, ...]
    data: bytearray


def safetensors_package(module: str = "safetensors") -> Any:
    """Imports the package safetensors or one of its modules; raises ModuleNotFoundError if the package is not installed."""
    return imported(module, "safetensors")


def read_tensors(file: BinaryIO) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Reads an open safetensors file; returns the header's dict `__metadata__`, and a dict of the tensors, sorted by name.

    Raises
    ------
    safetensors.SafetensorError, ValueError
        The file is damaged.
    ModuleNotFoundError
        safetensors is not installed; the message says what to install.
    """
    content = file.read()
    tensors = safetensors_package().deserialize(content)  # checks the header; the first 8 bytes contain its length
    texts = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")]).get("__metadata__", {})
    return texts, {name: Tensor(given["dtype"], tuple(given["shape"]), given["data"]) for name, given in sorted(tensors)}

"""Reads the tensors of a safetensors file, and the texts in its header, from an open file."""

import json
from typing import Any, BinaryIO, NamedTuple

from numbanet._extras import imported


class Tensor(NamedTuple):
    """A tensor as the file contains it: the name of its dtype, such as "F32", its shape and its bytes in C order."""

    dtype: str
    shape: tuple[int, ...]
    data: bytearray


def safetensors_package(module: str = "safetensors") -> Any:
    """Imports and returns the package safetensors, or a module of it; raises ModuleNotFoundError if it is not installed."""
    return imported(module, "safetensors")


def read_tensors(file: BinaryIO) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Returns the texts in the header of an open safetensors file, by key, and its tensors, by name in alphabetical order.

    Raises
    ------
    safetensors.SafetensorError, ValueError
        The file is damaged.
    ModuleNotFoundError
        safetensors is not installed; the message says what to install.
    """
    content = file.read()
    tensors = safetensors_package().deserialize(content)  # checks the header, which begins after its length in 8 bytes
    texts = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")]).get("__metadata__", {})
    return texts, {name: Tensor(given["dtype"], tuple(given["shape"]), given["data"]) for name, given in sorted(tensors)}

"""Saves networks without pickle, as NPZ or safetensors files with a JSON description and flat vectors, and exports ONNX."""

import json
import os
import struct
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbanet import inputs
from numbanet.persist import npz_file, onnx_file, safetensors_file
from numbanet.persist.atomic import replacing as replacing
from numbanet.persist.description import LIMIT
from numbanet.persist.description import Description as Description

# Exceptions raised by reading a damaged or foreign file, or its JSON; OSError if the file refers to offsets beyond its end.
DAMAGE = (*npz_file.DAMAGE, struct.error, EOFError, LookupError, TypeError, ValueError, OverflowError, OSError)
# Advice for files of other programs, by suffix.
HINTS: dict[str, str] = {
    **dict.fromkeys((".keras", ".h5"), "; to import a Keras model, call numbanet.from_keras"),
    **dict.fromkeys((".pt", ".pth", ".bin"), "; to import weights of PyTorch, call numbanet.from_torch"),
    ".onnx": "; numbanet writes ONNX files, but cannot load them",
}


def container(path: str | os.PathLike[str]) -> ModuleType:
    """Returns the module that writes the format of a path: safetensors, which must be installed, for .safetensors, else NPZ."""
    suffix = Path(path).suffix.lower()
    if suffix == ".onnx":
        raise ValueError(f"cannot save {os.fspath(path)!r}: .onnx files are written by export(), and numbanet cannot load them")
    if suffix == ".safetensors":
        safetensors_file.package()
        return safetensors_file
    return npz_file


def save(path: str | os.PathLike[str], description: Description, vectors: dict[str, NDArray[Any]]) -> None:
    """Writes the description and its vectors to a temporary file, which then replaces the file at path."""
    write = container(path).write
    if len(text := json.dumps(description.to_dict())) > LIMIT:
        raise ValueError(f"the description of the network takes {len(text)} bytes, but may take at most {LIMIT} in a file")
    # safetensors does not store the byte order, and its package writes arrays that are not contiguous wrongly.
    vectors = {name: np.ascontiguousarray(vectors[name], description.topology.dtype) for name in description.vectors}
    with replacing(path) as file:
        write(file, description, vectors)


def export(path: str | os.PathLike[str], description: Description, parameters: NDArray[Any]) -> None:
    """Writes an ONNX file that computes the predictions of a network; the path must end in .onnx."""
    if Path(path).suffix.lower() != ".onnx":
        raise ValueError(f"cannot export {os.fspath(path)!r}: the name must end in .onnx; save() writes all other formats")
    content = onnx_file.serialized(description, parameters)
    with replacing(path) as file:
        file.write(content)


def load(path: str | os.PathLike[str]) -> tuple[Description, dict[str, NDArray[Any]]]:
    """Returns the description and the vectors of an NPZ or safetensors file, which may have any name.

    Raises
    ------
    ValueError
        The file is damaged or not a numbanet model.
    OSError
        The file cannot be opened.
    """
    with Path(path).open("rb") as file:
        start = file.read(9)
    read = safetensors_file.read if start[8:] == b"{" else npz_file.read
    try:
        if read is npz_file.read and not start.startswith(b"PK"):
            raise ValueError("the file is neither an NPZ file nor a safetensors file")
        description, vectors = read(path)
        dtype = description.topology.dtype
        return description, {name: inputs.finite(name, vector, dtype) for name, vector in vectors.items()}
    except DAMAGE as error:
        hint = HINTS.get(Path(path).suffix.lower(), "")
        raise ValueError(f"{os.fspath(path)} is damaged or not a numbanet model: {error}{hint}") from None

"""Save and load, without pickle: a description in JSON and flat vectors, as NPZ or as safetensors. Export, as ONNX."""

import json
import os
import struct
from pathlib import Path

import numpy as np

from numbanet import inputs
from numbanet.persist import npz_file as npz
from numbanet.persist import onnx_file as onnx
from numbanet.persist import safetensors_file as safetensors
from numbanet.persist.atomic import replacing as replacing
from numbanet.persist.description import LIMIT
from numbanet.persist.description import Description as Description

# What reading a damaged or foreign file, or the JSON in it, can raise; OSError where it points outside itself.
DAMAGE = (*npz.DAMAGE, struct.error, EOFError, LookupError, TypeError, ValueError, OverflowError, OSError)


def container(path):
    """The module that writes the format the path's suffix stands for: safetensors, which has to be installed, else NPZ."""
    suffix = Path(path).suffix.lower()
    if suffix == ".onnx":
        raise ValueError(f"cannot save {os.fspath(path)!r}, nor load it again: export writes ONNX")
    if suffix == ".safetensors":
        safetensors.package()
        return safetensors
    return npz


def save(path, description: Description, vectors: dict[str, np.ndarray]) -> None:
    """Writes the vectors that the description names, into a new file beside the old one that then takes its place."""
    write = container(path).write
    if len(text := json.dumps(description.to_dict())) > LIMIT:
        raise ValueError(f"the network's description takes {len(text)} bytes, of which a file may have {LIMIT}")
    # NPY says the byte order, safetensors does not, and its package writes wrongly what is not contiguous.
    vectors = {name: np.ascontiguousarray(vectors[name], description.topology.dtype) for name in description.vectors}
    with replacing(path) as file:
        write(file, description, vectors)


def export(path, description: Description, parameters: np.ndarray) -> None:
    """Writes what a network predicts with, as ONNX."""
    if Path(path).suffix.lower() != ".onnx":
        raise ValueError(f"cannot export {os.fspath(path)!r}: a name that ends in .onnx is exported, others are saved")
    content = onnx.serialized(description, parameters)
    with replacing(path) as file:
        file.write(content)


def load(path) -> tuple[Description, dict[str, np.ndarray]]:
    """What `save` was given, from a file of either format, whatever its name; ValueError where it is not whole and ours."""
    with Path(path).open("rb") as file:
        start = file.read(9)
    read = safetensors.read if start[8:] == b"{" else npz.read
    try:
        description, vectors = read(path)
        dtype = description.topology.dtype
        return description, {name: inputs.finite(name, vector, dtype) for name, vector in vectors.items()}
    except DAMAGE as error:
        raise ValueError(f"{os.fspath(path)} is not a whole numbanet model: {error}") from None

"""Writes and reads a network as a safetensors file: a JSON description in the header, and tensors `layer1.w`, `layer1.b`, ...

The tensors of an additional flat vector, such as moment_1, are named `moment_1.layer1.w` and so on. The safetensors format has
no checksum, so numbanet stores a SHA-256 checksum in the header, beside the description.
"""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from numbanet._extras import imported
from numbanet.engines.topology import Topology
from numbanet.persist.description import LIMIT, Description

KEY = "numbanet"  # a single key, because the package writes several keys in an order that differs from run to run
DTYPES = {"float32": "F32", "float64": "F64"}


def package(module: str = "safetensors") -> Any:
    """Imports and returns the package safetensors, or a module of it; raises ModuleNotFoundError if it is not installed."""
    return imported(module, "safetensors")


def write(file: BinaryIO, description: Description, vectors: dict[str, NDArray[Any]]) -> None:
    """Writes the description and the flat vectors of a network to an open file, in safetensors format."""
    topology = description.topology
    tensors: dict[str, NDArray[Any]] = {}
    for vector, flat in vectors.items():
        start = 0
        for name, shape in _tensors(vector, topology):
            end = start + math.prod(shape)
            tensors[name], start = flat[start:end].reshape(shape), end
    entries = description.to_dict()
    header = json.dumps({"description": entries, "sha256": _checksum(entries, tensors)})
    file.write(package("safetensors.numpy").save(tensors, {KEY: header}))


def read(path: str | os.PathLike[str]) -> tuple[Description, dict[str, NDArray[Any]]]:
    """Returns description and flat vectors of a safetensors file; raises one of `persist.DAMAGE` if the file is invalid."""
    try:
        with package().safe_open(path, framework="np") as file:
            return _read(file)
    except package().SafetensorError as error:
        raise ValueError(str(error)) from None


def _read(file: Any) -> tuple[Description, dict[str, NDArray[Any]]]:
    text = (file.metadata() or {}).get(KEY)
    if text is None or len(text) > LIMIT:
        raise ValueError("its header does not describe a network; to import weights of PyTorch, call numbanet.from_torch")
    header = json.loads(text)
    description = Description.from_dict(header["description"])
    topology = description.topology
    layout = {vector: _tensors(vector, topology) for vector in description.vectors}
    # Before tensors are read, check that the file contains the tensors that the description requires, and no others.
    expected = dict(tensor for tensors in layout.values() for tensor in tensors)
    if set(file.keys()) != expected.keys():
        raise ValueError(f"it contains the tensors {sorted(file.keys())}, but its description requires {sorted(expected)}")
    for name, shape in expected.items():
        tensor = file.get_slice(name)
        stored = tuple(tensor.get_shape()), tensor.get_dtype()
        if stored != (shape, DTYPES[topology.dtype.name]):
            raise ValueError(f"its tensor {name} is {stored[1]} {stored[0]}, not {DTYPES[topology.dtype.name]} {shape}")
    tensors = {name: file.get_tensor(name) for name in expected}
    if header["sha256"] != _checksum(header["description"], tensors):
        raise ValueError("its checksum does not match its content")
    return description, {
        vector: np.concatenate([tensors[name].ravel() for name, _ in names]) for vector, names in layout.items()
    }


def _tensors(vector: str, topology: Topology) -> list[tuple[str, tuple[int, ...]]]:
    """Returns the name and the shape of each tensor of a flat vector, in the order in which the vector contains them."""
    prefix = "" if vector == "parameters" else f"{vector}."
    tensors = []
    for l, (n_in, n_out) in enumerate(topology.layers, start=1):
        tensors += [(f"{prefix}layer{l}.w", (n_in, n_out)), (f"{prefix}layer{l}.b", (n_out,))]
    return tensors


def _checksum(entries: Mapping[str, Any], tensors: Mapping[str, NDArray[Any]]) -> str:
    checksum = hashlib.sha256(json.dumps(entries).encode())
    for tensor in tensors.values():
        checksum.update(tensor.data)
    return checksum.hexdigest()

"""Writes and reads a network as a safetensors file: a JSON description in the header, and tensors layer1.w, layer1.b, ...

The tensors of an optimizer's moments (its own numbers for each parameter) are named moment_1.layer1.w, moment_1.layer1.b, ...
Because the format safetensors has no checksum, numbanet stores a SHA-256 checksum in the header, next to the JSON description.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from numbanet.engines.topology import Topology
from numbanet.files.tensors import Tensor, read_tensors, safetensors_package
from numbanet.persist.description import HISTORY, Description, Formulas

KEY = "numbanet"  # the only key, because the package would write several keys in an order that varies from run to run
DTYPES = {"float32": "F32", "float64": "F64"}
LIMIT = 100_000_000 - 1_000_000  # the package reads headers of up to 100 MB; 1 MB is reserved for the names of the tensors


def write(file: BinaryIO, description: Description, vectors: dict[str, NDArray[Any]]) -> None:
    """Writes a network's description and flat arrays, such as "parameters", to an open file, in safetensors format."""
    topology = description.topology
    tensors: dict[str, NDArray[Any]] = {}
    for vector, flat in vectors.items():
        start = 0
        for name, shape in _tensors(vector, topology):
            end = start + math.prod(shape)
            tensors[name], start = flat[start:end].reshape(shape), end
    if (history := description.history) is not None:
        tensors[HISTORY] = history
    entries = description.to_dict()
    header = json.dumps({"description": entries, "sha256": _checksum(entries, tensors)})
    if len(json.dumps(header)) > LIMIT:
        raise ValueError(f"the description of the network takes {len(header)} bytes, too many for safetensors: save it as .npz")
    file.write(safetensors_package("safetensors.numpy").save(tensors, {KEY: header}))


def read(file: BinaryIO, own: Formulas = ()) -> tuple[Description, dict[str, NDArray[Any]]]:
    """Reads a network's description and flat arrays, such as "parameters", from an open safetensors file.

    `own` contains the formulas that users wrote and that the network may use.
    """
    texts, stored = read_tensors(file)
    if KEY not in texts:
        raise ValueError(
            "the header of the file does not describe a network; to import PyTorch weights, call numbanet.from_torch"
        )
    header = json.loads(texts[KEY])
    history = _array(stored[HISTORY]) if HISTORY in stored else None
    description = Description.from_dict(header["description"], history, own)
    topology = description.topology
    layout = {vector: _tensors(vector, topology) for vector in description.vectors}
    expected = dict(tensor for tensors in layout.values() for tensor in tensors)
    if history is not None:
        expected[HISTORY] = history.shape
    if stored.keys() != expected.keys():
        raise ValueError(
            f"the file contains the tensors {sorted(stored)}, but the description of the network requires {sorted(expected)}"
        )
    for name, shape in expected.items():
        dtype = DTYPES["float64" if name == HISTORY else topology.dtype.name]
        if (stored[name].shape, stored[name].dtype) != (shape, dtype):
            raise ValueError(
                f"the tensor {name} has dtype {stored[name].dtype} and shape {stored[name].shape}, not {dtype} and {shape}"
            )
    tensors = {name: _array(stored.pop(name)) for name in expected}
    if header["sha256"] != _checksum(header["description"], tensors):
        raise ValueError("the checksum of the file does not match its content")
    return description, {
        vector: np.concatenate([tensors[name].ravel() for name, _ in names]) for vector, names in layout.items()
    }


def _array(tensor: Tensor) -> NDArray[Any]:
    """Converts a float32 or float64 tensor to an array."""
    if tensor.dtype not in DTYPES.values():
        raise ValueError(f"the file has a tensor of dtype {tensor.dtype}, but only F32 and F64 are allowed")
    return np.frombuffer(tensor.data, "<f4" if tensor.dtype == "F32" else "<f8").reshape(tensor.shape)


def _tensors(vector: str, topology: Topology) -> list[tuple[str, tuple[int, ...]]]:
    """Returns the names and shapes of the tensors of the flat array named `vector`, such as "parameters", in order."""
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

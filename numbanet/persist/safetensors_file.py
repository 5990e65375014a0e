"""A network as a safetensors file: tensors `layer1.w`, `layer1.b`, ..., its description as JSON in the header.

The tensors of a further vector v are `v.layer1.w` and so on. The format has no checksum: one lies beside the description.
"""

import hashlib
import json
import math

import numpy as np

from numbanet._extras import imported
from numbanet.engines.topology import Topology
from numbanet.persist.description import LIMIT, Description

KEY = "numbanet"  # one key alone: the package writes several in an order that differs from run to run
DTYPES = {"float32": "F32", "float64": "F64"}


def package(module: str = "safetensors"):
    """The package, or a module of it; an error where it is not installed."""
    return imported(module, "numbanet[safetensors]")


def write(file, description: Description, vectors: dict[str, np.ndarray]) -> None:
    """Writes to an open file."""
    topology, tensors = description.topology, {}
    for vector, flat in vectors.items():
        start = 0
        for name, shape in _tensors(vector, topology):
            end = start + math.prod(shape)
            tensors[name], start = flat[start:end].reshape(shape), end
    entries = description.to_dict()
    header = json.dumps({"description": entries, "sha256": _checksum(entries, tensors)})
    file.write(package("safetensors.numpy").save(tensors, {KEY: header}))


def read(path) -> tuple[Description, dict[str, np.ndarray]]:
    """The description and the vectors it names; raises what `persist.load` expects of damaged or foreign data."""
    try:
        with package().safe_open(path, framework="np") as file:
            return _read(file)
    except package().SafetensorError as error:
        raise ValueError(str(error)) from None


def _read(file) -> tuple[Description, dict[str, np.ndarray]]:
    text = (file.metadata() or {}).get(KEY)
    if text is None or len(text) > LIMIT:
        raise ValueError("its header does not describe a network; weights of PyTorch come in by numbanet.from_torch")
    header = json.loads(text)
    description = Description.from_dict(header["description"])
    topology = description.topology
    layout = {vector: _tensors(vector, topology) for vector in description.vectors}
    # Before anything is read: the file holds what the description asks for, and nothing else.
    expected = dict(tensor for tensors in layout.values() for tensor in tensors)
    if set(file.keys()) != expected.keys():
        raise ValueError(f"it holds {sorted(file.keys())}, not {sorted(expected)}")
    for name, shape in expected.items():
        tensor = file.get_slice(name)
        found = tuple(tensor.get_shape()), tensor.get_dtype()
        if found != (shape, DTYPES[topology.dtype.name]):
            raise ValueError(f"its {name} is {found[1]} {found[0]}, not {DTYPES[topology.dtype.name]} {shape}")
    tensors = {name: file.get_tensor(name) for name in expected}
    if header["sha256"] != _checksum(header["description"], tensors):
        raise ValueError("its checksum is that of other numbers")
    return description, {
        vector: np.concatenate([tensors[name].ravel() for name, _ in names]) for vector, names in layout.items()
    }


def _tensors(vector: str, topology: Topology) -> list[tuple[str, tuple[int, ...]]]:
    """Name and shape of each tensor, in the order in which they lie in the vector."""
    prefix = "" if vector == "parameters" else f"{vector}."
    tensors = []
    for l, (n_in, n_out) in enumerate(topology.layers, start=1):
        tensors += [(f"{prefix}layer{l}.w", (n_in, n_out)), (f"{prefix}layer{l}.b", (n_out,))]
    return tensors


def _checksum(entries: dict, tensors: dict[str, np.ndarray]) -> str:
    checksum = hashlib.sha256(json.dumps(entries).encode())
    for tensor in tensors.values():
        checksum.update(tensor.data)
    return checksum.hexdigest()

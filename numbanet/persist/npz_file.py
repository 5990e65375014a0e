"""A network as an NPZ file: its description as JSON in an array of bytes, and each flat vector as an array."""

import json
import os
import zipfile
import zlib
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from numbanet.persist.description import LIMIT, Description

# An NPY header is padded to a multiple of 64 bytes, 128 in practice.
HEADER_LIMIT = 1 << 10
# Exceptions from a damaged or encrypted archive, besides those from a foreign one.
DAMAGE = (zipfile.BadZipFile, zlib.error, RuntimeError)


def write(file: BinaryIO, description: Description, vectors: dict[str, NDArray[Any]]) -> None:
    """Writes a network to an open file."""
    arrays: dict[str, Any] = {"description": np.frombuffer(json.dumps(description.to_dict()).encode(), np.uint8)}
    arrays.update(vectors)
    np.savez(file, **arrays)


def read(path: str | os.PathLike[str]) -> tuple[Description, dict[str, NDArray[Any]]]:
    """Returns the description and the vectors that it names; raises one of `persist.DAMAGE` if the file is invalid."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: info for info in archive.infolist()}
        if "description.npy" not in members or members["description.npy"].file_size > LIMIT:
            raise ValueError(f"it contains {sorted(members)}, but no description of a network")
        text = _array(archive, "description.npy", np.dtype(np.uint8))
        description = Description.from_json(text.tobytes())
        expected = {f"{name}.npy": name for name in description.vectors}
        if members.keys() != {"description.npy", *expected}:
            raise ValueError(f"it contains {sorted(members)}, not {['description.npy', *expected]}")
        return description, {name: _vector(archive, members[member], name, description) for member, name in expected.items()}


def _vector(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, description: Description) -> NDArray[Any]:
    topology = description.topology
    # Checked before memory is allocated: the file has the size that the description requires.
    needed = topology.parameter_count * topology.dtype.itemsize
    if not needed < info.file_size <= needed + HEADER_LIMIT:
        raise ValueError(
            f"sizes {list(topology.sizes)} need {topology.parameter_count} parameters, but its {name} have another size"
        )
    vector = _array(archive, info.filename, topology.dtype)
    if vector.size != topology.parameter_count:
        raise ValueError(f"its {name} have shape {vector.shape}, not ({topology.parameter_count},)")
    return vector


def _array(archive: zipfile.ZipFile, member: str, dtype: np.dtype) -> NDArray[Any]:
    """Returns a one-dimensional array of the dtype, after checking its header against its content."""
    with archive.open(member) as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{member} has an unknown NPY version")
        shape, _, stored = np.lib.format.read_array_header_1_0(file)
        content = file.read()  # to the end, where zipfile compares the checksum
    if stored != dtype or len(shape) != 1 or len(content) != shape[0] * dtype.itemsize:
        raise ValueError(f"{member} is {stored} {shape} in {len(content)} bytes, not {dtype} in one dimension")
    return np.frombuffer(content, dtype)

"""A network as an NPZ file: its description as JSON in an array of bytes, and each flat vector as an array."""

import json
import zipfile
import zlib

import numpy as np

from numbanet.persist.description import LIMIT, Description

# An NPY header is padded to a multiple of 64 bytes, 128 in practice.
HEADER_LIMIT = 1 << 10
# What a damaged or encrypted archive raises, besides what a foreign one does.
DAMAGE = (zipfile.BadZipFile, zlib.error, RuntimeError)


def write(file, description: Description, vectors: dict[str, np.ndarray]) -> None:
    """Writes to an open file."""
    text = np.frombuffer(json.dumps(description.to_dict()).encode(), np.uint8)
    np.savez(file, description=text, **vectors)


def read(path) -> tuple[Description, dict[str, np.ndarray]]:
    """The description and the vectors it names; raises one of DAMAGE, or what `persist.load` expects of foreign data."""
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: info for info in archive.infolist()}
        if "description.npy" not in members or members["description.npy"].file_size > LIMIT:
            raise ValueError(f"it holds {sorted(members)}, but no description of a network")
        text = _array(archive, "description.npy", np.dtype(np.uint8))
        description = Description.from_json(text.tobytes())
        expected = {f"{name}.npy": name for name in description.vectors}
        if members.keys() != {"description.npy", *expected}:
            raise ValueError(f"it holds {sorted(members)}, not {['description.npy', *expected]}")
        return description, {name: _vector(archive, members[member], name, description) for member, name in expected.items()}


def _vector(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, description: Description) -> np.ndarray:
    topology = description.topology
    # Before anything is allocated: what the description asks for has to be what the file holds.
    needed = topology.parameter_count * topology.dtype.itemsize
    if not needed < info.file_size <= needed + HEADER_LIMIT:
        raise ValueError(f"sizes {list(topology.sizes)} need {topology.parameter_count} parameters, which it does not hold")
    vector = _array(archive, info.filename, topology.dtype)
    if vector.size != topology.parameter_count:
        raise ValueError(f"its {name} have shape {vector.shape}, not ({topology.parameter_count},)")
    return vector


def _array(archive: zipfile.ZipFile, member: str, dtype: np.dtype) -> np.ndarray:
    """A one-dimensional array of this very dtype; what its header claims is checked before it is believed."""
    with archive.open(member) as file:
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError(f"{member} is of another NPY version")
        shape, _, found = np.lib.format.read_array_header_1_0(file)
        content = file.read()  # to its end, where the archive's checksum is compared
    if found != dtype or len(shape) != 1 or len(content) != shape[0] * dtype.itemsize:
        raise ValueError(f"{member} is {found} {shape} in {len(content)} bytes, not {dtype} in one dimension")
    return np.frombuffer(content, dtype)

"""Writes and reads networks as NPZ files, which contain an array of bytes (the JSON description) and one array per vector."""

import json
import zipfile
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from numbanet.files import opened_archive, read_array
from numbanet.persist.description import HISTORY, Description, Formulas

# The most bytes that an NPY header may take. Headers are padded to a multiple of 64 bytes, usually to 128 bytes.
HEADER_LIMIT = 1 << 10
# The largest size, in bytes, of a decompressed description. (Python's objects take even more memory than the JSON string.)
COMPRESSED_LIMIT = 1 << 24


def write(file: BinaryIO, description: Description, vectors: dict[str, NDArray[Any]]) -> None:
    """Writes a network's description and flat vectors (such as the parameters) to an open file, in NPZ format."""
    arrays: dict[str, Any] = {"description": np.frombuffer(json.dumps(description.to_dict()).encode(), np.uint8)}
    if (history := description.history) is not None:
        arrays[HISTORY] = history
    arrays.update(vectors)
    np.savez(file, **arrays)


def read(file: BinaryIO, own: Formulas = ()) -> tuple[Description, dict[str, NDArray[Any]]]:
    """Reads a network's description and flat vectors (such as the parameters) from an open NPZ file.

    Raises an exception if the file is invalid. `own` contains the formulas that users wrote and that the network may use.
    """
    with opened_archive(file) as archive:
        members = {info.filename: info for info in archive.infolist()}
        text = members.get("description.npy")
        if text is None or (text.compress_type != zipfile.ZIP_STORED and text.file_size > COMPRESSED_LIMIT):
            raise ValueError(f"the file contains {sorted(members)}, but no valid description of a network")
        entries = json.loads(_array(archive, text.filename, np.dtype(np.uint8)).tobytes())
        is_stored = f"{HISTORY}.npy" in members
        history = _array(archive, f"{HISTORY}.npy", np.dtype("<f8")) if is_stored else None
        description = Description.from_dict(entries, history, own)
        expected = {f"{name}.npy": name for name in description.vectors}
        needed = ["description.npy", *[f"{HISTORY}.npy"] * is_stored, *expected]
        if sorted(members) != sorted(needed):
            raise ValueError(
                f"the file contains the members {sorted(members)}, but the description of the network requires {needed}"
            )
        return description, {name: _vector(archive, members[member], name, description) for member, name in expected.items()}


def _vector(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str, description: Description) -> NDArray[Any]:
    topology = description.topology
    # Before memory is allocated, check that the array has the size that the description requires.
    needed = topology.parameter_count * topology.dtype.itemsize
    if not needed < info.file_size <= needed + HEADER_LIMIT:
        raise ValueError(
            f"a network of sizes {list(topology.sizes)} has {topology.parameter_count} parameters, but its array {name!r} has "
            "another size"
        )
    vector = _array(archive, info.filename, topology.dtype)
    if vector.size != topology.parameter_count:
        raise ValueError(f"the array {name!r} has shape {vector.shape}, not ({topology.parameter_count},)")
    return vector


def _array(archive: zipfile.ZipFile, member: str, dtype: np.dtype) -> NDArray[Any]:
    """Reads a one-dimensional array from the archive; raises ValueError if its dtype or its number of dimensions is wrong."""
    with archive.open(member) as file:
        array = read_array(file)
    if array.dtype != dtype or array.ndim != 1:
        raise ValueError(
            f"the array {member} has dtype {array.dtype} and shape {array.shape}, but must have dtype {dtype} and one dimension"
        )
    return array

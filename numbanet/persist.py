"""Save and load: an NPZ file with the flat parameter vector and a JSON description, without pickle."""

import contextlib
import json
import os
import struct
import tempfile
import zipfile
import zlib
from pathlib import Path

import numpy as np

from numbanet import inputs
from numbanet.engines.topology import Topology

FORMAT, VERSION = "numbanet", 1
MEMBERS = {"description.npy", "parameters.npy"}
# A description is a few hundred bytes, and an NPY header is padded to a multiple of 64 bytes, 128 in practice.
DESCRIPTION_LIMIT = 1 << 20
HEADER_LIMIT = 1 << 10

# What reading a damaged, encrypted or foreign archive, or the JSON in it, can raise; OSError where it points outside itself.
DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    EOFError,
    LookupError,
    TypeError,
    ValueError,
    OverflowError,
    OSError,
    RuntimeError,
)


def save(path, topology: Topology, flat: np.ndarray, generator_state: dict) -> None:
    """Writes a new file beside the old one, then takes its place."""
    description = {
        "format": FORMAT,
        "version": VERSION,
        "sizes": topology.sizes,
        "activations": topology.activations,
        "loss": topology.loss,
        "dtype": topology.dtype.name,
        "epsilon": topology.epsilon,
        "generator": generator_state,
    }
    text = np.frombuffer(json.dumps(description).encode(), np.uint8)
    with replacing(path) as file:
        np.savez(file, description=text, parameters=flat)


@contextlib.contextmanager
def replacing(path):
    """A binary file to write to, which replaces `path` once it is complete and on the disk."""
    path = Path(os.path.abspath(path))
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        Path(name).chmod(path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def load(path) -> tuple[Topology, np.ndarray, dict]:
    """Topology, flat parameters and generator state of a file; ValueError where it is not whole and ours."""
    with Path(path).open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                return _read(archive)
        except DAMAGE as error:
            raise ValueError(f"{os.fspath(path)} is not a whole numbanet model: {error}") from None


def _read(archive: zipfile.ZipFile) -> tuple[Topology, np.ndarray, dict]:
    members = {info.filename: info for info in archive.infolist()}
    if members.keys() != MEMBERS:
        raise ValueError(f"it holds {sorted(members)}, not {sorted(MEMBERS)}")
    if members["description.npy"].file_size > DESCRIPTION_LIMIT:
        raise ValueError("its description is too long")
    text = _array(archive, "description.npy", np.dtype(np.uint8))
    description = json.loads(text.tobytes())
    if not isinstance(description, dict) or description.get("format") != FORMAT:
        raise ValueError("its description is that of another format")
    if description.get("version") != VERSION:
        raise ValueError(f"its version is {description.get('version')!r}; this numbanet reads version {VERSION}")
    topology = inputs.topology(*(description[name] for name in ("sizes", "activations", "loss", "dtype", "epsilon")))
    # Before anything is allocated: what the description asks for has to be what the file holds.
    needed = topology.parameter_count * topology.dtype.itemsize
    if not needed < members["parameters.npy"].file_size <= needed + HEADER_LIMIT:
        raise ValueError(f"sizes {list(topology.sizes)} need {topology.parameter_count} parameters, which it does not hold")
    flat = _array(archive, "parameters.npy", topology.dtype)
    if flat.shape != (topology.parameter_count,):
        raise ValueError(f"its parameters have shape {flat.shape}, not ({topology.parameter_count},)")
    generator_state = description["generator"]
    np.random.PCG64().state = generator_state  # raises where it is not a state
    return topology, inputs.finite("parameters", flat, topology.dtype), generator_state


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

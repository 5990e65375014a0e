"""IDX files, the form in which MNIST and its successors come."""

import gzip
import io
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np

GZIP_MAGIC = b"\x1f\x8b"
DTYPES = {code: np.dtype(name) for code, name in {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}.items()}
DIMENSION_LIMIT = 32  # NumPy's, before its version 2
BYTE_LIMIT = np.iinfo(np.intp).max
CHUNK_BYTES = 1 << 20


def read_idx(path: str | os.PathLike[str]) -> np.ndarray:
    """The array in an IDX file, compressed by gzip or not, whatever its name.

    Parameters
    ----------
    path : str or path-like
        The file. What its header claims is believed as far as its content bears it out: no more is allocated.

    Returns
    -------
    ndarray
        Of the file's shape, 1 to 32 dimensions, and of its type, which is one of uint8, int8, int16, int32, float32 and
        float64; in C order and native byte order.

    Raises
    ------
    ValueError
        Where the file is foreign, damaged, cut short or too long.
    OSError
        Where it cannot be read at all.

    References
    ----------
    Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST Database of Handwritten Digits, "The IDX file format".
    """
    with Path(path).open("rb") as stored:
        zipped = stored.peek(2)[:2] == GZIP_MAGIC
        try:
            with gzip.GzipFile(fileobj=stored) if zipped else stored as file:
                return _array(file)
        except (ValueError, EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{os.fspath(path)} is not a whole IDX file: {error}") from None


def _array(file: io.BufferedIOBase) -> np.ndarray:
    dtype, shape = _header(file)
    needed = math.prod(shape) * dtype.itemsize
    content = bytearray()  # grows with what there is, not with what the header claims
    while chunk := file.read(min(CHUNK_BYTES, needed + 1 - len(content))):
        content += chunk
    if len(content) != needed:
        found = len(content) if len(content) < needed else "more"
        raise ValueError(f"{dtype.name} of shape {shape} takes {needed} bytes after the header, but there are {found}")
    return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _header(file: io.BufferedIOBase) -> tuple[np.dtype, tuple[int, ...]]:
    """The type and the shape that the file claims, of which NumPy can have an array."""
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in DTYPES:
        raise ValueError(f"it begins with {magic.hex(' ') or 'nothing'}, not with 00 00, the code of a type and a number")
    dtype, dimensions = DTYPES[magic[2]], magic[3]
    if not 1 <= dimensions <= DIMENSION_LIMIT:
        raise ValueError(f"it claims {dimensions} dimensions, not 1 to {DIMENSION_LIMIT}")
    sizes = file.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise ValueError(f"it ends among the sizes of its {dimensions} dimensions")
    shape = struct.unpack(f">{dimensions}I", sizes)
    if math.prod(size or 1 for size in shape) * dtype.itemsize > BYTE_LIMIT:
        raise ValueError(f"it claims an absurd shape, {shape}")
    return dtype, shape

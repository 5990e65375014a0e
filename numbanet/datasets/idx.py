"""Reads files in the IDX format, which MNIST and similar data sets use."""

import contextlib
import gzip
import math
import os
import struct
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from numbanet.files import most_bytes, reading

GZIP_MAGIC = b"\x1f\x8b"
DTYPES = {code: np.dtype(name) for code, name in {8: "u1", 9: "i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}.items()}
DIMENSION_LIMIT = 32  # the largest number of dimensions in NumPy before version 2
BYTE_LIMIT = np.iinfo(np.intp).max
CHUNK_BYTES = 1 << 20


def read_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Reads the array in an IDX file, which may be compressed with gzip.

    Parameters
    ----------
    path : str or path-like
        The file to read, which may have any name. If the header claims more values than the file contains, memory is allocated
        only for the content of the file.

    Returns
    -------
    ndarray
        The array, in C order and native byte order, with 1 to 32 dimensions. The header of the file declares the dtype: uint8,
        int8, int16, int32, float32 or float64.

    Raises
    ------
    ValueError
        The file is not an IDX file, or it is damaged, truncated or too long.
    OSError
        The file cannot be opened.

    References
    ----------
    Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST Database of Handwritten Digits, "The IDX file format".
    """
    with reading(path, "{} is damaged or not an IDX file: {}") as stored:
        zipped = stored.read(2) == GZIP_MAGIC
        stored.seek(0)
        with gzip.GzipFile(fileobj=stored) if zipped else contextlib.nullcontext(stored) as file:
            return _array(file, most_bytes(stored))


def _array(file: BinaryIO | gzip.GzipFile, most: int) -> NDArray[Any]:
    """Reads the array in an open IDX file; raises ValueError if the content has more than `most` bytes."""
    dtype, shape = _header(file)
    needed = math.prod(shape) * dtype.itemsize
    content = bytearray()  # grows with the content of the file; the header may claim a wrong shape
    while chunk := file.read(min(CHUNK_BYTES, needed + 1 - len(content))):
        content += chunk
        if len(content) > most:
            raise ValueError(f"the content of the file inflates to more than {most} bytes: decompress the file")
    if len(content) != needed:
        present = len(content) if len(content) < needed else "more"
        raise ValueError(
            f"an array of {dtype.name} with shape {shape} takes {needed} bytes, but the file has {present} after the header"
        )
    return np.frombuffer(content, dtype).reshape(shape).astype(dtype.newbyteorder("="), copy=False)


def _header(file: BinaryIO | gzip.GzipFile) -> tuple[np.dtype, tuple[int, ...]]:
    """Reads the dtype and the shape from the header; raises ValueError if NumPy does not support an array of this shape."""
    magic = file.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in DTYPES:
        raise ValueError(
            f"the file begins with {magic.hex(' ') or 'nothing'}, not with 00 00, a type code and the number of dimensions"
        )
    dtype, dimensions = DTYPES[magic[2]], magic[3]
    if not 1 <= dimensions <= DIMENSION_LIMIT:
        raise ValueError(f"the header claims {dimensions} dimensions, but only 1 to {DIMENSION_LIMIT} are supported")
    sizes = file.read(4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise ValueError(f"the file ends before the sizes of the array's {dimensions} dimensions")
    shape = struct.unpack(f">{dimensions}I", sizes)
    if math.prod(size or 1 for size in shape) * dtype.itemsize > BYTE_LIMIT:
        raise ValueError(f"the header claims the shape {shape}, which NumPy does not support")
    return dtype, shape

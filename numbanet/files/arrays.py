"""Reads arrays from NPY files and NPZ members; allocates memory for the actual content, not for what a header claims."""

import math
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

READ_HEADER = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_array(file: IO[bytes]) -> NDArray[Any]:
    """Reads an open NPY file to its end; returns its array, which is read-only.

    Raises
    ------
    ValueError
        The file contains Python objects, or its number of bytes differs from the number that its header claims.
    Exception
        The header is damaged. NumPy raises exceptions of many kinds; the context `reading` converts them to ValueError.
    """
    version = np.lib.format.read_magic(file)
    if version not in READ_HEADER:
        raise ValueError(f"it has version {version} of the NPY format; supported are 1.0 and 2.0")
    shape, is_fortran, dtype = READ_HEADER[version](file)
    if dtype.hasobject:
        raise ValueError("it contains Python objects, which numbanet never reads, for safety")
    content = file.read()  # a ZIP archive compares the checksum of a member when the member's end is read
    if len(content) != (needed := math.prod(shape) * dtype.itemsize):
        raise ValueError(f"an array of dtype {dtype} and shape {shape} takes {needed} bytes, but the file has {len(content)}")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if is_fortran else "C")

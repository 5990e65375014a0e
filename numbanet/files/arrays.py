"""Reads the array of an NPY file, or of a member of an NPZ file, without the memory that a damaged header may claim."""

import math
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

READ_HEADER = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_array(file: IO[bytes]) -> NDArray[Any]:
    """Returns the array of an open NPY file, which is read to its end; the array is read-only.

    Raises
    ------
    ValueError
        The file contains Python objects, or another number of bytes than its header claims.
    Exception
        NumPy raises exceptions of many kinds for a damaged header; `reading` turns them into a ValueError.
    """
    version = np.lib.format.read_magic(file)
    if version not in READ_HEADER:
        raise ValueError(f"it has version {version} of the NPY format; supported are 1.0 and 2.0")
    shape, is_fortran, dtype = READ_HEADER[version](file)
    if dtype.hasobject:
        raise ValueError("it contains Python objects, which are not read")
    content = file.read()  # of a member of an archive, whose checksum is compared at its end
    if len(content) != (needed := math.prod(shape) * dtype.itemsize):
        raise ValueError(f"an array of dtype {dtype} and shape {shape} takes {needed} bytes, but there are {len(content)}")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if is_fortran else "C")

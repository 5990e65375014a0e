"""Reads the arrays of NPY and NPZ files; allocates memory for the actual content, not for what a header claims."""

import math
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from numbanet.files.parsing import opened_archive

READ_HEADER = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_array(file: IO[bytes]) -> NDArray[Any]:
    """Reads an open NPY file to its end, and returns its content as a read-only array.

    Raises
    ------
    ValueError
        The file contains Python objects, or the number of bytes in the file differs from the number that the header claims.
    Exception
        The header is damaged. NumPy raises exceptions of many kinds; the context manager `reading` converts them to ValueError.
    """
    version = np.lib.format.read_magic(file)
    if version not in READ_HEADER:
        raise ValueError(f"the file has version {version} of the NPY format; supported are 1.0 and 2.0")
    shape, is_fortran, dtype = READ_HEADER[version](file)
    if dtype.hasobject:
        raise ValueError("the file contains Python objects, which numbanet never reads, for safety")
    content = file.read()  # a ZIP archive checks a member's checksum when the end of the member is read
    if len(content) != (needed := math.prod(shape) * dtype.itemsize):
        raise ValueError(f"an array of dtype {dtype} and shape {shape} takes {needed} bytes, but the file has {len(content)}")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if is_fortran else "C")


def read_arrays(file: BinaryIO, name: str, *others: str) -> list[NDArray[Any] | None]:
    """Reads an open NPZ file; returns the array `name`, then each array of `others`, or None if it is missing.

    The array of an NPY file has no name, and counts as the array x.

    Raises
    ------
    ValueError
        The file contains no array `name`.
    Exception
        The file is damaged, see `read_array`.
    """
    is_archive = file.read(2) == b"PK"
    file.seek(0)
    if not is_archive:
        if name != "x":
            raise ValueError(f"the file contains a single array, but no array {name}")
        return [read_array(file), *(None for _ in others)]
    with opened_archive(file) as archive:
        members = {member.removesuffix(".npy"): member for member in archive.namelist()}
        if name not in members:
            raise ValueError(f"the file contains {', '.join(members) or 'nothing'}, but no array {name}")
        return [read_array(archive.open(members[each])) if each in members else None for each in (name, *others)]

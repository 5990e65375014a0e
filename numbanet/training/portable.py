"""Converts NumPy arrays and random generators to Python values whose pickles do not depend on the version of NumPy."""

from typing import Any, NamedTuple

import numpy as np

# The values of `numpy.dtype.kind` for dtypes that can be recreated from their string: numbers, booleans, strings, bytes, dates
# and durations.
PLAIN_KINDS = "biufcSUmM"


class PackedArray(NamedTuple):
    """The values of an array, or of a NumPy scalar if `shape` is None.

    `content` contains the values as bytes. For the dtype object, `content` is a list of the elements.
    """

    dtype: str
    shape: tuple[int, ...] | None
    content: Any


class PackedGenerator(NamedTuple):
    """The state of a `numpy.random.Generator` with the bit generator PCG64."""

    state: dict[str, Any]


class PackedRandomState(NamedTuple):
    """The state of a `numpy.random.RandomState`, in which arrays are replaced with `PackedArray`."""

    state: dict[str, Any]


def packed(value: Any) -> Any:
    """Returns a copy of a value in which all arrays, NumPy scalars and random generators are converted to Python values.

    Pickles of arrays and generators contain names of NumPy's private modules and checksums of NumPy's compiled classes. Because
    these differ between versions, an older version of NumPy cannot open a pickle that a newer version wrote. The packed value
    contains no objects of NumPy's classes.

    Parameters
    ----------
    value
        The value. Arrays and generators are converted at any depth of dicts, lists and tuples. An object of any other type is
        returned unchanged.

    Returns
    -------
    object
        The packed value, from which `unpacked` recreates a value equal to the original value.
    """
    if isinstance(value, np.generic) and value.dtype.kind in PLAIN_KINDS:
        return PackedArray(value.dtype.str, None, value.tobytes())
    if type(value) is np.ndarray and value.dtype.kind in PLAIN_KINDS:
        return PackedArray(value.dtype.str, value.shape, value.tobytes())
    if type(value) is np.ndarray and value.dtype.kind == "O":
        return PackedArray(value.dtype.str, value.shape, packed(value.ravel().tolist()))
    if isinstance(value, np.random.Generator) and isinstance(value.bit_generator, np.random.PCG64):
        return PackedGenerator(dict(value.bit_generator.state))
    if type(value) is np.random.RandomState:
        return PackedRandomState(packed(value.get_state(legacy=False)))
    return _mapped(packed, value)


def unpacked(value: Any) -> Any:
    """Recreates the original value from a value that `packed` returned.

    Parameters
    ----------
    value
        A value that `packed` returned.

    Returns
    -------
    object
        The original value, with its arrays, NumPy scalars and random generators.
    """
    if isinstance(value, PackedArray):
        return _array(value)
    if isinstance(value, PackedGenerator):
        bits: Any = np.random.PCG64(0)
        bits.state = value.state
        return np.random.Generator(bits)
    if isinstance(value, PackedRandomState):
        random_state = np.random.RandomState(0)
        random_state.set_state(unpacked(value.state))
        return random_state
    return _mapped(unpacked, value)


def _mapped(function: Any, value: Any) -> Any:
    """Applies the function to the elements of a dict, list or tuple; returns any other value unchanged."""
    if type(value) is dict:
        return {function(key): function(element) for key, element in value.items()}
    return type(value)(map(function, value)) if type(value) in (list, tuple) else value


def _array(value: PackedArray) -> Any:
    dtype = np.dtype(value.dtype)
    if dtype.kind == "O":
        array = np.empty(len(value.content), dtype)
        for i, element in enumerate(unpacked(value.content)):
            array[i] = element  # assigning the whole list would split elements that are sequences
    else:
        array = np.ndarray(value.shape or (), dtype, value.content).copy()  # a copy, because memory of bytes is read-only
    return array[()] if value.shape is None else array.reshape(value.shape)

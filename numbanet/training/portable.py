"""Arrays and random generators as plain Python values, whose pickles do not depend on the version of NumPy."""

from typing import Any, NamedTuple

import numpy as np

# Kinds of dtypes that can be recreated from their string: numbers, booleans, texts, bytes, dates and durations.
PLAIN_KINDS = "biufcSUmM"


class PackedArray(NamedTuple):
    """An array; a scalar if `shape` is None; `content` is its memory, or a list of its elements if they are objects."""

    dtype: str
    shape: tuple[int, ...] | None
    content: Any


class PackedGenerator(NamedTuple):
    """The state of a `numpy.random.Generator` with the bit generator PCG64."""

    state: dict[str, Any]


class PackedRandomState(NamedTuple):
    """The state of a `numpy.random.RandomState`; its arrays are packed, too."""

    state: dict[str, Any]


def packed(value: Any) -> Any:
    """Returns a value with all arrays, NumPy scalars and random generators in it packed, at any depth of dicts, lists, tuples.

    NumPy pickles arrays and generators by the names of private modules and by checksums of compiled classes. Both differ
    between versions of NumPy, so that an older version cannot open such a pickle. The packed value contains nothing of NumPy.

    Parameters
    ----------
    value
        The value; objects of any other type are returned as they are.

    Returns
    -------
    object
        The packed value, from which `unpacked` recreates an equal one.
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
    """Returns the value from which `packed` made its argument.

    Parameters
    ----------
    value
        A value that `packed` returned.

    Returns
    -------
    object
        The value with arrays, NumPy scalars and random generators.
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
    """Applies the function to the elements of a dict, list or tuple, and returns any other value as it is."""
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

"""Finds invalid values in NumPy arrays, and converts targets; `numbanet.inputs.gpu` has the same functions for GPU arrays."""

import functools
import math
from typing import Any

import numpy as np

_CHUNK = 1 << 16  # number of values that are searched at a time; the search for the smallest value then finds them in the cache
_MOST_CLASSES = 256  # largest number of classes whose one-hot rows are kept


def read_only(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Returns the array with the given dtype, in C order and read-only. If possible, the result is a view of the array."""
    if array.dtype != dtype:
        with np.errstate(all="ignore"):
            array = array.astype(dtype)
    view = np.ascontiguousarray(array).view()
    view.setflags(write=False)  # takes less time than `view.flags.writeable = False`
    return view


def first_not_finite(array: np.ndarray) -> tuple[int, ...] | None:
    """Returns the index of the first value that is inf or nan, or None if all values are finite."""
    if not array.size:
        return None
    width = array[0].size
    rows = max(1, _CHUNK // width)
    for first in range(0, array.shape[0], rows):
        part = array[first : first + rows]
        # The largest of values that include nan is nan. Finding both extremes takes less time than testing each value.
        if math.isfinite(np.maximum.reduce(part, axis=None)) and math.isfinite(np.minimum.reduce(part, axis=None)):
            continue
        s, *others = np.argwhere(~np.isfinite(part))[0]
        return s + first, *others
    return None


def first_improbable(y: np.ndarray) -> tuple[int, ...] | None:
    """Returns the index of the first value of y (n, n_out) that is nan or outside [0, 1], or None if there is no such value."""
    if np.minimum.reduce(y, axis=None, initial=1) >= 0 and np.maximum.reduce(y, axis=None, initial=0) <= 1:
        return None  # if a value is nan, both extremes are nan, and the comparisons are false
    return tuple(np.argwhere(~((y >= 0) & (y <= 1)))[0])


def first_wrong_sum(y: np.ndarray, tolerance: float) -> int | None:
    """Returns the index of the first row of y (n, n_out) whose sum differs from 1 by more than `tolerance`, or None."""
    errors = np.add.reduce(y, axis=1)
    errors -= 1
    np.abs(errors, errors)
    if np.maximum.reduce(errors, initial=0) <= tolerance:
        return None
    return int(np.flatnonzero(errors > tolerance)[0])


def first_unknown_label(labels: np.ndarray, classes: int) -> int | None:
    """Returns the index of the first sample whose label is outside 0 to classes - 1, or None if there is no such sample."""
    unsigned = labels.astype(np.intp, copy=False).view(np.uintp)  # as an unsigned integer, a negative label is large
    if unsigned[unsigned.argmax()] < classes:  # takes less time than `max` if there are few labels
        return None
    samples = np.flatnonzero((labels < 0) | (labels >= classes))
    return int(samples[0]) if samples.size else None


def one_hot(labels: np.ndarray, classes: int, dtype: np.dtype) -> np.ndarray:
    """Returns the labels as one-hot rows, a read-only array of shape (n, classes)."""
    if classes <= _MOST_CLASSES:
        y = _identity(classes, dtype).take(labels.astype(np.intp, copy=False), axis=0)
    else:
        y = np.zeros((labels.shape[0], classes), dtype)
        y[np.arange(labels.shape[0]), labels.astype(np.intp)] = 1
    y.setflags(write=False)
    return y


@functools.lru_cache(8)
def _identity(classes: int, dtype: np.dtype) -> np.ndarray:
    """Returns the one-hot rows of all classes."""
    return np.eye(classes, dtype=dtype)


def classes(y: np.ndarray, binary: bool) -> np.ndarray:
    """Returns the class of each row of y (n, n_out) as an array of shape (n,).

    If `binary` is True, rows have a single value, and the class is 1 if this value exceeds 1/2, else 0. If `binary` is False,
    the class is the index of the row's largest value.
    """
    return (y[:, 0] > 0.5).astype(np.intp) if binary else y.argmax(axis=1)


def smoothed(y: np.ndarray, amount: float, indifferent: float) -> np.ndarray:
    """Returns the targets y, moved towards the number `indifferent`, as a read-only array: y + amount * (indifferent - y)."""
    number = y.dtype.type
    moved = y + number(amount) * (number(indifferent) - y)
    moved.flags.writeable = False
    return moved


def at(array: np.ndarray, index: Any) -> Any:
    """Returns array[index], which is a single value or a row."""
    return array[index]

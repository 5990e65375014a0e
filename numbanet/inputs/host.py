"""Finds invalid values in NumPy arrays, and converts targets; `numbanet.inputs.gpu` has the same functions for GPU arrays."""

from typing import Any

import numpy as np

_CHUNK_ROWS = 4096


def first_not_finite(array: np.ndarray) -> tuple[int, ...] | None:
    """Returns the index of the first value that is inf or nan, or None if all values are finite."""
    for first in range(0, array.shape[0], _CHUNK_ROWS):
        part = array[first : first + _CHUNK_ROWS]
        with np.errstate(all="ignore"):
            if np.isfinite(part.sum()):  # a finite sum has only finite terms, and is faster than checking each term
                continue
        good = np.isfinite(part)
        if not good.all():
            s, *others = np.argwhere(~good)[0]
            return s + first, *others
    return None


def first_improbable(y: np.ndarray) -> tuple[int, ...] | None:
    """Returns the index of the first value of y (n, n_out) outside [0, 1], or None if there is no such value."""
    places = np.argwhere((y < 0) | (y > 1))
    return tuple(places[0]) if places.size else None


def first_wrong_sum(y: np.ndarray, tolerance: float) -> int | None:
    """Returns the index of the first row of y (n, n_out) whose sum differs from 1 by more than `tolerance`, or None."""
    rows = np.flatnonzero(np.abs(y.sum(axis=1) - 1) > tolerance)
    return int(rows[0]) if rows.size else None


def first_unknown_label(labels: np.ndarray, classes: int) -> int | None:
    """Returns the index of the first sample whose label is outside 0 to classes - 1, or None if there is no such sample."""
    samples = np.flatnonzero((labels < 0) | (labels >= classes))
    return int(samples[0]) if samples.size else None


def one_hot(labels: np.ndarray, classes: int, dtype: np.dtype) -> np.ndarray:
    """Returns the labels as one-hot rows, a read-only array of shape (n, classes)."""
    y = np.zeros((labels.shape[0], classes), dtype)
    y[np.arange(labels.shape[0]), labels.astype(np.intp)] = 1
    y.flags.writeable = False
    return y


def classes(y: np.ndarray, binary: bool) -> np.ndarray:
    """Returns the class of each row of y (n, n_out) as an array of shape (n,).

    If `binary` is True, rows have a single value, and the class is 1 if this value exceeds 1/2, else 0. If `binary` is False,
    the class is the index of the row's largest value.
    """
    return (y[:, 0] > 0.5).astype(np.intp) if binary else y.argmax(axis=1)


def smoothed(y: np.ndarray, amount: float, indifferent: float) -> np.ndarray:
    """Returns y + amount * (indifferent - y) as a read-only array of shape (n, n_out)."""
    number = y.dtype.type
    moved = y + number(amount) * (number(indifferent) - y)
    moved.flags.writeable = False
    return moved


def at(array: np.ndarray, index: Any) -> Any:
    """Returns array[index], which is a single value or a row."""
    return array[index]

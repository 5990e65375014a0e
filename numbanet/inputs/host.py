"""Where an array of NumPy's is not what it should be. `numbanet.inputs.gpu` says the same of arrays on the GPU."""

import numpy as np

_CHUNK_ROWS = 4096


def first_not_finite(array: np.ndarray) -> tuple[int, ...] | None:
    """The index of the first number that is inf or nan."""
    for first in range(0, array.shape[0], _CHUNK_ROWS):
        part = array[first : first + _CHUNK_ROWS]
        with np.errstate(all="ignore"):
            if np.isfinite(part.sum()):  # then so are all its terms, and the sum is quicker than they are
                continue
        good = np.isfinite(part)
        if not good.all():
            s, *others = np.argwhere(~good)[0]
            return s + first, *others
    return None


def first_improbable(y: np.ndarray) -> tuple[int, int] | None:
    """The index of the first number of y (n, n_out) outside [0, 1]."""
    places = np.argwhere((y < 0) | (y > 1))
    return tuple(places[0]) if places.size else None


def first_wrong_sum(y: np.ndarray, tolerance: float) -> int | None:
    """The first row of y (n, n_out) that does not add up to 1."""
    rows = np.flatnonzero(np.abs(y.sum(axis=1) - 1) > tolerance)
    return rows[0] if rows.size else None


def first_unknown_label(labels: np.ndarray, classes: int) -> int | None:
    """The first sample whose label is not in 0 to classes - 1."""
    samples = np.flatnonzero((labels < 0) | (labels >= classes))
    return samples[0] if samples.size else None


def one_hot(labels: np.ndarray, classes: int, dtype: np.dtype) -> np.ndarray:
    """Read-only rows (n, classes) with 1 at the label of each sample."""
    y = np.zeros((labels.shape[0], classes), dtype)
    y[np.arange(labels.shape[0]), labels.astype(np.intp)] = 1
    y.flags.writeable = False
    return y


def at(array: np.ndarray, index):
    """array[index]."""
    return array[index]

"""Computes two constants for dropout from the dropout rate, which is the probability that a neuron drops out."""

import numpy as np


def limit_and_scale(rate: float, dtype: np.dtype) -> tuple[np.uint64, np.floating]:
    """Returns the limit p * 2^32 and the scale 1 / (1 - p) of the dropout rate p, for `numbanet.equations.dropout.dropped`.

    Parameters
    ----------
    rate : float
        The probability p that a neuron drops out, in [0, 1).
    dtype : numpy.dtype
        The type of the returned scale.
    """
    return np.uint64(round(rate * 2**32)), dtype.type(1 / (1 - rate))

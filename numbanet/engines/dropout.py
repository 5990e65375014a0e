"""The constants of dropout, from a rate."""

import numpy as np


def limit_and_scale(rate: float, dtype: np.dtype) -> tuple[np.uint64, np.floating]:
    """Returns what `numbanet.equations.dropout.dropped` takes for a rate p: the limit p 2^32, and the scale 1 / (1 - p).

    Parameters
    ----------
    rate : float
        Probability p that a neuron drops out, in [0, 1).
    dtype : numpy.dtype
        Of the scale.

    Returns
    -------
    (uint64, floating)
    """
    return np.uint64(round(rate * 2**32)), dtype.type(1 / (1 - rate))

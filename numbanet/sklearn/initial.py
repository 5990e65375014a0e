"""The initial weights and biases of the estimators, drawn as scikit-learn draws them."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

# The limits of the weights and biases are sqrt(factor / (n_in + n_out)).
FACTORS = {"sigmoid": 2.0}
FACTOR = 6.0


def initial_parameters(
    sizes: Sequence[int],
    activations: Sequence[str],
    random_state: np.random.RandomState,
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Draws the weights and biases of each layer uniformly between -limit and limit.

    limit is sqrt(2 / (n_in + n_out)) in layers with the activation sigmoid, and sqrt(6 / (n_in + n_out)) with any other one.
    scikit-learn takes the activation of the hidden layers for the output layer, too. From the same `random_state`,
    scikit-learn draws the same numbers.

    Parameters
    ----------
    sizes : sequence of int
        Number of neurons of each layer, beginning with the inputs.
    activations : sequence of str
        The activation of each hidden layer; the output layer takes the last of them, or "identity" if there is none.
    random_state : RandomState
        Draws the numbers.

    Returns
    -------
    list of (w, b)
        One pair of arrays per layer, (n_in, n_out) and (n_out,).
    """
    output = activations[-1] if activations else "identity"
    parameters = []
    for (n_in, n_out), activation in zip(pairwise(sizes), [*activations, output], strict=True):
        limit = np.sqrt(FACTORS.get(activation, FACTOR) / (n_in + n_out))
        w = random_state.uniform(-limit, limit, (n_in, n_out))
        parameters.append((w, random_state.uniform(-limit, limit, n_out)))
    return parameters

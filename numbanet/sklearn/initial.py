"""Draws the estimators' initial weights and biases in the same way as scikit-learn."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from numbanet.formulas import Activation

# Initial weights and biases lie between -limit and limit, with limit = sqrt(factor / (n_in + n_out)). FACTORS maps some
# activations to their factor, and FACTOR is the factor for all other activations.
FACTORS: dict[str | Activation, float] = {"sigmoid": 2.0}
FACTOR = 6.0


def initial_parameters(
    sizes: Sequence[int],
    activations: Sequence[str | Activation],
    random_state: np.random.RandomState,
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Draws the weights and biases of each layer uniformly between -limit and limit.

    The limit is sqrt(2 / (n_in + n_out)) for layers with the activation sigmoid, and sqrt(6 / (n_in + n_out)) for layers with
    any other activation. As in scikit-learn, the limit of the output layer depends on the activation of the last hidden layer,
    not on the output layer's activation. With the same `random_state`, scikit-learn draws the same numbers.

    Parameters
    ----------
    sizes : sequence of int
        Number of neurons of each layer, beginning with the inputs.
    activations : sequence of str and Activation
        The activation of each hidden layer.
    random_state : RandomState
        The generator that draws the numbers.

    Returns
    -------
    list of (w, b)
        One pair per layer: the weights w of shape (n_in, n_out) and the biases b of shape (n_out,).
    """
    output = activations[-1] if activations else "identity"
    parameters = []
    for (n_in, n_out), activation in zip(pairwise(sizes), [*activations, output], strict=True):
        limit = np.sqrt(FACTORS.get(activation, FACTOR) / (n_in + n_out))
        w = random_state.uniform(-limit, limit, (n_in, n_out))
        parameters.append((w, random_state.uniform(-limit, limit, n_out)))
    return parameters

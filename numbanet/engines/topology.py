"""A network's topology as engines receive it: sizes, activations, loss, and positions of w and b in the parameter vector."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from numbanet.equations.activations import IDENTITY, LEAKY_RELU, RELU, SIGMOID, SOFTMAX, TANH
from numbanet.equations.losses import BCE, CCE, MSE, SSE

ACTIVATIONS = {
    "identity": IDENTITY,
    "sigmoid": SIGMOID,
    "tanh": TANH,
    "relu": RELU,
    "leaky_relu": LEAKY_RELU,
    "softmax": SOFTMAX,
}
# Activations whose derivative has to be computed from z, because a does not determine it. Engines keep z in addition to a for
# hidden layers with these activations. None of today's activations needs z: their derivatives are functions of a, and the
# derivatives of the rectifiers (ReLU, leaky ReLU) have the same value at a as at z.
KEEPS_Z: frozenset[int] = frozenset()
LOSSES = {"sse": SSE, "mse": MSE, "bce": BCE, "cce": CCE}


@dataclass(frozen=True)
class Topology:
    """The sizes, the activations and the loss of a network. `numbanet.inputs` has already checked these values.

    Parameters
    ----------
    sizes : tuple of int
        Number of neurons of each layer, beginning with the inputs: (n_in, ..., n_out).
    activations : tuple of str
        Name of the activation function of each layer: `len(sizes) - 1` names, because the inputs have none.
    loss : str
        Name of the loss function, a key of `LOSSES`.
    dtype : numpy.dtype
        float32 or float64: the type in which the network computes.
    epsilon : float
        Slope of leaky ReLU for z <= 0.
    dropout : tuple of float
        For each layer except the last, the probability in [0, 1) that a neuron drops out in training. An empty tuple means no
        dropout.
    """

    sizes: tuple[int, ...]
    activations: tuple[str, ...]
    loss: str
    dtype: np.dtype
    epsilon: float = 0.01
    dropout: tuple[float, ...] = ()

    @cached_property
    def kinds(self) -> tuple[int, ...]:
        """The activation of each layer, as the integer constant that the loops take."""
        return tuple(ACTIVATIONS[name] for name in self.activations)

    @cached_property
    def keeps_z(self) -> tuple[bool, ...]:
        """For each layer, True if its activation is in `KEEPS_Z`."""
        return tuple(kind in KEEPS_Z for kind in self.kinds)

    @cached_property
    def loss_kind(self) -> int:
        """The loss, as the integer constant that the loops take."""
        return LOSSES[self.loss]

    @cached_property
    def parameter_count(self) -> int:
        """Length of the flat parameter vector: the number of all weights w and biases b."""
        return sum(n_in * n_out + n_out for n_in, n_out in self.layers)

    @property
    def dropout_rates(self) -> tuple[float, ...]:
        """The dropout probability of each layer, which is 0 for the last layer."""
        return (self.dropout or (0.0,) * (len(self.kinds) - 1)) + (0.0,)

    @cached_property
    def layers(self) -> tuple[tuple[int, int], ...]:
        """The numbers of inputs and of neurons of each layer, as pairs (n_in, n_out)."""
        return tuple(zip(self.sizes, self.sizes[1:], strict=False))

    def matrices(self, flat: Any) -> list[Any]:
        """Returns a matrix (n_in + 1, n_out) for each layer: w, with b as its last row.

        The matrices are views into `flat`, a parameter vector on any device.
        """
        matrices, start = [], 0
        for n_in, n_out in self.layers:
            end = start + (n_in + 1) * n_out
            matrices.append(flat[start:end].reshape(n_in + 1, n_out))
            start = end
        return matrices

    def views(self, flat: Any) -> list[tuple[Any, Any]]:
        """Returns a pair (w, b) for each layer, with w (n_in, n_out) and b (n_out,).

        The arrays are views into `flat`, a parameter vector on any device.
        """
        return [(wb[:-1], wb[-1]) for wb in self.matrices(flat)]

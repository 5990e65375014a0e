"""The topology of a network, as engines receive it: its layers, and where w and b of each lie in the flat parameter vector."""

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
# Activations whose derivative is a function of z that a cannot replace: engines keep z of such a hidden layer beside a.
# The derivatives of today's activations are functions of a; those of the rectifiers have the same value at a as at z.
KEEPS_Z: frozenset[int] = frozenset()
LOSSES = {"sse": SSE, "mse": MSE, "bce": BCE, "cce": CCE}


@dataclass(frozen=True)
class Topology:
    """Sizes, activations and loss of a network, already checked (see `numbanet.inputs`).

    Parameters
    ----------
    sizes : tuple of int
        Number of neurons, input first: (n_in, ..., n_out).
    activations : tuple of str
        One name per layer, `len(sizes) - 1` of them.
    loss : str
        A key of `LOSSES`.
    dtype : numpy.dtype
        float32 or float64.
    epsilon : float
        Slope of leaky ReLU for z <= 0.
    dropout : tuple of float
        For each layer but the last, the probability that a neuron drops out in training, in [0, 1); () for no dropout.
    """

    sizes: tuple[int, ...]
    activations: tuple[str, ...]
    loss: str
    dtype: np.dtype
    epsilon: float = 0.01
    dropout: tuple[float, ...] = ()

    @cached_property
    def kinds(self) -> tuple[int, ...]:
        """The activations, as the constants that the loops take."""
        return tuple(ACTIVATIONS[name] for name in self.activations)

    @cached_property
    def keeps_z(self) -> tuple[bool, ...]:
        """True for each layer whose activation is in `KEEPS_Z`."""
        return tuple(kind in KEEPS_Z for kind in self.kinds)

    @cached_property
    def loss_kind(self) -> int:
        """The loss, as the constant that the loops take."""
        return LOSSES[self.loss]

    @cached_property
    def parameter_count(self) -> int:
        """Length of the flat parameter vector."""
        return sum(n_in * n_out + n_out for n_in, n_out in self.layers)

    @property
    def dropout_rates(self) -> tuple[float, ...]:
        """The dropout probability of each layer; 0 for the last."""
        return (self.dropout or (0.0,) * (len(self.kinds) - 1)) + (0.0,)

    @property
    def layers(self) -> list[tuple[int, int]]:
        """(n_in, n_out) of each layer."""
        return list(zip(self.sizes, self.sizes[1:], strict=False))

    def matrices(self, flat: Any) -> list[Any]:
        """Returns w of each layer with b as its last row, (n_in + 1, n_out), as views into a flat vector on any device."""
        matrices, start = [], 0
        for n_in, n_out in self.layers:
            end = start + (n_in + 1) * n_out
            matrices.append(flat[start:end].reshape(n_in + 1, n_out))
            start = end
        return matrices

    def views(self, flat: Any) -> list[tuple[Any, Any]]:
        """Returns [(w, b), ...], w (n_in, n_out) and b (n_out,), as views into a flat vector on any device."""
        return [(wb[:-1], wb[-1]) for wb in self.matrices(flat)]

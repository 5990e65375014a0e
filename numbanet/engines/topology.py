"""What an engine has to know of a network: its layers, and where each one's w and b lie in the flat parameter vector."""

from dataclasses import dataclass
from functools import cached_property

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
LOSSES = {"sse": SSE, "mse": MSE, "bce": BCE, "cce": CCE}


def limit_and_scale(rate: float, dtype: np.dtype) -> tuple[np.uint64, np.floating]:
    """What `numbanet.equations.dropout` takes for a rate: p 2^32, and 1 / (1 - p)."""
    return np.uint64(round(rate * 2**32)), dtype.type(1 / (1 - rate))


@dataclass(frozen=True)
class Topology:
    """Sizes, activations and loss of a network, checked already (see `numbanet.inputs`).

    Parameters
    ----------
    sizes : tuple of int
        Number of neurons, input first: (n_in, ..., n_out).
    activations : tuple of str
        One name per layer, `len(sizes) - 1` of them.
    loss : str
        One of `LOSSES`.
    dtype : numpy.dtype
        float32 or float64.
    epsilon : float
        Slope of leaky ReLU for z <= 0.
    dropout : tuple of float
        For each layer but the last the share of its neurons that drop out in training, in [0, 1); () for none at all.
    """

    sizes: tuple[int, ...]
    activations: tuple[str, ...]
    loss: str
    dtype: np.dtype
    epsilon: float = 0.01
    dropout: tuple[float, ...] = ()

    @cached_property
    def kinds(self) -> tuple[int, ...]:
        """The activations as the constants the loops take."""
        return tuple(ACTIVATIONS[name] for name in self.activations)

    @cached_property
    def loss_kind(self) -> int:
        """The loss as the constant the loops take."""
        return LOSSES[self.loss]

    @cached_property
    def parameter_count(self) -> int:
        """Length of the flat parameter vector."""
        return sum(n_in * n_out + n_out for n_in, n_out in self.layers)

    @property
    def dropout_rates(self) -> tuple[float, ...]:
        """The rate of each layer; the last has none."""
        return (self.dropout or (0.0,) * (len(self.kinds) - 1)) + (0.0,)

    @property
    def layers(self) -> list[tuple[int, int]]:
        """(n_in, n_out) of each layer."""
        return list(zip(self.sizes, self.sizes[1:], strict=False))

    def views(self, flat):
        """[(w, b), ...], w (n_in, n_out) and b (n_out,), as views into a flat vector on any device."""
        views, start = [], 0
        for n_in, n_out in self.layers:
            middle, end = start + n_in * n_out, start + n_in * n_out + n_out
            views.append((flat[start:middle].reshape(n_in, n_out), flat[middle:end]))
            start = end
        return views

"""The class `Topology`, which describes a network to engines: sizes, activation functions, loss, and order of parameters."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from numbanet.equations.activations import IDENTITY, LEAKY_RELU, RELU, SIGMOID, SOFTMAX, TANH
from numbanet.equations.losses import BCE, CCE, MSE, SSE
from numbanet.formulas import BEYOND_ACTIVATIONS, BEYOND_LOSSES, Activation, Loss

ACTIVATIONS = {
    "identity": IDENTITY,
    "sigmoid": SIGMOID,
    "tanh": TANH,
    "relu": RELU,
    "leaky_relu": LEAKY_RELU,
    "softmax": SOFTMAX,
}
# Activation functions whose derivative must be computed from z, because a does not determine the derivative. For hidden layers
# with these activation functions, engines keep z in addition to a. None of the existing activation functions needs z, because
# their derivatives can be computed from a. (The derivatives of relu and leaky_relu have the same value at a as at z.)
KEEPS_Z: frozenset[int] = frozenset()
LOSSES = {"sse": SSE, "mse": MSE, "bce": BCE, "cce": CCE}
# All built-in activations and losses: an integer constant for each formula on the sheet, and an object for each other formula.
ALL_ACTIVATIONS: dict[str, int | Activation] = {**ACTIVATIONS, **BEYOND_ACTIVATIONS}
ALL_LOSSES: dict[str, int | Loss] = {**LOSSES, **BEYOND_LOSSES}
# The constants of formulas that are not on the sheet: the constant of the first such activation of a network (the next such
# activation has the next number), and the constant of the loss.
OWN_ACTIVATION, OWN_LOSS = len(ACTIVATIONS), len(LOSSES)


@dataclass(frozen=True)
class Topology:
    """The layer sizes, the activation functions and the loss of a network.

    `Topology` does not check its values: the functions of `numbanet.inputs` have already checked them.

    Parameters
    ----------
    sizes : tuple of int
        The number of inputs, followed by the number of neurons of each layer: (n_in, ..., n_out).
    activations : tuple of str
        The name of each layer's activation function, which is a key of `ACTIVATIONS`, or the name of an `Activation` in
        `formulas`. There are `len(sizes) - 1` names.
    loss : str
        The name of the loss function, which is a key of `LOSSES`, or the name of a `Loss` in `formulas`.
    dtype : numpy.dtype
        float32 or float64: the type in which the network computes.
    epsilon : float
        The slope of leaky_relu for z <= 0.
    dropout : tuple of float
        For each layer except the last, the probability in [0, 1) that a neuron drops out during training. An empty tuple means
        no dropout.
    formulas : tuple of Activation and Loss
        The activation functions and the loss that are not on the project's cheat sheet (docs/sheet.md), without repetition:
        formulas that the user wrote, and formulas of `numbanet.equations.beyond`.
    """

    sizes: tuple[int, ...]
    activations: tuple[str, ...]
    loss: str
    dtype: np.dtype
    epsilon: float = 0.01
    dropout: tuple[float, ...] = ()
    formulas: tuple[Activation | Loss, ...] = ()

    @cached_property
    def own_activations(self) -> tuple[Activation, ...]:
        """The activation functions that are not on the cheat sheet (docs/sheet.md), sorted by name, not by layer."""
        own = (formula for formula in self.formulas if isinstance(formula, Activation))
        return tuple(sorted(own, key=lambda formula: formula.name))

    @cached_property
    def own_loss(self) -> Loss | None:
        """The loss, if it is not on the project's cheat sheet of formulas (docs/sheet.md); otherwise None."""
        return next((formula for formula in self.formulas if isinstance(formula, Loss)), None)

    @cached_property
    def kinds(self) -> tuple[int, ...]:
        """For each layer, the integer constant of its activation function, such as RELU."""
        own = {activation.name: kind for kind, activation in enumerate(self.own_activations, start=OWN_ACTIVATION)}
        return tuple((ACTIVATIONS | own)[name] for name in self.activations)

    @cached_property
    def keeps_z(self) -> tuple[bool, ...]:
        """For each layer, True if the derivative of its activation function must be computed from z."""
        own = {kind for kind, activation in enumerate(self.own_activations, start=OWN_ACTIVATION) if activation.needs_z}
        return tuple(kind in KEEPS_Z | own for kind in self.kinds)

    @cached_property
    def loss_kind(self) -> int:
        """The integer constant of the loss, such as MSE."""
        return OWN_LOSS if self.own_loss else LOSSES[self.loss]

    @cached_property
    def parameter_count(self) -> int:
        """The length of the flat parameter vector: the number of all weights w and biases b."""
        return sum(n_in * n_out + n_out for n_in, n_out in self.layers)

    @property
    def dropout_rates(self) -> tuple[float, ...]:
        """For each layer, the probability that a neuron drops out. For the last layer, the dropout probability is 0."""
        return (self.dropout or (0.0,) * (len(self.kinds) - 1)) + (0.0,)

    @cached_property
    def layers(self) -> tuple[tuple[int, int], ...]:
        """For each layer, the pair (n_in, n_out): its number of inputs, and its number of neurons."""
        return tuple(zip(self.sizes, self.sizes[1:], strict=False))

    def matrices(self, flat: Any) -> list[Any]:
        """Returns a matrix of shape (n_in + 1, n_out) for each layer: w, and b as an additional last row.

        The matrices are views into `flat`, which is a parameter vector on any device.
        """
        matrices, start = [], 0
        for n_in, n_out in self.layers:
            end = start + (n_in + 1) * n_out
            matrices.append(flat[start:end].reshape(n_in + 1, n_out))
            start = end
        return matrices

    def views(self, flat: Any) -> list[tuple[Any, Any]]:
        """Returns a pair (w, b) for each layer. w has the shape (n_in, n_out), and b has the shape (n_out,).

        The arrays are views into `flat`, which is a parameter vector on any device.
        """
        return [(wb[:-1], wb[-1]) for wb in self.matrices(flat)]

"""The values of a training step that a trace does not contain, computed by the functions of `numbanet.equations`."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numbanet import equations
from numbanet.engines.topology import ACTIVATIONS, LOSSES

Array = NDArray[Any]

POINTS = 121  # number of points of an activation's curve; odd, so that one of the points is z = 0
NARROWEST = 4.0  # the curve of an activation reaches at least from -4 to 4


class Layer(NamedTuple):
    """The name of a layer's activation, and the layer's arrays in one training step, named and shaped as in `Trace`."""

    activation: str
    w: Array
    b: Array
    z: Array
    a: Array
    delta: Array
    dw: Array
    db: Array

    @property
    def kind(self) -> int:
        """The integer constant by which the functions of `numbanet.equations` select the activation."""
        return ACTIVATIONS[self.activation]

    @property
    def is_softmax(self) -> bool:
        """True if a neuron's activation depends on the z of all neurons of the layer."""
        return self.kind == equations.SOFTMAX


class Step(NamedTuple):
    """One training step: the samples, the loss, and the layers from first to last."""

    x: Array
    y: Array
    loss: float
    loss_name: str
    epsilon: float
    learning_rate: float
    layers: list[Layer]

    @property
    def sizes(self) -> list[int]:
        """The number of inputs, followed by the number of neurons of each layer."""
        return [self.x.shape[1], *(layer.b.size for layer in self.layers)]

    @property
    def loss_kind(self) -> int:
        """The integer constant by which the functions of `numbanet.equations` select the loss."""
        return LOSSES[self.loss_name]

    @property
    def has_short_error(self) -> bool:
        """True if the last layer's delta is computed as 1/n (a - y), from the activations a and targets y of n samples."""
        return self.loss_kind in (equations.BCE, equations.CCE)


def loss_terms(step: Step) -> tuple[Array, Array]:
    """Returns the terms of the loss, of shape (n, n_out), and the loss of each sample, of shape (n,).

    A term is the loss that `numbanet.equations` computes for one output alone. Unless the loss is sse, the terms and the
    samples' losses are divided by the number n of samples.
    """
    n_out = step.y.shape[1]
    terms = _losses(step, step.y.reshape(-1, 1), n_out)
    return terms.reshape(step.y.shape), _losses(step, step.y, 1)


def _losses(step: Step, y: Array, parts: int) -> Array:
    """Returns the loss of each row of y.

    y has one row per sample if `parts` is 1, and one row per output of each sample if `parts` is the number of outputs.
    """
    last, losses = step.layers[-1], np.empty(len(y), step.y.dtype)
    n = y.dtype.type(len(step.y))
    z, a = last.z.reshape(y.shape), last.a.reshape(y.shape)
    if step.loss_kind == equations.CCE:
        z_max, others = np.empty(len(last.z), z.dtype), np.empty(len(last.z), z.dtype)
        equations.softmax_sum(last.z, z_max, others)
        equations.cce_loss(n, y, z, np.repeat(z_max, parts), np.repeat(others, parts), losses)
    elif step.loss_kind == equations.BCE:
        equations.bce_from_z_loss(n, y, logit(last).reshape(y.shape), losses)
    else:
        equations.loss(step.loss_kind, n, y, a, losses)
    return losses


def logit(layer: Layer) -> Array:
    """Returns an array (n, n_out): for a softmax layer, the values u with sigmoid(u) = a; otherwise the pre-activations z."""
    if not layer.is_softmax:
        return layer.z
    u = np.empty_like(layer.z)
    equations.softmax_logit(layer.z, u)
    return u


def error_of_activations(step: Step, l: int) -> Array | None:
    """Returns dL/da of layer l (counted from 0), of shape (n, n_out); None for the last layer if `step.has_short_error`."""
    layer = step.layers[l]
    dl_da = np.empty_like(layer.a)
    if l + 1 < len(step.layers):
        after = step.layers[l + 1]
        equations.delta_recurrence(
            equations.IDENTITY, layer.a.dtype.type(step.epsilon), after.w, after.delta, layer.z, layer.a, dl_da
        )
    elif step.has_short_error:
        return None
    else:
        equations.d_loss(step.loss_kind, layer.a.dtype.type(len(step.y)), step.y, layer.a, dl_da)
    return dl_da


def slopes(layer: Layer, epsilon: float) -> Array | None:
    """Returns da/dz of shape (n, n_out); None for softmax, whose derivative is a matrix."""
    if layer.is_softmax:
        return None
    da_dz = np.empty_like(layer.z)
    equations.d_activation(layer.kind, layer.z.dtype.type(epsilon), layer.z, layer.a, da_dz)
    return da_dz


def updated(learning_rate: float, parameters: Array, gradients: Array) -> Array:
    """Returns the parameters of a layer after one step of gradient descent."""
    after = np.array(parameters, order="C")
    equations.gradient_descent(after.dtype.type(learning_rate), np.ravel(gradients), after.reshape(-1))
    return after


def curve(layer: Layer, epsilon: float) -> tuple[Array, Array]:
    """Returns points z and a = phi(z) of the activation's curve, over a range that contains every z of the layer.

    As a function of its own z_j, a softmax neuron's activation is sigmoid(z_j - c_j), where c_j depends on the other neurons.
    For softmax, the function therefore returns the curve of sigmoid, over a range that contains every z_j - c_j of the layer.
    """
    reach = np.abs(logit(layer)).max(initial=0.0)
    end = max(NARROWEST, np.ceil(1.1 * float(reach)))
    z = np.linspace(-end, end, POINTS)
    a = np.empty((POINTS, 1))
    kind = equations.SIGMOID if layer.is_softmax else layer.kind
    equations.activation(kind, epsilon, z[:, np.newaxis], a)
    return z, a[:, 0]

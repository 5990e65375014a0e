"""The start value of each sum of a matrix product, and the functions that store the result of a complete sum.

A device function finish(epilogue, out, at, z) computes a result from a complete sum `z`, and stores the result at out[at]. The
argument `epilogue` holds further values that the result depends on, such as the kind of activation.
"""

from typing import Any, NamedTuple

from numbanet._cuda import device_function
from numbanet.engines.cuda.memory import get, put
from numbanet.engines.epoch import ETA
from numbanet.equations.activations import d_phi, phi
from numbanet.equations.backprop import error_term
from numbanet.equations.descent import descend


@device_function
def zero_start(right, column, zero):
    """Returns 0, the start value of a sum without bias."""
    return zero


@device_function
def bias_start(right, column, zero):
    """Returns b_j, the start value of the sum of neuron j.

    The right matrix of the product is w, with one more row behind it that holds b; j is `column`.
    """
    return get(right.array, right.depth * right.lines + column)


@device_function
def store(nothing, out, at, z):
    """Stores a complete sum of a product, `z`, unchanged at out[at]."""
    put(out, at, z)


class Activation(NamedTuple):
    """The activation of a layer: `kind`, the integer constant such as RELU, and `epsilon`, the slope of leaky ReLU."""

    kind: Any
    epsilon: Any


@device_function
def activate(activation, out, at, z):
    """Stores a_j = phi(z_j), the activation of neuron j, at out[at]; `z` is z_j."""
    put(out, at, phi(activation.kind, activation.epsilon, z))


class Derivative(NamedTuple):
    """The activation function of the previous layer, and `a_prev`, the flat array of the previous layer's values a."""

    activation: Activation
    a_prev: Any


@device_function
def multiply_by_derivative(before, out, at, dl_da):
    """Stores delta_i = dL/da_i da_i/dz_i of the previous layer at out[at].

    da_i/dz_i is computed from a_i alone. The derivatives of ReLU and leaky ReLU depend on the sign of z_i, which is the sign of
    a_i.
    """
    a = get(before.a_prev, at)
    put(out, at, error_term(dl_da, d_phi(before.activation.kind, before.activation.epsilon, a, a)))


@device_function
def descend_in_place(rates, out, at, gradient):
    """Stores w_ij - eta dL/dw_ij, the updated weight, in place of w_ij at out[at]; `gradient` is dL/dw_ij."""
    put(out, at, descend(get(rates, ETA), gradient, get(out, at)))

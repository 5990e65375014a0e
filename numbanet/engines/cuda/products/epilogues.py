"""Device functions for the sums of a matrix product: some return the start value of a sum, others store the result.

A device function finish(epilogue, out, at, z) computes a result from a complete sum `z`, and stores the result in out[at]. The
argument `epilogue` holds other values that are needed to compute the result, such as the integer constant that selects the
activation function.
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
    """Returns 0, the start value of a sum that contains no bias."""
    return zero


@device_function
def bias_start(right, column, zero):
    """Returns b_j, the start value of the sum z_j of neuron j; the argument `column` is j.

    The right factor of the product is w; the array `right` holds w, followed by the biases b as an additional row.
    """
    return get(right.array, right.depth * right.lines + column)


@device_function
def store(nothing, out, at, z):
    """Stores `z`, a complete sum of a product, unchanged in out[at]."""
    put(out, at, z)


class Activation(NamedTuple):
    """A layer's activation function: `kind` is an integer constant such as RELU, `epsilon` is the slope of leaky_relu."""

    kind: Any
    epsilon: Any


@device_function
def activate(activation, out, at, z):
    """Stores a_j = phi(z_j), the activation of neuron j, in out[at]; `z` is z_j."""
    put(out, at, phi(activation.kind, activation.epsilon, z))


class Derivative(NamedTuple):
    """The previous layer's activation function and activations `a_prev`, from which da/dz of that layer is computed."""

    activation: Activation
    a_prev: Any


@device_function
def multiply_by_derivative(before, out, at, dl_da):
    """Stores delta_i = dL/da_i da_i/dz_i of the previous layer in out[at].

    The function computes da_i/dz_i from a_i alone. The derivatives of relu and leaky_relu depend only on the sign of z_i, which
    is the sign of a_i.
    """
    a = get(before.a_prev, at)
    put(out, at, error_term(dl_da, d_phi(before.activation.kind, before.activation.epsilon, a, a)))


@device_function
def descend_in_place(rates, out, at, gradient):
    """Replaces the weight w_ij in out[at] with w_ij - eta dL/dw_ij; `gradient` is dL/dw_ij."""
    put(out, at, descend(get(rates, ETA), gradient, get(out, at)))

"""The first and the last of a product: what a sum starts with, and what is stored when it is complete.

`finish(epilogue, out, at, z)` stores what becomes of the sum z at out[at]. The first argument holds what it needs besides.
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
    return zero


@device_function
def bias_start(right, column, zero):
    """b_j: the row of wb behind w."""
    return get(right.array, right.depth * right.lines + column)


@device_function
def store(nothing, out, at, z):
    put(out, at, z)


class Activation(NamedTuple):
    """The activation of the layer: its kind, and the slope of leaky ReLU."""

    kind: Any
    epsilon: Any


@device_function
def activate(activation, out, at, z):
    """a_j = phi(z_j)."""
    put(out, at, phi(activation.kind, activation.epsilon, z))


class Derivative(NamedTuple):
    """The activation of the layer before, and its values a_prev, flat."""

    activation: Activation
    a_prev: Any


@device_function
def multiply_by_derivative(before, out, at, dl_da):
    """delta_i = dL/da_i da_i/dz_i. The rectifiers' derivatives depend on the sign of z, which is that of a."""
    a = get(before.a_prev, at)
    put(out, at, error_term(dl_da, d_phi(before.activation.kind, before.activation.epsilon, a, a)))


@device_function
def descend_in_place(rates, out, at, gradient):
    """w_ij <- w_ij - eta dL/dw_ij."""
    put(out, at, descend(get(rates, ETA), gradient, get(out, at)))

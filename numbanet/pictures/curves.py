"""Computes the curve beside each formula of the cheat sheet, by running the formula's compiled loop on a small example.

The example for softmax is a layer of three neurons. z_1 varies along the curve, z_2 is 1, z_3 is 0, and the target is class 1.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from numbanet import equations
from numbanet.engines.topology import ACTIVATIONS
from numbanet.formulas import BEYOND_ACTIVATIONS, BEYOND_LOSSES
from numbanet.pages.rows import Row
from numbanet.pictures.curve import EPSILON, JUMP, Curve, Z
from numbanet.pictures.descents import DESCENTS, TANGENTS
from numbanet.pictures.functions import activation_of, d_activation_of, softmax_columns, softmax_of


def curve(row: Row) -> Curve | None:
    """Returns the curve of a cheat sheet row's formula, computed by the formula's loop; None for a formula without a curve."""
    make = CURVES.get((row.scalar and row.scalar.partition(".")[2], row.loop.partition(".")[2]))
    return make and make()


# The neuron

NEURON = r"$w = 0.6$, $b = 0.3$, $\phi$ = tanh"


def _sum() -> NDArray[np.float64]:
    z = np.empty((Z.size, 1))
    equations.forward_sum(Z[:, np.newaxis], np.array([[0.6]]), np.array([0.3]), z)
    return z[:, 0]


def _neuron_sum() -> Curve:
    return Curve("$x$", Z, _sum(), ("$z$",), NEURON)


def _neuron_activation() -> Curve:
    return Curve("$x$", Z, activation_of("tanh", _sum(), EPSILON), ("$a$",), NEURON)


def _neuron_derivative() -> Curve:
    return Curve("$x$", Z, d_activation_of("tanh", _sum(), EPSILON), ("$da/dz$",), NEURON)


# Activation functions

SOFTMAX = "$z_2 = 1$, $z_3 = 0$"


def _activation(name: str) -> Callable[[], Curve]:
    note = rf"$\epsilon = {EPSILON}$" * (name == "leaky_relu")
    return lambda: Curve("$z$", Z, activation_of(name, Z, EPSILON), ("$a$",), note)


def _d_activation(name: str) -> Callable[[], Curve]:
    return lambda: Curve("$z$", Z, d_activation_of(name, Z, EPSILON), ("$da/dz$",))


def _softmax_sum() -> Curve:
    return Curve("$z_1$", Z, 1 + _z_max_and_others()[1], (r"$1 + \mathrm{others}$",), SOFTMAX)


def _z_max_and_others() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    z_max, others = np.empty(Z.size), np.empty(Z.size)
    equations.softmax_sum(softmax_columns(Z), z_max, others)
    return z_max, others


def _softmax() -> Curve:
    return Curve("$z_1$", Z, activation_of("softmax", Z, EPSILON), ("$a_1$",), SOFTMAX)


def _d_softmax() -> Curve:
    return Curve("$z_1$", Z, d_activation_of("softmax", Z, EPSILON), (r"$\partial a_1/\partial z_1$",), SOFTMAX)


def _logits() -> NDArray[np.float64]:
    z = softmax_columns(Z)
    u = np.empty_like(z)
    equations.softmax_logit(z, u)
    return u


def _softmax_logit() -> Curve:
    return Curve("$z_1$", Z, _logits()[:, 0].copy(), ("$u_1$",), SOFTMAX)


# Losses of one output, y = 1

DL_DA = r"$\partial L/\partial\hat y$"


def _loss(kind: int, n: int, lowest: float, highest: float) -> Callable[[], Curve]:
    def make() -> Curve:
        y_hat = np.linspace(lowest, highest, 81)
        y, loss = np.ones((y_hat.size, 1)), np.empty(y_hat.size)
        equations.loss(kind, n, y, y_hat[:, np.newaxis], loss)
        return Curve(r"$\hat y$", y_hat, loss, ("$L$",), f"$y = 1$, $n = {n}$")

    return make


def _d_loss(kind: int, n: int, lowest: float, highest: float) -> Callable[[], Curve]:
    def make() -> Curve:
        y_hat = np.linspace(lowest, highest, 81)
        y, dl_da = np.ones((y_hat.size, 1)), np.empty((y_hat.size, 1))
        equations.d_loss(kind, n, y, y_hat[:, np.newaxis], dl_da)
        return Curve(r"$\hat y$", y_hat, dl_da[:, 0], (DL_DA,), f"$y = 1$, $n = {n}$")

    return make


def _each_loss() -> Curve:
    """Returns a curve of three pieces: the losses SSE, MSE and BCE."""
    pieces = [_loss(kind, 2, 0.2, 0.5)() for kind in (equations.SSE, equations.MSE, equations.BCE)]
    x = np.concatenate([np.append(piece.x, JUMP) for piece in pieces])
    y = np.concatenate([np.append(piece.y, JUMP) for piece in pieces])
    return pieces[0]._replace(x=x, y=y, names=("SSE", "MSE", "BCE"))


def _bce_from_z(y: float) -> Callable[[], Curve]:
    def make() -> Curve:
        loss = np.empty(Z.size)
        equations.bce_from_z_loss(1, np.full((Z.size, 1), y), Z[:, np.newaxis], loss)
        return Curve("$z$", Z, loss, ("$L$, $y = 1$" if y else "$L$, $y = 0$",), "$n = 1$")

    return make


CLASS_1 = f"$y_1 = 1$, {SOFTMAX}"


def _class_1() -> NDArray[np.float64]:
    return np.tile([1.0, 0.0, 0.0], (Z.size, 1))


def _cce() -> Curve:
    loss = np.empty(Z.size)
    equations.cce_loss(1, _class_1(), softmax_columns(Z), *_z_max_and_others(), loss)
    return Curve("$z_1$", Z, loss, ("$L$",), CLASS_1)


def _log_sum() -> Curve:
    """Returns the curve of the loss cce if the target is the class with the largest z: log(sum_j e^(z_j - max z))."""
    z, loss = softmax_columns(Z), np.empty(Z.size)
    equations.cce_loss(1, np.eye(3)[z.argmax(axis=1)], z, *_z_max_and_others(), loss)
    return Curve("$z_1$", Z, loss, (r"$\log(1 + \mathrm{others})$",), SOFTMAX)


# Error terms at the output


def _short_error() -> Curve:
    delta = np.empty((Z.size, 3))
    equations.short_error(1, _class_1(), softmax_of(softmax_columns(Z)), delta)
    return Curve("$z_1$", Z, delta[:, 0], (r"$\partial L/\partial z_1$",), CLASS_1)


def _activation_error() -> Curve:
    """Returns the curve of the error term delta of a sigmoid output with the loss MSE."""
    z = Z[:, np.newaxis]
    a, dl_da, delta = np.empty_like(z), np.empty_like(z), np.empty_like(z)
    equations.activation(equations.SIGMOID, EPSILON, z, a)
    equations.d_loss(equations.MSE, 1, np.ones_like(z), a, dl_da)
    equations.activation_error(equations.SIGMOID, EPSILON, dl_da, z, a, delta)
    return Curve("$z$", Z, delta[:, 0], (r"$\delta$",), "sigmoid, MSE, $y = 1$")


def _softmax_error() -> Curve:
    """Returns the curve of the error term delta of a softmax output with the loss MSE."""
    a = softmax_of(softmax_columns(Z))
    dl_da, delta = np.empty_like(a), np.empty_like(a)
    equations.d_loss(equations.MSE, 1, _class_1(), a, dl_da)
    equations.softmax_error(dl_da, a, delta)
    return Curve("$z_1$", Z, delta[:, 0], (r"$\delta_1$, MSE",), CLASS_1)


def _softmax_logit_error() -> Curve:
    z, u = softmax_columns(Z), _logits()
    dl_du, delta = np.empty_like(z), np.empty_like(z)
    equations.short_error(1, _class_1(), softmax_of(z), dl_du)
    equations.softmax_logit_error(dl_du, z, u, delta)
    return Curve("$z_1$", Z, delta[:, 0], (r"$\delta_1$, BCE",), CLASS_1)


# Activations and losses that are not on the sheet: the scalar functions compute the curves


def _more_activation(name: str) -> Callable[[], Curve]:
    phi = getattr(equations, name)
    return lambda: Curve("$z$", Z, np.array([phi(z) for z in Z]), ("$a$",))


def _more_d_activation(name: str) -> Callable[[], Curve]:
    phi, d_phi = getattr(equations, name), getattr(equations, f"d_{name}")
    needs_z = BEYOND_ACTIVATIONS[name].needs_z
    curve_name = "$da/dz = a$" if name == "exponential" else "$da/dz$"
    return lambda: Curve("$z$", Z, np.array([d_phi(z if needs_z else phi(z)) for z in Z]), (curve_name,))


LOWEST = {"poisson": 0.3}  # the smallest y_hat of the curve of a loss, if it differs from the default -2


def _more_loss(name: str, curve_name: str) -> Callable[[], Curve]:
    """Returns a function that computes the curve of equations.<name>, a loss or derivative, for one sample with y = 1."""
    function, jump = getattr(equations, name), [np.nextafter(1, 0), 1.0, np.nextafter(1, 2)]
    y_hat = np.sort([*np.linspace(LOWEST.get(name.removeprefix("d_"), -2.0), 4, 120), *jump])

    def make() -> Curve:
        y = np.array([function(1.0, each) for each in y_hat])
        return Curve(r"$\hat y$", y_hat, y, (curve_name,), "$y = 1$, $n = 1$")

    return make


ELEMENTWISE = [name for name in ACTIVATIONS if name != "softmax"]

# The functions that compute the curves, by the names of the scalar function and of the loop in a row of docs/sheet.md.
CURVES: dict[tuple[str | None, str], Callable[..., Curve]] = {
    ("weighted_input", "forward_sum"): _neuron_sum,
    ("phi", "activation"): _neuron_activation,
    ("d_phi", "d_activation"): _neuron_derivative,
    **{(name, "activation"): _activation(name) for name in ELEMENTWISE},
    **{(f"d_{name}", "d_activation"): _d_activation(name) for name in ELEMENTWISE},
    ("exp_difference", "softmax_sum"): _softmax_sum,
    ("softmax", "softmax_activation"): _softmax,
    ("d_softmax", "softmax_jacobian"): _d_softmax,
    (None, "softmax_logit"): _softmax_logit,
    ("sse", "loss"): _loss(equations.SSE, 1, -1, 3),
    ("d_sse", "d_loss"): _d_loss(equations.SSE, 1, -1, 3),
    ("mse", "loss"): _loss(equations.MSE, 2, -1, 3),
    ("d_mse", "d_loss"): _d_loss(equations.MSE, 2, -1, 3),
    ("bce", "loss"): _loss(equations.BCE, 1, 0.15, 0.99),
    ("d_bce", "d_loss"): _d_loss(equations.BCE, 1, 0.15, 0.99),
    ("loss_term", "loss"): _each_loss,
    ("bce_from_z", "bce_from_z_loss"): _bce_from_z(1.0),
    ("softplus", "bce_from_z_loss"): _bce_from_z(0.0),
    ("cce", "cce_loss"): _cce,
    ("log_softmax_sum", "cce_loss"): _log_sum,
    ("d_cce", "short_error"): _short_error,
    ("error_term", "activation_error"): _activation_error,
    ("d_softmax", "softmax_error"): _softmax_error,
    ("d_softmax_logit", "softmax_logit_error"): _softmax_logit_error,
    **TANGENTS,
    **DESCENTS,
    **{(name, "activation"): _more_activation(name) for name in BEYOND_ACTIVATIONS},
    **{(f"d_{name}", "d_activation"): _more_d_activation(name) for name in BEYOND_ACTIVATIONS},
    **{(name, "loss"): _more_loss(name, "$L$") for name in BEYOND_LOSSES},
    **{(f"d_{name}", "d_loss"): _more_loss(f"d_{name}", DL_DA) for name in BEYOND_LOSSES},
}

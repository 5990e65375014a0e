"""Computes the curve beside each formula of the cheat sheet, by running the formula's compiled loop on a small example.

The example for softmax is a layer of three neurons. z_1 varies along the curve, z_2 is 1, z_3 is 0, and the target is class 1.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numbanet import equations
from numbanet.engines.topology import ACTIVATIONS
from numbanet.formulas import BEYOND_ACTIVATIONS, BEYOND_LOSSES
from numbanet.pages.rows import Row
from numbanet.pictures.functions import activation_of, d_activation_of, grid, softmax_columns, softmax_of

EPSILON = 0.1  # larger than the default, so that the slope of leaky_relu is visible
Z = grid(-4, 4, 81)
JUMP = np.nan  # a point that separates two pieces of a curve


class Curve(NamedTuple):
    """A curve y over x, and the names that are written at its line.

    `names` has one name, or one for each piece of the curve. `ground` contains the values of a second curve at the points Z,
    which is drawn in grey behind the first curve, and `ground_name` is its name.
    """

    x_label: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    names: tuple[str, ...]
    note: str = ""  # the constants of the example, such as the target
    eta: str = ""  # the learning rate of an update rule
    ground: NDArray[np.float64] | None = None
    ground_name: str = ""
    marker: str = ""


def curve(row: Row) -> Curve | None:
    """Returns the curve of a formula of the cheat sheet, computed by the formula's loop; None if the formula has no curve."""
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


# Gradients: tangents to the loss curve of one sigmoid neuron with the loss BCE, for four samples

X = np.array([[-2.0], [-0.5], [0.5], [2.0]])
Y = np.array([[0.0], [1.0], [0.0], [1.0]])


def _neuron_loss(w: float, b: float) -> float:
    z, loss = np.empty_like(X), np.empty(len(X))
    equations.forward_sum(X, np.array([[w]]), np.array([b]), z)
    equations.bce_from_z_loss(len(X), Y, z, loss)
    return loss.sum()


def _neuron_gradients(w: float, b: float) -> tuple[float, float]:
    z, a, delta = np.empty_like(X), np.empty_like(X), np.empty_like(X)
    dw, db = np.empty((1, 1)), np.empty(1)
    equations.forward_sum(X, np.array([[w]]), np.array([b]), z)
    equations.activation(equations.SIGMOID, EPSILON, z, a)
    equations.short_error(len(X), Y, a, delta)
    equations.weight_gradient(X, delta, dw)
    equations.bias_gradient(delta, db)
    return dw.item(), db.item()


def _tangents(
    variable: str, name: str, loss: Callable[[float], float], slope: Callable[[float], float], x_label: str = "$w,b$"
) -> Curve:
    """Returns a curve of three pieces, which has the name `name`: short tangents to the loss curve at three points."""
    ground = np.array([loss(x) for x in Z])
    pieces = [(x + dx, loss(x) + slope(x) * dx) for x in (-2.6, 0.0, 2.6) for dx in (-0.9, 0.9, JUMP)]
    x, y = np.array(pieces).T
    return Curve(x_label, x, y, (name,), "tangents", "", ground, f"$L({variable})$")


def _weight_gradient() -> Curve:
    return _tangents("w", r"$\partial L/\partial w$", lambda w: _neuron_loss(w, 0.5), lambda w: _neuron_gradients(w, 0.5)[0])


def _bias_gradient() -> Curve:
    return _tangents("b", r"$\partial L/\partial b$", lambda b: _neuron_loss(-1.0, b), lambda b: _neuron_gradients(-1.0, b)[1])


# Backpropagation through a layer: one tanh neuron in layer l, two sigmoid neurons in layer l + 1, and the loss BCE

W_NEXT = np.array([[1.8, -1.2]])
Y_NEXT = np.array([[1.0, 1.0]])


def _loss_behind(z_prev: float) -> float:
    z, loss = np.empty((1, 2)), np.empty(1)
    equations.forward_sum(activation_of("tanh", np.array([z_prev]), EPSILON)[np.newaxis], W_NEXT, np.zeros(2), z)
    equations.bce_from_z_loss(1, Y_NEXT, z, loss)
    return loss.item()


def _delta_behind(z_prev_value: float) -> float:
    z_prev = np.array([[z_prev_value]])
    a_prev, delta_prev, z, a, delta = np.empty((1, 1)), np.empty((1, 1)), np.empty((1, 2)), np.empty((1, 2)), np.empty((1, 2))
    equations.activation(equations.TANH, EPSILON, z_prev, a_prev)
    equations.forward_sum(a_prev, W_NEXT, np.zeros(2), z)
    equations.activation(equations.SIGMOID, EPSILON, z, a)
    equations.short_error(1, Y_NEXT, a, delta)
    equations.delta_recurrence(equations.TANH, EPSILON, W_NEXT, delta, z_prev, a_prev, delta_prev)
    return delta_prev.item()


def _delta_recurrence() -> Curve:
    return _tangents("z", r"$\delta$", _loss_behind, _delta_behind, "$z$")


# Gradient descent of the same sigmoid neuron, with constant b: all update rules have the same start and number of steps. The
# eta of each rule is the smallest multiple of 0.05 with which the last loss is less than 0.01 above the minimum.

START, STEPS = -3.6, 12
MU, BETA_1, BETA_2, TINY = 0.6, 0.9, 0.999, 1e-8


def _path(eta: float, constants: str, step: Callable[[int, NDArray[np.float64], NDArray[np.float64]], object]) -> Curve:
    """Returns the curve of the loss over w, with one point at the start and one after each update.

    The function step(t, gradients, w) performs the update with the number t, counted from 1, with the learning rate eta. The
    string `constants` describes the constants of the update rule other than eta.
    """
    w, path = np.array([START]), [START]
    for t in range(1, STEPS + 1):
        step(t, np.array(_neuron_gradients(w.item(), 0.5)[:1]), w)
        path.append(w.item())
    ground, heights = (np.array([_neuron_loss(x, 0.5) for x in places]) for places in (Z, path))
    rate = rf"$\eta = {eta}$"
    note = f"{STEPS} steps from $w = {START}$, {rate}{constants}"
    return Curve("$w$", np.array(path), heights, (f"{STEPS} steps",), note, rate, ground, "$L$", "o")


def _gradient_descent(eta: float = 0.65) -> Curve:
    return _path(eta, "", lambda t, gradients, w: equations.gradient_descent(eta, gradients, w))


def _momentum(eta: float = 0.25) -> Curve:
    v = np.zeros(1)
    return _path(eta, rf", $\mu = {MU}$", lambda t, gradients, w: equations.momentum(eta, MU, gradients, v, w))


def _nesterov(eta: float = 0.25) -> Curve:
    v = np.zeros(1)
    return _path(eta, rf", $\mu = {MU}$", lambda t, gradients, w: equations.nesterov(eta, MU, gradients, v, w))


def _adam(eta: float = 0.4) -> Curve:
    m, v = np.zeros(1), np.zeros(1)

    def step(t: int, gradients: NDArray[np.float64], w: NDArray[np.float64]) -> None:
        scale = np.sqrt(1 - BETA_2**t)
        equations.adam(eta * scale / (1 - BETA_1**t), 1 - BETA_1, 1 - BETA_2, TINY * scale, gradients, m, v, w)

    return _path(eta, rf", $\beta_1 = {BETA_1}$, $\beta_2 = {BETA_2}$", step)


# Activations and losses that are not on the sheet: the scalar functions compute the curves


def _more_activation(name: str) -> Callable[[], Curve]:
    phi = getattr(equations, name)
    return lambda: Curve("$z$", Z, np.array([phi(z) for z in Z]), ("$a$",))


def _more_d_activation(name: str) -> Callable[[], Curve]:
    phi, d_phi = getattr(equations, name), getattr(equations, f"d_{name}")
    needs_z = BEYOND_ACTIVATIONS[name].needs_z
    return lambda: Curve("$z$", Z, np.array([d_phi(z if needs_z else phi(z)) for z in Z]), ("$da/dz$",))


LOWEST = {"poisson": 0.3}  # the smallest y_hat of the curve of a loss, if it differs from the default -2


def _more_loss(name: str, curve_name: str) -> Callable[[], Curve]:
    """Returns a function that computes the curve of a loss, or of the derivative of a loss, for one output, y = 1 and n = 1."""
    function, jump = getattr(equations, name), [np.nextafter(1, 0), 1.0, np.nextafter(1, 2)]
    y_hat = np.sort([*np.linspace(LOWEST.get(name.removeprefix("d_"), -2.0), 4, 120), *jump])

    def make() -> Curve:
        y = np.array([function(1.0, each) for each in y_hat])
        return Curve(r"$\hat y$", y_hat, y, (curve_name,), "$y = 1$, $n = 1$")

    return make


ELEMENTWISE = [name for name in ACTIVATIONS if name != "softmax"]

# The functions that compute the courses of the update rules.
DESCENTS: dict[tuple[str | None, str], Callable[..., Curve]] = {
    ("descend", "gradient_descent"): _gradient_descent,
    ("velocity_after", "momentum"): _momentum,
    ("nesterov_gradient", "nesterov"): _nesterov,
    ("adam_gradient", "adam"): _adam,
}
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
    ("d_weight", "weight_gradient"): _weight_gradient,
    ("d_bias", "bias_gradient"): _bias_gradient,
    ("weighted_error", "delta_recurrence"): _delta_recurrence,
    **DESCENTS,
    **{(name, "activation"): _more_activation(name) for name in BEYOND_ACTIVATIONS},
    **{(f"d_{name}", "d_activation"): _more_d_activation(name) for name in BEYOND_ACTIVATIONS},
    **{(name, "loss"): _more_loss(name, "$L$") for name in BEYOND_LOSSES},
    **{(f"d_{name}", "d_loss"): _more_loss(f"d_{name}", DL_DA) for name in BEYOND_LOSSES},
}

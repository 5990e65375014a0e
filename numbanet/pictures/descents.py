"""Computes curves for two illustrations: gradients as tangents to a loss curve, and update rules as points on a loss curve.

The compiled loops of the cheat sheet, in `numbanet.equations`, compute every loss, gradient and update.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from numbanet import equations
from numbanet.pictures.curve import EPSILON, JUMP, Curve, Z
from numbanet.pictures.functions import activation_of

# Gradients: tangents to the loss curve of one sigmoid neuron with the loss BCE, for four samples

X = np.array([[-2.0], [-0.5], [0.5], [2.0]])
Y = np.array([[0.0], [1.0], [0.0], [1.0]])
EXAMPLE = r"4 samples: $x = -2, {-}0.5, 0.5, 2$, $y = 0, 1, 0, 1$; sigmoid, BCE"


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
    variable: str,
    note: str,
    name: str,
    loss: Callable[[float], float],
    slope: Callable[[float], float],
    x_label: str = "$w,b$",
) -> Curve:
    """Returns a `Curve` of three short tangents to the graph of the function `loss`; the function `slope` is its derivative.

    `variable` is the symbol of the argument of `loss`; `name` is written at the tangents, and `note` explains them.
    """
    ground = np.array([loss(x) for x in Z])
    pieces = [(x + dx, loss(x) + slope(x) * dx) for x in (-2.6, 0.0, 2.6) for dx in (-0.9, 0.9, JUMP)]
    x, y = np.array(pieces).T
    return Curve(x_label, x, y, (name,), note, "", ground, f"$L({variable})$")


def _weight_gradient() -> Curve:
    note = f"{EXAMPLE}; tangents to $L(w)$ with $b = 0.5$"
    gradient = r"$\partial L/\partial w$"
    return _tangents("w", note, gradient, lambda w: _neuron_loss(w, 0.5), lambda w: _neuron_gradients(w, 0.5)[0])


def _bias_gradient() -> Curve:
    note = "and to $L(b)$ with $w = -1$"
    gradient = r"$\partial L/\partial b$"
    return _tangents("b", note, gradient, lambda b: _neuron_loss(-1.0, b), lambda b: _neuron_gradients(-1.0, b)[1])


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
    note = (
        r"one sample: $y_1 = y_2 = 1$; layer $l$: tanh; layer $l + 1$: sigmoid, BCE, $w = 1.8, {-}1.2$, $b = 0$; tangents to "
        "$L(z)$"
    )
    return _tangents("z", note, r"$\delta$", _loss_behind, _delta_behind, "$z$")


# Gradient descent of the same sigmoid neuron, with constant b: all update rules have the same start and number of steps. The
# eta of each rule is the smallest multiple of 0.05 with which the last loss is less than 0.01 above the minimum.

START, STEPS = -3.6, 12
MU, BETA_1, BETA_2, TINY = 0.6, 0.9, 0.999, 1e-8


def _path(eta: float, constants: str, step: Callable[[int, NDArray[np.float64], NDArray[np.float64]], object]) -> Curve:
    """Returns a `Curve` of the loss over the weight w, with one point at the start and one after each update.

    The function step(t, gradients, w) performs update number t, counted from 1, with the learning rate eta. The text
    `constants`, such as the value of the momentum factor mu, ends the curve's note (a line of text about the curve).
    """
    w, path = np.array([START]), [START]
    for t in range(1, STEPS + 1):
        step(t, np.array(_neuron_gradients(w.item(), 0.5)[:1]), w)
        path.append(w.item())
    ground, heights = (np.array([_neuron_loss(x, 0.5) for x in places]) for places in (Z, path))
    rate = rf"$\eta = {eta}$"
    note = f"{STEPS} steps from $w = {START}$, {rate}{constants}"
    return Curve("$w$", np.array(path), heights, (f"{STEPS} steps",), note, rate, ground, "$L(w)$", "o")


def _gradient_descent(eta: float = 0.65) -> Curve:
    return _path(eta, ", $L(w)$ as above", lambda t, gradients, w: equations.gradient_descent(eta, gradients, w))


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


# The functions that compute the courses of the update rules.
DESCENTS: dict[tuple[str | None, str], Callable[..., Curve]] = {
    ("descend", "gradient_descent"): _gradient_descent,
    ("velocity_after", "momentum"): _momentum,
    ("nesterov_gradient", "nesterov"): _nesterov,
    ("adam_gradient", "adam"): _adam,
}

# The functions that compute the tangents, by the names of the scalar function and of the loop in a row of docs/sheet.md.
TANGENTS: dict[tuple[str | None, str], Callable[[], Curve]] = {
    ("d_weight", "weight_gradient"): _weight_gradient,
    ("d_bias", "bias_gradient"): _bias_gradient,
    ("weighted_error", "delta_recurrence"): _delta_recurrence,
}

"""The equations that `numbanet verify` checks: one or more `Case` objects per loop, with inputs and exact outputs.

The exact outputs come from the oracle, an independent implementation in NumPy. To verify a new loop, yield a `Case` for it in
the function for its section of the sheet (docs/sheet.md), such as `_loss_cases`. A new activation function is verified as soon
as `engines.topology.ACTIVATIONS` and the oracle contain it. A new activation function needs additional code in this module only
if its derivative is a sum of terms that cancel each other.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numbanet.engines.topology import ACTIVATIONS, LOSSES
from numbanet.equations import activations, backprop, descent, dropout, losses, neuron
from numbanet.proof import oracle

PRECISE = oracle.PRECISE
SCALAR_ULP = 4  # largest allowed error of a scalar formula, in units in the last place (ulp), for every finite argument
EXTREMES = (0.0, 1e-30, 1.0, 50.0, 700.0, 1e4)
SAMPLES, INPUTS, OUTPUTS = 7, 5, 6
# The derivatives da/dz that the loops compute from a instead of z.
D_FROM_A = {"sigmoid": lambda a: (1 - a) * a, "tanh": lambda a: (1 - a) * (1 + a)}


class Output(NamedTuple):
    """The exact values of an output array, and the largest allowed error.

    Parameters
    ----------
    exact : ndarray
        The exact values.
    magnitude : ndarray or None
        The values whose ulp (unit in the last place) is the unit of the error. If `magnitude` is None, the unit is the
        ulp of the exact values.
    bound : float
        The largest allowed error, in ulp.
    """

    exact: NDArray[Any]
    magnitude: NDArray[Any] | None
    bound: float


class Case(NamedTuple):
    """One equation to verify: a loop, its inputs, and its exact outputs.

    Parameters
    ----------
    equation : str
        The equation, as written in the cheat sheet.
    loop : callable
        The loop of `numbanet.equations` that computes the equation.
    inputs : tuple
        The loop's first arguments, which the loop reads.
    outputs : list of Output
        The exact values of the loop's last arguments, which the loop writes.
    start : tuple of ndarray
        The initial values of the last `len(start)` outputs, which the loop updates in place. The outputs before
        these are initialised with 0, and the loop writes them without reading them.
    """

    equation: str
    loop: Callable
    inputs: tuple
    outputs: list[Output]
    start: tuple[NDArray[Any], ...] = ()


class Draw:
    """A source of random arrays, which all have the same dtype."""

    def __init__(self, dtype: np.dtype):
        self.dtype, self.random = dtype, np.random.default_rng(0)

    def normal(self, *shape: int, scale: float = 1.0) -> NDArray[Any]:
        """Returns an array of normally distributed numbers with mean 0 and standard deviation `scale`."""
        return (self.random.standard_normal(shape) * scale).astype(self.dtype)

    def uniform(self, *shape: int) -> NDArray[Any]:
        """Returns an array of uniformly distributed numbers in [0, 1)."""
        return self.random.random(shape).astype(self.dtype)

    def extremes(self) -> NDArray[Any]:
        """Returns positive and negative arguments for which a formula may overflow or lose digits by cancellation."""
        return np.array([sign * z for z in EXTREMES for sign in (1, -1)], self.dtype)


def cases(dtype: np.dtype) -> Iterator[Case]:
    """Yields the equations to verify in one dtype, as `Case` objects, in the order of the cheat sheet."""
    draw = Draw(dtype)
    yield from _activation_cases(draw)
    yield from _softmax_cases(draw)
    yield from _loss_cases(draw)
    yield from _loss_from_z_cases(draw)
    yield from _layer_cases(draw)
    yield from _descent_cases(draw)


def _scalar(exact: NDArray[Any]) -> list[Output]:
    """Returns a list with one `Output`: the exact result of a scalar formula, with an error bound of SCALAR_ULP (4) ulp."""
    return [Output(exact, None, SCALAR_ULP)]


def _sum(terms: NDArray[Any], axis: int) -> list[Output]:
    """Returns a list with one `Output`: the exact sum of `terms` along an axis.

    The error bound grows with the number of terms, because each addition may have a rounding error of half an ulp of the sum of
    the terms' magnitudes.
    """
    return [Output(terms.sum(axis=axis), np.abs(terms).sum(axis=axis), SCALAR_ULP + terms.shape[axis])]


def _activation_cases(draw: Draw) -> Iterator[Case]:
    epsilon = draw.dtype.type(0.01)
    z = np.concatenate([draw.extremes(), draw.normal(1000, scale=4), draw.normal(500, scale=30)]).reshape(-1, 4)
    precise = z.astype(PRECISE)
    for name, kind in ACTIVATIONS.items():
        if name == "softmax":
            continue
        exact = oracle.ACTIVATIONS[name](precise, PRECISE(epsilon))
        a = exact.astype(draw.dtype)
        yield Case(f"a = {name}(z)", activations.activation, (kind, epsilon, z), _scalar(exact))
        exact = _slope(name, z, a, epsilon)
        yield Case(f"da/dz of {name}", activations.d_activation, (kind, epsilon, z, a), _scalar(exact))
        dl_da = draw.normal(*z.shape)
        error = dl_da * exact
        yield Case(f"delta = dL/da da/dz of {name}", backprop.activation_error, (kind, epsilon, dl_da, z, a), _scalar(error))


def _slope(name: str, z: NDArray[Any], a: NDArray[Any], epsilon: Any) -> NDArray[Any]:
    """Returns the exact da/dz, from a rounded to the loops' dtype if the loops compute da/dz from a, otherwise from z."""
    if name in D_FROM_A:
        return D_FROM_A[name](a.astype(PRECISE))
    return oracle.D_ACTIVATIONS[name](z.astype(PRECISE), PRECISE(epsilon))


def _softmax_cases(draw: Draw) -> Iterator[Case]:
    z = np.concatenate([draw.normal(20, OUTPUTS, scale=scale) for scale in (1e-30, 1, 50, 700, 1e4)])
    precise = z.astype(PRECISE)
    z_max = z.max(axis=1)
    powers = np.exp(precise - precise.max(axis=1, keepdims=True))
    rest = np.sort(powers, axis=1)[:, :-1]  # all terms except the largest, which is 1
    sums = [*_scalar(z_max.astype(PRECISE)), *_sum(rest, 1)]
    yield Case("sum_k e^(z_k - z_max) = 1 + others", activations.softmax_sum, (z,), sums)
    others = rest.sum(axis=1).astype(draw.dtype)
    exact = powers / (1 + others.astype(PRECISE))[:, None]
    yield Case("a_j = e^z_j / sum_k e^z_k", activations.softmax_activation, (z, z_max, others), _scalar(exact))
    a = oracle.ACTIVATIONS["softmax"](precise, 0).astype(draw.dtype)
    jacobian = oracle.softmax_jacobian(a.astype(PRECISE))
    yield Case("da_i/dz_j = a_i (delta_ij - a_j)", activations.softmax_jacobian, (a,), _scalar(jacobian))
    dl_da = draw.normal(*z.shape)
    terms = dl_da[:, :, None] * jacobian
    yield Case("delta_j = sum_i dL/da_i da_i/dz_j of softmax", backprop.softmax_error, (dl_da, a), _sum(terms, 1))
    z = draw.normal(20, OUTPUTS, scale=8)
    u, d_u = _softmax_logit(z.astype(PRECISE))
    scale = np.abs(u) + np.abs(z).max(axis=1, keepdims=True)
    equation = "u_i = z_i - log(sum_k!=i e^z_k)"
    yield Case(equation, activations.softmax_logit, (z,), [Output(u, scale, SCALAR_ULP + OUTPUTS)])
    # The rounding error of u is about an ulp of z, because u is about as large as z. u is an exponent in the next equation, so
    # that its absolute error becomes a relative error of the result.
    dl_du, u = draw.normal(*z.shape), u.astype(draw.dtype)
    terms = dl_du[:, :, None] * d_u
    magnitude = (np.abs(terms) * (1 + np.abs(scale)[:, :, None])).sum(axis=1)
    outputs = [Output(terms.sum(axis=1), magnitude, SCALAR_ULP + OUTPUTS)]
    yield Case("delta_j = sum_i dL/du_i du_i/dz_j of softmax", backprop.softmax_logit_error, (dl_du, z, u), outputs)


def _softmax_logit(z: NDArray[Any]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Returns the logits u_i = z_i - log(sum_{k != i} e^z_k) and their Jacobian du_i/dz_j.

    The logits have the shape (n, n_out), and the Jacobian has the shape (n, n_out, n_out).
    """
    without = np.where(np.eye(z.shape[1], dtype=bool), -np.inf, z[:, None, :])  # indexed [s, i, k]
    rest = np.logaddexp.reduce(without, axis=2)
    return z - rest, np.eye(z.shape[1]) - np.exp(without - rest[:, :, None])


def _loss_cases(draw: Draw) -> Iterator[Case]:
    n = 3
    y, y_hat = draw.normal(SAMPLES, OUTPUTS), draw.normal(SAMPLES, OUTPUTS)
    fraction, fraction_hat = draw.uniform(SAMPLES, OUTPUTS), draw.uniform(SAMPLES, OUTPUTS)
    for name in ("sse", "mse", "bce"):
        target, prediction = (fraction, fraction_hat) if name == "bce" else (y, y_hat)
        t, p = target.astype(PRECISE), prediction.astype(PRECISE)
        if name == "bce":
            terms, gradient = -(t * np.log(p) + (1 - t) * np.log1p(-p)), (p - t) / (p * (1 - p))
        else:
            terms, gradient = (t - p) ** 2, 2 * (p - t)
        by = 1 if name == "sse" else n
        arguments = (LOSSES[name], n, target, prediction)
        yield Case(f"L of {name}, from y_hat", losses.loss, arguments, _sum(terms / by, 1))
        yield Case(f"dL/dy_hat of {name}", losses.d_loss, arguments, _scalar(gradient / by))


def _loss_from_z_cases(draw: Draw) -> Iterator[Case]:
    n, extremes = 3, draw.extremes().reshape(-1, OUTPUTS)
    z = np.concatenate([extremes, extremes, draw.normal(SAMPLES, OUTPUTS, scale=5)])
    y = draw.uniform(*z.shape)
    y[: len(extremes)] = np.arange(OUTPUTS) % 3 == 0
    precise = z.astype(PRECISE)
    terms = oracle.loss_terms("bce", y.astype(PRECISE), precise, None, "sigmoid") / n
    yield Case("L of bce, from z", losses.bce_from_z_loss, (n, y, z), _sum(terms, 1))
    one_hot = np.eye(OUTPUTS, dtype=draw.dtype)[np.arange(len(z)) % OUTPUTS]
    z_max = z.max(axis=1)
    others = np.sort(np.exp(precise - precise.max(axis=1, keepdims=True)), axis=1)[:, :-1].sum(axis=1).astype(draw.dtype)
    minus_log_a = (z_max.astype(PRECISE)[:, None] - precise) + np.log1p(others.astype(PRECISE))[:, None]
    terms = one_hot * minus_log_a / n
    yield Case("L of cce", losses.cce_loss, (n, one_hot, z, z_max, others), _sum(terms, 1))
    a = oracle.ACTIVATIONS["softmax"](precise, 0).astype(draw.dtype)
    exact = (a.astype(PRECISE) - y) / n
    yield Case("delta_j = 1/n (a_j - y_j)", backprop.short_error, (n, y, a), _scalar(exact))


def _layer_cases(draw: Draw) -> Iterator[Case]:
    epsilon, eta = draw.dtype.type(0.01), draw.dtype.type(0.1)
    x, w, b = draw.normal(SAMPLES, INPUTS), draw.normal(INPUTS, OUTPUTS), draw.normal(OUTPUTS)
    delta = draw.normal(SAMPLES, OUTPUTS)
    terms = np.concatenate([x[:, :, None] * w.astype(PRECISE), np.broadcast_to(b, (SAMPLES, 1, OUTPUTS))], axis=1)
    yield Case("z_j = sum_i w_ij x_i + b_j", neuron.forward_sum, (x, w, b), _sum(terms, 1))
    terms = x[:, :, None] * delta.astype(PRECISE)[:, None, :]
    yield Case("dL/dw_ij = sum_s delta_j x_i", backprop.weight_gradient, (x, delta), _sum(terms, 0))
    yield Case("dL/db_j = sum_s delta_j", backprop.bias_gradient, (delta,), _sum(delta.astype(PRECISE), 0))
    for name, kind in ACTIVATIONS.items():
        if name == "softmax":
            continue
        z_prev = draw.normal(SAMPLES, INPUTS, scale=2)
        a_prev = oracle.ACTIVATIONS[name](z_prev.astype(PRECISE), PRECISE(epsilon)).astype(draw.dtype)
        slope = _slope(name, z_prev, a_prev, epsilon)
        terms = w * delta.astype(PRECISE)[:, None, :] * slope[:, :, None]
        arguments = (kind, epsilon, w, delta, z_prev, a_prev)
        equation = f"delta_i = (sum_j w_ij delta_j) da_i/dz_i, {name}"
        yield Case(equation, backprop.delta_recurrence, arguments, _sum(terms, 2))
    gradients, start = draw.normal(50), draw.normal(50)
    step = eta * gradients.astype(PRECISE)
    outputs = [Output(start - step, np.abs(start) + np.abs(step), SCALAR_ULP)]
    yield Case("w <- w - eta dL/dw", descent.gradient_descent, (eta, gradients), outputs, (start,))


def _descent_cases(draw: Draw) -> Iterator[Case]:
    w, g, v, m = (draw.normal(50) for _ in range(4))
    squares = np.square(draw.normal(50))
    yield from _momentum_cases(draw.dtype, w, g, v)
    yield _adam_case(draw.dtype, w, g, m, squares)
    eta, decay = draw.dtype.type(0.1), draw.dtype.type(0.01)
    precise_w, precise_g = w.astype(PRECISE), g.astype(PRECISE)
    sums = np.abs(g) + np.abs(decay * precise_w)
    outputs = [Output(g + decay * precise_w, sums, SCALAR_ULP)]
    yield Case("dL/dw <- dL/dw + lambda w", descent.l2_gradient, (decay, w), outputs, (g,))
    exact = precise_w - precise_w * eta * decay
    yield Case("w <- w - eta lambda w", descent.weight_decay, (eta, decay), _scalar(exact), (w,))
    yield Case("|g|^2 = sum_p g_p^2", descent.sum_of_squares, (g,), _sum(precise_g[:, None] ** 2, 0))
    for most in (1.0, 100.0):
        norm = np.sqrt((precise_g**2).sum())
        exact = precise_g * min(PRECISE(1), most / norm)
        rounded = np.array([norm**2], draw.dtype)
        yield Case(f"g <- g min(1, {most:g} / |g|)", descent.clip, (draw.dtype.type(most), rounded), _scalar(exact), (g,))
    weights, rows = draw.uniform(SAMPLES), draw.normal(SAMPLES, OUTPUTS)
    exact = weights[:, None] * rows.astype(PRECISE)
    yield Case("weight_s L_s, weight_s delta_j", losses.weigh, (weights,), _scalar(exact), (rows,))
    key, layer, limit, scale = (1 << 40) + 7, 2, np.uint64(1 << 30), draw.dtype.type(4 / 3)
    keeps = oracle.philox_numbers(key, SAMPLES, OUTPUTS, layer) >= limit
    exact = np.where(keeps, rows.astype(PRECISE) * scale, 0)
    arguments = (np.uint64(key), layer, scale, limit, 0)
    yield Case("x_j = a_j / (1 - p), or 0", dropout.drop, arguments, _scalar(exact), (rows,))


def _momentum_cases(dtype: np.dtype, w: NDArray[Any], g: NDArray[Any], v: NDArray[Any]) -> Iterator[Case]:
    eta, mu = dtype.type(0.1), dtype.type(0.9)
    precise_g, precise_v = g.astype(PRECISE), v.astype(PRECISE)
    velocity = mu * precise_v + g
    size = np.abs(mu * precise_v) + np.abs(g)
    for name, loop, step, factor in (
        ("w <- w - eta v", descent.momentum, velocity, 1),
        ("w <- w - eta (dL/dw + mu v)", descent.nesterov, precise_g + mu * velocity, 2),
    ):
        outputs = [
            Output(velocity, size, SCALAR_ULP),
            Output(w - eta * step, np.abs(w) + factor * eta * size, 2 * SCALAR_ULP),
        ]
        yield Case(f"v <- mu v + dL/dw, {name}", loop, (eta, mu, g), outputs, (v, w))


def _adam_case(dtype: np.dtype, w: NDArray[Any], g: NDArray[Any], m: NDArray[Any], squares: NDArray[Any]) -> Case:
    eta_t, one_minus_beta_1, one_minus_beta_2, epsilon_t = (dtype.type(value) for value in (0.1, 0.1, 0.001, 1e-4))
    precise_g = g.astype(PRECISE)
    m_next = m + one_minus_beta_1 * (precise_g - m)
    v_next = squares + one_minus_beta_2 * (precise_g**2 - squares)
    step = eta_t * m_next / (np.sqrt(v_next) + epsilon_t)
    m_size, v_size = np.abs(m) + np.abs(g), squares + precise_g**2
    step_size = eta_t * (m_size / np.sqrt(v_next)) * (1 + v_size / v_next)
    outputs = [
        Output(m_next, m_size, SCALAR_ULP),
        Output(v_next, v_size, SCALAR_ULP),
        Output(w - step, np.abs(w) + step_size, 2 * SCALAR_ULP),
    ]
    arguments = (eta_t, one_minus_beta_1, one_minus_beta_2, epsilon_t, g)
    return Case("w <- w - eta_t m / (sqrt(v) + epsilon_t)", descent.adam, arguments, outputs, (m, squares, w))

"""The update rules of `numbanet.equations.descent`, for vectors and tiles of w and b.

The constants of a rule are a tuple whose type says which rule it is: so the update that is compiled into the tile loop of
`product` is that of a single rule. A parameter's moments lie `moment_1` and `moment_2` behind it. Without weight decay `decay`
is None, and the code for it is not compiled.

A new rule needs a tuple of constants, a function from gradients to updated parameters, and its line in `RULES`.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba.extending import overload

from numbanet._compile import MERGED, njit_merged, njit_part, parts_of
from numbanet.engines import rule as rules
from numbanet.engines.cpu.blocks import NR_VECTORS
from numbanet.engines.cpu.kernels.vector import broadcast, get, lanes, load, put, store
from numbanet.engines.cpu.team import barrier, thread_range
from numbanet.engines.epoch import EPSILON_T, ETA, ETA_T
from numbanet.equations import descent

descend, velocity_after, nesterov_gradient = parts_of(descent.descend, descent.velocity_after, descent.nesterov_gradient)
moment, adam_gradient = parts_of(descent.moment, descent.adam_gradient)
penalised, decayed, clip_scale = parts_of(descent.penalised, descent.decayed, descent.clip_scale)


class UpdateRule(NamedTuple):
    """An update rule, and the rates of its steps.

    Parameters
    ----------
    constants : tuple
        One of the tuples of constants below; its type says which rule it is.
    decay : floating or None
        lambda; None for no weight decay.
    clip_norm : floating
        Largest norm of all gradients together; inf for no clipping.
    rates : (steps, 4) float64
        Of each step, see `numbanet.engines.epoch`.
    """

    constants: Any
    decay: np.floating | None
    clip_norm: np.floating
    rates: np.ndarray


class UpdateStep(NamedTuple):
    """One step of an update rule.

    Parameters
    ----------
    constants, decay, clip_norm
        See `UpdateRule`.
    eta, eta_t, epsilon_t : floating
        The rates of the step.
    moment_1, moment_2 : int
        Distance in memory from a parameter to its moments.
    """

    constants: Any
    decay: np.floating | None
    clip_norm: np.floating
    eta: np.floating
    eta_t: np.floating
    epsilon_t: np.floating
    moment_1: int
    moment_2: int


class PlainConstants(NamedTuple):
    """Constants of plain gradient descent, which has none."""

    @classmethod
    def of(cls, rule: rules.Rule, number: Callable) -> "PlainConstants":
        """Returns the constants of a rule, as numbers of a dtype."""
        return cls()


class MomentumConstants(NamedTuple):
    """Constants of momentum."""

    mu: np.floating

    @classmethod
    def of(cls, rule: rules.Rule, number: Callable) -> "MomentumConstants":
        """Returns the constants of a rule, as numbers of a dtype."""
        return cls(number(rule.mu))


class NesterovConstants(NamedTuple):
    """Constants of Nesterov's momentum."""

    mu: np.floating

    @classmethod
    def of(cls, rule: rules.Rule, number: Callable) -> "NesterovConstants":
        """Returns the constants of a rule, as numbers of a dtype."""
        return cls(number(rule.mu))


class AdamConstants(NamedTuple):
    """Constants of Adam: 1 - beta_1 and 1 - beta_2."""

    share_1: np.floating
    share_2: np.floating

    @classmethod
    def of(cls, rule: rules.Rule, number: Callable) -> "AdamConstants":
        """Returns the constants of a rule, as numbers of a dtype."""
        return cls(number(1 - rule.beta_1), number(1 - rule.beta_2))


class AdamWConstants(NamedTuple):
    """Constants of Adam with decoupled weight decay: 1 - beta_1 and 1 - beta_2."""

    share_1: np.floating
    share_2: np.floating

    @classmethod
    def of(cls, rule: rules.Rule, number: Callable) -> "AdamWConstants":
        """Returns the constants of a rule, as numbers of a dtype."""
        return cls(number(1 - rule.beta_1), number(1 - rule.beta_2))


@njit_merged
def with_penalty(decay, w, gradient):
    """Returns dL/dw + lambda w, for vectors."""
    if decay is None:
        return gradient
    return penalised(broadcast(decay), w, gradient)


def _descend_plain(memory, at, step, decay, gradient):
    """w <- w - eta dL/dw."""
    w = load(memory, at)
    store(memory, at, descend(broadcast(step.eta), with_penalty(decay, w, gradient), w))


def _descend_momentum(memory, at, step, decay, gradient):
    """v <- mu v + dL/dw, w <- w - eta v."""
    w, v = load(memory, at), load(memory, at + step.moment_1)
    v = velocity_after(broadcast(step.constants.mu), with_penalty(decay, w, gradient), v)
    store(memory, at + step.moment_1, v)
    store(memory, at, descend(broadcast(step.eta), v, w))


def _descend_nesterov(memory, at, step, decay, gradient):
    """v <- mu v + dL/dw, w <- w - eta (dL/dw + mu v)."""
    w, v, mu = load(memory, at), load(memory, at + step.moment_1), broadcast(step.constants.mu)
    gradient = with_penalty(decay, w, gradient)
    v = velocity_after(mu, gradient, v)
    store(memory, at + step.moment_1, v)
    store(memory, at, descend(broadcast(step.eta), nesterov_gradient(mu, gradient, v), w))


@njit_merged
def after_adam(memory, at, step, w, gradient):
    """Updates m and v of a vector of w; returns w - eta_t m / (sqrt(v) + epsilon_t)."""
    m = moment(broadcast(step.constants.share_1), gradient, load(memory, at + step.moment_1))
    v = moment(broadcast(step.constants.share_2), gradient * gradient, load(memory, at + step.moment_2))
    store(memory, at + step.moment_1, m)
    store(memory, at + step.moment_2, v)
    return descend(broadcast(step.eta_t), adam_gradient(broadcast(step.epsilon_t), m, v), w)


def _descend_adam(memory, at, step, decay, gradient):
    """w <- w - eta_t m / (sqrt(v) + epsilon_t)."""
    w = load(memory, at)
    store(memory, at, after_adam(memory, at, step, w, with_penalty(decay, w, gradient)))


def _descend_adamw(memory, at, step, decay, gradient):
    """w <- w - eta lambda w, w <- w - eta_t m / (sqrt(v) + epsilon_t)."""
    w = load(memory, at)
    if decay is not None:
        w = decayed(broadcast(step.eta), broadcast(decay), w)
    store(memory, at, after_adam(memory, at, step, w, gradient))


# The constants of each kind of rule, and the function that updates a vector of w.
RULES: dict[int, tuple[Any, Callable]] = {
    rules.GRADIENT_DESCENT: (PlainConstants, _descend_plain),
    rules.MOMENTUM: (MomentumConstants, _descend_momentum),
    rules.NESTEROV: (NesterovConstants, _descend_nesterov),
    rules.ADAM: (AdamConstants, _descend_adam),
    rules.ADAMW: (AdamWConstants, _descend_adamw),
}


@lru_cache  # epochs of very small networks take less than a millisecond
def constants_of(rule: rules.Rule, dtype: np.dtype) -> tuple[Any, np.floating | None, np.floating]:
    """Returns `constants`, `decay` and `clip_norm` of an `UpdateRule`, in the network's dtype."""
    number, (constants, _) = dtype.type, RULES[rule.kind]
    return constants.of(rule, number), number(rule.weight_decay) if rule.weight_decay else None, number(rule.clip_norm)


@njit_merged
def rate(memory, table, at):
    """Returns a number of the table of rates, rounded to the dtype of memory."""
    return memory.dtype.type(get(table, at))


@njit_merged
def step_of(memory, header, rule, at):
    """Returns the step of a rule whose rates begin at a place of the table."""
    table = rule.rates
    eta, eta_t, epsilon_t = rate(memory, table, at + ETA), rate(memory, table, at + ETA_T), rate(memory, table, at + EPSILON_T)
    return UpdateStep(rule.constants, rule.decay, rule.clip_norm, eta, eta_t, epsilon_t, header.moment_1, header.moment_2)


def descend_vector(memory: Any, at: int, step: Any, decay: Any, gradient: Any) -> None:
    """One step of a vector of w that begins at a place, from its gradient."""


@overload(descend_vector, jit_options=MERGED)
def _descend_vector(memory, at, step, decay, gradient):
    constants = step.types[0].instance_class
    return next(function for own, function in RULES.values() if own is constants)


@njit_merged
def decay_of(decay, row, n_in):
    """Returns lambda for a row of w; 0 for b, which is row n_in, and for the rows behind it."""
    if decay is None:
        return decay
    return decay if row < n_in else decay - decay


@njit_merged
def descend_row(memory, at, step, decay, c_0, c_1):
    """One step of the two vectors of a row, from their gradients."""
    descend_vector(memory, at, step, decay, c_0)
    descend_vector(memory, at + lanes(memory), step, decay, c_1)


@njit_merged
def descend_tile(memory, at, step, row, n_in, c):
    """One step of MR = 6 successive rows of a panel, the first of which is `row`: gradients go from registers into the update.

    Reads the gradients c, 12 vectors as `product.microkernel` returns them; updates the rows of w and b from place `at` on.
    """
    nr, decay = NR_VECTORS * lanes(memory), step.decay
    descend_row(memory, at, step, decay_of(decay, row, n_in), c[0], c[1])
    descend_row(memory, at + 1 * nr, step, decay_of(decay, row + 1, n_in), c[2], c[3])
    descend_row(memory, at + 2 * nr, step, decay_of(decay, row + 2, n_in), c[4], c[5])
    descend_row(memory, at + 3 * nr, step, decay_of(decay, row + 3, n_in), c[6], c[7])
    descend_row(memory, at + 4 * nr, step, decay_of(decay, row + 4, n_in), c[8], c[9])
    descend_row(memory, at + 5 * nr, step, decay_of(decay, row + 5, n_in), c[10], c[11])


# Gradients that wait in memory until all of them are there, and their norm is known


@njit_part
def squares_of_panel(memory, header, layer, panel, place):
    """Writes the sum of the squares of a panel's gradients, column by column, to a place."""
    half = lanes(memory)
    nr = NR_VECTORS * half
    at = layer.w + panel * layer.w_rows * nr + header.gradients
    sum_0 = sum_1 = load(memory, header.zeros)
    for row in range(layer.n_in + 1):
        g_0, g_1 = load(memory, at + row * nr), load(memory, at + row * nr + half)
        sum_0 += g_0 * g_0
        sum_1 += g_1 * g_1
    store(memory, place, sum_0)
    store(memory, place + half, sum_1)
    for q in range(layer.n_out - panel * nr, nr):
        put(memory, place + q, 0)  # columns beyond the last


@njit_part
def descend_panel(memory, header, layer, panel, step, scale):
    """One step of a panel of w and b from gradients in memory, each times the scale."""
    half = lanes(memory)
    nr = NR_VECTORS * half
    scales, at = broadcast(scale), layer.w + panel * layer.w_rows * nr
    for row in range(layer.n_in + 1):
        place = at + row * nr
        g_0, g_1 = load(memory, place + header.gradients), load(memory, place + half + header.gradients)
        descend_row(memory, place, step, decay_of(step.decay, row, layer.n_in), scales * g_0, scales * g_1)


@njit_merged
def clip_scale_of(workspace, clip_norm, panels, count, member):
    """Returns min(1, clip_norm / |g|) of gradients in memory: `count` panels, of which this thread's are a span."""
    memory, header, layers = workspace.memory, workspace.header, workspace.layers
    nr = NR_VECTORS * lanes(memory)
    number = 0
    for l in range(layers.size):
        for panel in range(-(-layers[l].n_out // nr)):
            if panels.begin <= number < panels.end:
                squares_of_panel(memory, header, layers[l], panel, header.squares + number * nr)
            number += 1
    barrier(member)
    squares = get(memory, header.zeros)
    for p in range(count * nr):
        squares += get(memory, header.squares + p)
    return clip_scale(clip_norm, squares)


@njit_part
def descend_from_memory(workspace, step, member):
    """g <- g min(1, clip_norm / |g|) and one step of all parameters, from gradients in memory; threads share the panels."""
    memory, header, layers = workspace.memory, workspace.header, workspace.layers
    nr = NR_VECTORS * lanes(memory)
    count = 0
    for l in range(layers.size):
        count += -(-layers[l].n_out // nr)
    panels = thread_range(count, member)
    barrier(member)
    scale = get(memory, header.ones)
    if step.clip_norm < np.inf:
        scale = clip_scale_of(workspace, step.clip_norm, panels, count, member)
    number = 0
    for l in range(layers.size):
        for panel in range(-(-layers[l].n_out // nr)):
            if panels.begin <= number < panels.end:
                descend_panel(memory, header, layers[l], panel, step, scale)
            number += 1

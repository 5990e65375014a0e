"""The rules of `numbanet.equations.descent`, for vectors and tiles of w and b.

A rule is a tuple of its constants, whose type says which one it is: so the update that is compiled into the tile loop of
`product` is one rule's alone. What a parameter remembers lies as far behind it as `net` says. Without weight decay `decay` is
None, and what has to do with it is not compiled.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba.extending import overload

from numbanet._compile import MERGED, njit_merged, njit_part, parts_of
from numbanet.engines import rule as rules
from numbanet.engines.cpu.kernels.vector import broadcast, get, lanes, load, put, store
from numbanet.engines.cpu.team import barrier, share
from numbanet.equations import descent

descend, velocity_after, nesterov_gradient = parts_of(descent.descend, descent.velocity_after, descent.nesterov_gradient)
moment, adam_gradient = parts_of(descent.moment, descent.adam_gradient)
penalised, decayed, clip_scale = parts_of(descent.penalised, descent.decayed, descent.clip_scale)


class Descent(NamedTuple):
    """Plain gradient descent."""


class Momentum(NamedTuple):
    """Momentum."""

    mu: np.floating


class Nesterov(NamedTuple):
    """Nesterov's momentum."""

    mu: np.floating


class Adam(NamedTuple):
    """Adam, with L2 regularisation where there is weight decay."""

    share_1: np.floating
    share_2: np.floating


class AdamW(NamedTuple):
    """Adam with decoupled weight decay."""

    share_1: np.floating
    share_2: np.floating


@lru_cache  # epochs of very small networks take less than a millisecond
def constants(rule: rules.Rule, dtype: np.dtype):
    """The rule as the compiled functions take it: the tuple of its constants, its weight decay, and the norm it clips to."""
    number = dtype.type
    if rule.kind == rules.GRADIENT_DESCENT:
        own = Descent()
    elif rule.kind in (rules.MOMENTUM, rules.NESTEROV):
        own = (Momentum if rule.kind == rules.MOMENTUM else Nesterov)(number(rule.mu))
    else:
        own = (Adam if rule.kind == rules.ADAM else AdamW)(number(1 - rule.beta_1), number(1 - rule.beta_2))
    return own, number(rule.weight_decay) if rule.weight_decay else None, number(rule.clip_norm)


@njit_merged
def with_penalty(decay, w, gradient):
    """dL/dw + lambda w, for vectors."""
    if decay is None:
        return gradient
    return penalised(broadcast(decay), w, gradient)


def descend_vector(memory, at, rule, rates, decay, gradient):
    """One step of a vector of w that begins at a place, from its gradient."""


def by_descent(memory, at, rule, rates, decay, gradient):
    """w <- w - eta dL/dw."""
    w = load(memory, at)
    store(memory, at, descend(broadcast(rates[0]), with_penalty(decay, w, gradient), w))


def by_momentum(memory, at, rule, rates, decay, gradient):
    """v <- mu v + dL/dw, w <- w - eta v."""
    eta, _, _, v_at, _ = rates
    w, v = load(memory, at), load(memory, at + v_at)
    v = velocity_after(broadcast(rule.mu), with_penalty(decay, w, gradient), v)
    store(memory, at + v_at, v)
    store(memory, at, descend(broadcast(eta), v, w))


def by_nesterov(memory, at, rule, rates, decay, gradient):
    """v <- mu v + dL/dw, w <- w - eta (dL/dw + mu v)."""
    eta, _, _, v_at, _ = rates
    w, v, mu = load(memory, at), load(memory, at + v_at), broadcast(rule.mu)
    gradient = with_penalty(decay, w, gradient)
    v = velocity_after(mu, gradient, v)
    store(memory, at + v_at, v)
    store(memory, at, descend(broadcast(eta), nesterov_gradient(mu, gradient, v), w))


@njit_merged
def adam_step(memory, at, rule, rates, w, gradient):
    """m and v of a vector of w move on; w - eta_t m / (sqrt(v) + epsilon_t)."""
    _, eta_t, epsilon_t, m_at, v_at = rates
    m = moment(broadcast(rule.share_1), gradient, load(memory, at + m_at))
    v = moment(broadcast(rule.share_2), gradient * gradient, load(memory, at + v_at))
    store(memory, at + m_at, m)
    store(memory, at + v_at, v)
    return descend(broadcast(eta_t), adam_gradient(broadcast(epsilon_t), m, v), w)


def by_adam(memory, at, rule, rates, decay, gradient):
    """w <- w - eta_t m / (sqrt(v) + epsilon_t)."""
    w = load(memory, at)
    store(memory, at, adam_step(memory, at, rule, rates, w, with_penalty(decay, w, gradient)))


def by_adamw(memory, at, rule, rates, decay, gradient):
    """w <- w - eta lambda w, w <- w - eta_t m / (sqrt(v) + epsilon_t)."""
    w = load(memory, at)
    if decay is not None:
        w = decayed(broadcast(rates[0]), broadcast(decay), w)
    store(memory, at, adam_step(memory, at, rule, rates, w, gradient))


RULES = {Descent: by_descent, Momentum: by_momentum, Nesterov: by_nesterov, Adam: by_adam, AdamW: by_adamw}


@overload(descend_vector, jit_options=MERGED)
def _descend_vector(memory, at, rule, rates, decay, gradient):
    return RULES[rule.instance_class]


@njit_merged
def decay_of(decay, row, n_in):
    """lambda for a row of w; 0 for b, which is row n_in, and for the rows behind it."""
    if decay is None:
        return decay
    return decay if row < n_in else decay - decay


@njit_merged
def descend_row(memory, at, rule, rates, decay, c_0, c_1):
    """One step of two vectors of a row, from their gradients."""
    descend_vector(memory, at, rule, rates, decay, c_0)
    descend_vector(memory, at + lanes(memory), rule, rates, decay, c_1)


@njit_merged
def descend_tile(memory, at, rule, rates, decay, row, n_in, c):
    """One step of 6 successive rows of a panel, the first being that row: gradients go from registers into the update."""
    width = 2 * lanes(memory)
    descend_row(memory, at, rule, rates, decay_of(decay, row, n_in), c[0], c[1])
    descend_row(memory, at + 1 * width, rule, rates, decay_of(decay, row + 1, n_in), c[2], c[3])
    descend_row(memory, at + 2 * width, rule, rates, decay_of(decay, row + 2, n_in), c[4], c[5])
    descend_row(memory, at + 3 * width, rule, rates, decay_of(decay, row + 3, n_in), c[6], c[7])
    descend_row(memory, at + 4 * width, rule, rates, decay_of(decay, row + 4, n_in), c[8], c[9])
    descend_row(memory, at + 5 * width, rule, rates, decay_of(decay, row + 5, n_in), c[10], c[11])


# Gradients that wait in memory until all of them are there, and their norm is known


@njit_part
def squares_of_panel(memory, net, layer, panel, place):
    """The sum of the squares of a panel's gradients, column by column, written to that place."""
    half = lanes(memory)
    width = 2 * half
    at = layer.w + panel * layer.w_rows * width + net.gradients
    sum_0 = sum_1 = load(memory, net.zeros)
    for row in range(layer.n_in + 1):
        g_0, g_1 = load(memory, at + row * width), load(memory, at + row * width + half)
        sum_0 += g_0 * g_0
        sum_1 += g_1 * g_1
    store(memory, place, sum_0)
    store(memory, place + half, sum_1)
    for q in range(layer.n_out - panel * width, width):
        put(memory, place + q, 0)  # columns beyond the last


@njit_part
def descend_panel(memory, net, layer, panel, rule, rates, decay, scale):
    """One step of a panel of w and b from gradients in memory, each times the scale."""
    half = lanes(memory)
    width = 2 * half
    scales, at = broadcast(scale), layer.w + panel * layer.w_rows * width
    for row in range(layer.n_in + 1):
        place = at + row * width
        g_0, g_1 = load(memory, place + net.gradients), load(memory, place + half + net.gradients)
        descend_row(memory, place, rule, rates, decay_of(decay, row, layer.n_in), scales * g_0, scales * g_1)


@njit_merged
def clip_scale_of(memory, net, layers, clip_norm, first, end, count, team, size):
    """min(1, clip_norm / |g|) of gradients in memory; panels first to end - 1 are this thread's."""
    width = 2 * lanes(memory)
    number = 0
    for l in range(layers.size):
        for panel in range(-(-layers[l].n_out // width)):
            if first <= number < end:
                squares_of_panel(memory, net, layers[l], panel, net.squares + number * width)
            number += 1
    barrier(team, size)
    squares = get(memory, net.zeros)
    for p in range(count * width):
        squares += get(memory, net.squares + p)
    return clip_scale(clip_norm, squares)


@njit_part
def descend_from_memory(memory, net, layers, rule, rates, decay, clip_norm, team, me, size):
    """g <- g min(1, clip_norm / |g|) and one step of all parameters, from gradients in memory; panels are shared."""
    width = 2 * lanes(memory)
    count = 0
    for l in range(layers.size):
        count += -(-layers[l].n_out // width)
    first, end = share(count, size, me)
    barrier(team, size)
    scale = get(memory, net.ones)
    if clip_norm < np.inf:
        scale = clip_scale_of(memory, net, layers, clip_norm, first, end, count, team, size)
    number = 0
    for l in range(layers.size):
        for panel in range(-(-layers[l].n_out // width)):
            if first <= number < end:
                descend_panel(memory, net, layers[l], panel, rule, rates, decay, scale)
            number += 1

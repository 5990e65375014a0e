"""Applies the update rules of `numbanet.equations.descent` to SIMD vectors and to tiles of w and b.

Each rule is compiled as a separate function, a routine (see the module `routine`), which updates a tile (MR rows and NR columns
of w and b). In memory, the moments of a parameter (its velocity, or Adam's m and v) are stored `moment_1` and `moment_2` array
elements after the parameter. Gradient descent without weight decay or clipping reads a tile's gradients from registers; all
other rules read gradients from memory.

To add a rule, write a function that updates a SIMD vector of parameters from its gradient, and add the function to the table
RULES.
"""

from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import types

from numbanet._compile import njit_merged, njit_part, njit_routine, parts_of
from numbanet.engines import rule as rules
from numbanet.engines.cpu.blocks import MR, NR_VECTORS
from numbanet.engines.cpu.kernels.routine import MEMBER, Signature, header_type, layer_type, named
from numbanet.engines.cpu.kernels.vector import broadcast, get, lanes, load, put, store
from numbanet.engines.cpu.team import barrier, thread_range
from numbanet.engines.epoch import EPSILON_T, ETA, ETA_T
from numbanet.equations import descent

descend, velocity_after, nesterov_gradient = parts_of(descent.descend, descent.velocity_after, descent.nesterov_gradient)
moment, adam_gradient = parts_of(descent.moment, descent.adam_gradient)
penalised, decayed, clip_scale = parts_of(descent.penalised, descent.decayed, descent.clip_scale)


class UpdateRule(NamedTuple):
    """An update rule: its constants in the network's dtype, and the table `rates` of the values that change from step to step.

    Parameters
    ----------
    kind : int
        The kind of rule, a constant of `numbanet.engines.rule` such as ADAM.
    mu : floating
        The factor of the velocity, for MOMENTUM and NESTEROV.
    share_1, share_2 : floating
        1 - beta_1 and 1 - beta_2, for ADAM and ADAMW.
    decay : floating
        The weight-decay factor lambda; 0 for no weight decay.
    clip_norm : floating
        The largest allowed norm of the vector of all gradients; inf for no clipping.
    tile : int
        The address of the compiled function (routine) that updates a tile of w and b by the rule; 0 if no update needs the
        routine.
    rates : (steps, 4) float64
        For each step, the divisor n of the mean loss, the learning rate eta, and Adam's bias-corrected eta_t and epsilon_t. The
        function `numbanet.engines.epoch.rates_of` computes the table `rates`.
    """

    kind: int
    mu: np.floating
    share_1: np.floating
    share_2: np.floating
    decay: np.floating
    clip_norm: np.floating
    tile: int
    rates: np.ndarray


class UpdateStep(NamedTuple):
    """The constants and rates that an update rule uses in one step.

    Parameters
    ----------
    kind, mu, share_1, share_2, decay, clip_norm, tile
        The rule, its constants and its routine, as in `UpdateRule`.
    eta, eta_t, epsilon_t : floating
        The learning rate eta, and Adam's rates in step t: eta_t = eta * sqrt(1 - beta_2^t) / (1 - beta_1^t) and epsilon_t =
        epsilon * sqrt(1 - beta_2^t).
    moment_1, moment_2 : int
        The distances in memory from a parameter to its first moment (the velocity, or Adam's m) and to its second moment
        (Adam's v).
    """

    kind: int
    mu: np.floating
    share_1: np.floating
    share_2: np.floating
    decay: np.floating
    clip_norm: np.floating
    tile: int
    eta: np.floating
    eta_t: np.floating
    epsilon_t: np.floating
    moment_1: int
    moment_2: int


def step_type(number):
    """Returns the Numba type of an `UpdateStep`, where `number` is the Numba type of the parameters."""
    integer, constants, rates = types.int64, 5 * [number], 3 * [number]
    return types.NamedTuple((integer, *constants, integer, *rates, integer, integer), UpdateStep)


# The arguments are memory, tile, gradients, step, row, n_in.
TILE = Signature(lambda number: (types.intp, types.intp, step_type(number), types.intp, types.intp))
# The arguments are memory, header, layers, step, member.
FROM_MEMORY = Signature(
    lambda number: (header_type(number), types.Array(layer_type(number), 1, "C"), step_type(number), MEMBER)
)
call_tile, call_from_memory = TILE.call, FROM_MEMORY.call


@njit_merged
def with_penalty(decay, w, gradient):
    """Returns dL/dw + lambda w for a SIMD vector of weights w, where lambda is the factor `decay`."""
    return gradient if decay == 0 else penalised(broadcast(decay), w, gradient)


@njit_merged
def descend_vector(memory, at, eta, gradient):
    """Updates a vector of parameters by gradient descent without weight decay: w <- w - eta dL/dw."""
    store(memory, at, descend(eta, gradient, load(memory, at)))


@njit_merged
def descend_plain(memory, at, step, decay, gradient):
    """Updates a vector of parameters by gradient descent: w <- w - eta dL/dw."""
    descend_vector(memory, at, broadcast(step.eta), with_penalty(decay, load(memory, at), gradient))


@njit_merged
def descend_momentum(memory, at, step, decay, gradient):
    """Updates a vector of parameters with momentum: v <- mu v + dL/dw, w <- w - eta v."""
    w, v = load(memory, at), load(memory, at + step.moment_1)
    v = velocity_after(broadcast(step.mu), with_penalty(decay, w, gradient), v)
    store(memory, at + step.moment_1, v)
    store(memory, at, descend(broadcast(step.eta), v, w))


@njit_merged
def descend_nesterov(memory, at, step, decay, gradient):
    """Updates a vector of parameters with Nesterov momentum: v <- mu v + dL/dw, w <- w - eta (dL/dw + mu v)."""
    w, v, mu = load(memory, at), load(memory, at + step.moment_1), broadcast(step.mu)
    gradient = with_penalty(decay, w, gradient)
    v = velocity_after(mu, gradient, v)
    store(memory, at + step.moment_1, v)
    store(memory, at, descend(broadcast(step.eta), nesterov_gradient(mu, gradient, v), w))


@njit_merged
def after_adam(memory, at, step, w, gradient):
    """Updates Adam's moments m and v of a vector of weights w, and returns w - eta_t m / (sqrt(v) + epsilon_t)."""
    m = moment(broadcast(step.share_1), gradient, load(memory, at + step.moment_1))
    v = moment(broadcast(step.share_2), gradient * gradient, load(memory, at + step.moment_2))
    store(memory, at + step.moment_1, m)
    store(memory, at + step.moment_2, v)
    return descend(broadcast(step.eta_t), adam_gradient(broadcast(step.epsilon_t), m, v), w)


@njit_merged
def descend_adam(memory, at, step, decay, gradient):
    """Updates a vector of parameters with Adam: w <- w - eta_t m / (sqrt(v) + epsilon_t)."""
    w = load(memory, at)
    store(memory, at, after_adam(memory, at, step, w, with_penalty(decay, w, gradient)))


@njit_merged
def descend_adamw(memory, at, step, decay, gradient):
    """Updates a vector of parameters with AdamW: w <- w - eta lambda w, then w <- w - eta_t m / (sqrt(v) + epsilon_t)."""
    w = load(memory, at)
    if decay != 0:
        w = decayed(broadcast(step.eta), broadcast(decay), w)
    store(memory, at, after_adam(memory, at, step, w, gradient))


# For each kind of rule: its name, and the function that updates a SIMD vector of parameters from its gradient.
RULES = {
    rules.GRADIENT_DESCENT: ("gradient_descent", descend_plain),
    rules.MOMENTUM: ("momentum", descend_momentum),
    rules.NESTEROV: ("nesterov", descend_nesterov),
    rules.ADAM: ("adam", descend_adam),
    rules.ADAMW: ("adamw", descend_adamw),
}


@cache
def tile_routine(kind: int) -> Any:
    """Returns the compiled function that updates a tile of w and b (MR rows, NR columns) by a rule, from gradients in memory.

    The arguments `at` and `gradients` of the compiled function are the offsets in memory of the tile and of its gradients. The
    argument `row` is the index of the tile's first row in a panel, which consists of NR columns of w and b.
    """
    name, descend_by_rule = RULES[kind]

    def loop(memory, at, gradients, step, row, n_in):
        half = lanes(memory)
        for r in range(MR):
            decay = step.decay if row + r < n_in else step.decay - step.decay  # b does not decay
            for p in range(r * NR_VECTORS * half, (r + 1) * NR_VECTORS * half, half):
                descend_by_rule(memory, at + p, step, decay, load(memory, gradients + p))

    return njit_routine(named(loop, f"{name}_tile"))


@lru_cache  # the cache saves time in epochs of very small networks, which take less than a millisecond
def constants_of(rule: rules.Rule, dtype: np.dtype, from_memory: bool) -> tuple[int, Any, Any, Any, Any, Any, int]:
    """Returns all fields of an `UpdateRule` except `rates`, with the constants converted to the network's dtype.

    Gradient descent without weight decay or clipping reads gradients from registers, unless `from_memory` is true. If the rule
    reads gradients from memory, `constants_of` also compiles the function that updates tiles.
    """
    constants: Any = map(dtype.type, (rule.mu, 1 - rule.beta_1, 1 - rule.beta_2, rule.weight_decay, rule.clip_norm))
    stored = from_memory or rule.kind != rules.GRADIENT_DESCENT or rule.weight_decay != 0 or rule.clip_norm < np.inf
    return rule.kind, *constants, TILE.address(tile_routine(rule.kind), dtype) if stored else 0


@njit_merged
def rate(memory, table, at):
    """Returns element `at` of the flattened table of step rates, converted to the network's dtype.

    The table has one row per step, with the divisor n of the mean loss, the learning rate eta, and Adam's eta_t and epsilon_t.
    """
    return memory.dtype.type(get(table, at))


@njit_merged
def step_of(memory, header, rule, at):
    """Returns the `UpdateStep` for the step whose rates (n, eta, eta_t, epsilon_t) begin at index `at` in `rule.rates`."""
    kind, mu, share_1, share_2, decay, clip_norm, tile, rates = rule
    eta, eta_t, epsilon_t = rate(memory, rates, at + ETA), rate(memory, rates, at + ETA_T), rate(memory, rates, at + EPSILON_T)
    constants = kind, mu, share_1, share_2, decay, clip_norm, tile
    return UpdateStep(*constants, eta, eta_t, epsilon_t, header.moment_1, header.moment_2)


# Updates from gradients in memory begin after all gradients of a batch have been computed, because clipping needs their norm


@njit_part
def squares_of_panel(memory, header, layer, panel, place):
    """Computes the sum of the squared gradients in each column of a panel, which consists of NR columns of w and b.

    Writes one sum per column to memory, beginning at memory[place].
    """
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
        put(memory, place + q, 0)  # columns beyond the last neuron have no gradients


@njit_part
def descend_panel(memory, header, layer, panel, step, scale):
    """Updates a panel (NR columns) of a layer's w and b from gradients in memory, which are first multiplied by `scale`."""
    half = lanes(memory)
    nr = NR_VECTORS * half
    scales, at = broadcast(scale), layer.w + panel * layer.w_rows * nr
    for row in range(0, layer.w_rows, MR):
        tile = at + row * nr
        gradients = tile + header.gradients
        for place in range(gradients, gradients + MR * nr, half):
            store(memory, place, scales * load(memory, place))
        call_tile(step.tile, (memory, tile, gradients, step, row, layer.n_in))


@njit_merged
def clip_scale_of(memory, header, layers, clip_norm, panels, count, member):
    """Returns min(1, clip_norm / |g|), where g is the vector of all gradients in memory.

    If all gradients are multiplied by the returned factor, their norm |g| is at most clip_norm. The gradients are stored in
    `count` panels: groups of NR columns, of which each row fills NR_VECTORS SIMD vectors. This thread adds up the squared
    gradients in the panels whose indices are in the range `panels`.
    """
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


@njit_routine
def descend_from_memory(memory, header, layers, step, member):
    """Updates all parameters from the gradients g in memory, which are first clipped: g <- g * min(1, clip_norm / |g|).

    The threads divide the panels of w and b (blocks of NR columns) among themselves.
    """
    nr = NR_VECTORS * lanes(memory)
    count = 0
    for l in range(layers.size):
        count += -(-layers[l].n_out // nr)
    panels = thread_range(count, member)
    barrier(member)
    scale = get(memory, header.ones)
    if step.clip_norm < np.inf:
        scale = clip_scale_of(memory, header, layers, step.clip_norm, panels, count, member)
    number = 0
    for l in range(layers.size):
        for panel in range(-(-layers[l].n_out // nr)):
            if panels.begin <= number < panels.end:
                descend_panel(memory, header, layers[l], panel, step, scale)
            number += 1

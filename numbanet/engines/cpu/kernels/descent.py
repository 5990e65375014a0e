"""Applies the update rules of `numbanet.equations.descent` to SIMD vectors and to tiles of w and b.

Each update rule has its own class of constants. Numba selects the update rule by the type of the constants, so that the weight
update in the module `product` is compiled with the code of a single rule. A parameter's moments (its velocity, or Adam's m and
v) are stored in memory at the distances `moment_1` and `moment_2` from the parameter. Without weight decay, `decay` is None,
and the code for weight decay is not compiled.

To add a rule, write a named tuple of its constants and a function that updates parameters from gradients, and add both to
`RULES`.
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
    """An update rule, its constants, and a table of the values that change from step to step, such as the learning rate.

    Parameters
    ----------
    constants : tuple
        An object of one of this module's classes of constants, such as `AdamConstants`. The class of the object selects the
        update rule.
    decay : floating or None
        The weight-decay factor lambda; None for no weight decay.
    clip_norm : floating
        The largest allowed norm of the vector of all gradients; inf for no clipping.
    rates : (steps, 4) float64
        For each step, the divisor n of the mean loss, the learning rate eta, and Adam's bias-corrected eta_t and epsilon_t. The
        function `numbanet.engines.epoch.rates_of` computes the table `rates`.
    """

    constants: Any
    decay: np.floating | None
    clip_norm: np.floating
    rates: np.ndarray


class UpdateStep(NamedTuple):
    """The constants and rates that an update rule uses in one step.

    Parameters
    ----------
    constants, decay, clip_norm
        The rule's constants, the weight-decay factor lambda, and the largest allowed gradient norm, as in `UpdateRule`.
    eta, eta_t, epsilon_t : floating
        The learning rate eta, and Adam's rates in step t: eta_t = eta * sqrt(1 - beta_2^t) / (1 - beta_1^t) and epsilon_t =
        epsilon * sqrt(1 - beta_2^t).
    moment_1, moment_2 : int
        The distances in memory from a parameter to its first moment (the velocity, or Adam's m) and to its second moment
        (Adam's v).
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
    """An empty tuple, because plain gradient descent has no constants."""

    @classmethod
    def of(cls, rule: rules.Rule, number: Callable) -> "PlainConstants":
        """Returns the rule's constants; `number` converts each of them to the network's dtype."""
        return cls()


class MomentumConstants(NamedTuple):
    """The constant mu of gradient descent with momentum."""

    mu: np.floating

    @classmethod
    def of(cls, rule: rules.Rule, number: Callable) -> "MomentumConstants":
        """Returns the rule's constants; `number` converts each of them to the network's dtype."""
        return cls(number(rule.mu))


class NesterovConstants(NamedTuple):
    """The constant mu of gradient descent with Nesterov momentum."""

    mu: np.floating

    @classmethod
    def of(cls, rule: rules.Rule, number: Callable) -> "NesterovConstants":
        """Returns the rule's constants; `number` converts each of them to the network's dtype."""
        return cls(number(rule.mu))


class AdamConstants(NamedTuple):
    """Adam's constants: `share_1` is 1 - beta_1, and `share_2` is 1 - beta_2."""

    share_1: np.floating
    share_2: np.floating

    @classmethod
    def of(cls, rule: rules.Rule, number: Callable) -> "AdamConstants":
        """Returns the rule's constants; `number` converts each of them to the network's dtype."""
        return cls(number(1 - rule.beta_1), number(1 - rule.beta_2))


class AdamWConstants(NamedTuple):
    """The constants of AdamW (Adam with decoupled weight decay): `share_1` is 1 - beta_1, and `share_2` is 1 - beta_2."""

    share_1: np.floating
    share_2: np.floating

    @classmethod
    def of(cls, rule: rules.Rule, number: Callable) -> "AdamWConstants":
        """Returns the rule's constants; `number` converts each of them to the network's dtype."""
        return cls(number(1 - rule.beta_1), number(1 - rule.beta_2))


@njit_merged
def with_penalty(decay, w, gradient):
    """Returns dL/dw + lambda w for a SIMD vector of weights w, or dL/dw if `decay` (lambda) is None."""
    if decay is None:
        return gradient
    return penalised(broadcast(decay), w, gradient)


def _descend_plain(memory, at, step, decay, gradient):
    """Updates a vector of parameters by gradient descent: w <- w - eta dL/dw."""
    w = load(memory, at)
    store(memory, at, descend(broadcast(step.eta), with_penalty(decay, w, gradient), w))


def _descend_momentum(memory, at, step, decay, gradient):
    """Updates a vector of parameters with momentum: v <- mu v + dL/dw, w <- w - eta v."""
    w, v = load(memory, at), load(memory, at + step.moment_1)
    v = velocity_after(broadcast(step.constants.mu), with_penalty(decay, w, gradient), v)
    store(memory, at + step.moment_1, v)
    store(memory, at, descend(broadcast(step.eta), v, w))


def _descend_nesterov(memory, at, step, decay, gradient):
    """Updates a vector of parameters with Nesterov momentum: v <- mu v + dL/dw, w <- w - eta (dL/dw + mu v)."""
    w, v, mu = load(memory, at), load(memory, at + step.moment_1), broadcast(step.constants.mu)
    gradient = with_penalty(decay, w, gradient)
    v = velocity_after(mu, gradient, v)
    store(memory, at + step.moment_1, v)
    store(memory, at, descend(broadcast(step.eta), nesterov_gradient(mu, gradient, v), w))


@njit_merged
def after_adam(memory, at, step, w, gradient):
    """Updates the moments m and v of a vector of weights w, and returns w - eta_t m / (sqrt(v) + epsilon_t)."""
    m = moment(broadcast(step.constants.share_1), gradient, load(memory, at + step.moment_1))
    v = moment(broadcast(step.constants.share_2), gradient * gradient, load(memory, at + step.moment_2))
    store(memory, at + step.moment_1, m)
    store(memory, at + step.moment_2, v)
    return descend(broadcast(step.eta_t), adam_gradient(broadcast(step.epsilon_t), m, v), w)


def _descend_adam(memory, at, step, decay, gradient):
    """Updates a vector of parameters with Adam: w <- w - eta_t m / (sqrt(v) + epsilon_t)."""
    w = load(memory, at)
    store(memory, at, after_adam(memory, at, step, w, with_penalty(decay, w, gradient)))


def _descend_adamw(memory, at, step, decay, gradient):
    """Updates a vector of parameters with AdamW: w <- w - eta lambda w, then w <- w - eta_t m / (sqrt(v) + epsilon_t)."""
    w = load(memory, at)
    if decay is not None:
        w = decayed(broadcast(step.eta), broadcast(decay), w)
    store(memory, at, after_adam(memory, at, step, w, gradient))


# For each update rule: the class of its constants, and the function that updates a vector of parameters.
RULES: dict[int, tuple[Any, Callable]] = {
    rules.GRADIENT_DESCENT: (PlainConstants, _descend_plain),
    rules.MOMENTUM: (MomentumConstants, _descend_momentum),
    rules.NESTEROV: (NesterovConstants, _descend_nesterov),
    rules.ADAM: (AdamConstants, _descend_adam),
    rules.ADAMW: (AdamWConstants, _descend_adamw),
}


@lru_cache  # the cache saves time in epochs of very small networks, which take less than a millisecond
def constants_of(rule: rules.Rule, dtype: np.dtype) -> tuple[Any, np.floating | None, np.floating]:
    """Returns the values of `constants`, `decay` and `clip_norm` in an `UpdateRule`, converted to the network's dtype."""
    number, (constants, _) = dtype.type, RULES[rule.kind]
    return constants.of(rule, number), number(rule.weight_decay) if rule.weight_decay else None, number(rule.clip_norm)


@njit_merged
def rate(memory, table, at):
    """Returns element `at` of the flattened table of rates, converted to the network's dtype.

    The table has one row per step, with n, eta, eta_t and epsilon_t.
    """
    return memory.dtype.type(get(table, at))


@njit_merged
def step_of(memory, header, rule, at):
    """Returns the `UpdateStep` for the step whose rates (n, eta, eta_t, epsilon_t) begin at index `at` in `rule.rates`."""
    table = rule.rates
    eta, eta_t, epsilon_t = rate(memory, table, at + ETA), rate(memory, table, at + ETA_T), rate(memory, table, at + EPSILON_T)
    return UpdateStep(rule.constants, rule.decay, rule.clip_norm, eta, eta_t, epsilon_t, header.moment_1, header.moment_2)


def descend_vector(memory: Any, at: int, step: Any, decay: Any, gradient: Any) -> None:
    """Updates the SIMD vector of parameters that begins at memory[at]; `gradient` is the vector of their gradients."""


@overload(descend_vector, jit_options=MERGED)
def _descend_vector(memory, at, step, decay, gradient):
    constants = step.types[0].instance_class
    return next(function for own, function in RULES.values() if own is constants)


@njit_merged
def decay_of(decay, row, n_in):
    """Returns `decay` (lambda) if `row` is a row of w, and 0 if it is the row of b or a later row.

    Rows 0 to n_in - 1 are rows of w, and row n_in is b.
    """
    if decay is None:
        return decay
    return decay if row < n_in else decay - decay


@njit_merged
def descend_row(memory, at, step, decay, c_0, c_1):
    """Updates one row of a panel of w and b: the NR parameters that begin at memory[at].

    c_0 and c_1 are SIMD vectors, which together hold the NR gradients.
    """
    descend_vector(memory, at, step, decay, c_0)
    descend_vector(memory, at + lanes(memory), step, decay, c_1)


@njit_merged
def descend_tile(memory, at, step, row, n_in, c):
    """Updates MR = 6 successive rows of a panel (NR columns) of w and b, beginning with row `row`, from gradients in registers.

    Reads the gradients c, a tuple of 12 SIMD vectors, two for each row. Updates the rows that begin at memory[at].
    """
    nr, decay = NR_VECTORS * lanes(memory), step.decay
    descend_row(memory, at, step, decay_of(decay, row, n_in), c[0], c[1])
    descend_row(memory, at + 1 * nr, step, decay_of(decay, row + 1, n_in), c[2], c[3])
    descend_row(memory, at + 2 * nr, step, decay_of(decay, row + 2, n_in), c[4], c[5])
    descend_row(memory, at + 3 * nr, step, decay_of(decay, row + 3, n_in), c[6], c[7])
    descend_row(memory, at + 4 * nr, step, decay_of(decay, row + 4, n_in), c[8], c[9])
    descend_row(memory, at + 5 * nr, step, decay_of(decay, row + 5, n_in), c[10], c[11])


# Updates from gradients in memory, which begin when all gradients have been computed, so that their norm is known


@njit_part
def squares_of_panel(memory, header, layer, panel, place):
    """Computes, for each of the NR columns of a panel, the sum of the squared gradients.

    Writes the NR sums to memory, beginning at memory[place].
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
        put(memory, place + q, 0)  # columns beyond the last neuron


@njit_part
def descend_panel(memory, header, layer, panel, step, scale):
    """Updates a panel (NR columns) of a layer's w and b from gradients in memory, which are first multiplied by `scale`."""
    half = lanes(memory)
    nr = NR_VECTORS * half
    scales, at = broadcast(scale), layer.w + panel * layer.w_rows * nr
    for row in range(layer.n_in + 1):
        place = at + row * nr
        g_0, g_1 = load(memory, place + header.gradients), load(memory, place + half + header.gradients)
        descend_row(memory, place, step, decay_of(step.decay, row, layer.n_in), scales * g_0, scales * g_1)


@njit_merged
def clip_scale_of(workspace, clip_norm, panels, count, member):
    """Returns min(1, clip_norm / |g|), where g is the vector of all gradients in memory.

    If all gradients are multiplied by the returned factor, their norm |g| is at most clip_norm. The gradients are stored in
    `count` panels of NR columns each. This thread adds up the squares in those panels whose indices are in the range `panels`.
    """
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
    """Updates all parameters from the gradients g in memory, which are first clipped: g <- g * min(1, clip_norm / |g|).

    The threads divide the panels of w and b (blocks of NR columns) among themselves.
    """
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

"""Applies the update rules of `numbanet.equations.descent` to the flat parameter vector, with one thread for each parameter.

To add an update rule, write a device function for it and add the function to `FORMULAS`. The kernels read the step's learning
rate and the gradients' norm from GPU memory, so that a CUDA graph recorded in one step can be replayed for steps with other
learning rates.
"""

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import from_dtype

from numbanet._cuda import SIMULATED, configured, cuda, device_function
from numbanet.engines import rule as rules
from numbanet.engines.cuda.memory import get, put, shared_numbers
from numbanet.engines.epoch import EPSILON_T, ETA, ETA_T
from numbanet.engines.rule import Rule
from numbanet.engines.topology import Topology
from numbanet.equations.descent import (
    adam_gradient,
    clip_scale,
    decayed,
    descend,
    moment,
    nesterov_gradient,
    penalised,
    velocity_after,
)

# THREADS is the number of threads in a block. SUMS is the number of blocks that add up squares of gradients; the sums of the
# blocks are then added in a fixed order. In the simulator, a block has few threads, because each CUDA thread is a Python
# thread.
THREADS, SUMS = (4, 3) if SIMULATED else (256, 64)

MOST_NORM = 0  # index of the largest allowed gradient norm in the array `constants`; the constants of the formula follow


def is_plain(rule: Rule) -> bool:
    """Returns True if the rule is plain gradient descent, w <- w - eta dL/dw, without weight decay or clipping."""
    return rule.kind == rules.GRADIENT_DESCENT and not rule.weight_decay and not rule.clip_norm < math.inf


@functools.cache
def sums_of_squares(dtype: np.dtype) -> Any:
    """Returns the kernel in which each thread block adds up the squares of some gradients; SUMS is the number of blocks."""
    number = from_dtype(dtype)

    @cuda.jit
    def kernel(gradients, sums):
        """Computes sums[q], the sum of the squares of the gradients that thread block q reads, added in a fixed order.

        Reads the gradients of all parameters, an array with one dimension. Writes sums (SUMS,).
        """
        totals = shared_numbers(THREADS, number)
        thread, step = cuda.threadIdx.x, cuda.gridDim.x * cuda.blockDim.x
        total = number(0)
        for p in range(cuda.blockIdx.x * cuda.blockDim.x + thread, gradients.shape[0], step):
            total += get(gradients, p) * get(gradients, p)
        totals[thread] = total
        width = cuda.blockDim.x // 2
        while width > 0:
            cuda.syncthreads()
            if thread < width:
                totals[thread] += totals[thread + width]
            width //= 2
        if thread == 0:
            sums[cuda.blockIdx.x] = totals[0]

    return kernel


@device_function
def by_descent(rates, constants, gradient, parameter, at, m, v):
    """Plain gradient descent: returns w - eta dL/dw, the new value of a parameter w."""
    return descend(get(rates, ETA), gradient, parameter)


@device_function
def by_momentum(rates, constants, gradient, parameter, at, m, v):
    """Momentum: updates the velocity v <- mu v + dL/dw, and returns the new parameter w - eta v."""
    velocity = velocity_after(get(constants, 1), gradient, get(m, at))
    put(m, at, velocity)
    return descend(get(rates, ETA), velocity, parameter)


@device_function
def by_nesterov(rates, constants, gradient, parameter, at, m, v):
    """Nesterov: updates the velocity v <- mu v + dL/dw, and returns the new parameter w - eta (dL/dw + mu v)."""
    mu = get(constants, 1)
    velocity = velocity_after(mu, gradient, get(m, at))
    put(m, at, velocity)
    return descend(get(rates, ETA), nesterov_gradient(mu, gradient, velocity), parameter)


@device_function
def by_adam(rates, constants, gradient, parameter, at, m, v):
    """Adam: updates the moments m and v, and returns the new parameter w - eta_t m / (sqrt(v) + epsilon_t).

    The updates of the moments are m <- beta_1 m + (1 - beta_1) dL/dw and v <- beta_2 v + (1 - beta_2) (dL/dw)^2.
    `rates` holds eta_t and epsilon_t, which are eta and epsilon with Adam's bias correction for step t.
    """
    m_next = moment(get(constants, 1), gradient, get(m, at))
    v_next = moment(get(constants, 2), gradient * gradient, get(v, at))
    put(m, at, m_next)
    put(v, at, v_next)
    return descend(get(rates, ETA_T), adam_gradient(get(rates, EPSILON_T), m_next, v_next), parameter)


class Formula(NamedTuple):
    """The formula of an update rule, such as Adam, as a device function, and the constants that the device function reads.

    Parameters
    ----------
    updated : callable
        updated(rates, constants, gradient, parameter, at, m, v) is a device function that updates a parameter's moments, m[at]
        and v[at], and returns the parameter's new value.
    constants : callable
        constants(rule) returns the values that the device function `updated` reads from constants[1], constants[2], ...
        (constants[0] is the largest allowed norm of all gradients).
    """

    updated: Callable
    constants: Callable[[Rule], tuple[float, ...]] = lambda rule: ()


FORMULAS = {
    rules.GRADIENT_DESCENT: Formula(by_descent),
    rules.MOMENTUM: Formula(by_momentum, lambda rule: (rule.mu,)),
    rules.NESTEROV: Formula(by_nesterov, lambda rule: (rule.mu,)),
    rules.ADAM: Formula(by_adam, lambda rule: (1 - rule.beta_1, 1 - rule.beta_2)),
    rules.ADAMW: Formula(by_adam, lambda rule: (1 - rule.beta_1, 1 - rule.beta_2)),
}


@functools.cache
def update_kernel(kind: int, decays: bool, clips: bool) -> Any:
    """Returns the kernel that applies the update rule `kind` to all parameters.

    The kernel also applies weight decay if `decays` is True, and clips the gradients' norm if `clips` is True.
    """
    updated = FORMULAS[kind].updated
    decoupled = rules.KINDS[kind].decouples_decay

    @cuda.jit
    def update(rates, constants, decay, sums, gradients, m, v, parameters):
        """Updates all p parameters, with one thread for each parameter. Twins: the loops in `numbanet.equations.descent`.

        `rates` (4,) holds the divisor n of the loss, eta, and Adam's eta_t and epsilon_t. `constants` holds the largest allowed
        norm of all gradients, then the constants of the rule. `decay` (p,) holds the weight-decay factor lambda for each
        weight, and 0 for each bias. `sums` (SUMS,) holds partial sums of the squared gradients. Reads these four arrays and
        gradients (p,). Updates parameters, and m and v (the velocity, or Adam's moments), each (p,).
        """
        at = cuda.grid(1)
        if at < parameters.shape[0]:
            gradient, parameter = get(gradients, at), get(parameters, at)
            if clips:
                squares = get(sums, 0)
                for q in range(1, sums.shape[0]):
                    squares += get(sums, q)
                gradient = gradient * clip_scale(get(constants, MOST_NORM), squares)
            if decays and decoupled:
                parameter = decayed(get(rates, ETA), get(decay, at), parameter)
            elif decays:
                gradient = penalised(get(decay, at), parameter, gradient)
            put(parameters, at, updated(rates, constants, gradient, parameter, at, m, v))

    return update


class ParameterUpdate:
    """Updates all parameters of a network by an update rule.

    Parameters
    ----------
    topology : Topology
        The network's layer sizes, activation functions, loss and dtype.
    rule : Rule
        The update rule, such as Adam, with its constants.
    gradients, parameters : device array (p,)
        `gradients` is the vector of all p gradients dL/dw and dL/db; `parameters` is the vector of all p parameters w and b.
    moments : list of device array (p,)
        The arrays hold the values that the rule keeps for each parameter from step to step: the velocity, or Adam's moments m
        and v. The list has at least `rule.moments` arrays.
    """

    def __init__(self, topology: Topology, rule: Rule, gradients: Any, moments: list, parameters: Any):
        self.rule, self.plain = rule, is_plain(rule)
        self.clips, self.decays = rule.clip_norm < math.inf, rule.weight_decay > 0
        self.gradients, self.parameters = gradients, parameters
        # If a rule has fewer than two moments, `parameters` is passed in place of a missing moment, and is not read.
        self.m, self.v = [*moments, parameters, parameters][:2]
        numbers = rule.clip_norm, *FORMULAS[rule.kind].constants(rule)
        self.constants = cuda.to_device(np.array(numbers, topology.dtype))
        self.sums = cuda.device_array(SUMS, topology.dtype)
        self.decay: Any = self.constants
        if self.decays:
            decay = np.zeros(topology.parameter_count, topology.dtype)
            for w, _ in topology.views(decay):
                w[...] = rule.weight_decay
            self.decay = cuda.to_device(decay)

    def launch(self, rates: Any) -> None:
        """Launches the kernels that update all parameters once.

        `rates` is an array of shape (4,) on the GPU, which holds four values of the step: the divisor n of the loss,
        the learning rate eta, and Adam's eta_t and epsilon_t (see `Batch`).
        """
        if self.clips:
            configured(sums_of_squares(self.gradients.dtype), SUMS, THREADS)(self.gradients, self.sums)
        kernel, blocks = update_kernel(self.rule.kind, self.decays, self.clips), -(-self.parameters.shape[0] // THREADS)
        configured(kernel, blocks, THREADS)(
            rates, self.constants, self.decay, self.sums, self.gradients, self.m, self.v, self.parameters
        )

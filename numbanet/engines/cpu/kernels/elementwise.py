"""The compiled functions (routines) that compute a = phi(z) and delta = dL/da da/dz for successive numbers in memory.

Each activation function has two routines of its own, one for a and one for delta, so that LLVM can vectorise the routines'
loops. (The loops of `numbanet.equations`, in contrast, select the activation function again for every number.) In memory, the
activation a overwrites z, unless the derivative must be computed from z (see `Topology.keeps_z`). If a has overwritten z, the
derivatives of relu and leaky_relu are computed from a, because a is positive if and only if z is positive.

To add an activation function, add a row to the table FORMULAS.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from numba import types

from numbanet._compile import njit_merged, njit_routine, parts_of
from numbanet.engines.cpu.kernels.routine import Signature, named
from numbanet.engines.cpu.kernels.vector import get, put
from numbanet.equations import activations, backprop
from numbanet.equations.activations import LEAKY_RELU, RELU, SIGMOID, TANH

relu, leaky_relu, sigmoid, tanh = parts_of(activations.relu, activations.leaky_relu, activations.sigmoid, activations.tanh)
d_relu, d_leaky_relu = parts_of(activations.d_relu, activations.d_leaky_relu)
d_sigmoid, d_tanh, error_term = parts_of(activations.d_sigmoid, activations.d_tanh, backprop.error_term)

ACTIVATION = Signature(lambda number: (number, types.intp, types.intp, types.intp))  # arguments: memory, epsilon, z, a, count
ACTIVATION_ERROR = Signature(lambda number: (number, *4 * [types.intp]))  # arguments: memory, epsilon, z, a, delta, count
call_activation, call_activation_error = ACTIVATION.call, ACTIVATION_ERROR.call


class Formula(NamedTuple):
    """An activation function a = phi(epsilon, z), and its derivative da/dz = d_phi(epsilon, z, a)."""

    name: str
    phi: Callable
    d_phi: Callable


# If a store may write back the number that was read, LLVM 22 turns the store into a masked store, which is six times as slow on
# some CPUs. Adding epsilon - epsilon, a 0 that LLVM cannot recognise as 0, prevents the masked store.
FORMULAS = {
    RELU: Formula("relu", lambda epsilon, z: relu(z) + (epsilon - epsilon), lambda epsilon, z, a: d_relu(z)),
    LEAKY_RELU: Formula(
        "leaky_relu",
        lambda epsilon, z: leaky_relu(z, epsilon) + (epsilon - epsilon),
        lambda epsilon, z, a: d_leaky_relu(z, epsilon),
    ),
    SIGMOID: Formula("sigmoid", lambda epsilon, z: sigmoid(z), lambda epsilon, z, a: d_sigmoid(a)),
    TANH: Formula("tanh", lambda epsilon, z: tanh(z), lambda epsilon, z, a: d_tanh(a)),
}


@cache  # so that networks with equal formulas share their routines; machine code must exist as long as the process
def users_formula(own: Any) -> Formula:
    """Returns the `Formula` for `own`, an `Activation` that a user wrote.

    The formula's name in the compile cache contains `own.digest`, a hash of the user's functions.
    """
    phi, d_phi = own.phi, own.d_phi
    return Formula(f"own_{own.digest}", lambda epsilon, z: phi(z) + (epsilon - epsilon), lambda epsilon, z, a: d_phi(z, a))


@cache
def activation(formula: Formula) -> Any:
    """Returns the compiled function that overwrites `count` values z with phi(z), beginning at memory[a].

    If the offsets `z` and `a` differ, the function first copies the values z to memory[z], for the derivative.
    """
    phi = njit_merged(formula.phi)

    def loop(memory, epsilon, z, a, count):
        if z != a:
            for p in range(count):
                put(memory, z + p, get(memory, a + p))
        for p in range(a, a + count):
            put(memory, p, phi(epsilon, get(memory, p)))

    return njit_routine(named(loop, f"{formula.name}_activation"))


@cache
def activation_error(formula: Formula) -> Any:
    """Returns the compiled function that overwrites `count` values dL/da with dL/da da/dz, beginning at memory[delta].

    The values z begin at memory[z], and the values a begin at memory[a]. If the activations a have overwritten z, the offsets
    `z` and `a` are equal.
    """
    d_phi = njit_merged(formula.d_phi)

    def loop(memory, epsilon, z, a, delta, count):
        for p in range(count):
            da_dz = d_phi(epsilon, get(memory, z + p), get(memory, a + p))
            put(memory, delta + p, error_term(get(memory, delta + p), da_dz))

    return njit_routine(named(loop, f"{formula.name}_error"))

"""Functions that compute a = phi(z) and delta = dL/da da/dz for successive numbers in memory.

The functions test the kind of activation once, before the loop, so that LLVM vectorises the loop; the loops of
`numbanet.equations` test it for every number. In memory a overwrites z, unless `topology.KEEPS_Z` names the kind of activation:
z is then kept in its own panels. If a has overwritten z, the derivatives of relu and leaky_relu are computed from a. They equal
the derivatives at z, because a is positive exactly when z is positive.

To add an activation, add a branch to each of the two functions.
"""

from numbanet._compile import njit_part, parts_of
from numbanet.engines.cpu.kernels.vector import get, put
from numbanet.equations import activations, backprop
from numbanet.equations.activations import LEAKY_RELU, RELU, SIGMOID, TANH

relu, leaky_relu, sigmoid, tanh = parts_of(activations.relu, activations.leaky_relu, activations.sigmoid, activations.tanh)
d_relu, d_leaky_relu = parts_of(activations.d_relu, activations.d_leaky_relu)
d_sigmoid, d_tanh, error_term = parts_of(activations.d_sigmoid, activations.d_tanh, backprop.error_term)


@njit_part
def activation(kind, epsilon, memory, z, a, count):
    """Replaces `count` values z, which begin at memory[a], by a = phi(z).

    If the offsets `z` and `a` differ, the values are first copied to memory[z] and following.
    """
    if z != a:
        for p in range(count):
            put(memory, z + p, get(memory, a + p))
    # LLVM (22) turns a store that may write back the number that was read into a masked store, which is six times as slow on
    # some CPUs. Adding a 0 that LLVM cannot recognise as 0 prevents this.
    zero = epsilon - epsilon
    if kind == RELU:
        for p in range(a, a + count):
            put(memory, p, relu(get(memory, p)) + zero)
    elif kind == LEAKY_RELU:
        for p in range(a, a + count):
            put(memory, p, leaky_relu(get(memory, p), epsilon) + zero)
    elif kind == SIGMOID:
        for p in range(a, a + count):
            put(memory, p, sigmoid(get(memory, p)))
    elif kind == TANH:
        for p in range(a, a + count):
            put(memory, p, tanh(get(memory, p)))


@njit_part
def activation_error(kind, epsilon, memory, z, a, delta, count):
    """Replaces `count` values dL/da, which begin at memory[delta], by delta = dL/da da/dz.

    Reads z from memory[z] and a from memory[a] on. The two offsets are equal if a has overwritten z.
    """
    if kind == RELU:
        for p in range(count):
            put(memory, delta + p, error_term(get(memory, delta + p), d_relu(get(memory, z + p))))
    elif kind == LEAKY_RELU:
        for p in range(count):
            put(memory, delta + p, error_term(get(memory, delta + p), d_leaky_relu(get(memory, z + p), epsilon)))
    elif kind == SIGMOID:
        for p in range(count):
            put(memory, delta + p, error_term(get(memory, delta + p), d_sigmoid(get(memory, a + p))))
    elif kind == TANH:
        for p in range(count):
            put(memory, delta + p, error_term(get(memory, delta + p), d_tanh(get(memory, a + p))))

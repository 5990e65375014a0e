"""Functions that compute a = phi(z) and delta = dL/da da/dz for successive numbers in memory.

The functions select the activation function once, before the loop, so that LLVM can vectorise the loop. (The loops of
`numbanet.equations` select it for every number.) In memory, a overwrites z, except for the activation functions in
`topology.KEEPS_Z`, for which z is kept in separate panels. If a has overwritten z, the derivatives of relu and leaky_relu are
computed from a. The derivatives of relu and leaky_relu have the same value at a as at z, because a is positive if and only if z
is positive.

To add an activation function, add a branch to each of the two functions.
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
    """Replaces `count` values z, which begin at memory[a], with a = phi(z).

    If the offsets `z` and `a` differ, the values z are first copied to memory[z], memory[z + 1], ...
    """
    if z != a:
        for p in range(count):
            put(memory, z + p, get(memory, a + p))
    # If a store may write back the number that was read, LLVM 22 turns it into a masked store, which is six times as slow on
    # some CPUs. Adding a 0 that LLVM cannot recognise as 0 prevents the masked store.
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
    """Replaces `count` values dL/da, which begin at memory[delta], with delta = dL/da da/dz.

    The values z begin at memory[z], and the values a begin at memory[a]. The offsets of z and a are equal if a has overwritten
    z.
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

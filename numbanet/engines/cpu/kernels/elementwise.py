"""a = phi(z) and delta = dL/da da/dz over a stretch of memory; the kind of activation is decided before the loop.

The loops of `numbanet.equations` decide it for every number; here LLVM vectorises. a takes the place of z in memory, unless
`topology.KEEPS_Z` names the kind: z then stays beside it. Derivatives of z are taken at z or, if a took its place, at a: the
rectifiers have the same derivative there, because a is positive exactly when z is.

An activation takes a branch in each of the two functions.
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
    """a = phi(z), for `count` numbers from place a on, which hold z; copies z to place z before, if that is another place."""
    if z != a:
        for p in range(count):
            put(memory, z + p, get(memory, a + p))
    # LLVM (22) makes a masked store, on some CPUs six times as slow, of one that may put back the number it has read. Adding 0,
    # in a form that LLVM does not see through, prevents that.
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
    """delta = dL/da da/dz, for `count` numbers from places z, a and delta on; delta holds dL/da, and z may be a itself."""
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

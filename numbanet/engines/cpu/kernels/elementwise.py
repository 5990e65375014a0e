"""a = phi(z) and delta = dL/da da/dz over a stretch of memory, the kind of activation decided before the loop.

In the loops of `numbanet.equations` it is decided for every number anew; here LLVM vectorises. z gives way to a, so that the
derivatives of the rectifiers are taken at a, which is positive where z is.
"""

from numbanet._compile import njit_part, parts_of
from numbanet.engines.cpu.kernels.vector import get, put
from numbanet.equations import activations, backprop
from numbanet.equations.activations import LEAKY_RELU, RELU, SIGMOID, TANH

relu, leaky_relu, sigmoid, tanh = parts_of(activations.relu, activations.leaky_relu, activations.sigmoid, activations.tanh)
d_relu, d_leaky_relu = parts_of(activations.d_relu, activations.d_leaky_relu)
d_sigmoid, d_tanh, error_term = parts_of(activations.d_sigmoid, activations.d_tanh, backprop.error_term)


@njit_part
def activation(kind, epsilon, memory, a, count):
    """a = phi(z), for `count` numbers from place a on, which hold z."""
    # LLVM (22) makes a masked store, on some CPUs six times as slow, of one that may put back what it found. Hence 0 is added,
    # in a form that LLVM does not see through.
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
def activation_error(kind, epsilon, memory, a, delta, count):
    """delta = dL/da da/dz, for `count` numbers from places a and delta on; delta holds dL/da."""
    if kind == RELU:
        for p in range(count):
            put(memory, delta + p, error_term(get(memory, delta + p), d_relu(get(memory, a + p))))
    elif kind == LEAKY_RELU:
        for p in range(count):
            put(memory, delta + p, error_term(get(memory, delta + p), d_leaky_relu(get(memory, a + p), epsilon)))
    elif kind == SIGMOID:
        for p in range(count):
            put(memory, delta + p, error_term(get(memory, delta + p), d_sigmoid(get(memory, a + p))))
    elif kind == TANH:
        for p in range(count):
            put(memory, delta + p, error_term(get(memory, delta + p), d_tanh(get(memory, a + p))))

"""Products of matrices in shared memory by all threads of the block: sum_k a[r, k] b[k, c], for every row r and column c.

A thread adds up a tile of 2 x 2 sums at a time. An `Operand` says how to step through a matrix, so that the same loop
multiplies by a matrix or by its transpose. A product's `finish` uses the finished sum: `activate`, `propagate` or
`descend_weight`, each with a tuple of its own arguments.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from numbanet._cuda import cuda, device_function
from numbanet.engines.cuda.memory import get, put
from numbanet.equations.activations import d_phi, phi
from numbanet.equations.backprop import error_term
from numbanet.equations.descent import descend
from numbanet.equations.neuron import weighted_input


class Operand(NamedTuple):
    """A factor of a product.

    Parameters
    ----------
    place : int
        Where it begins.
    line : int
        The step from row to row of the left factor, from column to column of the right factor.
    term : int
        The step from term to term.
    """

    place: Any
    line: Any
    term: Any


# Uses of a finished sum; a matrix is its place and its pitch


class Activation(NamedTuple):
    """Arguments of `activate`: the activation constant, the slope of leaky_relu, and the matrix that a goes to."""

    kind: Any
    epsilon: Any
    a: Any


class Propagation(NamedTuple):
    """Arguments of `propagate`: kind, epsilon and a of the layer whose delta is computed, and the matrix that delta goes to."""

    kind: Any
    epsilon: Any
    a: Any
    delta: Any


class WeightUpdate(NamedTuple):
    """Arguments of `descend_weight`: the learning rate and the matrix of the weights."""

    eta: Any
    w: Any


@device_function
def place_in(matrix, r, c):
    """Returns the place of row r and column c of a matrix."""
    place, pitch = matrix
    return place + r * pitch + c


@device_function
def activate(near, to, r, c, total):
    """Writes a_j = phi(z_j)."""
    put(near, place_in(to.a, r, c), phi(to.kind, to.epsilon, total))


@device_function
def propagate(near, to, r, c, total):
    """Writes delta_i = dL/da_i da_i/dz_i; rectifiers have their derivative at a, which is positive where z is."""
    a = get(near, place_in(to.a, r, c))
    put(near, place_in(to.delta, r, c), error_term(total, d_phi(to.kind, to.epsilon, a, a)))


@device_function
def descend_weight(near, to, r, c, total):
    """Writes w_ij <- w_ij - eta dL/dw_ij."""
    at = place_in(to.w, r, c)
    put(near, at, descend(to.eta, total, get(near, at)))


@device_function
def tile(near, zero, depth, a, b):
    """Returns sum_k a[r, k] b[k, c] for 2 rows r and 2 columns c, over k < depth, of two operands."""
    c_00 = c_01 = c_10 = c_11 = zero
    a_at, b_at = a.place, b.place
    end = a_at + depth * a.term
    while a_at != end:
        a_0, a_1 = get(near, a_at), get(near, a_at + a.line)
        b_0, b_1 = get(near, b_at), get(near, b_at + b.line)
        c_00 += weighted_input(b_0, a_0)
        c_01 += weighted_input(b_1, a_0)
        c_10 += weighted_input(b_0, a_1)
        c_11 += weighted_input(b_1, a_1)
        a_at += a.term
        b_at += b.term
    return c_00, c_01, c_10, c_11


def product_with(finish: Callable) -> Callable:
    """Returns the device function of a product whose sums are finished by finish(near, to, r, c, total)."""

    @device_function
    def product(near, zero, shape, operands, to):
        """Finishes sum_k a[r, k] b[k, c] for the rows, columns and terms of a shape; a and b are the operands.

        The columns of a tile are half of all columns apart, so that neighbouring threads take neighbouring columns.
        """
        (rows, columns, depth), (a, b) = shape, operands
        across = (columns + 1) // 2
        for number in range(cuda.threadIdx.x, (rows + 1) // 2 * across, cuda.blockDim.x):
            r, c = number // across * 2, number % across
            next_row, next_column = r + 1 < rows, c + across < columns
            left = Operand(a.place + r * a.line, a.line if next_row else 0, a.term)
            right = Operand(b.place + c * b.line, (across if next_column else 0) * b.line, b.term)
            c_00, c_01, c_10, c_11 = tile(near, zero, depth, left, right)
            finish(near, to, r, c, c_00)
            if next_column:
                finish(near, to, r, c + across, c_01)
            if next_row:
                finish(near, to, r + 1, c, c_10)
            if next_row and next_column:
                finish(near, to, r + 1, c + across, c_11)

    return product


multiply_forward, multiply_back, multiply_update = map(product_with, (activate, propagate, descend_weight))

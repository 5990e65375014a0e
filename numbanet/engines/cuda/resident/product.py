"""Matrix products in shared memory: all threads of a block compute sum_k a[r, k] * b[k, c] for each row r and column c.

Each thread computes a tile of 2 x 2 sums at a time. An `Operand` holds the strides of a matrix, so that the same loop can
multiply by a matrix or by the transpose of a matrix. Each complete sum is passed to a function called `finish`, which computes
and stores a result. Each of the module's three products has its own `finish`: `activate`, `propagate` or `descend_weight`. Each
of these functions takes its argument `to` as a named tuple of its own type: `activate`, for example, takes an `Activation`.
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
    """The offset and the strides, in shared memory, of a factor a or b of the matrix product sum_k a[r, k] * b[k, c].

    Parameters
    ----------
    place : int
        Offset of the first element of the matrix in shared memory.
    line : int
        For the left factor, the stride between successive rows r; for the right factor, the stride between successive columns
        c.
    term : int
        Stride between successive terms k of the sum.
    """

    place: Any
    line: Any
    term: Any


# The functions that use a complete sum, and their arguments. A matrix is given as the pair (offset in shared memory, pitch),
# where the pitch is the distance between two successive rows.


class Activation(NamedTuple):
    """Arguments of `activate`, which applies the activation function to a complete sum z.

    Parameters
    ----------
    kind, epsilon : int, float
        `kind` is the integer constant of the activation function. `epsilon` is the slope of leaky_relu for negative z.
    a : (int, int)
        Offset and pitch of the matrix to which the activation a is written.
    """

    kind: Any
    epsilon: Any
    a: Any


class Propagation(NamedTuple):
    """Arguments of `propagate`, which multiplies a complete sum dL/da by the derivative da/dz.

    Parameters
    ----------
    kind, epsilon : int, float
        `kind` is the integer constant of the activation function of the layer whose delta is computed. `epsilon` is the slope
        of leaky_relu for negative z.
    a : (int, int)
        Offset and pitch of the matrix that holds the activations a of the layer whose delta is computed.
    delta : (int, int)
        Offset and pitch of the matrix to which delta is written.
    """

    kind: Any
    epsilon: Any
    a: Any
    delta: Any


class WeightUpdate(NamedTuple):
    """Arguments of `descend_weight`, which updates a weight by gradient descent.

    Parameters
    ----------
    eta : float
        The learning rate.
    w : (int, int)
        Offset and pitch of the weight matrix.
    """

    eta: Any
    w: Any


@device_function
def place_in(matrix, r, c):
    """Returns the offset in shared memory of the element in row r and column c of `matrix`, a pair (offset, pitch)."""
    place, pitch = matrix
    return place + r * pitch + c


@device_function
def activate(near, to, r, c, total):
    """Computes a_j = phi(z_j), where z_j is `total`, and writes a_j to row r and column c of the matrix `to.a`."""
    put(near, place_in(to.a, r, c), phi(to.kind, to.epsilon, total))


@device_function
def propagate(near, to, r, c, total):
    """Computes delta_i = dL/da_i da_i/dz_i, where dL/da_i is `total`, and writes delta_i to row r and column c of `to.delta`.

    z is not stored; the function `d_phi` therefore receives a in place of z. For relu and leaky_relu, the derivative da/dz
    depends only on the sign of z, and a is positive if and only if z is positive.
    """
    a = get(near, place_in(to.a, r, c))
    put(near, place_in(to.delta, r, c), error_term(total, d_phi(to.kind, to.epsilon, a, a)))


@device_function
def descend_weight(near, to, r, c, total):
    """Updates w_ij <- w_ij - eta dL/dw_ij, the element in row r and column c of the matrix `to.w`; `total` is dL/dw_ij."""
    at = place_in(to.w, r, c)
    put(near, at, descend(to.eta, total, get(near, at)))


@device_function
def tile(near, zero, depth, a, b):
    """Returns the four sums sum_k a[r, k] * b[k, c] over k < depth, for 2 rows r and 2 columns c.

    The arguments `a` and `b` are of the class `Operand`.
    """
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
    """Returns a device function that computes a matrix product and calls finish(near, to, r, c, total) with each sum."""

    @device_function
    def product(near, zero, shape, operands, to):
        """Computes total = sum_k a[r, k] * b[k, c] and calls finish(near, to, r, c, total) for every row r and column c.

        `shape` is the tuple (rows, columns, number of terms k), and `operands` is the pair (a, b). The two columns of a
        thread's tile (2 x 2 sums) lie half the width of the result apart, so that threads with consecutive indices compute
        consecutive columns.
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

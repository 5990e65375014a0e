"""Matrix products in shared memory: all threads of a block compute sum_k x[r, k] * w[k, c] for each row r and column c.

A factor of a product is called deep if elements with consecutive indices k are neighbours in memory. In a deep factor x, the
elements x[r, k] of a row r are neighbours in memory; in a deep factor w, the elements w[k, c] of a column c are neighbours in
memory. In a factor x that is not deep, the elements of each column are neighbours in memory; in a factor w that is not deep,
the elements of each row are neighbours. A thread loads 4 neighbouring values of a factor at a time. A group of 4 neighbouring
values is called a quad.

Each thread computes a square tile of QUAD x QUAD sums (QUAD is 4), and adds QUAD terms to each sum at a time. If there are
fewer tiles than threads, several threads share a tile, and each of these threads adds up a part of the terms. A product is
computed in three stages:

    The prologue (`divide`, `work_of`) selects a thread's tile, and the part of the terms k that the thread adds up.
    The main loop (`main_loop`) computes the sums of a thread's tile over the thread's part of the terms.
    The epilogue (`epilogue`) adds the parts of each sum, in a fixed order, and passes the complete sum to `finish`.

This module defines five products: FORWARD_SUMS, FORWARD, BACKWARD_SUMS, BACKWARD and UPDATE. For each product, `finish` is one
of the functions `publish`, `activate`, `propagate` and `descend_weight`. Each of these four functions has its own type of the
argument `to`: `activate`, for example, takes an `Activation`.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import from_dtype, int32

from numbanet._cuda import cuda, device_function
from numbanet.engines.cuda.cooperative.layout import SQUARE, THREADS, Common
from numbanet.engines.cuda.cooperative.lookup import common, quads_of
from numbanet.engines.cuda.memory import QUAD, get, get_quad, put, quotient
from numbanet.equations.activations import d_phi, phi
from numbanet.equations.backprop import error_term
from numbanet.equations.descent import descend
from numbanet.equations.neuron import weighted_input

NOWHERE = -1  # in place of the offset of a matrix in global memory: nothing is written

# The functions that compute a result from a complete sum, and their arguments. A matrix is given as the pair (offset, pitch),
# where the pitch is the distance between the beginnings of two successive rows.


class Activation(NamedTuple):
    """Arguments of `activate`, which applies the activation function to a complete sum z.

    Parameters
    ----------
    kind, epsilon : int, float
        `kind` is the integer constant of the activation function. `epsilon` is the slope of leaky_relu for negative z.
    to : (int, int)
        Offset and pitch (distance between two successive rows) of the matrix in shared memory to which the activation a is
        written.
    out : (int, int)
        Offset and pitch of the matrix in global memory to which a is also written. If the offset in `out` is NOWHERE, a is not
        written to global memory.
    """

    kind: Any
    epsilon: Any
    to: Any
    out: Any


class Propagation(NamedTuple):
    """Arguments of `propagate`, which multiplies a complete sum dL/da by the derivative da/dz.

    Parameters
    ----------
    kind, epsilon : int, float
        `kind` is the integer constant of the activation function of the layer whose delta is computed. `epsilon` is the slope
        of leaky_relu for negative z.
    a : (int, int)
        Offset and pitch (distance between two successive rows) of the matrix in shared memory that holds the activations a of
        the layer whose delta is computed.
    to : (int, int)
        Offset and pitch of the matrix in shared memory to which delta is written.
    out : (int, int)
        Offset and pitch of the matrix in global memory to which delta is also written.
    """

    kind: Any
    epsilon: Any
    a: Any
    to: Any
    out: Any


class WeightUpdate(NamedTuple):
    """Arguments of `descend_weight`, which updates a weight by gradient descent.

    Parameters
    ----------
    eta : float
        The learning rate.
    w : (int, int)
        Offset and pitch (distance between two successive rows) of the weight matrix in shared memory.
    parameters : array (p,)
        The vector of all p parameters in global memory. The new weights are also written to the vector `parameters`.
    out : (int, int)
        Offset and pitch of the weight matrix in `parameters`. If the offset in `out` is NOWHERE, nothing is written to
        `parameters`.
    """

    eta: Any
    w: Any
    parameters: Any
    out: Any


@device_function
def put_twice(near, to, shared, out, r, c, value):
    """Writes `value` to row r and column c of the matrix `to` in `near`, and of the matrix `out` in `shared`.

    `near` is the block's shared memory. `shared` is an array in global memory, and stays unchanged if the offset of `out` is
    NOWHERE.
    """
    (to_place, to_pitch), (out_place, out_pitch) = to, out
    put(near, to_place + r * to_pitch + c, value)
    if out_place >= 0:
        put(shared, out_place + r * out_pitch + c, value)


@device_function
def publish(memory, to, r, c, total):
    """Writes `total` to row r and column c of a matrix in global memory.

    `total` is a partial sum, which other blocks read and add to their own partial sums. The argument `to` is the pair (offset,
    pitch) of the matrix, where the pitch is the distance between two successive rows.
    """
    place, row_pitch = to
    put(memory.far, place + r * row_pitch + c, total)


@device_function
def activate(memory, to, r, c, total):
    """Computes a_j = phi(z_j), where z_j is `total`, and writes a_j to row r and column c of `to.to` and `to.out`."""
    put_twice(memory.near, to.to, memory.far, to.out, r, c, phi(to.kind, to.epsilon, total))


@device_function
def propagate(memory, to, r, c, total):
    """Computes delta_i = dL/da_i da_i/dz_i, where dL/da_i is `total`, and writes delta_i to `to.to` and `to.out`.

    The function `d_phi` receives a in place of z, which is not stored. This is correct for relu and leaky_relu: da/dz depends
    only on whether z is positive, and a is positive if and only if z is positive.
    """
    place, row_pitch = to.a
    a = get(memory.near, place + r * row_pitch + c)
    put_twice(memory.near, to.to, memory.far, to.out, r, c, error_term(total, d_phi(to.kind, to.epsilon, a, a)))


@device_function
def descend_weight(memory, to, r, c, total):
    """Updates the weight w_ij in row r and column c of the matrix `to.w`: w_ij <- w_ij - eta dL/dw_ij. `total` is dL/dw_ij.

    The new weight is also written to the vector `to.parameters`, as `WeightUpdate` describes.
    """
    place, row_pitch = to.w
    w = descend(to.eta, total, get(memory.near, place + r * row_pitch + c))
    put_twice(memory.near, to.w, to.parameters, to.out, r, c, w)


class Form(NamedTuple):
    """A variant of the product sum_k x[r, k] * w[k, c]: the memory order of x and w, and the function that receives the sums.

    Parameters
    ----------
    x_deep, w_deep : bool
        `x_deep` is True if the elements of each row of x are neighbours in memory, and False if the elements of each column of
        x are neighbours. `w_deep` is True if the elements of each column of w are neighbours in memory, and False if the
        elements of each row of w are neighbours.
    finish : device function
        finish(memory, to, r, c, total) computes a result from `total`, the complete sum of row r and column c, and stores the
        result.
    """

    x_deep: bool
    w_deep: bool
    finish: Callable


FORWARD_SUMS = Form(True, False, publish)
FORWARD = Form(True, False, activate)
BACKWARD_SUMS = Form(True, True, publish)
BACKWARD = Form(True, True, propagate)
UPDATE = Form(False, False, descend_weight)


# Prologue


class Division(NamedTuple):
    """The division of a matrix product among the threads of a block.

    Parameters
    ----------
    rows, columns, quads : int
        `rows` and `columns` are the numbers of rows and columns of the product. `quads` is the number of quads (groups of 4)
        into which the terms k of a sum are divided. Terms that are 0 fill the last quad up to 4 terms.
    down, across : int
        The numbers of thread tiles along the rows (`down`) and along the columns (`across`) of the product. A thread tile is a
        square of QUAD x QUAD sums (QUAD is 4), which a thread computes.
    parts, chunk : int
        `parts` is the number of parts into which the terms of a sum are divided; `chunk` is the number of quads of terms in a
        part.
    """

    rows: Any
    columns: Any
    quads: Any
    down: Any
    across: Any
    parts: Any
    chunk: Any


class Work(NamedTuple):
    """The work of one thread in a matrix product: a tile of QUAD x QUAD sums (QUAD is 4), each over one part of the terms.

    Parameters
    ----------
    part : int
        Index of the part of the terms that the thread adds up.
    row, column : int
        Position of the thread's tile among all tiles of the product: the index of its row of tiles, and the index of its column
        of tiles.
    slot : int
        Offset in shared memory at which the thread stores its first sum. The thread's next sums follow at intervals of THREADS
        values, where THREADS is the number of threads in a block.
    """

    part: Any
    row: Any
    column: Any
    slot: Any


@device_function
def divide(shape):
    """Returns the `Division` of a product among the threads of a block.

    `shape` is the tuple (rows, columns, quads), where `quads` is the number of groups of 4 terms in a sum.
    """
    rows, columns, quads = shape
    down, across = quads_of(rows), quads_of(columns)
    parts = max(1, min(min(quotient(THREADS, down * across), quads), SQUARE))
    return Division(rows, columns, quads, down, across, parts, quotient(quads + parts - 1, parts))


@device_function
def work_of(memory, division, number):
    """Returns the `Work` with the index `number`: a tile of QUAD x QUAD sums, and the part of the terms k to add up.

    The indices run through all tiles, row by row, with the first part of the terms, then through all tiles with the second
    part, and so on.
    """
    squares = division.down * division.across
    part = quotient(number, squares)
    square = number - part * squares
    row = quotient(square, division.across)
    return Work(part, row, square - row * division.across, common(memory, Common.SUMS) + cuda.threadIdx.x)


# Main loop


def terms_of(dtype: np.dtype, form: Form) -> Callable:
    """Returns the device function that adds QUAD = 4 terms to each of the QUAD x QUAD sums of a thread, in the order of k."""
    number = from_dtype(dtype)
    x_line, x_term = (QUAD, 1) if form.x_deep else (1, QUAD)
    w_line, w_term = (QUAD, 1) if form.w_deep else (1, QUAD)

    @device_function
    def add_term(x, w, k, sums):
        for r in range(QUAD):
            for c in range(QUAD):
                sums[r * QUAD + c] += weighted_input(w[c * w_line + k * w_term], x[r * x_line + k * x_term])

    @device_function
    def add_terms(near, x_at, x_step, w_at, w_step, sums):
        """Adds sum_k x[r, k] * w[k, c] over QUAD = 4 terms k to sums[r, c], for QUAD rows r and QUAD columns c.

        Loads QUAD quads (groups of 4 neighbouring values) of each factor. The first quad of x begins at the offset x_at, and
        the next quads follow at intervals of x_step elements. The first quad of w begins at the offset w_at, and the next quads
        follow at intervals of w_step elements.
        """
        x = cuda.local.array(SQUARE, number)
        w = cuda.local.array(SQUARE, number)
        for q in range(QUAD):
            quad = get_quad(near, x_at + q * x_step)
            x[q * QUAD], x[q * QUAD + 1], x[q * QUAD + 2], x[q * QUAD + 3] = quad[0], quad[1], quad[2], quad[3]
            quad = get_quad(near, w_at + q * w_step)
            w[q * QUAD], w[q * QUAD + 1], w[q * QUAD + 2], w[q * QUAD + 3] = quad[0], quad[1], quad[2], quad[3]
        add_term(x, w, 0, sums)
        add_term(x, w, 1, sums)
        add_term(x, w, 2, sums)
        add_term(x, w, 3, sums)

    return add_terms


def main_loop_of(dtype: np.dtype, form: Form) -> Callable:
    """Returns the device function that computes a thread's QUAD x QUAD sums over the thread's part of the terms k."""
    zero, add_terms = dtype.type(0), terms_of(dtype, form)
    x_deep, w_deep = form.x_deep, form.w_deep

    @device_function
    def main_loop(near, division, work, x, w, sums):
        """Computes sums[r, c] = sum_k x[r, k] * w[k, c] for all r, c of a thread's tile, over the thread's part of the terms k.

        Also stores the sums in shared memory: sum e at offset work.slot + e * THREADS, for blocks of THREADS threads.
        """
        (x_place, x_pitch), (w_place, w_pitch) = x, w
        x_step, x_next = (division.down * x_pitch, QUAD) if x_deep else (x_pitch, QUAD * x_pitch)
        w_step, w_next = (division.across * w_pitch, QUAD) if w_deep else (w_pitch, QUAD * w_pitch)
        for e in range(SQUARE):
            sums[e] = zero
        begin = min(work.part * division.chunk, division.quads)
        end = min(begin + division.chunk, division.quads)
        x_at = int32(x_place + work.row * (x_pitch if x_deep else QUAD) + begin * x_next)
        w_at = int32(w_place + work.column * (w_pitch if w_deep else QUAD) + begin * w_next)
        x_end = int32(x_at + (end - begin) * x_next)
        while x_at != x_end:
            add_terms(near, x_at, x_step, w_at, w_step, sums)
            x_at, w_at = int32(x_at + x_next), int32(w_at + w_next)
        for e in range(SQUARE):
            put(near, work.slot + e * THREADS, sums[e])

    return main_loop


# Epilogue


def epilogue_of(form: Form) -> Callable:
    """Returns the device function that adds up the parts of each sum and passes the complete sum to `form.finish`."""
    x_deep, w_deep, finish = form

    @device_function
    def epilogue(memory, division, work, to):
        """Adds up the partial sums that several threads have computed for a tile, and calls `finish` with each complete sum.

        The threads divide the sums of the tile among themselves: if m threads share a tile, each thread takes every m-th sum.
        """
        squares = division.down * division.across
        for e in range(work.part, SQUARE, division.parts):
            place = work.slot - work.part * squares + e * THREADS
            total = get(memory.near, place)
            for _ in range(1, division.parts):
                place += squares
                total += get(memory.near, place)
            r = work.row + e // QUAD * division.down if x_deep else work.row * QUAD + e // QUAD
            c = work.column + e % QUAD * division.across if w_deep else work.column * QUAD + e % QUAD
            if r < division.rows and c < division.columns:
                finish(memory, to, r, c, total)

    return epilogue


def product_of(dtype: np.dtype, form: Form) -> Callable:
    """Returns the device function that computes a matrix product; `form` is the product's variant, such as FORWARD."""
    number, main_loop, epilogue = from_dtype(dtype), main_loop_of(dtype, form), epilogue_of(form)

    @device_function
    def product(memory, shape, x, w, to):
        """Computes total = sum_k x[r, k] * w[k, c] and calls finish(memory, to, r, c, total) for every row r and column c.

        `shape` is the tuple (rows, columns, quads), where `quads` is the number of groups of 4 terms in a sum. Each of the
        factors x and w is given by its offset and its pitch in shared memory. The argument `to` is passed to `form.finish`. All
        threads of the block must call `product`.
        """
        division = divide(shape)
        sums = cuda.local.array(SQUARE, number)
        for first in range(0, division.down * division.across * division.parts, THREADS):
            work = work_of(memory, division, first + cuda.threadIdx.x)
            if work.part < division.parts:
                main_loop(memory.near, division, work, x, w, sums)
            cuda.syncthreads()
            if work.part < division.parts:
                epilogue(memory, division, work, to)
            cuda.syncthreads()

    return product

"""Products of matrices in near memory by all threads of a block: sum_k x[r, k] w[k, c], for every row r and column c.

A matrix lies deep if the terms k of a line (a row r of x, a column c of w) are next to each other. Deep or not, a thread loads
a quad of numbers at a time. It adds up a square of QUAD x QUAD sums, QUAD terms at a time:

    prologue    `divide`, `work_of`    which square, and which part of the terms, is this thread's
    main loop   `main_loop`            the sums of that square over that part
    epilogue    `epilogue`             adds the parts of each sum in their order, and finishes it

If there are fewer squares than threads, several threads take a square, a part of its terms each. A form's `finish` uses the
finished sum: `publish`, `activate`, `propagate` or `descend_weight`, each with a tuple of its own arguments.
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

NOWHERE = -1  # a place in far memory that nothing is written to

# Uses of a finished sum


class Activation(NamedTuple):
    """Arguments of `activate`; a matrix is its place and its pitch.

    Parameters
    ----------
    kind, epsilon : int, float
        Activation constant, and the slope of leaky_relu.
    to : (int, int)
        Near memory that a goes to.
    out : (int, int)
        Far memory that a goes to as well, unless the place is NOWHERE.
    """

    kind: Any
    epsilon: Any
    to: Any
    out: Any


class Propagation(NamedTuple):
    """Arguments of `propagate`; a matrix is its place and its pitch.

    Parameters
    ----------
    kind, epsilon : int, float
        Activation constant of the layer whose delta is computed, and the slope of leaky_relu.
    a : (int, int)
        Near memory with a of that layer.
    to : (int, int)
        Near memory that delta goes to.
    out : (int, int)
        Far memory that delta goes to as well.
    """

    kind: Any
    epsilon: Any
    a: Any
    to: Any
    out: Any


class WeightUpdate(NamedTuple):
    """Arguments of `descend_weight`; a matrix is its place and its pitch.

    Parameters
    ----------
    eta : float
        Learning rate.
    w : (int, int)
        Near memory with the weights.
    parameters : array (p,)
        The flat vector, which the weights go to as well.
    out : (int, int)
        Where in the flat vector, unless the place is NOWHERE.
    """

    eta: Any
    w: Any
    parameters: Any
    out: Any


@device_function
def put_twice(near, to, shared, out, r, c, value):
    """Writes value at row r and column c of `to` in near memory, and of `out` in a shared array unless that is NOWHERE."""
    (to_place, to_pitch), (out_place, out_pitch) = to, out
    put(near, to_place + r * to_pitch + c, value)
    if out_place >= 0:
        put(shared, out_place + r * out_pitch + c, value)


@device_function
def publish(memory, to, r, c, total):
    """Writes part of a sum to far memory at `to`, for other blocks to add up."""
    place, row_pitch = to
    put(memory.far, place + r * row_pitch + c, total)


@device_function
def activate(memory, to, r, c, total):
    """Writes a_j = phi(z_j)."""
    put_twice(memory.near, to.to, memory.far, to.out, r, c, phi(to.kind, to.epsilon, total))


@device_function
def propagate(memory, to, r, c, total):
    """Writes delta_i = dL/da_i da_i/dz_i; rectifiers have their derivative at a, which is positive where z is."""
    place, row_pitch = to.a
    a = get(memory.near, place + r * row_pitch + c)
    put_twice(memory.near, to.to, memory.far, to.out, r, c, error_term(total, d_phi(to.kind, to.epsilon, a, a)))


@device_function
def descend_weight(memory, to, r, c, total):
    """Writes w_ij <- w_ij - eta dL/dw_ij."""
    place, row_pitch = to.w
    w = descend(to.eta, total, get(memory.near, place + r * row_pitch + c))
    put_twice(memory.near, to.w, to.parameters, to.out, r, c, w)


class Form(NamedTuple):
    """A kind of product.

    Parameters
    ----------
    x_deep, w_deep : bool
        Whether x, and w, lies deep.
    finish : device function
        finish(memory, to, r, c, total) writes what becomes of a sum.
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
    """The division of a product among threads.

    Parameters
    ----------
    rows, columns, quads : int
        Of the product; quads of terms, those beyond a layer being 0.
    down, across : int
        Squares of sums below each other, and side by side.
    parts, chunk : int
        In how many parts the terms are cut, and how many quads a part has.
    """

    rows: Any
    columns: Any
    quads: Any
    down: Any
    across: Any
    parts: Any
    chunk: Any


class Work(NamedTuple):
    """The work of a thread: a part of the terms, the row and the column of its square, and where it puts its sums."""

    part: Any
    row: Any
    column: Any
    slot: Any


@device_function
def divide(shape):
    """Returns the `Division` of a product of a shape: rows, columns, and quads of terms."""
    rows, columns, quads = shape
    down, across = quads_of(rows), quads_of(columns)
    parts = max(1, min(min(quotient(THREADS, down * across), quads), SQUARE))
    return Division(rows, columns, quads, down, across, parts, quotient(quads + parts - 1, parts))


@device_function
def work_of(memory, division, number):
    """Returns the `Work` of a number: squares are counted by rows, and all squares of a part before the next part."""
    squares = division.down * division.across
    part = quotient(number, squares)
    square = number - part * squares
    row = quotient(square, division.across)
    return Work(part, row, square - row * division.across, common(memory, Common.SUMS) + cuda.threadIdx.x)


# Main loop


def terms_of(dtype: np.dtype, form: Form) -> Callable:
    """Returns the device function that adds QUAD terms to each sum of a square, in the order of k."""
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
        """sums[r, c] += sum_k x[r, k] w[k, c] for QUAD rows, columns and terms, from quads that lie a step apart."""
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
    """Returns the device function that computes the sums of a thread's square over its part of the terms."""
    zero, add_terms = dtype.type(0), terms_of(dtype, form)
    x_deep, w_deep = form.x_deep, form.w_deep

    @device_function
    def main_loop(near, division, work, x, w, sums):
        """sums[r, c] = sum_k x[r, k] w[k, c], of QUAD rows and columns; leaves them at the thread's slot in near memory."""
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
    """Returns the device function that adds the parts of sums and finishes them."""
    x_deep, w_deep, finish = form

    @device_function
    def epilogue(memory, division, work, to):
        """Finishes every parts-th sum of the square, this thread's share."""
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
    """Returns the device function of a product of a form."""
    number, main_loop, epilogue = from_dtype(dtype), main_loop_of(dtype, form), epilogue_of(form)

    @device_function
    def product(memory, shape, x, w, to):
        """Finishes sum_k x[r, k] w[k, c] for the rows, columns and quads of terms of a shape.

        x and w are (place, pitch) in near memory; to is what the form's `finish` takes. All threads of the block call it.
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

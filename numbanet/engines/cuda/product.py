"""The three products of a layer on the GPU, by one kernel that keeps its sums in registers.

All three are z[r, c] = sum_k left[r, k] right[k, c]: the forward sum with k = i, the delta recurrence with k = j, the weight
gradient with k = s. Only addresses differ, and what becomes of z. A block of threads makes a tile of z: panels of left and
right, some k's deep, go to shared memory, twice over, so that one is read while the next is on its way from global memory;
each thread adds up a square of the tile. The terms of a sum are added in the order of k. Where there are too few tiles for the
multiprocessors, k is split into parts, whose sums a second kernel adds in their order: the same bits on every run.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import from_dtype, int32, uint32
from numba.types import Integer

from numbanet._cuda import configured, cuda
from numbanet.engines.cuda import memory
from numbanet.engines.cuda.memory import QUAD, get, get_quad, put
from numbanet.equations.activations import d_phi, phi
from numbanet.equations.backprop import error_term
from numbanet.equations.descent import descend
from numbanet.equations.neuron import weighted_input

STEPS = 8  # k's of a panel that are written out one after another; a panel is a multiple of them deep
WARP = 32


class Tile(NamedTuple):
    """What a block of threads makes of a product at once.

    Parameters
    ----------
    rows, columns : int
        Of the tile.
    depth : int
        Terms of each sum between two barriers.
    quads : int
        Each thread adds up 4 quads x 4 quads sums.
    registers : int
        The most that a thread may take.
    """

    rows: int
    columns: int
    depth: int
    quads: int
    registers: int

    @property
    def side(self) -> int:
        """Rows, and columns, of a thread's sums."""
        return QUAD * self.quads

    @property
    def threads(self) -> int:
        """Of a block."""
        return self.rows // self.side * (self.columns // self.side)


# Where left[r, k] lies, and right[k, c]; r and c are called line, and a panel begins with the line `first`. A deep operand has
# the k's of a line next to each other in memory, a wide one the lines of a k. An address is the sum of an origin, which moves
# on with k, and a place, one for each number that a thread loads of a panel. Beyond the last line stands the last one again.


@cuda.jit(device=True)
def deep_origin(first, line, k, lines, depth):
    """Counted from the panel's first line on: 32 bits, so that it takes one register."""
    return int32(line * depth + k)


@cuda.jit(device=True)
def deep_place(order, first, line, next_line, next_k, lines, depth):
    return next_line * depth


@cuda.jit(device=True)
def deep_number_at(array, order, at, place, first, line, lines, depth):
    return get(array, first * depth + min(int32(at + place), int32((lines - first) * depth - 1)))


@cuda.jit(device=True)
def gathered_origin(first, line, k, lines, depth):
    return int32(k)


@cuda.jit(device=True)
def gathered_place(order, first, line, next_line, next_k, lines, depth):
    """order[r]."""
    return get(order, min(first + line + next_line, lines - 1))


@cuda.jit(device=True)
def wide_origin(first, line, k, lines, depth):
    return k * lines + min(first + line, lines - 1)


@cuda.jit(device=True)
def wide_place(order, first, line, next_line, next_k, lines, depth):
    return next_k * lines


@cuda.jit(device=True)
def sample_origin(first, line, k, lines, depth):
    """Of order[k]."""
    return k


@cuda.jit(device=True)
def sample_place(order, first, line, next_line, next_k, lines, depth):
    return next_k


@cuda.jit(device=True)
def number_at(array, order, at, place, first, line, lines, depth):
    return get(array, at + place)


@cuda.jit(device=True)
def gathered_number_at(array, order, at, place, first, line, lines, depth):
    return get(array, place * depth + at)


@cuda.jit(device=True)
def input_at(array, order, at, place, first, line, lines, depth):
    """x_i of sample order[k], or 1, the input of b, which is the last line."""
    inputs = lines - 1
    x_i = get(array, get(order, at + place) * inputs + min(first + line, inputs - 1))
    return x_i if first + line < inputs else type(x_i)(1)


@cuda.jit(device=True)
def next_in_line(at, k, lines):
    return int32(at + k)


@cuda.jit(device=True)
def next_samples(at, k, lines):
    return at + k


@cuda.jit(device=True)
def next_lines(at, k, lines):
    return at + k * lines


# What a sum begins with.


@cuda.jit(device=True)
def nothing(zero, right, column, columns, depth):
    return zero


@cuda.jit(device=True)
def bias(zero, right, column, columns, depth):
    """b_j: the row of wb behind w."""
    return get(right, depth * columns + column)


# What becomes of it.


@cuda.jit(device=True)
def store(kind, factor, other, out, at, z):
    put(out, at, z)


@cuda.jit(device=True)
def activate(kind, factor, other, out, at, z):
    """a_j = phi(z_j)."""
    put(out, at, phi(kind, factor, z))


@cuda.jit(device=True)
def meet_derivative(kind, factor, other, out, at, z):
    """delta_i = dL/da_i da_i/dz_i. The rectifiers' derivatives look at z, which is positive where a is."""
    a = get(other, at)
    put(out, at, error_term(z, d_phi(kind, factor, a, a)))


@cuda.jit(device=True)
def take_step(kind, factor, other, out, at, z):
    """w_ij <- w_ij - eta dL/dw_ij."""
    put(out, at, descend(factor, z, get(out, at)))


class Operand(NamedTuple):
    """How a kernel reads left or right."""

    deep: bool
    origin: Callable
    place: Callable
    place_type: Integer
    advance: Callable
    number_at: Callable


DEEP = Operand(True, deep_origin, deep_place, int32, next_in_line, deep_number_at)
GATHERED = Operand(True, gathered_origin, gathered_place, uint32, next_in_line, gathered_number_at)
WIDE = Operand(False, wide_origin, wide_place, int32, next_lines, number_at)
SAMPLES = Operand(False, sample_origin, sample_place, int32, next_samples, input_at)


class Form(NamedTuple):
    """Which of the three products a kernel computes, and what it does with a finished sum."""

    left: Operand
    right: Operand
    start: Callable
    finish: Callable


FORWARD = Form(GATHERED, WIDE, bias, activate)
BACKWARD = Form(DEEP, DEEP, nothing, meet_derivative)
UPDATE = Form(SAMPLES, WIDE, nothing, take_step)
GRADIENT = UPDATE._replace(finish=store)


@functools.cache
def product(form, tile, dtype):
    """The kernel of a form, for tiles of that size and numbers of that dtype."""
    number = from_dtype(dtype)
    zero = dtype.type(0)
    rows_, columns_, depth_, quads, _ = tile
    threads, side = tile.threads, tile.side
    # As many threads of a warp side by side as read 128 bytes of right, or all there are; the others below each other.
    across = min(columns_ // side, 8)
    down = min(rows_ // side, max(1, WARP // across))
    warps_across = columns_ // side // across
    # Rows of a panel begin where 16 bytes do, and not in the same bank: a deep operand is written down its columns.
    left_pitch, right_pitch = rows_ + QUAD, columns_ + QUAD
    right_begin = depth_ * left_pitch
    buffer = right_begin + depth_ * right_pitch
    left_loads, right_loads = rows_ * depth_ // threads, columns_ * depth_ // threads
    row_stride, column_stride = rows_ // quads, columns_ // quads
    shared, sums_ = 2 * buffer, side * side
    left_deep, left_origin, left_place, left_place_type, left_advance, left_number = form.left
    right_deep, right_origin, right_place, right_place_type, right_advance, right_number = form.right
    start, finish = form.start, form.finish
    # Neighbouring threads load neighbours in memory. From one load to the next a thread goes on
    left_lines, left_ks = (threads // depth_, 0) if left_deep else (0, threads // rows_)
    right_lines, right_ks = (threads // depth_, 0) if right_deep else (0, threads // columns_)

    @cuda.jit(device=True)
    def step(panels, x_at, w_at, sums):
        """z[r, c] += left[r, k] right[k, c], for the rows and columns of a thread and one k."""
        x = cuda.local.array(side, number)
        w = cuda.local.array(side, number)
        for q in range(quads):
            quad = get_quad(panels, x_at + q * row_stride)
            x[q * QUAD], x[q * QUAD + 1], x[q * QUAD + 2], x[q * QUAD + 3] = quad[0], quad[1], quad[2], quad[3]
            quad = get_quad(panels, w_at + q * column_stride)
            w[q * QUAD], w[q * QUAD + 1], w[q * QUAD + 2], w[q * QUAD + 3] = quad[0], quad[1], quad[2], quad[3]
        for r in range(side):
            for c in range(side):
                sums[r * side + c] += weighted_input(w[c], x[r])

    @cuda.jit(device=True)
    def eight_steps(panels, x_at, w_at, sums):
        step(panels, x_at, w_at, sums)
        step(panels, x_at + 1 * left_pitch, w_at + 1 * right_pitch, sums)
        step(panels, x_at + 2 * left_pitch, w_at + 2 * right_pitch, sums)
        step(panels, x_at + 3 * left_pitch, w_at + 3 * right_pitch, sums)
        step(panels, x_at + 4 * left_pitch, w_at + 4 * right_pitch, sums)
        step(panels, x_at + 5 * left_pitch, w_at + 5 * right_pitch, sums)
        step(panels, x_at + 6 * left_pitch, w_at + 6 * right_pitch, sums)
        step(panels, x_at + 7 * left_pitch, w_at + 7 * right_pitch, sums)

    @cuda.jit(device=True)
    def add_panel(panels, x_at, w_at, sums):
        eight_steps(panels, x_at, w_at, sums)
        if depth_ > STEPS:
            eight_steps(panels, x_at + STEPS * left_pitch, w_at + STEPS * right_pitch, sums)

    def kernel(kind, factor, left, order, right, other, out, rows, columns, depth, chunk):
        panels = cuda.shared.array(shared, number)
        sums = cuda.local.array(sums_, number)
        lefts = cuda.local.array(left_loads, number)
        rights = cuda.local.array(right_loads, number)
        left_places = cuda.local.array(left_loads, left_place_type)
        right_places = cuda.local.array(right_loads, right_place_type)

        thread = int32(cuda.threadIdx.x)
        first_row, first_column = int32(cuda.blockIdx.x * rows_), int32(cuda.blockIdx.y * columns_)
        k = int32(cuda.blockIdx.z * chunk)
        count = int32(min(chunk, depth - k))
        head = int32((count - 1) % depth_ + 1)

        group, lane = thread // (across * down), thread % (across * down)
        row = int32((group // warps_across * down + lane // across) * QUAD)
        column = int32((group % warps_across * across + lane % across) * QUAD)

        for c in range(side):
            column_c = min(int32(first_column + column) + c % QUAD + c // QUAD * column_stride, columns - 1)
            begin = start(zero, right, column_c, columns, depth) if k == 0 else zero
            for r in range(side):
                sums[r * side + c] = begin

        if left_deep:
            left_line, left_k = int32(thread // depth_), int32(thread % depth_)
        else:
            left_line, left_k = int32(thread % rows_), int32(thread // rows_)
        if right_deep:
            right_line, right_k = int32(thread // depth_), int32(thread % depth_)
        else:
            right_line, right_k = int32(thread % columns_), int32(thread // columns_)
        left_at = left_origin(first_row, left_line, k + left_k, rows, depth)
        right_at = right_origin(first_column, right_line, k + right_k, columns, depth)
        left_put = int32(left_k * left_pitch + left_line)
        right_put = int32(right_begin + right_k * right_pitch + right_line)

        # The first panel takes what the others, which are full, leave over.
        for q in range(left_loads):
            left_places[q] = left_place(order, first_row, left_line, q * left_lines, q * left_ks, rows, depth)
            value = zero
            if left_k + q * left_ks < head:
                value = left_number(left, order, left_at, left_places[q], first_row, left_line, rows, depth)
            put(panels, left_put + q * (left_lines + left_ks * left_pitch), value)
        for q in range(right_loads):
            right_places[q] = right_place(order, first_column, right_line, q * right_lines, q * right_ks, columns, depth)
            value = zero
            if right_k + q * right_ks < head:
                value = right_number(right, order, right_at, right_places[q], first_column, right_line, columns, depth)
            put(panels, right_put + q * (right_lines + right_ks * right_pitch), value)
        left_at = left_advance(left_at, head, rows)
        right_at = right_advance(right_at, head, columns)
        cuda.syncthreads()

        x_at, w_at = row, int32(right_begin + column)
        count = int32(count - head)
        while True:
            if count > 0:
                for q in range(left_loads):
                    lefts[q] = left_number(left, order, left_at, left_places[q], first_row, left_line, rows, depth)
                for q in range(right_loads):
                    rights[q] = right_number(right, order, right_at, right_places[q], first_column, right_line, columns, depth)
                left_at = left_advance(left_at, depth_, rows)
                right_at = right_advance(right_at, depth_, columns)
            add_panel(panels, x_at, w_at, sums)
            if count <= 0:
                break
            count = int32(count - depth_)
            jump = buffer if x_at < buffer else -buffer
            x_at, w_at = int32(x_at + jump), int32(w_at + jump)
            left_put, right_put = int32(left_put + jump), int32(right_put + jump)
            for q in range(left_loads):
                put(panels, left_put + q * (left_lines + left_ks * left_pitch), lefts[q])
            for q in range(right_loads):
                put(panels, right_put + q * (right_lines + right_ks * right_pitch), rights[q])
            cuda.syncthreads()

        # What was written down above would have kept two registers through the loop.
        row, column = int32(x_at % buffer), int32(w_at % buffer - right_begin)
        out_part = cuda.blockIdx.z * rows * columns
        for r in range(side):
            row_r = int32(first_row + row) + r % QUAD + r // QUAD * row_stride
            for c in range(side):
                column_c = int32(first_column + column) + c % QUAD + c // QUAD * column_stride
                if row_r < rows and column_c < columns:
                    finish(kind, factor, other, out, out_part + row_r * columns + column_c, sums[c])
            for e in range(sums_ - side):
                sums[e] = sums[e + side]

    return memory.jit(tile.registers)(kernel)

"""The three products of a layer on the GPU, by one kernel that keeps its sums in registers.

All three are z[r, c] = sum_k left[r, k] right[k, c]: the forward sum with k = i, the delta recurrence with k = j, the weight
gradient with k = s. Only addresses differ, and what becomes of z. A block of threads makes a tile of z: panels of left and
right, some k's deep, go to shared memory, twice over, so that one is read while the next is on its way from global memory;
each thread adds up a square of the tile. The terms of a sum are added in the order of k. Where there are too few tiles for the
multiprocessors, k is split into parts, whose sums a second kernel adds in their order: the same bits on every run.

Indices are 32 bits wide where they count the rows of an array, or the numbers of a panel, and 64 where they count all numbers.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import from_dtype, int32, uint32
from numba.types import Integer

from numbanet._cuda import configured, cuda, device_function
from numbanet.engines.cuda import memory
from numbanet.engines.cuda.memory import QUAD, get, get_quad, put, shared_numbers
from numbanet.engines.cuda.products.tiles import STEPS, Tile, plan, tiles_for
from numbanet.engines.epoch import ETA
from numbanet.equations.activations import IDENTITY, d_phi, phi
from numbanet.equations.backprop import error_term
from numbanet.equations.descent import descend
from numbanet.equations.neuron import weighted_input

WARP = 32
MOST_LINES = 128  # rows, or columns, of the largest tile
SUM_THREADS = 256


# Where left[r, k] lies, and right[k, c]; r and c are called line, and a panel begins with the line `first`. A deep operand has
# the k's of a line next to each other in memory, a wide one the lines of a k. The first number that a thread loads of a panel
# lies at the operand's origin, which advances with k; the others are `next_line` lines or `next_k` k's further on, which is
# what a place says. What is read beyond the last line is never stored: it is whatever can be read.


@device_function
def deep_origin(first, line, k, lines, depth):
    """Counted from the panel's first line on: 32 bits, which take one register."""
    return int32(line * depth + k)


@device_function
def deep_place(order, first, line, next_line, next_k, lines, depth):
    return next_line * depth


@device_function
def deep_number(array, order, at, place, first, line, lines, depth):
    last = min(lines - first, MOST_LINES) * depth - 1
    return get(array, first * depth + min(int32(at + place), int32(last)))


@device_function
def gathered_origin(first, line, k, lines, depth):
    return int32(k)


@device_function
def gathered_place(order, first, line, next_line, next_k, lines, depth):
    """order[r]: the product with depth, left to every load, would take two registers."""
    return get(order, min(first + line + next_line, lines - 1))


@device_function
def gathered_number(array, order, at, place, first, line, lines, depth):
    return get(array, place * depth + at)


@device_function
def wide_origin(first, line, k, lines, depth):
    return k * lines + min(first + line, lines - 1)


@device_function
def wide_place(order, first, line, next_line, next_k, lines, depth):
    return next_k * lines


@device_function
def wide_number(array, order, at, place, first, line, lines, depth):
    return get(array, at + place)


@device_function
def sample_origin(first, line, k, lines, depth):
    """Of order[k]."""
    return k


@device_function
def sample_place(order, first, line, next_line, next_k, lines, depth):
    return next_k


@device_function
def sample_number(array, order, at, place, first, line, lines, depth):
    """x_i of sample order[k], or 1, the input of b, which is the last line."""
    i, n_in = first + line, lines - 1
    x_i = get(array, get(order, at + place) * n_in + min(i, n_in - 1))
    return x_i if i < n_in else type(x_i)(1)


@device_function
def advance_in_line(at, k, lines):
    return int32(at + k)


@device_function
def advance_in_order(at, k, lines):
    return at + k


@device_function
def advance_by_lines(at, k, lines):
    return at + k * lines


class Operand(NamedTuple):
    """How a kernel reads left or right."""

    deep: bool
    origin: Callable
    place: Callable
    place_type: Integer
    number: Callable
    advance: Callable


DEEP = Operand(True, deep_origin, deep_place, int32, deep_number, advance_in_line)
GATHERED = Operand(True, gathered_origin, gathered_place, uint32, gathered_number, advance_in_line)
WIDE = Operand(False, wide_origin, wide_place, int32, wide_number, advance_by_lines)
SAMPLES = Operand(False, sample_origin, sample_place, int32, sample_number, advance_in_order)


# What a sum begins with, and what becomes of it.


@device_function
def zero_start(zero, right, column, columns, depth):
    return zero


@device_function
def bias_start(zero, right, column, columns, depth):
    """b_j: the row of wb behind w."""
    return get(right, depth * columns + column)


@device_function
def store(kind, factor, other, out, at, z):
    put(out, at, z)


@device_function
def activate(kind, epsilon, other, out, at, z):
    """a_j = phi(z_j)."""
    put(out, at, phi(kind, epsilon, z))


@device_function
def meet_derivative(kind, epsilon, a_prev, out, at, dl_da):
    """delta_i = dL/da_i da_i/dz_i. The rectifiers' derivatives look at the sign of z, which is that of a."""
    a = get(a_prev, at)
    put(out, at, error_term(dl_da, d_phi(kind, epsilon, a, a)))


@device_function
def descend_there(kind, factor, rates, out, at, gradient):
    """w_ij <- w_ij - eta dL/dw_ij."""
    put(out, at, descend(get(rates, ETA), gradient, get(out, at)))


class Form(NamedTuple):
    """Which of the three products a kernel computes, and what it does with a finished sum."""

    left: Operand
    right: Operand
    start: Callable
    finish: Callable


FORWARD = Form(GATHERED, WIDE, bias_start, activate)
BACKWARD = Form(DEEP, DEEP, zero_start, meet_derivative)
UPDATE = Form(SAMPLES, WIDE, zero_start, descend_there)
GRADIENT = UPDATE._replace(finish=store)


@functools.cache
def product(form, tile, dtype):
    """The kernel of a form, for tiles of that size and numbers of that dtype."""
    number = from_dtype(dtype)
    zero = dtype.type(0)
    rows_, columns_, depth_, quads, registers, *_ = tile
    threads, side = tile.threads, tile.side
    # As many threads of a warp side by side as read 128 bytes of right, or all there are; the others below each other.
    across = min(columns_ // side, 8)
    down = min(rows_ // side, max(1, WARP // across))
    warps_across = columns_ // side // across
    left_pitch, right_pitch, buffer = tile.left_pitch, tile.right_pitch, tile.buffer
    right_begin = depth_ * left_pitch
    left_loads, right_loads = rows_ * depth_ // threads, columns_ * depth_ // threads
    row_stride, column_stride = rows_ // quads, columns_ // quads
    shared, sums_ = 2 * buffer, side * side
    left_deep, left_origin, left_place, left_place_type, left_number, left_advance = form.left
    right_deep, right_origin, right_place, right_place_type, right_number, right_advance = form.right
    start, finish = form.start, form.finish
    # Neighbouring threads load neighbours in memory: those of a line, or those of a k. A thread's next load is so much further.
    left_lines, left_ks = (threads // depth_, 0) if left_deep else (0, threads // rows_)
    right_lines, right_ks = (threads // depth_, 0) if right_deep else (0, threads // columns_)

    @device_function
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

    @device_function
    def eight_steps(panels, x_at, w_at, sums):
        """STEPS steps, written out because the compiler would leave a loop over them as it is."""
        step(panels, x_at, w_at, sums)
        step(panels, x_at + 1 * left_pitch, w_at + 1 * right_pitch, sums)
        step(panels, x_at + 2 * left_pitch, w_at + 2 * right_pitch, sums)
        step(panels, x_at + 3 * left_pitch, w_at + 3 * right_pitch, sums)
        step(panels, x_at + 4 * left_pitch, w_at + 4 * right_pitch, sums)
        step(panels, x_at + 5 * left_pitch, w_at + 5 * right_pitch, sums)
        step(panels, x_at + 6 * left_pitch, w_at + 6 * right_pitch, sums)
        step(panels, x_at + 7 * left_pitch, w_at + 7 * right_pitch, sums)

    @device_function
    def add_panel(panels, x_at, w_at, sums):
        eight_steps(panels, x_at, w_at, sums)
        if depth_ > STEPS:
            eight_steps(panels, x_at + STEPS * left_pitch, w_at + STEPS * right_pitch, sums)

    def kernel(kind, factor, left, order, right, other, out, rows, columns, depth, chunk):
        """z[r, c] = sum_k left[r, k] right[k, c], k in a chunk, one block per tile; out[r, c] is what `finish` makes of z.

        Reads left (rows, depth), right (depth, columns) as their operands lie, order, and other (rows, columns); writes or
        updates out (rows, columns). Twins: forward_sum, delta_recurrence, weight_gradient.
        """
        panels = shared_numbers(shared, number)
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

        # The line and the k of the first number of a panel that this thread loads.
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

        # Row and column are where they were: kept until here, they would take two more registers through the loop.
        row = int32(x_at if x_at < buffer else x_at - buffer)
        column = int32((w_at if w_at < buffer else w_at - buffer) - right_begin)
        out_part = cuda.blockIdx.z * rows * columns
        for r in range(side):
            row_r = int32(first_row + row) + r % QUAD + r // QUAD * row_stride
            for c in range(side):
                column_c = int32(first_column + column) + c % QUAD + c // QUAD * column_stride
                if row_r < rows and column_c < columns:
                    finish(kind, factor, other, out, out_part + row_r * columns + column_c, sums[c])
            # The next row of sums moves up: counted by r, they would need addresses, and registers have none.
            for e in range(sums_ - side):
                sums[e] = sums[e + side]

    return memory.limited(registers)(kernel)


@functools.cache
def sum_of_parts(finish):
    """The kernel that adds the sums of the parts of a product, in their order, and finishes them."""

    @cuda.jit
    def kernel(kind, factor, partial, other, out, count, parts):
        """z = sum_p partial[p], one thread per number of z. Reads partial (parts, count); writes out (count,)."""
        at = cuda.grid(1)
        if at < count:
            z = get(partial, at)
            for part in range(1, parts):
                z += get(partial, part * count + at)
            finish(kind, factor, other, out, at, z)

    return kernel


class Products:
    """Launches the three products of a layer.

    Every array is on the GPU, C-contiguous and of that dtype; wb is w (n_in, n_out) with b (n_out,) as one more row.

    Parameters
    ----------
    dtype : numpy.dtype
        float32 or float64.
    multiprocessors : int
        Of the GPU.
    tiles : tuple of Tile, optional
        To choose from.
    """

    def __init__(self, dtype: np.dtype, multiprocessors: int, tiles: tuple[Tile, ...] | None = None):
        self.dtype = np.dtype(dtype)
        self.multiprocessors = multiprocessors
        self.tiles = tiles or tiles_for(self.dtype)
        self.partials: dict[int, Any] = {}

    def forward(self, kind: int, epsilon: float, x, order, wb, a) -> None:
        """a_j = phi(sum_i w_ij x_i + b_j), x being row order[s] of x, for every sample s and neuron j.

        Reads x (N, n_in), order (n,) of int64, wb (n_in + 1, n_out); writes a (n, n_out). Softmax is finished elsewhere: its
        kind here is IDENTITY.
        """
        self._run(FORWARD, kind, epsilon, x, order, wb, a, a, (*a.shape, x.shape[1]))

    def backward(self, kind: int, epsilon: float, wb, delta, a_prev, delta_prev) -> None:
        """delta_i = (sum_j w_ij delta_j) da_i/dz_i, i in the layer before, for every sample s and neuron i.

        Reads wb (n_in + 1, n_out), delta (n, n_out), a_prev (n, n_in); writes delta_prev (n, n_in). With the kind IDENTITY
        that is dL/da.
        """
        self._run(BACKWARD, kind, epsilon, delta, delta, wb, a_prev, delta_prev, (*delta_prev.shape, delta.shape[1]))

    def update(self, rates, x, order, delta, wb) -> None:
        """w_ij <- w_ij - eta sum_s delta_j x_i, and b alike, x being row order[s] of x.

        Reads rates (4,) of the step, x (N, n_in), order (n,) of int64, delta (n, n_out); updates wb (n_in + 1, n_out).
        """
        self._run(UPDATE, IDENTITY, 0, x, order, delta, rates, wb, (*wb.shape, delta.shape[0]))

    def gradient(self, x, order, delta, gradients) -> None:
        """dL/dw_ij = sum_s delta_j x_i, and dL/db_j alike, x being row order[s] of x.

        Reads x (N, n_in), order (n,) of int64, delta (n, n_out); writes gradients (n_in + 1, n_out).
        """
        self._run(GRADIENT, IDENTITY, 0, x, order, delta, gradients, gradients, (*gradients.shape, delta.shape[0]))

    def _run(self, form, kind, factor, left, order, right, other, out, shape) -> None:
        rows, columns, _ = shape
        chosen = plan(*shape, self.multiprocessors, self.tiles)
        grid, block, factor = chosen.grid(rows, columns), chosen.tile.threads, self.dtype.type(factor)
        left, order, right, other, out = (array.reshape(-1) for array in (left, order, right, other, out))
        if chosen.parts == 1:
            kernel = configured(product(form, chosen.tile, self.dtype), grid, block)
            kernel(kind, factor, left, order, right, other, out, *shape, chosen.chunk)
            return
        count = rows * columns
        partial = self._partial(chosen.parts * count)
        kernel = configured(product(form._replace(finish=store), chosen.tile, self.dtype), grid, block)
        kernel(kind, factor, left, order, right, other, partial, *shape, chosen.chunk)
        kernel = configured(sum_of_parts(form.finish), -(-count // SUM_THREADS), SUM_THREADS)
        kernel(kind, factor, partial, other, out, count, chosen.parts)

    def _partial(self, count: int):
        """Room for the sums of all parts, kept for the next product that needs as much."""
        if count not in self.partials:
            self.partials[count] = cuda.device_array(count, self.dtype)
        return self.partials[count]

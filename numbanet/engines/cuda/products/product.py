"""Computes a layer's three matrix products on the GPU, with kernels that keep the products' sums in registers.

Each of a layer's three matrix products has the form z[r, c] = sum_k left[r, k] * right[k, c]. In the forward sum z_j = sum_i
w_ij x_i + b_j, the index k is the input i. In the delta recurrence sum_j w_ij delta_j, the index k is the neuron j. In the
weight gradient sum_s delta_j x_i, the index k is the sample s. The three matrix products differ in the memory layout of the
factors left and right, and in the results that are computed from the sums.

A thread block computes a tile of the result matrix z. To compute its tile, a block needs some rows of the matrix left and some
columns of the matrix right. A panel is the part of the tile's rows of left, or of the tile's columns of right, that belongs to
a few successive terms k. The block copies panels to shared memory in pairs, one panel of left and one of right. Shared memory
has room for two pairs of panels: the block reads one pair while the next pair is being loaded from global memory. Each thread
computes as many rows as columns of the tile, for example 4 x 4 elements, each of which is a sum over k.

The first stage of a kernel, the prologue, copies the first pair of panels (parts of left and right) to shared memory and
initialises the sums. The second stage, the main loop, adds the terms of a pair of panels to the sums, while the elements of the
next pair are loaded into registers. The last stage, the epilogue, computes and stores a result from each complete sum, such as
a = phi(z).

The terms of a sum are added in the order of k. If there are too few tiles to occupy all multiprocessors, the range of k is
split into parts, and a second kernel adds up the partial sums in a fixed order. Because the order of the additions is fixed,
every run computes exactly the same bits.

Indices of rows, and of elements in shared memory, are 32-bit integers; indices of elements of whole arrays are 64-bit.
"""

import functools
from collections.abc import Callable
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
from numba import from_dtype, int32

from numbanet._cuda import cuda, device_function
from numbanet.engines.cuda import memory
from numbanet.engines.cuda.memory import QUAD, get_quad, shared_numbers
from numbanet.engines.cuda.products import epilogues, parts
from numbanet.engines.cuda.products.epilogues import Derivative
from numbanet.engines.cuda.products.operands import DEEP, GATHERED, SAMPLES, WIDE, Layout
from numbanet.engines.cuda.products.panels import Loader, loader
from numbanet.engines.cuda.products.tiles import UNROLL, Tile
from numbanet.equations.neuron import weighted_input

WARP = 32


class Shape(NamedTuple):
    """The shape of a matrix product, which has `rows` x `columns` sums of `depth` terms each.

    If the sums are split into parts, which are added up separately, each part has `chunk` terms; the last part may have fewer.
    If the sums are not split, `chunk` is `depth`, rounded up to a multiple of the number of terms in a panel (Tile.depth).
    """

    rows: Any
    columns: Any
    depth: Any
    chunk: Any


class Form(NamedTuple):
    """One of a layer's matrix products: the layouts of its two factors, the functions that process its sums, and its kernels.

    Parameters
    ----------
    left, right : Layout
        The memory layouts of the left factor and of the right factor.
    start, finish : callable
        Device functions from the module `epilogues`: `start` returns the start value of a sum, and `finish` computes and stores
        a result from a complete sum.
    kernel, part_kernel : callable
        kernel(multiply) returns the kernel that computes complete sums; part_kernel(multiply) returns the kernel that computes
        partial sums. The returned kernels call the device function `multiply`.
    sum_kernel : callable
        sum_kernel(add_parts) returns the kernel that adds up the partial sums by calling `add_parts` (see the module `parts`).
    """

    left: Layout
    right: Layout
    start: Callable
    finish: Callable
    kernel: Callable
    part_kernel: Callable
    sum_kernel: Callable

    @property
    def part(self) -> "Form":
        """A copy of this `Form` that computes and stores partial sums, each over a part of the terms k."""
        return self._replace(finish=epilogues.store, kernel=self.part_kernel)


# The kernels of the products. All arrays are flat; the last argument is the `Shape` of the product. `wb` is w with b as an
# additional last row. Scalars are passed in tuples, but arrays are passed as separate arguments, because every array in a tuple
# would make each launch by numba-cuda about 10 microseconds slower.


def forward(multiply: Callable) -> Callable:
    """Returns the kernel of the forward sum z_j = sum_i w_ij x_i + b_j, which also applies the activation function."""

    def kernel(activation, x, order, wb, a, shape):
        """Computes a_j = phi(sum_i w_ij x_i + b_j), where x_i is x[order[s], i]. Twins (CPU loops): forward_sum, activation.

        `activation` is the tuple `Activation` of the layer: the integer that selects phi, and the slope of leaky_relu.
        Reads x (N, n_in), order (n,) and wb (n_in + 1, n_out). Writes a (n, n_out).
        """
        multiply((x, order), (wb, None), activation, a, shape)

    return kernel


def backward(multiply: Callable) -> Callable:
    """Returns the kernel of dL/da_i = sum_j w_ij delta_j (the delta recurrence), which also multiplies by da_i/dz_i."""

    def kernel(activation, a_prev, delta, wb, delta_prev, shape):
        """Computes delta_i = (sum_j w_ij delta_j) da_i/dz_i, where i is a neuron of the previous layer.

        `activation` is the tuple `Activation` of the previous layer, whose activations a_i are in `a_prev`.
        Reads a_prev (n, n_in), delta (n, n_out) and wb (n_in + 1, n_out). Writes delta_prev (n, n_in).
        Twin (CPU loop): delta_recurrence.
        """
        multiply((delta, None), (wb, None), Derivative(activation, a_prev), delta_prev, shape)

    return kernel


def update(multiply: Callable) -> Callable:
    """Returns the kernel that computes dL/dw_ij = sum_s delta_j x_i (the weight gradient) and updates w and b."""

    def kernel(rates, x, order, delta, wb, shape):
        """Updates w_ij <- w_ij - eta sum_s delta_j x_i, where x_i is x[order[s], i], and b_j <- b_j - eta sum_s delta_j.

        `rates` holds four values of the step: the divisor n of the loss, eta, and Adam's eta_t and epsilon_t. `wb` is w
        with b as an additional last row.
        Reads rates (4,), x (N, n_in) of all samples, order (n,) and delta (n, n_out) of the batch. Updates wb.
        Twins (CPU loops): weight_gradient, bias_gradient, gradient_descent.
        """
        multiply((x, order), (delta, None), rates, wb, shape)

    return kernel


def gathered_sums(multiply: Callable) -> Callable:
    """Returns the kernel that computes and stores sums, or partial sums, of a product whose left factor is x of all samples.

    The kernel reads only the rows of x whose indices are in its argument `order`: the samples of a batch.
    """

    def kernel(x, order, right, z, shape):
        """Computes a part p of each sum: z[p, r, c] = sum_k left[r, k] * right[k, c] over the terms k of the part.

        In the forward sum, left[s, k] is x[order[s], k]. In the weight gradient, left[r, s] is x[order[s], r], and 1 in the
        additional last row, whose sums are dL/db. Reads x (N, n_in), order (n,) and right (depth, columns). Writes z (parts,
        rows, columns). Twins (CPU loops): forward_sum, weight_gradient.
        """
        multiply((x, order), (right, None), None, z, shape)

    return kernel


def sums(multiply: Callable) -> Callable:
    """Returns the kernel that computes and stores partial sums of a product whose left factor is delta of a batch."""

    def kernel(left, right, z, shape):
        """Computes z[p, r, c], which is part p of sum_k left[r, k] * right[k, c]. Twin (CPU loop): delta_recurrence.

        Reads left (rows, depth), and right, which is stored as its transpose (columns, depth). Writes z (parts, rows, columns).
        """
        multiply((left, None), (right, None), None, z, shape)

    return kernel


class Product(Enum):
    """A layer's matrix products: forward sum, delta recurrence, weight gradient. Each value, a `Form`, contains kernels."""

    FORWARD = Form(GATHERED, WIDE, epilogues.bias_start, epilogues.activate, forward, gathered_sums, parts.forward)
    BACKWARD = Form(DEEP, DEEP, epilogues.zero_start, epilogues.multiply_by_derivative, backward, sums, parts.backward)
    UPDATE = Form(SAMPLES, WIDE, epilogues.zero_start, epilogues.descend_in_place, update, gathered_sums, parts.update)
    GRADIENT = Form(SAMPLES, WIDE, epilogues.zero_start, epilogues.store, gathered_sums, gathered_sums, parts.gradient)


def panel_adder(tile: Tile, number: Any) -> Callable:
    """Returns the device function add_panel(panels, x_at, w_at, sums), which adds terms to a thread's sums.

    The terms are left[r, k] * right[k, c] for all k in a pair of panels, the parts of left and right in shared memory. `x_at`
    and `w_at` are the offsets, in shared memory, of the thread's first element in the panel of left, and in the panel of right.
    """
    quads, side, panel_depth = tile.quads, tile.side, tile.depth
    left_pitch, right_pitch = tile.left_pitch, tile.right_pitch
    row_stride, column_stride = tile.rows // quads, tile.columns // quads

    @device_function
    def step(panels, x_at, w_at, sums):
        """Adds left[r, k] * right[k, c] to each of a thread's sums z[r, c], for a single k."""
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
        """Adds the terms for UNROLL successive values of k to the thread's sums.

        The code repeats the call of `step` UNROLL times, because the compiler would not unroll a loop.
        """
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
        if panel_depth > UNROLL:
            eight_steps(panels, x_at + UNROLL * left_pitch, w_at + UNROLL * right_pitch, sums)

    return add_panel


class Feed(NamedTuple):
    """Tells a thread which elements of the left or right matrix to load into each panel (a part of the matrix).

    `operand` describes the matrix. `origin` is the offset, in the matrix, of the first element that the thread loads from the
    next panel. `places` is an array with one number for each element that the thread loads from a panel: the element's position
    relative to the thread's first element. For the layout GATHERED, the number is the index of the element's row instead.
    """

    operand: Any
    places: Any
    origin: Any


def main_loop_of(tile: Tile, left_loader: Loader, right_loader: Loader, number: Any) -> Callable:
    """Returns the device function `main_loop`, with which a thread adds left[r, k] * right[k, c] to its sums z[r, c]."""
    buffer, panel_depth, right_begin = tile.buffer, tile.depth, tile.depth * tile.left_pitch
    add_panel = panel_adder(tile, number)
    left_loads, right_loads = left_loader.loads, right_loader.loads
    left_target, load_left, store_left = left_loader.target, left_loader.load, left_loader.store
    right_target, load_right, store_right = right_loader.target, right_loader.load, right_loader.store

    @device_function
    def main_loop(left, right, row, column, count, panels, sums):
        """Adds to a thread's sums the terms of the first pair of panels (parts of left and right), then the next `count` terms.

        `left` and `right` are of the class `Feed`. `panels` is the shared memory for two pairs of panels. `row` and `column`
        are the first row and the first column of the thread's square of sums in the block's tile. The function returns them, so
        that the caller need not keep them in registers.
        """
        lefts = cuda.local.array(left_loads, number)
        rights = cuda.local.array(right_loads, number)
        left_origin, right_origin = left.origin, right.origin
        thread = int32(cuda.threadIdx.x)
        left_put, right_put = left_target(thread), right_target(thread)
        x_at, w_at = row, int32(right_begin + column)
        while True:
            if count > 0:
                left_origin = load_left(left.operand, left_origin, left.places, lefts)
                right_origin = load_right(right.operand, right_origin, right.places, rights)
            add_panel(panels, x_at, w_at, sums)
            if count <= 0:
                break
            count = int32(count - panel_depth)
            jump = buffer if x_at < buffer else -buffer
            x_at, w_at = int32(x_at + jump), int32(w_at + jump)
            left_put, right_put = int32(left_put + jump), int32(right_put + jump)
            store_left(lefts, panels, left_put)
            store_right(rights, panels, right_put)
            cuda.syncthreads()
        # Computes the arguments `row` and `column` again from x_at and w_at, because keeping the arguments during the loop
        # would take two more registers.
        return (
            int32(x_at if x_at < buffer else x_at - buffer),
            int32((w_at if w_at < buffer else w_at - buffer) - right_begin),
        )

    return main_loop


class Square(NamedTuple):
    """The device functions for one thread's part of a matrix product: a square of elements, each the sum of many terms.

    Parameters
    ----------
    corner : callable
        corner(thread) returns the first row and the first column of the thread's square within the block's tile.
    begin : callable
        begin(right, column, columns, k, sums) sets the sums to their start values. `column` is the first column of the thread's
        square in the whole matrix product, which has `columns` columns; k is the index of the first term.
    finish : callable
        finish(epilogue, out, row, column, shape, sums) computes and stores a result from each sum. `row` and `column` are the
        first row and the first column of the thread's square in the whole matrix product.
    """

    corner: Callable
    begin: Callable
    finish: Callable


def square_of(tile: Tile, form: Form, zero: np.floating) -> Square:
    """Returns the device functions that process a thread's sums, which form a square within the thread block's tile.

    A thread's square consists of tile.quads x tile.quads squares of 4 x 4 sums; squares of other threads lie between them.
    """
    side, sums_ = tile.side, tile.side**2
    row_stride, column_stride = tile.rows // tile.quads, tile.columns // tile.quads
    # The small squares of a warp's threads lie side by side until one row of squares reads 128 bytes of right or spans the
    # tile's width. The other small squares of the warp begin a new row below.
    across = min(tile.columns // side, 8)
    down = min(tile.rows // side, max(1, WARP // across))
    warps_across = tile.columns // side // across
    start, finish_sum = form.start, form.finish

    @device_function
    def corner(thread):
        group, lane = thread // (across * down), thread % (across * down)
        row = int32((group // warps_across * down + lane // across) * QUAD)
        column = int32((group % warps_across * across + lane % across) * QUAD)
        return row, column

    @device_function
    def begin(right, column, columns, k, sums):
        for c in range(side):
            column_c = min(column + c % QUAD + c // QUAD * column_stride, columns - 1)
            value = start(right, column_c, zero) if k == 0 else zero
            for r in range(side):
                sums[r * side + c] = value

    @device_function
    def finish(epilogue, out, row, column, shape, sums):
        part = cuda.blockIdx.z * shape.rows * shape.columns
        for r in range(side):
            row_r = row + r % QUAD + r // QUAD * row_stride
            for c in range(side):
                column_c = column + c % QUAD + c // QUAD * column_stride
                if row_r < shape.rows and column_c < shape.columns:
                    finish_sum(epilogue, out, part + row_r * shape.columns + column_c, sums[c])
            # Moves the next row of sums to the front, because with an index that depends on r, the sums could not stay in
            # registers.
            for e in range(sums_ - side):
                sums[e] = sums[e + side]

    return Square(corner, begin, finish)


@functools.cache
def product(form: Form, tile: Tile, dtype: np.dtype) -> Any:
    """Returns the kernel that computes the matrix product specified by `form`, for tiles of the size `tile`, in `dtype`."""
    number = from_dtype(dtype)
    rows, columns, panel_depth, shared, sums_ = tile.rows, tile.columns, tile.depth, 2 * tile.buffer, tile.side**2
    zero = dtype.type(0)
    left_loader = loader(form.left, rows, tile.left_pitch, 0, tile, zero)
    right_loader = loader(form.right, columns, tile.right_pitch, panel_depth * tile.left_pitch, tile, zero)
    left_operand, load_first_left, left_loads = left_loader.operand, left_loader.first, left_loader.loads
    right_operand, load_first_right, right_loads = right_loader.operand, right_loader.first, right_loader.loads
    left_place_type, right_place_type = left_loader.place_type, right_loader.place_type
    main_loop = main_loop_of(tile, left_loader, right_loader, number)
    corner, begin, finish = square_of(tile, form, zero)

    @device_function
    def multiply(left_source, right_source, epilogue, out, shape):
        """Computes this thread block's tile of a product sum_k left[r, k] * right[k, c], and stores results in the array `out`.

        `left_source` and `right_source` are the factors. Each factor is a pair (array, order), in which `array` is the factor
        as a flat array, and `order` holds the row indices of the batch's samples in the factor, or is None if all rows are
        used. `epilogue` holds the values that are needed to compute a result from a sum.
        """
        panels = shared_numbers(shared, number)
        sums = cuda.local.array(sums_, number)
        left_places = cuda.local.array(left_loads, left_place_type)
        right_places = cuda.local.array(right_loads, right_place_type)

        thread = int32(cuda.threadIdx.x)
        first_row, first_column = int32(cuda.blockIdx.x * rows), int32(cuda.blockIdx.y * columns)
        left = left_operand(left_source, thread, first_row, shape.rows, shape.depth)
        right = right_operand(right_source, thread, first_column, shape.columns, shape.depth)
        k = int32(cuda.blockIdx.z * shape.chunk)
        count = int32(min(shape.chunk, shape.depth - k))
        head = int32((count - 1) % panel_depth + 1)  # number of terms in the first panel; all other panels are full
        row, column = corner(thread)

        begin(right, int32(first_column + column), shape.columns, k, sums)
        left_origin = load_first_left(left, thread, k, head, panels, left_places)
        right_origin = load_first_right(right, thread, k, head, panels, right_places)
        cuda.syncthreads()

        feeds = Feed(left, left_places, left_origin), Feed(right, right_places, right_origin)
        row, column = main_loop(feeds[0], feeds[1], row, column, int32(count - head), panels, sums)

        finish(epilogue, out, int32(first_row + row), int32(first_column + column), shape, sums)

    return memory.limited(tile.registers)(form.kernel(multiply))

"""Training by all multiprocessors in one launch: parameters stay in the shared memory of a block each, blocks meet at barriers.

A block keeps a tile of every layer's w (with b as one more row, the input of which is 1), and the part of x that meets the rows
of its tile; see `shares`. A step goes through these phases, between which all blocks meet:

    forward, a spread layer each     sums of z_j over the rows of a tile, one set of sums for every row of tiles
    head                             a block's samples: adds those sums up, goes through the other layers, and back
    backward, a spread layer each    sums of dL/da_i over the columns of a tile, then the update of the tile

Who reads sums adds them up, always in the same order. Nobody waits between the update of the first layer and its next forward
sum, so that a step of K spread layers has 2 K barriers. For 784-128-10 that is 2: w of layer 1 as 16 x 8 tiles of 52 x 16
reads 8 times x, 1.6 MB for a batch of 64, and exchanges 0.5 MB of sums; a column of tiles for each neuron would read 128 times
x, 26 MB, and a row of tiles for each input exchange 26 MB. The next batch's x is on its way during the head.

Blocks exchange sums, a and delta in one flat array of global memory, `far`; a block's shared memory is another, `near`.
"""

import functools

import numpy as np
from numba import from_dtype, int32

from numbanet._cuda import cuda, device_function
from numbanet.engines.cuda.cooperative import layout as at
from numbanet.engines.cuda.cooperative.layout import SQUARE, TABLES, THREADS
from numbanet.engines.cuda.memory import (
    QUAD,
    arrive,
    arrived,
    await_copies,
    copy_later,
    get,
    get_quad,
    matrix,
    own_memory,
    put,
    quotient,
    shared_numbers,
)
from numbanet.engines.cuda.notes import Notes
from numbanet.engines.cuda.output import OutputLayer, OutputWork, output_row
from numbanet.equations.activations import IDENTITY, d_phi, phi
from numbanet.equations.backprop import error_term
from numbanet.equations.descent import descend
from numbanet.equations.neuron import weighted_input

# What becomes of a sum; see `finish`.
PARTIAL, FORWARD, BACKWARD, UPDATE = range(4)
NOWHERE, NOBODY = -1, 1 << 30
# By dtype, the most registers of a thread, and the share of multiply-adds in the machine code of the products' loops, at least.
BUDGETS = {np.dtype(np.float32): (168, 0.74), np.dtype(np.float64): (208, 0.68)}


@device_function
def field(table, l, name):
    """A column of layer l in the table of layers."""
    return get(table, l * at.FIELDS + name)


@device_function
def place_of(table, l, name):
    """Where a matrix of layer l begins in shared memory, and its pitch, which is the next column."""
    return field(table, l, name), field(table, l, name + 1)


@device_function
def other(table, name):
    """An entry of the table of all else."""
    return get(table, at.MOST_LAYERS * at.FIELDS + name)


@device_function
def quads_of(count):
    """How many quads hold so many numbers."""
    return quotient(count + QUAD - 1, QUAD)


@device_function
def threads_over(width):
    """The row and the column that this thread begins with, and its steps, so that neighbours take neighbours of a row."""
    across = max(1, min(width, THREADS))
    down, row = quotient(THREADS, across), quotient(cuda.threadIdx.x, across)
    return (row if row < down else NOBODY), cuda.threadIdx.x - row * across, down, across


@device_function
def tile_row(table, l):
    """The row of tiles of layer l in which this block has one."""
    return quotient(cuda.blockIdx.x, field(table, l, at.ACROSS))


@device_function
def tile_of(table, l):
    """The first row i and the first column j of this block's tile of layer l, and how many it has; none for spare blocks."""
    block, across, row = cuda.blockIdx.x, field(table, l, at.ACROSS), tile_row(table, l)
    i, j = row * field(table, l, at.ROWS), (block - row * across) * field(table, l, at.COLUMNS)
    rows, columns = field(table, l, at.N_IN) + 1 - i, field(table, l, at.N_OUT) - j
    if block >= field(table, l, at.TILES):
        rows = 0
    return i, j, min(rows, field(table, l, at.ROWS)), min(columns, field(table, l, at.COLUMNS))


# Products


@device_function
def finish(near, far, task, kind, factor, total, near_at, beside_at, far_at):
    """A sum for others to add up, a_j = phi(z_j), delta_i = dL/da_i da_i/dz_i, or w_ij - eta dL/dw_ij; factor: epsilon, eta."""
    if task == PARTIAL:
        put(far, far_at, total)
        return
    if task == FORWARD:
        value = phi(kind, factor, total)
    elif task == BACKWARD:  # the derivatives of the rectifiers are taken at a, which is positive where z is
        a = get(near, beside_at)
        value = error_term(total, d_phi(kind, factor, a, a))
    else:
        value = descend(factor, total, get(near, near_at))
    put(near, near_at, value)
    if far_at >= 0:
        put(far, far_at, value)


def product_of(dtype: np.dtype, x_deep: bool, w_deep: bool):
    """The device function of a product sum_k x[r, k] w[k, c], where x, and w, lie deep: the k's of a line next to each other.

    A line is a row r of x, a column c of w. Deep or not, a thread takes QUAD of them and QUAD terms at a time, by loads of a
    quad each.
    """
    number, zero = from_dtype(dtype), dtype.type(0)
    x_line, x_term = (QUAD, 1) if x_deep else (1, QUAD)
    w_line, w_term = (QUAD, 1) if w_deep else (1, QUAD)

    @device_function
    def add_term(x, w, k, sums):
        for r in range(QUAD):
            for c in range(QUAD):
                sums[r * QUAD + c] += weighted_input(w[c * w_line + k * w_term], x[r * x_line + k * x_term])

    @device_function
    def add_terms(near, x_at, x_step, w_at, w_step, sums):
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

    @device_function
    def product(
        near, far, table, task, kind, factor, shape, x, x_pitch, w, w_pitch, to, to_row, beside, beside_row, out, out_row
    ):
        """`finish` of the sums of a shape: rows, columns, and terms by the quad, those beyond a layer being 0.

        Where there are fewer squares of sums than threads, several threads take a part of the terms each, and the parts are
        added in their order. x, w, to and beside begin at places in near memory, out in far memory, each with the step from
        row to row.
        """
        rows, columns, quads = shape
        down, across = quads_of(rows), quads_of(columns)
        squares = down * across
        parts = max(1, min(min(quotient(THREADS, squares), quads), SQUARE))
        chunk = quotient(quads + parts - 1, parts)
        x_step, x_next = (down * x_pitch, QUAD) if x_deep else (x_pitch, QUAD * x_pitch)
        w_step, w_next = (across * w_pitch, QUAD) if w_deep else (w_pitch, QUAD * w_pitch)
        sums = cuda.local.array(SQUARE, number)
        for first in range(0, squares * parts, THREADS):
            task_number = first + cuda.threadIdx.x
            part = quotient(task_number, squares)
            square = task_number - part * squares
            row = quotient(square, across)
            column = square - row * across
            slot = other(table, at.SUMS) + cuda.threadIdx.x
            if part < parts:
                for e in range(SQUARE):
                    sums[e] = zero
                begin = min(part * chunk, quads)
                end = min(begin + chunk, quads)
                x_at = int32(x + row * (x_pitch if x_deep else QUAD) + begin * x_next)
                w_at = int32(w + column * (w_pitch if w_deep else QUAD) + begin * w_next)
                x_end = int32(x_at + (end - begin) * x_next)
                while x_at != x_end:
                    add_terms(near, x_at, x_step, w_at, w_step, sums)
                    x_at, w_at = int32(x_at + x_next), int32(w_at + w_next)
                for e in range(SQUARE):
                    put(near, slot + e * THREADS, sums[e])
            cuda.syncthreads()
            if part < parts:
                for e in range(part, SQUARE, parts):
                    place = slot - part * squares + e * THREADS
                    total = get(near, place)
                    for _ in range(1, parts):
                        place += squares
                        total += get(near, place)
                    r = row + e // QUAD * down if x_deep else row * QUAD + e // QUAD
                    c = column + e % QUAD * across if w_deep else column * QUAD + e % QUAD
                    if r < rows and c < columns:
                        far_at = out + r * out_row + c if out >= 0 else NOWHERE
                        finish(near, far, task, kind, factor, total, to + r * to_row + c, beside + r * beside_row + c, far_at)
            cuda.syncthreads()

    return product


# What blocks read and write in far memory


@device_function
def sum_of_parts(far, place, parts, step):
    """Numbers that lie a step apart, added in their order."""
    total = get(far, place)
    for _ in range(1, parts):
        place += step
        total += get(far, place)
    return total


@device_function
def take_inputs(near, far, table, l, kind, epsilon, samples, columns, to, to_row, published):
    """a_j = phi(z_j) of some samples and neurons of layer l, from the sums of all rows of tiles; for all blocks if published.

    samples and columns are the first one and a count.
    """
    n_out, parts = field(table, l, at.N_OUT), field(table, l, at.DOWN)
    (first, n), (j, width) = samples, columns
    sums, published_a = field(table, l, at.NEXT_SUMS), field(table, l, at.ALL_A)
    row, column, down, across = threads_over(width)
    for s in range(row, n, down):
        for c in range(column, width, across):
            place = (first + s) * n_out + j + c
            a = phi(kind, epsilon, sum_of_parts(far, sums + place, parts, other(table, at.BATCH) * n_out))
            put(near, to + s * to_row + c, a)
            if published:
                put(far, published_a + place, a)


@device_function
def take_a(near, far, table, l, n):
    """The part of x that meets the rows of a tile of layer l of the head: a of the layer before."""
    n_in = field(table, l, at.N_IN)
    i, _, rows, _ = tile_of(table, l)
    a, (to, to_row) = field(table, l - 1, at.ALL_A) + i, place_of(table, l, at.X)
    width = min(rows, n_in - i)
    row, column, down, across = threads_over(width)
    for s in range(row, n, down):
        for c in range(column, width, across):
            put(near, to + s * to_row + c, get(far, a + s * n_in + c))


@device_function
def take_delta(near, far, table, l, epsilon, zero, n):
    """The part of delta that meets the columns of a tile of layer l; 0 for as many samples as make the last quad full.

    delta_j = dL/da_j da_j/dz_j, from the sums of all columns of tiles, if layer l + 1 is spread; else the head has left delta.
    """
    n_out, kind = field(table, l, at.N_OUT), field(table, l, at.KIND)
    to, to_row = place_of(table, l, at.DELTA)
    _, j, rows, width = tile_of(table, l)
    if rows <= 0:
        return
    summed = l + 1 < other(table, at.SPREAD)
    row, column, down, across = threads_over(width)
    for s in range(row, quads_of(n) * QUAD, down):
        for c in range(column, width, across):
            place, delta = s * n_out + j + c, zero
            if s < n and summed:
                sums, parts = field(table, l + 1, at.PREVIOUS_SUMS), field(table, l + 1, at.ACROSS)
                a = get(far, field(table, l, at.ALL_A) + place)
                dl_da = sum_of_parts(far, sums + place, parts, other(table, at.BATCH) * n_out)
                delta = error_term(dl_da, d_phi(kind, epsilon, a, a))
            elif s < n:
                delta = get(far, field(table, l, at.ALL_DELTA) + place)
            put(near, to + s * to_row + c, delta)


@device_function
def first_x(table, step):
    """Where x of the first layer is in this step: while one is read, the next is written."""
    return field(table, 0, at.X) if step & 1 == 0 else other(table, at.SECOND_X)


@device_function
def gather_later(near, table, x, order, step):
    """The part of x that meets the rows of a tile of the first layer, in a step that comes: see `await_copies`."""
    n_in, to_row, batch_size = field(table, 0, at.N_IN), field(table, 0, at.X_PITCH), other(table, at.BATCH)
    position = step * batch_size
    i, _, rows, _ = tile_of(table, 0)
    width = min(rows, n_in - i)
    row, column, down, across = threads_over(width)
    for s in range(row, min(batch_size, order.shape[0] - position), down):
        sample, to = order[position + s] * n_in + i, first_x(table, step) + s * to_row
        for c in range(column, width, across):
            copy_later(near, to + c, x, sample + c)


@device_function
def copy_tile(near, table, l, parameters, back):
    """A tile of w and b, from the flat vector into shared memory, or back."""
    n_out, (to, to_row) = field(table, l, at.N_OUT), place_of(table, l, at.W)
    i, j, rows, columns = tile_of(table, l)
    place = field(table, l, at.FLAT) + i * n_out + j
    row, column, down, across = threads_over(columns)
    for r in range(row, rows, down):
        for c in range(column, columns, across):
            if back:
                put(parameters, place + r * n_out + c, get(near, to + r * to_row + c))
            else:
                put(near, to + r * to_row + c, get(parameters, place + r * n_out + c))


@device_function
def fill_ones(near, table, one):
    """The input of b, in every x."""
    for l in range(other(table, at.LAYERS)):
        n_in, (x, x_row) = field(table, l, at.N_IN), place_of(table, l, at.X)
        i, _, rows, _ = tile_of(table, l)
        if rows > 0 and i + rows == n_in + 1:
            for s in range(cuda.threadIdx.x, other(table, at.BATCH), THREADS):
                put(near, x + s * x_row + n_in - i, one)
                if l == 0:
                    put(near, other(table, at.SECOND_X) + s * x_row + n_in - i, one)
        if l >= other(table, at.SPREAD):
            x, x_row = place_of(table, l, at.HEAD_X)
            for s in range(cuda.threadIdx.x, other(table, at.SAMPLES), THREADS):
                put(near, x + s * x_row + n_in, one)


@device_function
def copy_head(near, table, parameters):
    """w and b of the layers of the head."""
    for l in range(other(table, at.SPREAD), other(table, at.LAYERS)):
        n_out, (to, to_row) = field(table, l, at.N_OUT), place_of(table, l, at.HEAD_W)
        place = field(table, l, at.FLAT)
        row, column, down, across = threads_over(n_out)
        for i in range(row, field(table, l, at.N_IN) + 1, down):
            for j in range(column, n_out, across):
                put(near, to + i * to_row + j, get(parameters, place + i * n_out + j))


@device_function
def last_rows(near, far, table, l, epsilon, y, order, position, n, first, m, losses, hits):
    """`output_row` of layer l, the last, one thread for each of m samples from the first on; all blocks may read delta."""
    n_out, kind = field(table, l, at.N_OUT), field(table, l, at.KIND)
    delta, delta_row = place_of(table, l, at.HEAD_DELTA)
    for s in range(cuda.threadIdx.x, m, THREADS):
        here, row, begin = position + first + s, order[position + first + s], s * other(table, at.Z_PITCH)
        z, a = matrix(near, other(table, at.Z) + begin, 1, n_out), matrix(near, other(table, at.A) + begin, 1, n_out)
        u, dl = matrix(near, other(table, at.U) + begin, 1, n_out), matrix(near, other(table, at.DL) + begin, 1, n_out)
        z_max, others = matrix(near, other(table, at.Z_MAX) + s, 1, 1)[0], matrix(near, other(table, at.OTHERS) + s, 1, 1)[0]
        layer = OutputLayer(other(table, at.LOSS), kind, epsilon)
        work, notes = OutputWork(u, dl, z_max, others), Notes(losses[here : here + 1], hits[here : here + 1])
        output_row(layer, n, y[row : row + 1], z, a, matrix(near, delta + s * delta_row, 1, n_out), work, notes)
    cuda.syncthreads()
    row, column, down, across = threads_over(n_out)
    for s in range(row, m, down):
        for j in range(column, n_out, across):
            put(far, field(table, l, at.ALL_DELTA) + (first + s) * n_out + j, get(near, delta + s * delta_row + j))


@device_function
def meet(counter, times):
    """Waits until all blocks have come here so many times; then each sees what the others wrote."""
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        arrive(counter)
        while arrived(counter) < times * cuda.gridDim.x:
            pass
    cuda.syncthreads()


@functools.cache
def training_kernel(dtype: np.dtype):
    """The kernel that trains networks of a dtype; see `grid`."""
    number, zero = from_dtype(dtype), dtype.type(0)
    multiply_forward, multiply_back = product_of(dtype, True, False), product_of(dtype, True, True)
    multiply_update = product_of(dtype, False, False)

    @device_function
    def forward(near, far, table, l, epsilon, step, n):
        """Sums of z_j = sum_i w_ij x_i + b_j over the rows i of a tile of layer l, for whoever needs a."""
        n_out, (x, x_row) = field(table, l, at.N_OUT), place_of(table, l, at.X)
        i, j, rows, columns = tile_of(table, l)
        if rows <= 0:
            return
        if l == 0:
            x = first_x(table, step)
            await_copies()
        else:
            inputs, first = (i, min(rows, field(table, l, at.N_IN) - i)), j == 0
            kind = field(table, l - 1, at.KIND)
            take_inputs(near, far, table, l - 1, kind, epsilon, (0, n), inputs, x, x_row, first)
        cuda.syncthreads()
        shape = n, columns, quads_of(rows)
        w = place_of(table, l, at.W)
        out = field(table, l, at.NEXT_SUMS) + tile_row(table, l) * other(table, at.BATCH) * n_out + j
        multiply_forward(near, far, table, PARTIAL, IDENTITY, epsilon, shape, x, x_row, *w, 0, 0, 0, 0, out, n_out)

    @device_function
    def head(near, far, table, epsilon, y, order, position, n, parameters, losses, hits):
        """A block's samples through the layers that are not spread, and back: loss, hits, a, and delta of all those layers."""
        spread, last = other(table, at.SPREAD), other(table, at.LAYERS) - 1
        first = cuda.blockIdx.x * other(table, at.SAMPLES)
        m = min(other(table, at.SAMPLES), n - first)
        if m <= 0:
            return
        copy_head(near, table, parameters)
        z, z_row = other(table, at.Z), other(table, at.Z_PITCH)
        kind, to, to_row = IDENTITY, z, z_row
        if spread <= last:
            kind, (to, to_row) = field(table, spread - 1, at.KIND), place_of(table, spread, at.HEAD_X)
        neurons = 0, field(table, spread - 1, at.N_OUT)
        take_inputs(near, far, table, spread - 1, kind, epsilon, (first, m), neurons, to, to_row, spread <= last)
        cuda.syncthreads()
        for l in range(spread, last + 1):
            n_out = field(table, l, at.N_OUT)
            kind, to, to_row, out = IDENTITY, z, z_row, NOWHERE
            if l < last:
                kind, (to, to_row) = field(table, l, at.KIND), place_of(table, l + 1, at.HEAD_X)
                out = field(table, l, at.ALL_A) + first * n_out
            shape = m, n_out, quads_of(field(table, l, at.N_IN) + 1)
            x = place_of(table, l, at.HEAD_X)
            w = place_of(table, l, at.HEAD_W)
            multiply_forward(near, far, table, FORWARD, kind, epsilon, shape, *x, *w, to, to_row, 0, 0, out, n_out)
        last_rows(near, far, table, last, epsilon, y, order, position, n, first, m, losses, hits)
        for l in range(last, spread - 1, -1):
            n_in = field(table, l, at.N_IN)
            shape = m, n_in, quads_of(field(table, l, at.N_OUT))
            x = place_of(table, l, at.HEAD_DELTA)
            w = place_of(table, l, at.HEAD_W)
            to = place_of(table, l - 1, at.HEAD_DELTA)
            a = place_of(table, l, at.HEAD_X)
            out = field(table, l - 1, at.ALL_DELTA) + first * n_in
            kind = field(table, l - 1, at.KIND)
            multiply_back(near, far, table, BACKWARD, kind, epsilon, shape, *x, *w, *to, *a, out, n_in)

    @device_function
    def update(near, table, l, eta, step, n, parameters):
        """w_ij <- w_ij - eta sum_s delta_j x_i, and b alike, of a tile of layer l; the head's are read by all blocks."""
        x, x_row = place_of(table, l, at.X)
        if l == 0:
            x = first_x(table, step)
        n_out = field(table, l, at.N_OUT)
        i, j, rows, columns = tile_of(table, l)
        if rows <= 0:
            return
        delta = place_of(table, l, at.DELTA)
        w = place_of(table, l, at.W)
        out = field(table, l, at.FLAT) + i * n_out + j if l >= other(table, at.SPREAD) else NOWHERE
        shape = rows, columns, quads_of(n)
        multiply_update(near, parameters, table, UPDATE, IDENTITY, eta, shape, x, x_row, *delta, *w, 0, 0, out, n_out)

    @device_function
    def backward(near, far, table, l, epsilon, eta, step, n, parameters):
        """Sums of dL/da_i = sum_j w_ij delta_j over the columns j of a tile of layer l, then its update.

        With the last of the spread layers go the updates of the head.
        """
        n_in, behind = field(table, l, at.N_IN), other(table, at.LAYERS) if l + 1 == other(table, at.SPREAD) else l + 1
        for k in range(l, behind):
            if k > l:
                take_a(near, far, table, k, n)
            take_delta(near, far, table, k, epsilon, zero, n)
        cuda.syncthreads()
        i, _, rows, columns = tile_of(table, l)
        if l > 0 and rows > 0 and i < n_in:  # not the row of b alone
            shape = n, min(rows, n_in - i), quads_of(columns)
            delta = place_of(table, l, at.DELTA)
            w = place_of(table, l, at.W)
            column = cuda.blockIdx.x - tile_row(table, l) * field(table, l, at.ACROSS)
            out = field(table, l, at.PREVIOUS_SUMS) + column * other(table, at.BATCH) * n_in + i
            multiply_back(near, far, table, PARTIAL, IDENTITY, epsilon, shape, *delta, *w, 0, 0, 0, 0, out, n_in)
        for k in range(l, behind):
            update(near, table, k, eta, step, n, parameters)

    @cuda.jit
    def train_cooperative(tables, epsilon, eta, x, y, order, first, stop, parameters, far, counter, fresh, kept, losses, hits):
        """Gradient descent on the batches of an order, from phase first to stop of all its steps.

        Reads x (N n_in,), y (N, n_out), order (n,); updates parameters; writes losses, hits (n,). Works in far; counter is 0.
        """
        table = shared_numbers(TABLES, int32)
        near = own_memory(kept, tables[TABLES - 1])
        for e in range(cuda.threadIdx.x, TABLES, THREADS):
            put(table, e, tables[e])
        cuda.syncthreads()
        spread, phases, batch_size = other(table, at.SPREAD), other(table, at.PHASES), other(table, at.BATCH)
        met = 0
        if fresh:
            for e in range(cuda.threadIdx.x, other(table, at.COUNT), THREADS):
                put(near, e, zero)
            cuda.syncthreads()
            fill_ones(near, table, number(1))
            gather_later(near, table, x, order, quotient(first, phases))
            for l in range(other(table, at.LAYERS)):
                copy_tile(near, table, l, parameters, False)
        for turn in range(first, stop):
            step = quotient(turn, phases)
            phase, position = turn - step * phases, step * batch_size
            n = min(batch_size, order.shape[0] - position)
            if phase < spread:
                forward(near, far, table, phase, epsilon, step, n)
            elif phase == spread:
                gather_later(near, table, x, order, step + 1)
                head(near, far, table, epsilon, y, order, position, n, parameters, losses, hits)
            else:
                backward(near, far, table, phases - 1 - phase, epsilon, eta, step, n, parameters)
            if phase < phases - 1 and turn + 1 < stop:
                met += 1
                meet(counter, met)
        await_copies()
        for l in range(other(table, at.LAYERS)):
            copy_tile(near, table, l, parameters, True)

    return train_cooperative

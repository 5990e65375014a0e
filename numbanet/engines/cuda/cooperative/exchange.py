"""Copies values between a GPU's global memory and a block's shared memory: parameters, samples, results of other blocks."""

from numbanet._cuda import cuda, device_function
from numbanet.engines.cuda.cooperative.layout import THREADS, Common, Layer, Matrix
from numbanet.engines.cuda.cooperative.lookup import common, field, place_of, quads_of, threads_over, tile_of
from numbanet.engines.cuda.memory import QUAD, copy_later, get, put
from numbanet.equations.activations import d_phi, phi
from numbanet.equations.backprop import error_term


@device_function
def sum_of_parts(far, place, parts, step):
    """Returns far[place] + far[place + step] + far[place + 2 * step] + ..., a sum of `parts` values, added in this order."""
    total = get(far, place)
    for _ in range(1, parts):
        place += step
        total += get(far, place)
    return total


@device_function
def activate_sums(memory, l, kind, epsilon, samples, neurons, to, published):
    """Computes z_j of layer l as the sum of the blocks' partial sums, and writes a_j = phi(z_j) to shared memory.

    Reads the partial sums Z_SUMS in global memory. Writes a_j to the matrix `to` in shared memory. If `published` is true, also
    writes a_j to the matrix FAR_A in global memory, for other blocks to read.
    The tuples `samples` and `neurons` select the samples and the neurons j to compute; each is (first index, count). The matrix
    `to` is given as (offset, pitch), where the pitch is the distance between two successive rows.
    """
    n_out, parts = field(memory, l, Layer.N_OUT), field(memory, l, Layer.DOWN)
    (first, n), (j, width), (place, pitch) = samples, neurons, to
    sums, far_a = field(memory, l, Layer.Z_SUMS), field(memory, l, Layer.FAR_A)
    row, column, down, across = threads_over(width)
    for s in range(row, n, down):
        for c in range(column, width, across):
            at = (first + s) * n_out + j + c
            a = phi(kind, epsilon, sum_of_parts(memory.far, sums + at, parts, common(memory, Common.BATCH) * n_out))
            put(memory.near, place + s * pitch + c, a)
            if published:
                put(memory.far, far_a + at, a)


@device_function
def load_x(memory, l, n):
    """Copies the inputs x of layer l, which are the outputs a of layer l - 1, from global to shared memory, for n samples.

    Reads the matrix FAR_A of layer l - 1 in global memory. Writes the copies to the matrix X of layer l in shared memory. The
    function copies only those inputs that are multiplied by this block's tile of w. Layer l must be in the head (the small last
    layers).
    """
    n_in = field(memory, l, Layer.N_IN)
    i, _, rows, _ = tile_of(memory, l)
    a, (place, pitch) = field(memory, l - 1, Layer.FAR_A) + i, place_of(memory, l, Matrix.X)
    width = min(rows, n_in - i)
    row, column, down, across = threads_over(width)
    for s in range(row, n, down):
        for c in range(column, width, across):
            put(memory.near, place + s * pitch + c, get(memory.far, a + s * n_in + c))


@device_function
def load_delta(memory, l, epsilon, zero, n):
    """Writes delta_j of layer l to matrix DELTA in shared memory, for n samples and the columns j of this block's tile of w.

    If layer l + 1 is a spread layer (computed by all blocks together), the array DL_DA_SUMS in global memory holds partial sums
    of dL/da_j, and the function computes delta_j = dL/da_j da_j/dz_j from these sums. If layer l + 1 belongs to the head (the
    small last layers) or does not exist, delta_j is copied from the matrix FAR_DELTA in global memory. The matrix DELTA is
    padded with rows of zeros to a multiple of 4 (QUAD) rows.
    """
    n_out, kind = field(memory, l, Layer.N_OUT), field(memory, l, Layer.KIND)
    place, pitch = place_of(memory, l, Matrix.DELTA)
    _, j, rows, width = tile_of(memory, l)
    if rows <= 0:
        return
    summed = l + 1 < common(memory, Common.SPREAD)
    row, column, down, across = threads_over(width)
    for s in range(row, quads_of(n) * QUAD, down):
        for c in range(column, width, across):
            at, delta = s * n_out + j + c, zero
            if s < n and summed:
                sums, parts = field(memory, l + 1, Layer.DL_DA_SUMS), field(memory, l + 1, Layer.ACROSS)
                a = get(memory.far, field(memory, l, Layer.FAR_A) + at)
                dl_da = sum_of_parts(memory.far, sums + at, parts, common(memory, Common.BATCH) * n_out)
                delta = error_term(dl_da, d_phi(kind, epsilon, a, a))
            elif s < n:
                delta = get(memory.far, field(memory, l, Layer.FAR_DELTA) + at)
            put(memory.near, place + s * pitch + c, delta)


@device_function
def first_x(memory, step):
    """Returns the offset in shared memory of the matrix of samples x that the first layer reads in training step `step`.

    Training steps alternate between two matrices: while a step reads one matrix, the next step's samples are copied to the
    other matrix.
    """
    place, _ = place_of(memory, 0, Matrix.X)
    return place if step & 1 == 0 else common(memory, Common.SECOND_X)


@device_function
def prefetch_x(memory, arrays, step):
    """Starts asynchronous copies of a step's samples to shared memory; `await_copies` waits until the copies are complete.

    Copies only those inputs that are multiplied by this block's tile of the first layer's w.
    """
    n_in, batch_size, (_, pitch) = field(memory, 0, Layer.N_IN), common(memory, Common.BATCH), place_of(memory, 0, Matrix.X)
    position = step * batch_size
    i, _, rows, _ = tile_of(memory, 0)
    width = min(rows, n_in - i)
    row, column, down, across = threads_over(width)
    for s in range(row, min(batch_size, arrays.order.shape[0] - position), down):
        sample, place = arrays.order[position + s] * n_in + i, first_x(memory, step) + s * pitch
        for c in range(column, width, across):
            copy_later(memory.near, place + c, arrays.x, sample + c)


@device_function
def copy_tile(memory, l, parameters, back):
    """Copies this block's tile of w and b in layer l from the vector `parameters` to shared memory.

    If `back` is true, the function copies the tile in the opposite direction: from shared memory to `parameters`.
    """
    n_out, (place, pitch) = field(memory, l, Layer.N_OUT), place_of(memory, l, Matrix.W)
    i, j, rows, columns = tile_of(memory, l)
    flat = field(memory, l, Layer.FLAT) + i * n_out + j
    row, column, down, across = threads_over(columns)
    for r in range(row, rows, down):
        for c in range(column, columns, across):
            if back:
                put(parameters, flat + r * n_out + c, get(memory.near, place + r * pitch + c))
            else:
                put(memory.near, place + r * pitch + c, get(parameters, flat + r * n_out + c))


@device_function
def load_head(memory, parameters):
    """Copies w and b of the layers in the head (the small last layers) from the vector `parameters` to shared memory."""
    for l in range(common(memory, Common.SPREAD), common(memory, Common.LAYERS)):
        n_out, (place, pitch) = field(memory, l, Layer.N_OUT), place_of(memory, l, Matrix.HEAD_W)
        flat = field(memory, l, Layer.FLAT)
        row, column, down, across = threads_over(n_out)
        for i in range(row, field(memory, l, Layer.N_IN) + 1, down):
            for j in range(column, n_out, across):
                put(memory.near, place + i * pitch + j, get(parameters, flat + i * n_out + j))


@device_function
def fill_ones(memory, one):
    """Writes 1, the constant input that is multiplied by b, to the matrices of inputs x in this block's shared memory.

    b is stored as the last row of w, after the row of the last input. The function writes to a block's matrix X (the inputs
    that are multiplied by the block's tile of w) only if the tile contains the row b.
    """
    for l in range(common(memory, Common.LAYERS)):
        n_in, (place, pitch) = field(memory, l, Layer.N_IN), place_of(memory, l, Matrix.X)
        i, _, rows, _ = tile_of(memory, l)
        if rows > 0 and i + rows == n_in + 1:
            for s in range(cuda.threadIdx.x, common(memory, Common.BATCH), THREADS):
                put(memory.near, place + s * pitch + n_in - i, one)
                if l == 0:
                    put(memory.near, common(memory, Common.SECOND_X) + s * pitch + n_in - i, one)
        if l >= common(memory, Common.SPREAD):
            place, pitch = place_of(memory, l, Matrix.HEAD_X)
            for s in range(cuda.threadIdx.x, common(memory, Common.SAMPLES), THREADS):
                put(memory.near, place + s * pitch + n_in, one)

"""Training in one thread block: parameters, activations and deltas stay in shared memory, through any number of steps.

Shared memory is one flat array. In it a matrix begins at a place and has a pitch, the step from row to row, which is odd, so
that the rows of a column lie in different banks. Row n_in of w is b; column n_in of x is 1, the input of b.
"""

import functools

import numpy as np
from numba import from_dtype

from numbanet._cuda import SIMULATED, cuda, device_function
from numbanet.engines.cuda.memory import get, matrix, put
from numbanet.engines.cuda.notes import Notes
from numbanet.engines.cuda.output import OutputLayer, OutputWork, output_row, softmax_activation, softmax_error, softmax_sum
from numbanet.engines.topology import Topology
from numbanet.equations.activations import IDENTITY, SOFTMAX, d_phi, phi
from numbanet.equations.backprop import error_term
from numbanet.equations.descent import descend
from numbanet.equations.neuron import weighted_input

# Columns of the table of layers: sizes, activation, and where its w, x, a and delta begin, each with its pitch. a is x of the
# next layer.
N_IN, N_OUT, KIND, W, W_PITCH, X, X_PITCH, A, A_PITCH, DELTA, DELTA_PITCH = range(11)
COLUMNS = 11
# The table of what `output_row` works with: the places of batch_size rows of z, u and dL/da, and of batch_size numbers.
Z, U, DL, Z_MAX, OTHERS = range(5)
# Threads of a block. Each has 4 sums of a tile at a time. A simulated one costs a thread of Python.
THREADS = 4 if SIMULATED else 256
# The loop over a tile's terms in machine code: how many terms at a time, and the share of multiply-adds, at least.
UNROLLED, LEAST_RATE = 16, 0.38


def odd(count: int) -> int:
    """The smallest odd number that is not less than count."""
    return count | 1


def places(topology: Topology, batch_size: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Where everything lies in shared memory.

    Parameters
    ----------
    topology : Topology
    batch_size : int

    Returns
    -------
    layers : (L, 11) int32
    rows : (5,) int32
    count : int
        How many numbers that takes.
    """
    end = 0

    def place(count):
        nonlocal end
        start, end = end, end + count
        return start

    layers = np.zeros((len(topology.kinds), COLUMNS), np.int32)
    x, x_pitch = place(batch_size * odd(topology.sizes[0] + 1)), odd(topology.sizes[0] + 1)
    for layer, kind, (n_in, n_out) in zip(layers, topology.kinds, topology.layers, strict=True):
        a_pitch = odd(n_out + 1)
        w, a, delta = place((n_in + 1) * odd(n_out)), place(batch_size * a_pitch), place(batch_size * odd(n_out))
        layer[:] = n_in, n_out, kind, w, odd(n_out), x, x_pitch, a, a_pitch, delta, odd(n_out)
        x, x_pitch = a, a_pitch
    whole_rows = [n_out for kind, n_out in zip(topology.kinds, topology.sizes[1:], strict=True) if kind == SOFTMAX]
    widest = max([topology.sizes[-1], *whole_rows])
    tables, numbers = [place(batch_size * widest) for _ in (Z, U, DL)], [place(batch_size) for _ in (Z_MAX, OTHERS)]
    return layers, np.array([*tables, *numbers], np.int32), end


def shared_bytes(topology: Topology, batch_size: int) -> int:
    """Bytes of shared memory that training takes."""
    return places(topology, batch_size)[2] * topology.dtype.itemsize


# What becomes of a sum; see `finish`.
FORWARD, BACKWARD, UPDATE = range(3)


@device_function
def tile(memory, zero, depth, a, a_row, a_term, b, b_column, b_term):
    """sum_k a[r, k] b[k, c] for 2 rows r and 2 columns c, over k < depth.

    a and b are places; the rest are steps from row to row, from column to column, and from term to term.
    """
    c_00 = c_01 = c_10 = c_11 = zero
    end = a + depth * a_term
    while a != end:
        a_0, a_1 = get(memory, a), get(memory, a + a_row)
        b_0, b_1 = get(memory, b), get(memory, b + b_column)
        c_00 += weighted_input(b_0, a_0)
        c_01 += weighted_input(b_1, a_0)
        c_10 += weighted_input(b_0, a_1)
        c_11 += weighted_input(b_1, a_1)
        a += a_term
        b += b_term
    return c_00, c_01, c_10, c_11


@device_function
def finish(memory, task, kind, factor, c, a, total):
    """At place c, from a sum: a_j = phi(z_j), delta_i = dL/da_i da_i/dz_i, or w_ij - eta dL/dw_ij; factor is epsilon or eta."""
    if task == FORWARD:
        put(memory, c, phi(kind, factor, total))
    elif task == BACKWARD:  # the derivatives of the rectifiers are taken at a, which is positive where z is
        put(memory, c, error_term(total, d_phi(kind, factor, get(memory, a), get(memory, a))))
    else:
        put(memory, c, descend(factor, total, get(memory, c)))


@device_function
def product(memory, task, kind, factor, zero, shape, a, a_row, a_term, b, b_column, b_term, c, c_row, other, other_row):
    """`finish` of sum_k a[r, k] b[k, c], for all rows, columns and terms of a shape.

    a, b, c and other begin at places, and are followed by the steps between their rows, columns and terms.
    """
    rows, columns, depth = shape
    across = (columns + 1) // 2
    for number in range(cuda.threadIdx.x, (rows + 1) // 2 * across, cuda.blockDim.x):
        row, column = number // across * 2, number % across
        next_row, next_column = row + 1 < rows, column + across < columns
        right, down = across if next_column else 0, c_row if next_row else 0
        a_here, b_here = a + row * a_row, b + column * b_column
        c_00, c_01, c_10, c_11 = tile(
            *(memory, zero, depth, a_here, a_row if next_row else 0, a_term, b_here, right * b_column, b_term)
        )
        at, beside = c + row * c_row + column, other + row * other_row + column
        finish(memory, task, kind, factor, at, beside, c_00)
        if next_column:
            finish(memory, task, kind, factor, at + right, beside + right, c_01)
        if next_row:
            finish(memory, task, kind, factor, at + down, beside + other_row, c_10)
        if next_row and next_column:
            finish(memory, task, kind, factor, at + down + right, beside + other_row + right, c_11)


@device_function
def forward(memory, layers, l, rows, last, epsilon, zero, n):
    """a_j = phi(z_j), z_j = sum_i w_ij x_i where x_n_in = 1, of layer l; of softmax and of the last layer, z alone.

    Reads x (n, n_in + 1), w (n_in + 1, n_out); writes a, or z (n, n_out).
    """
    n_in, n_out, kind = layers[l, N_IN], layers[l, N_OUT], layers[l, KIND]
    c, c_row = layers[l, A], layers[l, A_PITCH]
    if kind == SOFTMAX or l == last:
        kind, c, c_row = IDENTITY, rows[Z], n_out
    x, w = (layers[l, X], layers[l, X_PITCH], 1), (layers[l, W], 1, layers[l, W_PITCH])
    product(memory, FORWARD, kind, epsilon, zero, (n, n_out, n_in + 1), *x, *w, c, c_row, c, c_row)


@device_function
def backward(memory, layers, l, rows, epsilon, zero, n):
    """delta_i = (sum_j w_ij delta_j) da_i/dz_i, i in the layer before layer l; of softmax, dL/da alone.

    Reads w (n_in, n_out), delta (n, n_out), a (n, n_in) of the layer before; writes its delta, or dL/da (n, n_in).
    """
    n_in, n_out, kind = layers[l, N_IN], layers[l, N_OUT], layers[l - 1, KIND]
    c, c_row = layers[l - 1, DELTA], layers[l - 1, DELTA_PITCH]
    if kind == SOFTMAX:
        kind, c, c_row = IDENTITY, rows[DL], n_in
    delta, w = (layers[l, DELTA], layers[l, DELTA_PITCH], 1), (layers[l, W], layers[l, W_PITCH], 1)
    product(memory, BACKWARD, kind, epsilon, zero, (n, n_in, n_out), *delta, *w, c, c_row, layers[l, X], layers[l, X_PITCH])


@device_function
def update(memory, layers, l, eta, zero, n):
    """w_ij <- w_ij - eta dL/dw_ij, dL/dw_ij = sum_s delta_j x_i where x_n_in = 1, of layer l.

    Reads x (n, n_in + 1), delta (n, n_out); updates w (n_in + 1, n_out).
    """
    w, w_row = layers[l, W], layers[l, W_PITCH]
    x, delta = (layers[l, X], 1, layers[l, X_PITCH]), (layers[l, DELTA], 1, layers[l, DELTA_PITCH])
    shape = layers[l, N_IN] + 1, layers[l, N_OUT], n
    product(memory, UPDATE, IDENTITY, eta, zero, shape, *x, *delta, w, w_row, w, w_row)


@device_function
def softmax_rows(memory, layers, l, rows, n):
    """a_j = e^z_j / sum_k e^z_k of layer l, one thread per sample. Reads z, writes a (n, n_out)."""
    n_out = layers[l, N_OUT]
    for s in range(cuda.threadIdx.x, n, cuda.blockDim.x):
        z, a = matrix(memory, rows[Z] + s * n_out, 1, n_out), matrix(memory, layers[l, A] + s * layers[l, A_PITCH], 1, n_out)
        z_max, others = matrix(memory, rows[Z_MAX] + s, 1, 1)[0], matrix(memory, rows[OTHERS] + s, 1, 1)[0]
        softmax_sum(z, z_max, others)
        softmax_activation(z, z_max, others, a)


@device_function
def softmax_error_rows(memory, layers, l, rows, n):
    """delta_j = sum_i dL/da_i da_i/dz_j of layer l, one thread per sample. Reads dL/da, a, writes delta (n, n_out)."""
    n_out = layers[l, N_OUT]
    for s in range(cuda.threadIdx.x, n, cuda.blockDim.x):
        a = matrix(memory, layers[l, A] + s * layers[l, A_PITCH], 1, n_out)
        delta = matrix(memory, layers[l, DELTA] + s * layers[l, DELTA_PITCH], 1, n_out)
        softmax_error(matrix(memory, rows[DL] + s * n_out, 1, n_out), a, delta)


@device_function
def last_rows(memory, layers, l, rows, loss_kind, epsilon, y, order, position, n, loss_of_sample, hits_of_sample):
    """`output_row` of layer l, the last, one thread per sample from that position of the order on."""
    n_out = layers[l, N_OUT]
    for s in range(cuda.threadIdx.x, n, cuda.blockDim.x):
        at, row = position + s, order[position + s]
        a = matrix(memory, layers[l, A] + s * layers[l, A_PITCH], 1, n_out)
        delta = matrix(memory, layers[l, DELTA] + s * layers[l, DELTA_PITCH], 1, n_out)
        z = matrix(memory, rows[Z] + s * n_out, 1, n_out)
        u, dl = matrix(memory, rows[U] + s * n_out, 1, n_out), matrix(memory, rows[DL] + s * n_out, 1, n_out)
        z_max, others = matrix(memory, rows[Z_MAX] + s, 1, 1)[0], matrix(memory, rows[OTHERS] + s, 1, 1)[0]
        layer, notes = (
            OutputLayer(loss_kind, layers[l, KIND], epsilon),
            Notes(loss_of_sample[at : at + 1], hits_of_sample[at : at + 1]),
        )
        output_row(layer, n, y[row : row + 1], z, a, delta, OutputWork(u, dl, z_max, others), notes)


@device_function
def gather(memory, layers, x, order, position, n):
    """The first layer's x: rows of x (N, n_in), from that position of the order on."""
    n_in, place, pitch = layers[0, N_IN], layers[0, X], layers[0, X_PITCH]
    for e in range(cuda.threadIdx.x, n * n_in, cuda.blockDim.x):
        s, i = e // n_in, e % n_in
        put(memory, place + s * pitch + i, x[order[position + s], i])


@device_function
def fill_ones(memory, layers, batch_size, one):
    """The input of b, in column n_in of every layer's x."""
    for l in range(layers.shape[0]):
        for s in range(cuda.threadIdx.x, batch_size, cuda.blockDim.x):
            put(memory, layers[l, X] + s * layers[l, X_PITCH] + layers[l, N_IN], one)


@device_function
def copy_parameters(memory, layers, parameters, back):
    """w and b of all layers, from the flat vector into shared memory, or back."""
    start = 0
    for l in range(layers.shape[0]):
        n_out, place, pitch = layers[l, N_OUT], layers[l, W], layers[l, W_PITCH]
        count = (layers[l, N_IN] + 1) * n_out
        for e in range(cuda.threadIdx.x, count, cuda.blockDim.x):
            at = place + e // n_out * pitch + e % n_out
            if back:
                put(parameters, start + e, get(memory, at))
            else:
                put(memory, at, get(parameters, start + e))
        start += count


@functools.cache
def training_kernel(dtype: np.dtype):
    """The kernel that trains networks of a dtype; launch it with one block, and `shared_bytes` of shared memory."""
    number = from_dtype(dtype)

    @cuda.jit
    def train_resident(
        layers, rows, loss_kind, epsilon, eta, batch_size, x, y, order, first, stop, parameters, loss_of_sample, hits_of_sample
    ):
        """Gradient descent on the batches of an order, from position first to stop.

        Reads x (N, n_in), y (N, n_out), order (n,); updates parameters, writes loss_of_sample, hits_of_sample (n,).
        """
        memory = cuda.shared.array(0, number)
        zero, last = number(0), layers.shape[0] - 1
        copy_parameters(memory, layers, parameters, False)
        fill_ones(memory, layers, batch_size, number(1))
        for position in range(first, stop, batch_size):
            n = min(batch_size, order.shape[0] - position)
            gather(memory, layers, x, order, position, n)
            cuda.syncthreads()
            for l in range(last + 1):
                forward(memory, layers, l, rows, last, epsilon, zero, n)
                cuda.syncthreads()
                if layers[l, KIND] == SOFTMAX and l < last:
                    softmax_rows(memory, layers, l, rows, n)
                    cuda.syncthreads()
            last_rows(memory, layers, last, rows, loss_kind, epsilon, y, order, position, n, loss_of_sample, hits_of_sample)
            cuda.syncthreads()
            for l in range(last, -1, -1):
                if l > 0:
                    backward(memory, layers, l, rows, epsilon, zero, n)
                    cuda.syncthreads()  # the update changes the w that backward reads
                    if layers[l - 1, KIND] == SOFTMAX:
                        softmax_error_rows(memory, layers, l - 1, rows, n)
                        cuda.syncthreads()
                update(memory, layers, l, eta, zero, n)
            cuda.syncthreads()
        copy_parameters(memory, layers, parameters, True)

    return train_resident

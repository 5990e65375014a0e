"""The head phase of a training step, in which each block computes the last layers for some of the batch's samples.

The head consists of the last layers of a network. The layers of the head are so small that every block has a copy of their w
and b. The layers before the head are called spread layers, because all blocks compute the sums of a spread layer together, each
block with its own tile (a rectangular part) of w.
"""

from collections.abc import Callable

import numpy as np

from numbanet._cuda import cuda, device_function
from numbanet.engines.cuda.cooperative.exchange import activate_sums, load_head
from numbanet.engines.cuda.cooperative.layout import THREADS, Common, Layer, Matrix
from numbanet.engines.cuda.cooperative.lookup import common, field, place_of, quads_of, threads_over
from numbanet.engines.cuda.cooperative.product import BACKWARD, FORWARD, NOWHERE, Activation, Propagation, product_of
from numbanet.engines.cuda.memory import get, matrix, put
from numbanet.engines.cuda.notes import Notes
from numbanet.engines.cuda.output import OutputLayer, OutputWork, output_row
from numbanet.equations.activations import IDENTITY


@device_function
def output_place(memory, entry, s):
    """Returns the offset in shared memory of row s of a matrix of the output layer.

    `entry` selects the matrix: Common.Z for z, Common.A for a, Common.DL for dL/da, or Common.U for the scratch matrix that
    `output_row` uses.
    """
    return common(memory, entry) + s * common(memory, Common.OUTPUT_PITCH)


@device_function
def last_rows(memory, arrays, batch, epsilon, samples):
    """Computes a and delta of the last layer from z; also computes the loss and the number of correct outputs of each sample.

    Each thread processes one sample at a time. The tuple `samples` is (first, m): the index of the first sample in the batch,
    and the number of samples. The function also copies delta to the matrix FAR_DELTA in global memory, for other blocks to
    read.
    """
    near, l = memory.near, common(memory, Common.LAYERS) - 1
    n_out, kind, (first, m) = field(memory, l, Layer.N_OUT), field(memory, l, Layer.KIND), samples
    place, pitch = place_of(memory, l, Matrix.HEAD_DELTA)
    for s in range(cuda.threadIdx.x, m, THREADS):
        at = batch.position + first + s
        row = arrays.order[at]
        z = matrix(near, output_place(memory, Common.Z, s), 1, n_out)
        a = matrix(near, output_place(memory, Common.A, s), 1, n_out)
        u = matrix(near, output_place(memory, Common.U, s), 1, n_out)
        dl = matrix(near, output_place(memory, Common.DL, s), 1, n_out)
        z_max = matrix(near, common(memory, Common.Z_MAX) + s, 1, 1)[0]
        others = matrix(near, common(memory, Common.OTHERS) + s, 1, 1)[0]
        delta, y = matrix(near, place + s * pitch, 1, n_out), arrays.y[row : row + 1]
        layer, work = OutputLayer(common(memory, Common.LOSS), kind, epsilon), OutputWork(u, dl, z_max, others)
        notes = Notes(arrays.notes.loss[at : at + 1], arrays.notes.hits[at : at + 1])
        output_row(layer, batch.n, y, z, a, delta, work, notes)
    cuda.syncthreads()
    row, column, down, across = threads_over(n_out)
    for s in range(row, m, down):
        for j in range(column, n_out, across):
            far_delta = field(memory, l, Layer.FAR_DELTA) + (first + s) * n_out + j
            put(memory.far, far_delta, get(near, place + s * pitch + j))


def head_of(dtype: np.dtype) -> Callable:
    """Returns the device function `head`, with which a thread block computes the small last layers, forward and backward."""
    multiply_forward, multiply_back = product_of(dtype, FORWARD), product_of(dtype, BACKWARD)

    @device_function
    def forward(memory, epsilon, samples):
        """Computes z_j in each layer of the head (the small last layers) and, except in the last layer, a_j = phi(z_j).

        `samples` is (first, m): the index of the first sample in the batch, and the number of samples. Reads the partial sums
        of z of the layer before the head from global memory (Z_SUMS). Writes each head layer's inputs (m, n_in) to shared
        memory (HEAD_X) and to global memory (FAR_A). Writes z (m, n_out) of the last layer to shared memory (Z).
        """
        spread, last, (first, m) = common(memory, Common.SPREAD), common(memory, Common.LAYERS) - 1, samples
        z = common(memory, Common.Z), common(memory, Common.OUTPUT_PITCH)
        kind, to = IDENTITY, z
        if spread <= last:
            kind, to = field(memory, spread - 1, Layer.KIND), place_of(memory, spread, Matrix.HEAD_X)
        neurons = 0, field(memory, spread - 1, Layer.N_OUT)
        activate_sums(memory, spread - 1, kind, epsilon, samples, neurons, to, spread <= last)
        cuda.syncthreads()
        for l in range(spread, last + 1):
            n_out = field(memory, l, Layer.N_OUT)
            kind, to, out = IDENTITY, z, NOWHERE
            if l < last:
                kind, to = field(memory, l, Layer.KIND), place_of(memory, l + 1, Matrix.HEAD_X)
                out = field(memory, l, Layer.FAR_A) + first * n_out
            x, w = place_of(memory, l, Matrix.HEAD_X), place_of(memory, l, Matrix.HEAD_W)
            shape = m, n_out, quads_of(field(memory, l, Layer.N_IN) + 1)
            multiply_forward(memory, shape, x, w, Activation(kind, epsilon, to, (out, n_out)))

    @device_function
    def backward(memory, epsilon, samples):
        """Computes delta_i = (sum_j w_ij delta_j) da_i/dz_i of layer l - 1, for every layer l of the head (the last layers).

        The tuple `samples` is (first, m): the index of the first sample in the batch, and the number of samples. Reads delta_j,
        a matrix of shape (m, n_out), from HEAD_DELTA of layer l in shared memory. Writes delta_i, a matrix of shape (m, n_in),
        to HEAD_DELTA of layer l - 1 in shared memory and to FAR_DELTA of layer l - 1 in global memory.
        """
        first, m = samples
        spread, last = common(memory, Common.SPREAD), common(memory, Common.LAYERS) - 1
        for l in range(last, spread - 1, -1):
            n_in = field(memory, l, Layer.N_IN)
            delta, w = place_of(memory, l, Matrix.HEAD_DELTA), place_of(memory, l, Matrix.HEAD_W)
            a, to = place_of(memory, l, Matrix.HEAD_X), place_of(memory, l - 1, Matrix.HEAD_DELTA)
            out = field(memory, l - 1, Layer.FAR_DELTA) + first * n_in, n_in
            kind, shape = field(memory, l - 1, Layer.KIND), (m, n_in, quads_of(field(memory, l, Layer.N_OUT)))
            multiply_back(memory, shape, delta, w, Propagation(kind, epsilon, a, to, out))

    @device_function
    def head(memory, arrays, batch, epsilon):
        """Computes activations and delta in the layers of the head (the small last layers), for this block's samples.

        The samples of a batch are divided among the thread blocks. The function also computes the loss and the number of
        correct outputs of each sample, and delta of the layer before the head.
        """
        first = cuda.blockIdx.x * common(memory, Common.SAMPLES)
        m = min(common(memory, Common.SAMPLES), batch.n - first)
        if m <= 0:
            return
        load_head(memory, arrays.parameters)
        forward(memory, epsilon, (first, m))
        last_rows(memory, arrays, batch, epsilon, (first, m))
        backward(memory, epsilon, (first, m))

    return head

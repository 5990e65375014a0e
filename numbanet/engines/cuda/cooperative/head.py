"""The head: the phase in which every block takes some samples of the batch through the layers that are not spread, and back."""

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
    """Returns the place of row s of Z, A, U or DL."""
    return common(memory, entry) + s * common(memory, Common.OUTPUT_PITCH)


@device_function
def last_rows(memory, arrays, batch, epsilon, samples):
    """`output_row` of the last layer, one thread for each sample of a range (first, count); copies delta to FAR_DELTA."""
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
    """Returns the device function of the head."""
    multiply_forward, multiply_back = product_of(dtype, FORWARD), product_of(dtype, BACKWARD)

    @device_function
    def forward(memory, epsilon, samples):
        """a_j = phi(z_j) of the layers of the head, from Z_SUMS of the layer before them; z alone of the last layer.

        samples is a range (first, count). Writes HEAD_X and FAR_A (m, n_in) of every layer, and Z (m, n_out).
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
        """delta_i = (sum_j w_ij delta_j) da_i/dz_i of the layers before each layer of the head.

        samples is a range (first, count). Reads HEAD_DELTA (m, n_out); writes HEAD_DELTA and FAR_DELTA of the layer before.
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
        """Loss, hits, a and delta of this block's samples in the layers of the head, and delta of the last spread layer."""
        first = cuda.blockIdx.x * common(memory, Common.SAMPLES)
        m = min(common(memory, Common.SAMPLES), batch.n - first)
        if m <= 0:
            return
        load_head(memory, arrays.parameters)
        forward(memory, epsilon, (first, m))
        last_rows(memory, arrays, batch, epsilon, (first, m))
        backward(memory, epsilon, (first, m))

    return head

"""The forward and backward phases of a training step, in which each thread block works on its own tiles (parts) of w.

A phase is the part of a training step between two barriers of all thread blocks. A backward phase also updates w and b of its
layer.
"""

from collections.abc import Callable

import numpy as np

from numbanet._cuda import cuda, device_function
from numbanet.engines.cuda.cooperative.exchange import activate_sums, first_x, load_delta, load_x
from numbanet.engines.cuda.cooperative.layout import Common, Layer, Matrix
from numbanet.engines.cuda.cooperative.lookup import common, field, place_of, quads_of, tile_of, tile_row
from numbanet.engines.cuda.cooperative.product import (
    BACKWARD_SUMS,
    FORWARD_SUMS,
    NOWHERE,
    UPDATE,
    WeightUpdate,
    product_of,
)
from numbanet.engines.cuda.memory import await_copies


def forward_of(dtype: np.dtype) -> Callable:
    """Returns the device function `forward`, with which a thread block computes its partial sums of z in a layer."""
    multiply = product_of(dtype, FORWARD_SUMS)

    @device_function
    def forward(memory, l, batch, epsilon):
        """Computes a part of z_j = sum_i w_ij x_i + b_j of layer l: the sum over the rows i of this block's tile of w and b.

        If l = 0, the function reads the samples from the matrix X in shared memory. If l > 0, the function first computes the
        inputs x, which are the outputs a of layer l - 1, from the partial sums Z_SUMS of layer l - 1. Writes the partial sums,
        one row for each sample of the batch, to Z_SUMS of layer l in global memory.
        """
        n_out, x = field(memory, l, Layer.N_OUT), place_of(memory, l, Matrix.X)
        i, j, rows, columns = tile_of(memory, l)
        if rows <= 0:
            return
        if l == 0:
            x = first_x(memory, batch.step), x[1]
            await_copies()
        else:
            neurons, published = (i, min(rows, field(memory, l, Layer.N_IN) - i)), j == 0
            kind = field(memory, l - 1, Layer.KIND)
            activate_sums(memory, l - 1, kind, epsilon, (0, batch.n), neurons, x, published)
        cuda.syncthreads()
        sums = field(memory, l, Layer.Z_SUMS) + tile_row(memory, l) * common(memory, Common.BATCH) * n_out + j
        multiply(memory, (batch.n, columns, quads_of(rows)), x, place_of(memory, l, Matrix.W), (sums, n_out))

    return forward


def update_of(dtype: np.dtype) -> Callable:
    """Returns the device function `update`, which updates a thread block's tile of w and b."""
    multiply = product_of(dtype, UPDATE)

    @device_function
    def update(memory, l, batch, eta, parameters):
        """Updates w_ij <- w_ij - eta sum_s delta_j x_i, and b_j <- b_j - eta sum_s delta_j, in this block's tile of layer l.

        The tile is the matrix W (rows, columns) in shared memory. Reads the matrices X (n, rows) and DELTA (n, columns) of the
        batch's n samples, also in shared memory. If layer l is in the head (the small last layers), the function also writes
        the new weights to the vector `parameters` in global memory, from which all blocks read the weights of the head.
        """
        x, n_out = place_of(memory, l, Matrix.X), field(memory, l, Layer.N_OUT)
        if l == 0:
            x = first_x(memory, batch.step), x[1]
        i, j, rows, columns = tile_of(memory, l)
        if rows <= 0:
            return
        flat = field(memory, l, Layer.FLAT) + i * n_out + j if l >= common(memory, Common.SPREAD) else NOWHERE
        to = WeightUpdate(eta, place_of(memory, l, Matrix.W), parameters, (flat, n_out))
        multiply(memory, (rows, columns, quads_of(batch.n)), x, place_of(memory, l, Matrix.DELTA), to)

    return update


def backward_of(dtype: np.dtype) -> Callable:
    """Returns the device function `backward`, with which a block computes its partial sums of dL/da and updates its w and b."""
    zero, multiply, update = dtype.type(0), product_of(dtype, BACKWARD_SUMS), update_of(dtype)

    @device_function
    def backward(memory, l, batch, epsilon, eta, parameters):
        """Computes a part of dL/da_i = sum_j w_ij delta_j, with w and delta of layer l: the sum over a tile's columns j.

        The function first loads delta (see `load_delta`). It writes the partial sums of dL/da to DL_DA_SUMS of layer l in
        global memory, and then updates the block's tile of w and b in layer l. If layer l + 1 is the first layer of the head
        (the small last layers), the function also updates the block's tiles of the head.
        """
        n_in = field(memory, l, Layer.N_IN)
        end = common(memory, Common.LAYERS) if l + 1 == common(memory, Common.SPREAD) else l + 1
        for k in range(l, end):
            if k > l:
                load_x(memory, k, batch.n)
            load_delta(memory, k, epsilon, zero, batch.n)
        cuda.syncthreads()
        i, _, rows, columns = tile_of(memory, l)
        if l > 0 and rows > 0 and i < n_in:  # a tile that holds only b contributes nothing to dL/da
            column = cuda.blockIdx.x - tile_row(memory, l) * field(memory, l, Layer.ACROSS)
            sums = field(memory, l, Layer.DL_DA_SUMS) + column * common(memory, Common.BATCH) * n_in + i
            shape = batch.n, min(rows, n_in - i), quads_of(columns)
            multiply(memory, shape, place_of(memory, l, Matrix.DELTA), place_of(memory, l, Matrix.W), (sums, n_in))
        for k in range(l, end):
            update(memory, k, batch, eta, parameters)

    return backward

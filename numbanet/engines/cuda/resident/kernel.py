"""Training in one thread block: parameters, activations and deltas stay in shared memory for any number of steps.

The module `layout` assigns an offset in shared memory to every matrix. In a training step, the kernel calls the functions in
the following list. After each call to a function other than `update`, the threads of the block wait for each other at a
barrier. The calls to `update` need only one barrier, at the end of the step.

    `gather` copies the inputs x of the batch into shared memory. `forward` computes the activations a of a layer, or only z in
    softmax layers and in the last layer. `softmax_rows` computes the activations a of a hidden softmax layer from z.
    `last_rows` computes a and delta of the last layer, and the loss and the number of correct outputs of each sample.
    `backward` computes delta of the previous layer, for each layer from the last to the second. `softmax_error_rows` computes
    delta of a hidden softmax layer from dL/da. `update` changes w and b of a layer, after `backward` has read w and b.
"""

import functools
from typing import Any, NamedTuple

import numpy as np
from numba import from_dtype

from numbanet._cuda import cuda, device_function
from numbanet.engines.cuda.arrays import EpochArrays
from numbanet.engines.cuda.memory import get, matrix, put, quotient
from numbanet.engines.cuda.notes import Notes
from numbanet.engines.cuda.output import OutputLayer, OutputWork, output_row, softmax_activation, softmax_error, softmax_sum
from numbanet.engines.cuda.resident.layout import LAYER_COLUMNS, PITCHES, PLACES, Layer, Matrix, Output
from numbanet.engines.cuda.resident.product import (
    Activation,
    Operand,
    Propagation,
    WeightUpdate,
    multiply_back,
    multiply_forward,
    multiply_update,
)
from numbanet.equations.activations import IDENTITY, SOFTMAX


class Memory(NamedTuple):
    """The shared memory of the thread block, and the tables with the offsets of the network's matrices in shared memory.

    Parameters
    ----------
    near : array (numbers,)
        The shared memory of the thread block, as one flat array.
    layers : array (L * LAYER_COLUMNS,) int32
        The table of the network's L layers, one row after another. A row holds a layer's sizes and activation function, and the
        offsets in `near` of the layer's matrices.
    output : array (len(Output),) int32
        The offsets in `near` of the arrays for z, for dL/da, and for intermediate results of softmax and the loss.
    """

    near: Any
    layers: Any
    output: Any


@device_function
def layers_of(memory):
    """Returns the number of layers in the network."""
    return quotient(memory.layers.shape[0], LAYER_COLUMNS)


@device_function
def field(memory, l, column):
    """Returns an integer that describes layer l, such as its number of neurons.

    The argument `column`, a member of `Layer`, selects the integer.
    """
    return get(memory.layers, l * LAYER_COLUMNS + column)


@device_function
def place_of(memory, l, matrix):
    """Returns the offset and the pitch, in shared memory, of a matrix of layer l.

    The pitch is the distance between two successive rows. The argument `matrix`, a member of `Matrix`, selects the matrix.
    """
    row = l * LAYER_COLUMNS
    return get(memory.layers, row + PLACES + matrix), get(memory.layers, row + PITCHES + matrix)


@device_function
def row_of(memory, l, matrix, s):
    """Returns the offset in shared memory of row s of a matrix of layer l; `matrix` is a member of `Matrix`."""
    place, pitch = place_of(memory, l, matrix)
    return place + s * pitch


@device_function
def forward(memory, l, last, epsilon, zero, n):
    """Computes a_j = phi(z_j), where z_j = sum_i w_ij x_i, for layer l.

    The bias b_j is the weight w_ij with i = n_in, and its input x_i is 1. If layer l is a softmax layer or the last layer, the
    function computes only z.
    Reads x (n, n_in + 1) and w (n_in + 1, n_out). Writes a (n, n_out), or z (n, n_out).
    """
    n_in, n_out = field(memory, l, Layer.N_IN), field(memory, l, Layer.N_OUT)
    kind, to = field(memory, l, Layer.KIND), place_of(memory, l, Matrix.A)
    if kind == SOFTMAX or l == last:
        kind, to = IDENTITY, (get(memory.output, Output.Z), n_out)
    (x, x_pitch), (w, w_pitch) = place_of(memory, l, Matrix.X), place_of(memory, l, Matrix.W)
    operands = Operand(x, x_pitch, 1), Operand(w, 1, w_pitch)
    multiply_forward(memory.near, zero, (n, n_out, n_in + 1), operands, Activation(kind, epsilon, to))


@device_function
def backward(memory, l, epsilon, zero, n):
    """Computes delta_i = (sum_j w_ij delta_j) da_i/dz_i for the neurons i of layer l - 1, from delta_j of layer l.

    If layer l - 1 is a softmax layer, the function computes only dL/da_i = sum_j w_ij delta_j.
    Reads w (n_in, n_out) and delta (n, n_out) of layer l, and a (n, n_in) of layer l - 1. Writes delta (n, n_in) of layer l -
    1, or dL/da (n, n_in) of layer l - 1.
    """
    n_in, n_out = field(memory, l, Layer.N_IN), field(memory, l, Layer.N_OUT)
    kind, to = field(memory, l - 1, Layer.KIND), place_of(memory, l - 1, Matrix.DELTA)
    if kind == SOFTMAX:
        kind, to = IDENTITY, (get(memory.output, Output.DL), n_in)
    (delta, delta_pitch), (w, w_pitch) = place_of(memory, l, Matrix.DELTA), place_of(memory, l, Matrix.W)
    operands, a = (Operand(delta, delta_pitch, 1), Operand(w, w_pitch, 1)), place_of(memory, l, Matrix.X)
    multiply_back(memory.near, zero, (n, n_in, n_out), operands, Propagation(kind, epsilon, a, to))


@device_function
def update(memory, l, eta, zero, n):
    """Updates w_ij <- w_ij - eta dL/dw_ij, where dL/dw_ij = sum_s delta_j x_i, in layer l.

    The bias b_j is the weight w_ij with i = n_in, and its input x_i is 1.
    Reads x (n, n_in + 1) and delta (n, n_out). Updates w (n_in + 1, n_out).
    """
    (x, x_pitch), (delta, delta_pitch) = place_of(memory, l, Matrix.X), place_of(memory, l, Matrix.DELTA)
    operands, w = (Operand(x, 1, x_pitch), Operand(delta, 1, delta_pitch)), place_of(memory, l, Matrix.W)
    shape = field(memory, l, Layer.N_IN) + 1, field(memory, l, Layer.N_OUT), n
    multiply_update(memory.near, zero, shape, operands, WeightUpdate(eta, w))


@device_function
def softmax_rows(memory, l, n):
    """Computes a_j = e^z_j / sum_k e^z_k in layer l, with one thread per sample.

    Reads z (n, n_out). Writes a (n, n_out).
    """
    near, n_out = memory.near, field(memory, l, Layer.N_OUT)
    for s in range(cuda.threadIdx.x, n, cuda.blockDim.x):
        z = matrix(near, get(memory.output, Output.Z) + s * n_out, 1, n_out)
        a = matrix(near, row_of(memory, l, Matrix.A, s), 1, n_out)
        z_max = matrix(near, get(memory.output, Output.Z_MAX) + s, 1, 1)[0]
        others = matrix(near, get(memory.output, Output.OTHERS) + s, 1, 1)[0]
        softmax_sum(z, z_max, others)
        softmax_activation(z, z_max, others, a)


@device_function
def softmax_error_rows(memory, l, n):
    """Computes delta_j = sum_i dL/da_i da_i/dz_j in softmax layer l, with one thread per sample.

    Reads dL/da and a, both (n, n_out). Writes delta (n, n_out).
    """
    near, n_out = memory.near, field(memory, l, Layer.N_OUT)
    for s in range(cuda.threadIdx.x, n, cuda.blockDim.x):
        a = matrix(near, row_of(memory, l, Matrix.A, s), 1, n_out)
        delta = matrix(near, row_of(memory, l, Matrix.DELTA, s), 1, n_out)
        softmax_error(matrix(near, get(memory.output, Output.DL) + s * n_out, 1, n_out), a, delta)


@device_function
def last_rows(memory, loss_kind, epsilon, arrays, position, n):
    """Computes activations and delta of the last layer from z, and the loss and the number of correct outputs of each sample.

    Each thread processes one of the n samples at a time. The targets of the samples are the rows of arrays.y with the indices
    arrays.order[position : position + n].
    """
    near, l = memory.near, layers_of(memory) - 1
    n_out, kind = field(memory, l, Layer.N_OUT), field(memory, l, Layer.KIND)
    for s in range(cuda.threadIdx.x, n, cuda.blockDim.x):
        at = position + s
        row = arrays.order[at]
        z = matrix(near, get(memory.output, Output.Z) + s * n_out, 1, n_out)
        a = matrix(near, row_of(memory, l, Matrix.A, s), 1, n_out)
        delta = matrix(near, row_of(memory, l, Matrix.DELTA, s), 1, n_out)
        u = matrix(near, get(memory.output, Output.U) + s * n_out, 1, n_out)
        dl = matrix(near, get(memory.output, Output.DL) + s * n_out, 1, n_out)
        z_max = matrix(near, get(memory.output, Output.Z_MAX) + s, 1, 1)[0]
        others = matrix(near, get(memory.output, Output.OTHERS) + s, 1, 1)[0]
        layer, work = OutputLayer(loss_kind, kind, epsilon), OutputWork(u, dl, z_max, others)
        notes = Notes(arrays.notes.loss[at : at + 1], arrays.notes.hits[at : at + 1])
        output_row(layer, n, arrays.y[row : row + 1], z, a, delta, work, notes)


@device_function
def gather(memory, arrays, position, n):
    """Copies n samples, the rows of arrays.x with the indices arrays.order[position : position + n], to shared memory.

    Reads arrays.x (N, n_in). Writes the matrix X (n, n_in) of the first layer.
    """
    n_in, (place, pitch) = field(memory, 0, Layer.N_IN), place_of(memory, 0, Matrix.X)
    for e in range(cuda.threadIdx.x, n * n_in, cuda.blockDim.x):
        s, i = e // n_in, e % n_in
        put(memory.near, place + s * pitch + i, arrays.x[arrays.order[position + s], i])


@device_function
def fill_ones(memory, batch_size, one):
    """Writes 1, the constant input that is multiplied by b, to column n_in of every layer's matrix X."""
    for l in range(layers_of(memory)):
        for s in range(cuda.threadIdx.x, batch_size, cuda.blockDim.x):
            put(memory.near, row_of(memory, l, Matrix.X, s) + field(memory, l, Layer.N_IN), one)


@device_function
def copy_parameters(memory, parameters, back):
    """Copies w and b of all layers from the vector `parameters` to shared memory.

    If `back` is true, the function copies w and b in the opposite direction: from shared memory to `parameters`.
    """
    start = 0
    for l in range(layers_of(memory)):
        n_out, (place, pitch) = field(memory, l, Layer.N_OUT), place_of(memory, l, Matrix.W)
        count = (field(memory, l, Layer.N_IN) + 1) * n_out
        for e in range(cuda.threadIdx.x, count, cuda.blockDim.x):
            at = place + e // n_out * pitch + e % n_out
            if back:
                put(parameters, start + e, get(memory.near, at))
            else:
                put(memory.near, at, get(parameters, start + e))
        start += count


@device_function
def train_batch(memory, arrays, position, n, loss_kind, epsilon, eta, zero):
    """Performs one training step on the n samples with the row indices arrays.order[position : position + n]."""
    last = layers_of(memory) - 1
    gather(memory, arrays, position, n)
    cuda.syncthreads()
    for l in range(last + 1):
        forward(memory, l, last, epsilon, zero, n)
        cuda.syncthreads()
        if field(memory, l, Layer.KIND) == SOFTMAX and l < last:
            softmax_rows(memory, l, n)
            cuda.syncthreads()
    last_rows(memory, loss_kind, epsilon, arrays, position, n)
    cuda.syncthreads()
    for l in range(last, -1, -1):
        if l > 0:
            backward(memory, l, epsilon, zero, n)
            cuda.syncthreads()  # because `update` changes w, which `backward` reads
            if field(memory, l - 1, Layer.KIND) == SOFTMAX:
                softmax_error_rows(memory, l - 1, n)
                cuda.syncthreads()
        update(memory, l, eta, zero, n)
    cuda.syncthreads()


@functools.cache
def training_kernel(dtype: np.dtype) -> Any:
    """Returns the kernel that trains networks of a dtype in one thread block. The class `Block` launches this kernel."""
    number = from_dtype(dtype)

    @cuda.jit
    def train_resident(
        layers,  # int32 array of shape (L * LAYER_COLUMNS,): the table of layers that `layout.tables` computes
        output,  # int32 array of shape (len(Output),): the offsets in shared memory of the arrays that `Output` names
        loss_kind,  # integer constant of the loss
        epsilon,  # the slope of leaky_relu for negative z
        eta,  # the learning rate
        batch_size,  # number of samples in a step; the last step may have fewer
        x,  # array of shape (N, n_in): the samples
        y,  # array of shape (N, n_out): the targets
        order,  # int64 array of shape (n,): the row indices into x and y of the samples to train on, one batch after another
        first,  # index in `order` of the first sample to train on
        stop,  # index in `order` after the last sample to train on
        parameters,  # array of shape (p,): the weights and biases of all layers
        loss_of_sample,  # array of shape (n,): the loss of each sample in `order`
        hits_of_sample,  # int32 array of shape (n,): the number of correct outputs of each sample in `order`
    ):
        """Performs gradient descent on the samples with the row indices order[first:stop], one step per batch.

        Reads x (N, n_in), y (N, n_out) and order (n,). Updates parameters (p,). Writes loss_of_sample and hits_of_sample, both
        (n,).
        """
        memory = Memory(cuda.shared.array(0, number), layers, output)
        arrays = EpochArrays(x, y, order, parameters, Notes(loss_of_sample, hits_of_sample))
        copy_parameters(memory, parameters, False)
        fill_ones(memory, batch_size, number(1))
        for position in range(first, stop, batch_size):
            n = min(batch_size, order.shape[0] - position)
            train_batch(memory, arrays, position, n, loss_kind, epsilon, eta, number(0))
        copy_parameters(memory, parameters, True)

    return train_resident

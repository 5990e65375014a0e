"""Trains a network on all multiprocessors in one kernel launch. The parameters stay in the shared memory of the thread blocks.

The shared memory of each thread block contains a tile of every layer's weight matrix w, and the part of the inputs x that is
multiplied by the tile. The biases b are stored as an additional row of w, which is multiplied by the constant input 1. The
module `layout` assigns an offset to every matrix.

The first K layers of a network are called spread layers: all blocks together compute the sums of a spread layer, each block
with its own tile. The last layers, after the spread layers, are called the head. The head's layers are so small that every
block copies all weights of the head, and computes the head for some of the samples. If K layers are spread layers (computed by
all blocks together), a training step consists of 2 * K + 1 phases, with a barrier of all blocks between successive phases.
Every block executes all phases of a step, in order.

    Phases 0 to K - 1 are the forward phases of the K spread layers (the first K layers), one phase per layer. In a forward
    phase, a block computes partial sums of z over the rows of its tile of w, and writes the partial sums to the array Z_SUMS in
    global memory.

    Phase K is the head phase: a block computes the forward and the backward pass of the head (the small last layers) for its
    part of the batch's samples, and writes to global memory the values of a and delta that the backward phases need.

    Phases K + 1 to 2 * K are the backward phases of the K spread layers (the first K layers), from the last of them to the
    first. In a backward phase, a block computes partial sums of dL/da over the columns of its tile of w, and writes them to the
    array DL_DA_SUMS in global memory. At the end of a backward phase, the block updates its tile of w. In phase K + 1, the
    first backward phase, a block also updates its tiles in the layers of the head (the small last layers), and writes the new
    weights of the head to global memory.

The diagram shows a step of a network with three layers on four blocks. In the diagram, layers 1 and 2 are spread layers
(computed by all blocks together), layer 3 is the head, and `|` is a barrier of all blocks:

              phase 0     phase 1     phase 2    phase 3                   phase 4
    block 0   forward 1 | forward 2 |   head   | backward 2, update 2, 3 | update 1   forward 1 | ...
    block 1   forward 1 | forward 2 |   head   | backward 2, update 2, 3 | update 1   forward 1 | ...
    block 2   forward 1 | forward 2 |   head   | backward 2, update 2, 3 | update 1   forward 1 | ...
    block 3   forward 1 | forward 2 |   head   | backward 2, update 2, 3 | update 1   forward 1 | ...

The asynchronous copy of the samples of the next batch to shared memory starts in the head phase.

A block that needs complete sums reads the partial sums of all blocks and adds them up, always in the same order. No barrier is
needed between the update of the first layer and the first forward phase of the next step, because both use only the block's own
tile of w. A network with the layer sizes 784-128-10 has one spread layer (computed by all blocks together), and therefore 3
phases and 2 barriers per step.

In the network 784-128-10, w of the first layer, with b as its last row, is cut into 16 x 8 tiles of at most 52 x 16 values.
With 16 x 8 tiles, the blocks together read the inputs of a batch of 64 samples 8 times (1.6 MB) and exchange 0.5 MB of partial
sums. With a separate column of tiles for each of the 128 neurons, the blocks would read the inputs of the batch 128 times
(26 MB). With a separate row of tiles for each of the 784 inputs, the blocks would exchange 26 MB of partial sums.
"""

import functools
from typing import Any

import numpy as np
from numba import from_dtype, int32

from numbanet._cuda import cuda, device_function
from numbanet.engines.cuda.arrays import EpochArrays
from numbanet.engines.cuda.cooperative.exchange import copy_tile, fill_ones, prefetch_x
from numbanet.engines.cuda.cooperative.head import head_of
from numbanet.engines.cuda.cooperative.layout import TABLE_LENGTH, THREADS, Common
from numbanet.engines.cuda.cooperative.lookup import Batch, Memory, common
from numbanet.engines.cuda.cooperative.phases import backward_of, forward_of
from numbanet.engines.cuda.memory import arrive, arrived, await_copies, own_memory, put, quotient, shared_numbers
from numbanet.engines.cuda.notes import Notes


@device_function
def meet(counter, times):
    """Waits at a barrier of all blocks: returns when every block of the grid has called `meet` at least `times` times.

    After the barrier, a block can read everything that the other blocks wrote to global memory before the barrier.
    """
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        arrive(counter)
        while arrived(counter) < times * cuda.gridDim.x:
            pass
    cuda.syncthreads()


@device_function
def load(memory, arrays, step, zero, one):
    """Initialises the block's shared memory before the first step: the tiles of w, and the input 1 that is multiplied by b.

    Also starts the asynchronous copies of the first batch's samples.
    """
    for e in range(cuda.threadIdx.x, common(memory, Common.NEAR_NUMBERS), THREADS):
        put(memory.near, e, zero)
    cuda.syncthreads()
    fill_ones(memory, one)
    prefetch_x(memory, arrays, step)
    for l in range(common(memory, Common.LAYERS)):
        copy_tile(memory, l, arrays.parameters, False)


@functools.cache
def training_kernel(dtype: np.dtype) -> Any:
    """Returns the kernel that trains networks of a dtype on all multiprocessors. The class `Grid` launches this kernel."""
    number, zero = from_dtype(dtype), dtype.type(0)
    forward, head, backward = forward_of(dtype), head_of(dtype), backward_of(dtype)

    @cuda.jit
    def train_cooperative(
        tables,  # int32 array of shape (TABLE_LENGTH,): the layer sizes and the matrix offsets that `layout.tables` computes
        epsilon,  # the slope of leaky_relu for negative z
        eta,  # the learning rate
        x,  # array of shape (N * n_in,): the N samples, one after another
        y,  # array of shape (N, n_out): the targets
        order,  # int64 array of shape (n,): the row indices into x and y of the samples to train on, one batch after another
        first,  # index of the first phase to run, counted over the steps of all batches in `order`
        stop,  # index after the last phase to run
        parameters,  # array of shape (p,): the weights and biases of all layers
        far,  # flat array: global memory for a, delta and the partial sums that blocks exchange
        counter,  # int32 array of shape (1,): counts the arrivals of blocks at barriers; must be 0 before the launch
        fresh,  # true if the blocks must initialise their shared memory; always true on a GPU
        kept,  # flat array: the shared memory of all blocks in the simulator; on a GPU, only the dtype of `kept` is used
        loss_of_sample,  # array of shape (n,): the loss of each sample in `order`
        hits_of_sample,  # int32 array of shape (n,): the number of correct outputs of each sample in `order`
    ):
        """Performs gradient descent, w <- w - eta dL/dw, on n of the N samples, one step per batch.

        Runs the phases (parts of a step between barriers of all blocks) `first` to `stop - 1`, counted over all steps. Reads x
        (N*n_in,) and y (N, n_out), N samples, and order (n,), the row indices of n samples. Updates parameters (p,), all
        weights and biases. Writes loss_of_sample and hits_of_sample, both (n,). Overwrites the arrays `far`, `counter` and
        `kept`, which serve as working memory.
        """
        memory = Memory(own_memory(kept, tables[TABLE_LENGTH - 1]), far, shared_numbers(TABLE_LENGTH, int32))
        arrays = EpochArrays(x, y, order, parameters, Notes(loss_of_sample, hits_of_sample))
        for e in range(cuda.threadIdx.x, TABLE_LENGTH, THREADS):
            put(memory.table, e, tables[e])
        cuda.syncthreads()
        spread, phases, batch_size = common(memory, Common.SPREAD), common(memory, Common.PHASES), common(memory, Common.BATCH)
        met = 0
        if fresh:
            load(memory, arrays, quotient(first, phases), zero, number(1))
        for turn in range(first, stop):
            step = quotient(turn, phases)
            phase, position = turn - step * phases, step * batch_size
            batch = Batch(step, position, min(batch_size, order.shape[0] - position))
            if phase < spread:
                forward(memory, phase, batch, epsilon)
            elif phase == spread:
                prefetch_x(memory, arrays, step + 1)
                head(memory, arrays, batch, epsilon)
            else:
                backward(memory, phases - 1 - phase, batch, epsilon, eta, parameters)
            if phase < phases - 1 and turn + 1 < stop:
                met += 1
                meet(counter, met)
        await_copies()
        for l in range(common(memory, Common.LAYERS)):
            copy_tile(memory, l, parameters, True)

    return train_cooperative

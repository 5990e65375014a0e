"""Training by all multiprocessors in one launch: parameters stay in the shared memory of the blocks, which meet at barriers.

Each thread block keeps a tile of every layer's w in its shared memory, and the part of the inputs x that is multiplied by the
tile. The biases b are stored as one more row of w, whose input is 1. The module `layout` assigns every matrix its offset.

The first K layers of a network are called spread layers: all blocks together compute the sums of a spread layer, each block
with its own tile. The other layers are called the head: they are so small that every block copies all of their w and b, and
computes them for its share of the samples. With K spread layers, a training step consists of 2 K + 1 phases, with a barrier of
all blocks between successive phases of the step. Every block goes through the phases of a step in order.

    Phases 0 to K - 1 are the forward phases of the K spread layers, which have the indices 0 to K - 1. In a forward phase, a
    block sums up z over the rows of its tile and writes the partial sums to Z_SUMS in global memory.

    Phase K is the head phase. In the head phase, a block takes its share of the samples forward and back through the head, and
    writes the a and delta that the backward phases need to global memory.

    Phases K + 1 to 2 K are the backward phases of the K spread layers, in the order of the indices K - 1 to 0. In a backward
    phase, a block sums up dL/da over the columns of its tile and writes the partial sums to DL_DA_SUMS in global memory. Then
    the block updates its tile of w. In phase K + 1, the first backward phase, a block also updates its tiles of the head, and
    writes w and b of the head to global memory.

This is a step of a network with three layers, two of them spread, on four blocks; `|` stands for a barrier of all blocks:

              phase 0     phase 1     phase 2    phase 3                   phase 4
    block 0   forward 1 | forward 2 |   head   | backward 2, update 2, 3 | update 1   forward 1 | ...
    block 1   forward 1 | forward 2 |   head   | backward 2, update 2, 3 | update 1   forward 1 | ...
    block 2   forward 1 | forward 2 |   head   | backward 2, update 2, 3 | update 1   forward 1 | ...
    block 3   forward 1 | forward 2 |   head   | backward 2, update 2, 3 | update 1   forward 1 | ...

The asynchronous copy of the samples of the next batch to shared memory starts in the head phase.

A block that reads partial sums of other blocks adds them up itself, always in the same order. A step with K spread layers has
2 K barriers of all blocks. There is no barrier between the update of the first layer and the forward phase of the next step,
because both concern only a block's own tile. The network 784-128-10, with one spread layer, has 2 barriers per step.

In the network 784-128-10, the first w is cut into 16 x 8 tiles of 52 x 16 weights, so that the blocks read the inputs of a
batch of 64 samples 8 times (1.6 MB) and exchange 0.5 MB of partial sums. If each of the 128 neurons had a column of tiles of
its own, the blocks would read the inputs of the batch 128 times (26 MB). If each of the 784 inputs had a row of tiles of its
own, the blocks would exchange 26 MB of partial sums.
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

    After the barrier, a block can read everything that the other blocks wrote to global memory before it.
    """
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        arrive(counter)
        while arrived(counter) < times * cuda.gridDim.x:
            pass
    cuda.syncthreads()


@device_function
def load(memory, arrays, step, zero, one):
    """Fills the block's shared memory before the first step: its tiles of w, and 1 as the constant input multiplied by b.

    Also starts the asynchronous copy of the first batch's samples.
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
    """Returns the kernel that trains networks of a dtype on all multiprocessors; the class `Grid` launches it."""
    number, zero = from_dtype(dtype), dtype.type(0)
    forward, head, backward = forward_of(dtype), head_of(dtype), backward_of(dtype)

    @cuda.jit
    def train_cooperative(
        tables,  # (TABLE_LENGTH,) int32, the sizes of the layers and the offsets of all matrices, see `layout.tables`
        epsilon,  # the slope of leaky_relu
        eta,  # the learning rate
        x,  # (N n_in,), the samples, one after another
        y,  # (N, n_out), the targets
        order,  # (n,) int64, the row indices into x and y of the samples to train on, batch after batch
        first,  # index of the first phase to run, counted over the steps of all batches in `order`
        stop,  # index of the phase after the last one to run
        parameters,  # (p,), the p weights and biases of all layers, flat
        far,  # (far numbers,), global memory for a, delta and the partial sums that blocks exchange
        counter,  # (1,) int32, counts the arrivals of blocks at barriers; must be 0 before the launch
        fresh,  # whether the blocks have to fill their shared memory first; always true on a GPU
        kept,  # (blocks near numbers,), the blocks' shared memory in the simulator; on a GPU only its dtype matters
        loss_of_sample,  # (n,), the loss of each sample in `order`
        hits_of_sample,  # (n,) int32, the number of correct predictions of each sample in `order`
    ):
        """Performs gradient descent, w <- w - eta dL/dw, on the samples in `order`, one step per batch.

        Runs the phases (parts of a step between barriers of all blocks) with the indices `first` to `stop - 1`.
        Reads x (N n_in,), y (N, n_out), order (n,); updates parameters (p,); writes loss_of_sample, hits_of_sample (n,).
        Uses far, counter and kept as working memory.
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

"""Training by all multiprocessors in one launch: parameters stay in the shared memory of the blocks, which meet at barriers.

Each block keeps a tile of every layer's w (with b as one more row, whose input is 1), and the part of x that meets the rows of
its tile; `layout` says where. A step of a network with K spread layers has 2 K + 1 phases, one after another in every block:

    phase            layers         a block                                               leaves in far memory
    0 .. K - 1       0 .. K - 1     forward: sums of z over the rows of its tile          Z_SUMS
    K                K .. L - 1     head: its samples through the other layers and back   a and delta of those layers
    K + 1 .. 2 K     K - 1 .. 0     backward: sums of dL/da over the columns of its tile  DL_DA_SUMS
                                    update of its tile, and of its tiles of the head      w and b of the head

Two spread layers of three, on four blocks; `|` is a barrier of all blocks:

              phase 0     phase 1     phase 2    phase 3                   phase 4
    block 0   forward 1 | forward 2 |   head   | backward 2, update 2, 3 | update 1   forward 1 | ...
    block 1   forward 1 | forward 2 |   head   | backward 2, update 2, 3 | update 1   forward 1 | ...
    block 2   forward 1 | forward 2 |   head   | backward 2, update 2, 3 | update 1   forward 1 | ...
    block 3   forward 1 | forward 2 |   head   | backward 2, update 2, 3 | update 1   forward 1 | ...
                                      x of the next batch is copied from here on

The block that reads sums adds them up, always in the same order. No block waits between the update of the first layer and its
next forward sums, because both concern its own tile: a step has 2 K barriers. For 784-128-10 that is 2. Its first w, in 16 x 8
tiles of 52 x 16, reads x 8 times, 1.6 MB for a batch of 64, and exchanges 0.5 MB of sums; a column of tiles per neuron would
read x 128 times, 26 MB, and a row of tiles per input would exchange 26 MB.
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
    """Waits until every block has called this `times` times; then each block sees what the others wrote before."""
    cuda.syncthreads()
    if cuda.threadIdx.x == 0:
        arrive(counter)
        while arrived(counter) < times * cuda.gridDim.x:
            pass
    cuda.syncthreads()


@device_function
def load(memory, arrays, step, zero, one):
    """Fills near memory for the first step: the block's tiles of w, and 1 as the input of b; begins to copy x."""
    for e in range(cuda.threadIdx.x, common(memory, Common.NEAR_NUMBERS), THREADS):
        put(memory.near, e, zero)
    cuda.syncthreads()
    fill_ones(memory, one)
    prefetch_x(memory, arrays, step)
    for l in range(common(memory, Common.LAYERS)):
        copy_tile(memory, l, arrays.parameters, False)


@functools.cache
def training_kernel(dtype: np.dtype) -> Any:
    """Returns the kernel that trains networks of a dtype; `grid` launches it."""
    number, zero = from_dtype(dtype), dtype.type(0)
    forward, head, backward = forward_of(dtype), head_of(dtype), backward_of(dtype)

    @cuda.jit
    def train_cooperative(
        tables,  # (TABLE_LENGTH,) int32, see `layout.tables`
        epsilon,  # the slope of leaky_relu
        eta,  # the learning rate
        x,  # (N n_in,), the samples, one after another
        y,  # (N, n_out), the targets
        order,  # (n,) int64, the rows of x and y to train on, batch after batch
        first,  # the first phase, counted over all steps of the order
        stop,  # the phase after the last one
        parameters,  # (p,), w and b of all layers, flat
        far,  # (far numbers,), a, delta and sums that blocks exchange
        counter,  # (1,) int32, counts blocks at barriers; 0 before the launch
        fresh,  # whether near memory has to be loaded first; true on a GPU
        kept,  # (blocks near numbers,), near memory in the simulator; on a GPU only its dtype matters
        loss_of_sample,  # (n,)
        hits_of_sample,  # (n,) int32
    ):
        """Gradient descent on the batches of an order, from phase first to stop of all its steps.

        Reads x (N n_in,), y (N, n_out), order (n,); updates parameters (p,); writes loss_of_sample, hits_of_sample (n,).
        Works in far, counter and kept.
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

"""Named tuples that group the arguments of the fast CPU engine's compiled functions.

Numba passes each field of a named tuple as a separate argument, so that grouping costs no time in inlined functions.
"""

from typing import Any, NamedTuple

import numpy as np


class Workspace(NamedTuple):
    """The arrays that hold a network and its intermediate results. The module `kernels.layout` describes the arrays.

    Parameters
    ----------
    memory : flat array, float32 or float64
        The parameters, the gradients, the moments (velocity, or Adam's m and v), and the intermediate results for a block of
        samples.
    header : (1,) record
        Sizes, and offsets into `memory`, that describe the whole network. Compiled functions receive the record `header[0]`
        instead of the array `header`.
    layers : (L,) record
        For each of the L layers, the layer's sizes, and the offsets into `memory` at which the layer's arrays begin.
    integers : (3 * rows,) int32
        Three integers for each sample in a block: predicted class, target class, and number of correct outputs (hits). `rows`
        is the largest number of samples for which memory is reserved.
    random : (threads * 1024,) uint64
        For each thread for which memory is reserved, a buffer of 1024 (RANDOM_NUMBERS) random numbers for dropout. `random` is
        empty if the network has no dropout.
    """

    memory: np.ndarray
    header: Any
    layers: np.ndarray
    integers: np.ndarray
    random: np.ndarray


class Samples(NamedTuple):
    """The inputs, targets and weights of the samples to process, and the array that receives the outputs.

    Parameters
    ----------
    x : (N, n_in)
        The inputs of N samples, one row per sample.
    y : (N, n_out)
        The targets, one row per sample.
    weights : (N,)
        The sample weights, or an array of shape (0,) if all samples have the weight 1.
    order : (n,) int64
        The row indices into x and y of the n samples to process, in this order.
    outputs : (n, n_out) or (n, 2)
        The array that receives the results. The task PREDICT writes y_hat to `outputs`. The task LOGITS writes z of the last
        layer to `outputs`. The task EVALUATE writes the loss and the number of correct outputs (hits) of each sample to
        `outputs`.
    """

    x: np.ndarray
    y: np.ndarray
    weights: np.ndarray
    order: np.ndarray
    outputs: np.ndarray


class Job(NamedTuple):
    """The task of a call to the compiled function `run`, the batch size, and the position at which the call ends.

    Parameters
    ----------
    task : int
        One of the constants PREDICT, LOGITS, EVALUATE, TRAIN and DESCEND in the module `cpu.epoch`.
    batch_size : int
        Number of samples in a batch. For the tasks PREDICT, LOGITS and EVALUATE, which know no batches, `batch_size` is the
        number of samples that a thread processes at a time, a block. If several threads compute these tasks, `batch_size` is a
        multiple of MR, the number of rows of a tile, because the block of thread number t begins with row t * batch_size of the
        matrices in memory.
    stop : int
        A position in `Samples.order`. The call returns after the first block of samples that reaches the position `stop`.
    updates : bool
        If `updates` is True, the task TRAIN updates the parameters after each batch. If `updates` is False, the task TRAIN only
        leaves the gradients in memory.
    """

    task: int
    batch_size: int
    stop: int
    updates: bool


class Draw(NamedTuple):
    """The key and the first sample index, from which dropout's random numbers are computed.

    Parameters
    ----------
    key : uint64
        The key of the counter-based random generator.
    first_sample : int
        The index, within the epoch, of the sample at position 0 of `Samples.order`.
    """

    key: np.uint64
    first_sample: int


class Block(NamedTuple):
    """A block: successive samples of a batch, which the network processes together.

    Parameters
    ----------
    position : int
        Position of the block's first sample in `Samples.order`.
    first : int
        Index of the memory row that holds the block's first sample: a multiple of MR, the number of rows of a tile.
    n : int
        Number of samples in the block.
    opens, closes : bool
        `opens` is true if the block is the first block of its batch. `closes` is true if the block is the last block of its
        batch, after which the parameters are updated.
    rates_at : int
        Index, in the flattened table `UpdateRule.rates`, at which the batch's row (n, eta, eta_t, epsilon_t) begins.
    """

    position: int
    first: int
    n: int
    opens: bool
    closes: bool
    rates_at: int

"""Named tuples that group the arguments of the compiled functions of the fast CPU engine.

Numba passes a named tuple field by field, so the tuple itself costs nothing if the function is inlined.
"""

from typing import Any, NamedTuple

import numpy as np


class Workspace(NamedTuple):
    """The arrays that hold a network and its intermediate results; `kernels.layout` describes them.

    Parameters
    ----------
    memory : (numbers,) float32 or float64
        One flat array with the parameters, gradients and moments (velocity, or Adam's m and v), and with the intermediate
        results of a block of samples.
    header : (1,) record
        Sizes, and offsets into `memory`, that all layers share. Compiled functions receive the record itself, not the array.
    layers : (L,) record
        For each of the L layers, its sizes, and the offsets into `memory` at which its arrays begin.
    integers : (3 rows,) int32
        Three integers for each sample of a block: predicted class, target class, and number of correct predictions (hits).
    random : (RANDOM_NUMBERS THREADS,) uint64
        Buffers of RANDOM_NUMBERS random numbers for each thread, for dropout; an empty array for a network without dropout.
    jacobian : True or None
        True if a derivative needs the full Jacobian of softmax; if it is None, the code for it is not compiled.
    """

    memory: np.ndarray
    header: Any
    layers: np.ndarray
    integers: np.ndarray
    random: np.ndarray
    jacobian: bool | None


class Samples(NamedTuple):
    """The inputs, targets and weights of the samples to process, and the array that receives the outputs.

    Parameters
    ----------
    x : (N, n_in)
        Inputs, one row per sample.
    y : (N, n_out)
        Targets, one row per sample.
    weights : (N,)
        Sample weights; an empty array (0,) if all samples have weight 1.
    order : (n,) int64
        Indices of the rows of x and y, in the order in which they are processed.
    outputs : (n, n_out)
        Receives y_hat for the task PREDICT, or z of the last layer for the task LOGITS.
    """

    x: np.ndarray
    y: np.ndarray
    weights: np.ndarray
    order: np.ndarray
    outputs: np.ndarray


class Job(NamedTuple):
    """The task of one call of the compiled function `epoch.run`, with the batch size and the position at which the call ends.

    Parameters
    ----------
    task : int
        A constant of the module `cpu.epoch`: PREDICT, LOGITS, EVALUATE, TRAIN or DESCEND.
    batch_size : int
        Number of samples in a batch.
    stop : int
        Position in `Samples.order`: the call returns after the first block of samples that reaches it.
    updates : bool
        If True, the task TRAIN updates the parameters after each batch; if False, it leaves the gradients of the last batch in
        memory.
    """

    task: int
    batch_size: int
    stop: int
    updates: bool


class Draw(NamedTuple):
    """The key and the counter from which dropout draws random numbers.

    Parameters
    ----------
    key : uint64
        The key of the random generator.
    first_sample : int
        Index, within the epoch, of the sample at position 0 of `Samples.order`.
    """

    key: np.uint64
    first_sample: int


class Block(NamedTuple):
    """Successive samples of a batch that the network processes together.

    Parameters
    ----------
    position : int
        Position of the block's first sample in `Samples.order`.
    n : int
        Number of samples in the block.
    opens, closes : bool
        opens: whether the block is the first of its batch. closes: whether it is the last of its batch, so that the parameters
        are updated after it.
    rates_at : int
        Index into the flattened table `UpdateRule.rates` at which n, eta, eta_t and epsilon_t of the batch begin.
    """

    position: int
    n: int
    opens: bool
    closes: bool
    rates_at: int

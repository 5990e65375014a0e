"""The values that travel together through the compiled functions of the fast CPU engine.

Numba passes a named tuple field by field, so the tuple itself costs nothing if the function is inlined.
"""

from typing import Any, NamedTuple

import numpy as np


class Workspace(NamedTuple):
    """The memory of a network, see `kernels.layout`.

    Parameters
    ----------
    memory : (numbers,) float32 or float64
        Parameters, gradients, moments, and the panels and tables of a block.
    header : (1,) record
        Places and sizes that all layers share. Within the compiled functions it is the record itself.
    layers : (L,) record
        Places and sizes of each layer.
    integers : (3 rows,) int32
        Whole numbers of each sample of a block, see `kernels.output`.
    random : (RANDOM_NUMBERS THREADS,) uint64
        Random numbers of each thread for dropout; (0,) for a network without dropout.
    jacobian : True or None
        None if no derivative goes through the full Jacobian of softmax: that code is then not compiled.
    """

    memory: np.ndarray
    header: Any
    layers: np.ndarray
    integers: np.ndarray
    random: np.ndarray
    jacobian: bool | None


class Samples(NamedTuple):
    """The samples that pass through the network, and the array that receives the outputs.

    Parameters
    ----------
    x : (N, n_in)
    y : (N, n_out)
    weights : (N,)
        Of the samples; (0,) if all weigh 1.
    order : (n,) int64
        Rows of x and y, in the order in which they pass.
    outputs : (n, n_out)
        Receives y_hat (PREDICT) or z of the last layer (LOGITS).
    """

    x: np.ndarray
    y: np.ndarray
    weights: np.ndarray
    order: np.ndarray
    outputs: np.ndarray


class Job(NamedTuple):
    """The work of one call of `epoch.run`.

    Parameters
    ----------
    task : int
        A constant of `epoch`: PREDICT, LOGITS, EVALUATE, TRAIN or DESCEND.
    batch_size : int
        Samples of a batch.
    stop : int
        The call returns after the first block that reaches this position of the order.
    updates : bool
        TRAIN changes the parameters after each batch; otherwise it leaves the gradients of the last batch in memory.
    """

    task: int
    batch_size: int
    stop: int
    updates: bool


class Draw(NamedTuple):
    """The key and the sample from which dropout is counted, see `numbanet.equations.dropout`; None for a network without it.

    Parameters
    ----------
    key : uint64
    first_sample : int
        The sample of the epoch that is the first of the order.
    """

    key: np.uint64
    first_sample: int


class Block(NamedTuple):
    """Successive samples of a batch that pass through the network together.

    Parameters
    ----------
    position : int
        Position of the first sample in the order.
    n : int
        Number of samples.
    opens, closes : bool
        Whether the block is the first of its batch, and whether the parameters are updated after it, as the last of its batch.
    rates_at : int
        Place of the batch's rates in the flat table of `UpdateRule.rates`.
    """

    position: int
    n: int
    opens: bool
    closes: bool
    rates_at: int

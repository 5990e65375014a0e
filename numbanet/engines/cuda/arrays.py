"""Defines the tuple of arrays on the GPU that the kernels for training in shared memory read and write."""

from typing import Any, NamedTuple

from numbanet.engines.cuda.notes import Notes


class EpochArrays(NamedTuple):
    """The arrays on the GPU that a kernel reads and writes when it trains on a part of an epoch.

    Parameters
    ----------
    x, y : device array (N, n_in), (N, n_out)
        Inputs and targets of the samples. The cooperative kernel, which runs on all multiprocessors, takes x as a flat array.
    order : device array (n,) int64
        Row indices into x and y of the samples to train on, batch after batch.
    parameters : device array (p,)
        The flat vector of the p parameters w and b, which training updates.
    notes : Notes
        The loss and the number of correct predictions of each sample in `order`, which training writes.
    """

    x: Any
    y: Any
    order: Any
    parameters: Any
    notes: Notes

"""Defines `EpochArrays`, the tuple of GPU arrays that the kernels for training in shared memory read and write."""

from typing import Any, NamedTuple

from numbanet.engines.cuda.notes import Notes


class EpochArrays(NamedTuple):
    """The GPU arrays that a kernel reads and writes when it trains on a part of an epoch.

    Parameters
    ----------
    x, y : device arrays (N, n_in) and (N, n_out)
        The inputs and targets of the samples. The cooperative kernel, which runs on all multiprocessors, takes x as a flat
        array.
    order : device array (n,) int64
        The row indices into x and y of the samples to train on, one batch after another.
    parameters : device array (p,)
        The vector of all p parameters w and b, which training updates.
    notes : Notes
        The arrays to which training writes the loss and the number of correct outputs of each sample in `order`.
    """

    x: Any
    y: Any
    order: Any
    parameters: Any
    notes: Notes

"""Defines `EpochArrays`, the tuple of GPU arrays for the kernels that keep a network in the GPU's shared memory to train it."""

from typing import Any, NamedTuple

from numbanet.engines.cuda.notes import Notes


class EpochArrays(NamedTuple):
    """The GPU arrays that a kernel reads and writes when it trains on a part of an epoch.

    Parameters
    ----------
    x, y : device arrays (N, n_in) and (N, n_out)
        The inputs and targets of the N samples. For the cooperative kernel, which runs on all multiprocessors, x is a flat
        array.
    order : device array (n,) int64
        The row indices into x and y of the n samples to train on, one batch after another.
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

"""Bundles the arrays on the GPU that training in shared memory reads and writes into one value."""

from typing import Any, NamedTuple

from numbanet.engines.cuda.notes import Notes


class EpochArrays(NamedTuple):
    """The arrays on the GPU for training on a part of an epoch.

    Parameters
    ----------
    x, y : device array (N, n_in), (N, n_out)
        Inputs and targets of the samples. The cooperative kernel, which runs on all multiprocessors, takes x as a flat array.
    order : device array (n,) int64
        Row indices into x and y of the samples to train on, batch after batch.
    parameters : device array (p,)
        The flat vector of all w and b, which training updates.
    notes : Notes
        The loss and the number of right answers of each sample in `order`, which training writes.
    """

    x: Any
    y: Any
    order: Any
    parameters: Any
    notes: Notes

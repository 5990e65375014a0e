"""The arrays on the GPU that training in shared memory reads and writes, passed around as one value."""

from typing import Any, NamedTuple

from numbanet.engines.cuda.notes import Notes


class EpochArrays(NamedTuple):
    """The device arrays of a part of an epoch.

    Parameters
    ----------
    x, y : device array (N, n_in), (N, n_out)
        The samples; the cooperative kernel takes x as a flat array.
    order : device array (n,) int64
        The rows of x and y to train on, batch after batch.
    parameters : device array (p,)
        The flat vector of w and b, which training updates.
    notes : Notes
        The loss and the hits of each sample of the order, which training writes.
    """

    x: Any
    y: Any
    order: Any
    parameters: Any
    notes: Notes

"""The samples of a training step, as arrays on the GPU that kernels read."""

from typing import Any, NamedTuple

# Indices into the array `Batch.counter`. KEY: the key of the random numbers of dropout. FIRST: the index of the batch's first
# sample within the epoch. BEFORE: the number of samples of the epoch that precede the part of the epoch that is trained on.
# POSITION: the index at which the next batch begins in the array of row indices of this part.
KEY, FIRST, BEFORE, POSITION = range(4)
COUNTERS = 4


class Batch(NamedTuple):
    """The m samples of a training step, with the values of the step that kernels read from GPU memory.

    Parameters
    ----------
    order : device array (m,) int64
        Row indices into x and y of the samples.
    rates : device array (4,)
        The divisor n of the mean loss, the learning rate eta, and Adam's rates in step t: eta_t = eta sqrt(1 - beta_2^t) /
        (1 - beta_1^t) and epsilon_t = epsilon sqrt(1 - beta_2^t).
    weights : device array (m,)
        Weight of each sample.
    counter : device array (4,) int64, or None
        The key of the random numbers of dropout, and the position of the step in the epoch, at the indices KEY, FIRST, BEFORE
        and POSITION. `counter` is None if no neuron drops out.
    notes : Notes or None
        The arrays to which kernels write the loss and the number of correct predictions of each sample.
    """

    order: Any
    rates: Any
    weights: Any
    counter: Any = None
    notes: Any = None

    def of_first(self, n: int) -> "Batch":
        """Returns a batch of the first n samples of this batch."""
        return self._replace(order=self.order[:n], weights=self.weights[:n], notes=self.notes.of(slice(n)))

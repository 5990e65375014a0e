"""The samples of a training step, as arrays on the GPU that kernels read."""

from typing import Any, NamedTuple

# Indices into a counter. KEY: the key of the random numbers of dropout. FIRST: the index of the batch's first sample within the
# epoch. BEFORE: the number of samples of the epoch that precede this part of it. POSITION: the index at which the next batch
# begins in the order of the part.
KEY, FIRST, BEFORE, POSITION = range(4)
COUNTERS = 4


class Batch(NamedTuple):
    """The samples of a training step.

    Parameters
    ----------
    order : device array (m,) int64
        Row indices into x and y of the samples.
    rates : device array (4,)
        The rates of the step: n, eta, eta_t and epsilon_t, see `numbanet.engines.epoch`.
    weights : device array (m,)
        Weight of each sample.
    counter : device array (4,) int64, or None
        The key of dropout and the step's position in the epoch, at the indices KEY, FIRST, BEFORE and POSITION. `counter` is
        None if no neuron drops out.
    notes : Notes or None
        The arrays to which kernels write the loss and the right answers of each sample.
    """

    order: Any
    rates: Any
    weights: Any
    counter: Any = None
    notes: Any = None

    def of_first(self, n: int) -> "Batch":
        """Returns a batch of the first n samples of this batch."""
        return self._replace(order=self.order[:n], weights=self.weights[:n], notes=self.notes.of(slice(n)))

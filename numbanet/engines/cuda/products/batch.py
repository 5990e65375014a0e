"""Defines `Batch`, the samples of a training step as GPU arrays that kernels read."""

from typing import Any, NamedTuple

# Indices into the array `Batch.counter`. An epoch is trained in one or more parts. Each part has its own array of row indices.
# KEY: the key of dropout's random numbers. FIRST: the index of the batch's first sample within the epoch. BEFORE: the number of
# samples in the earlier parts of the epoch. POSITION: the index at which the next batch begins in the current part's array of
# row indices.
KEY, FIRST, BEFORE, POSITION = range(4)
COUNTERS = 4


class Batch(NamedTuple):
    """GPU arrays for a training step with m samples: row indices, rates, sample weights, counters, and results for each sample.

    Parameters
    ----------
    order : device array (m,) int64
        The samples' row indices into x and y.
    rates : device array (4,)
        The rates (n, eta, eta_t, epsilon_t) of the step: the divisor n of the mean loss, the learning rate eta, and Adam's
        eta_t = eta * sqrt(1 - beta_2^t) / (1 - beta_1^t) and epsilon_t = epsilon * sqrt(1 - beta_2^t) in step t.
    weights : device array (m,)
        The sample weights.
    counter : device array (4,) int64, or None
        Four integers: at the index KEY, the key of dropout's random numbers; at FIRST, the index of the batch's first sample
        within the epoch; at BEFORE, the number of samples that the epoch's earlier arrays of row indices contain; at POSITION,
        the index in the current array at which the next batch begins. `counter` is None in a pass without dropout.
    notes : Notes or None
        The arrays to which kernels write the loss and the number of correct outputs of each sample.
    """

    order: Any
    rates: Any
    weights: Any
    counter: Any = None
    notes: Any = None

    def of_first(self, n: int) -> "Batch":
        """Returns a batch that consists of the first n samples of this batch."""
        return self._replace(order=self.order[:n], weights=self.weights[:n], notes=self.notes.of(slice(n)))

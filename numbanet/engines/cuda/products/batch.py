"""The samples of a step, as kernels find them on the GPU."""

from typing import Any, NamedTuple

# Columns of a counter: the key of dropout; number, within the epoch, of the batch's first sample; number of the first sample of
# this part of the epoch; position of the next batch in the order of the part.
KEY, FIRST, BEFORE, POSITION = range(4)
COUNTERS = 4


class Batch(NamedTuple):
    """The samples of a step.

    Parameters
    ----------
    order : device array (m,) int64
        Rows of x and y.
    rates : device array (4,)
        Rates of the step, see `numbanet.engines.epoch`.
    weights : device array (m,)
        Weights of the samples.
    counter : device array (4,) int64, or None
        See above; None if no neuron drops out.
    notes : Notes or None
        Where losses and hits of the samples are noted.
    """

    order: Any
    rates: Any
    weights: Any
    counter: Any = None
    notes: Any = None

    def of_first(self, n: int) -> "Batch":
        """Returns the batch of the first n samples."""
        return self._replace(order=self.order[:n], weights=self.weights[:n], notes=self.notes.of(slice(n)))

"""The loss and the number of correct outputs of each sample: kernels write them on the GPU, and the host adds them up."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numbanet._cuda import cuda
from numbanet.engines.interface import Totals
from numbanet.engines.loops import CudaLoops, totals_of


class Notes(NamedTuple):
    """The loss and the number of correct outputs of each sample, in the order in which training visits the samples.

    Parameters
    ----------
    loss : device array (n,)
        The loss of each sample, multiplied by the sample's weight. Each loss is computed with the divisor n = 1, as for a batch
        of one sample.
    hits : device array (n,) int32
        The number of correct outputs of each sample. With the loss cce, a sample has 1 correct output if it is classified
        correctly, else 0.
    """

    loss: Any
    hits: Any

    @classmethod
    def empty(cls, n: int, dtype: np.dtype) -> "Notes":
        """Returns arrays for the losses and hits (correct outputs) of n samples, with undefined values."""
        return cls(cuda.device_array(n, dtype), cuda.device_array(n, np.int32))

    def of(self, samples: slice) -> "Notes":
        """Returns the part of the arrays `loss` and `hits` for the samples in the slice `samples`, as views."""
        return Notes(self.loss[samples], self.hits[samples])

    def copy_to(self, other: "Notes") -> None:
        """Copies the arrays `loss` and `hits` to the arrays of `other`, which have the same length."""
        other.loss.copy_to_device(self.loss)
        other.hits.copy_to_device(self.hits)

    def totals(self, weights: NDArray[np.floating] | None = None) -> Totals:
        """Returns the sum of the losses and the number of correct outputs, which `totals_of` computes on the host."""
        return totals_of(CudaLoops(), self.loss, self.hits, weights)

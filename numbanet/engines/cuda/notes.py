"""The losses and numbers of correct predictions of samples: kernels write them on the GPU, the host adds them up per epoch."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numbanet._cuda import cuda
from numbanet.engines.interface import Totals
from numbanet.engines.loops import CudaLoops, totals_of


class Notes(NamedTuple):
    """The loss and the number of correct predictions of each sample, in the order in which training takes the samples.

    Parameters
    ----------
    loss : device array (n,)
        Loss of each sample, computed with n = 1 and multiplied by the sample's weight.
    hits : device array (n,) int32
        Number of correct predictions of each sample: 0 or 1 for the loss cce, else the number of correct outputs.
    """

    loss: Any
    hits: Any

    @classmethod
    def empty(cls, n: int, dtype: np.dtype) -> "Notes":
        """Returns arrays for the losses and hits of n samples, with undefined values, which kernels are to overwrite."""
        return cls(cuda.device_array(n, dtype), cuda.device_array(n, np.int32))

    def of(self, samples: slice) -> "Notes":
        """Returns the losses and hits of the samples in a slice, as views of these arrays."""
        return Notes(self.loss[samples], self.hits[samples])

    def copy_to(self, other: "Notes") -> None:
        """Copies the losses and hits to `other`, which has arrays of the same length."""
        other.loss.copy_to_device(self.loss)
        other.hits.copy_to_device(self.hits)

    def totals(self, weights: NDArray[np.floating] | None = None) -> Totals:
        """Returns the sums of the losses and of the correct predictions, which `totals_of` adds up on the host."""
        return totals_of(CudaLoops(), self.loss, self.hits, weights)

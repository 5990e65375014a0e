"""The losses and right answers of samples: kernels write them on the GPU, and the host adds them up once an epoch."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numbanet._cuda import cuda
from numbanet.engines.interface import Totals
from numbanet.engines.loops import CudaLoops, totals_of


class Notes(NamedTuple):
    """The loss and the number of right answers of each sample, in the order of the epoch or of the batch.

    Parameters
    ----------
    loss : device array (n,)
        Loss of each sample, computed with n = 1 and multiplied by the sample's weight.
    hits : device array (n,) int32
        Number of right answers of each sample.
    """

    loss: Any
    hits: Any

    @classmethod
    def empty(cls, n: int, dtype: np.dtype) -> "Notes":
        """Returns notes for n samples with undefined values, which kernels are to overwrite."""
        return cls(cuda.device_array(n, dtype), cuda.device_array(n, np.int32))

    def of(self, samples: slice) -> "Notes":
        """Returns the notes of the samples in a slice, as views of these arrays."""
        return Notes(self.loss[samples], self.hits[samples])

    def copy_to(self, other: "Notes") -> None:
        """Copies the losses and right answers of these notes to `other`, which has the same length."""
        other.loss.copy_to_device(self.loss)
        other.hits.copy_to_device(self.hits)

    def totals(self, weights: NDArray[np.floating] | None = None) -> Totals:
        """Returns the sums of the losses and of the right answers over all samples, as `totals_of` adds them up on the host."""
        return totals_of(CudaLoops(), self.loss, self.hits, weights)

"""The losses and the hits of samples, noted on the GPU and added up on the host once an epoch."""

from typing import Any, NamedTuple

import numpy as np

from numbanet._cuda import cuda
from numbanet.engines.interface import Totals
from numbanet.engines.loops import CudaLoops, totals_of


class Notes(NamedTuple):
    """The losses and the hits of samples, in the order of the epoch or of the batch.

    Parameters
    ----------
    loss : device array (n,)
        Losses, each with n = 1, times the sample's weight.
    hits : device array (n,) int32
        Numbers of right answers.
    """

    loss: Any
    hits: Any

    @classmethod
    def empty(cls, n: int, dtype: np.dtype) -> "Notes":
        """Returns notes of n samples, to be written."""
        return cls(cuda.device_array(n, dtype), cuda.device_array(n, np.int32))

    def of(self, samples: slice) -> "Notes":
        """Returns the notes of some of the samples, as views."""
        return Notes(self.loss[samples], self.hits[samples])

    def copy_to(self, other: "Notes") -> None:
        """Copies these notes into `other`, which has the same length."""
        other.loss.copy_to_device(self.loss)
        other.hits.copy_to_device(self.hits)

    def totals(self) -> Totals:
        """Returns the sums over the samples, added up on the host."""
        return totals_of(CudaLoops(), self.loss, self.hits)

"""The face every engine shows: everything numerical that a network asks for."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np

from numbanet.engines.epoch import Epoch

# The longest an engine computes before it yields, so that progress moves and Ctrl-C is heard.
SLICE_SECONDS = 0.05


class Pace:
    """How many samples fit into a slice, from how long the last slice took."""

    def __init__(self, samples: int):
        self.samples = samples

    def took(self, samples: int, seconds: float) -> None:
        factor = SLICE_SECONDS * samples / max(seconds, 1e-9) / self.samples
        self.samples = max(1, int(self.samples * min(max(factor, 0.1), 8.0)))


class Totals(NamedTuple):
    """Sums over a number of samples.

    Parameters
    ----------
    samples : int
        How many.
    loss : float
        Their losses, each the inner sum of the sheet's formula with n = 1, times the sample's weight.
    hits : int
        Right answers: right samples for cce, right outputs for bce.
    """

    samples: int
    loss: float
    hits: int


class Engine(Protocol):
    """Holds the parameters of one network where they are computed with.

    `x` is (n, n_in) and `y` is (n, n_out) everywhere, as `upload` returned them.
    """

    def read(self) -> np.ndarray:
        """A copy of the parameters: flat, layer by layer, w then b."""

    def write(self, parameters: np.ndarray) -> None:
        """Replaces the parameters."""

    def read_moments(self, count: int) -> list[np.ndarray]:
        """What each parameter remembers by its rule of descent: so many numbers, flat as the parameters are."""

    def write_moments(self, moments: list[np.ndarray]) -> None:
        """Replaces what each parameter remembers; it begins at 0."""

    def upload(self, array) -> Any:
        """The array where this engine computes; itself if it lies there, or does not fit there and is brought in parts.

        It is a C-ordered array of the network's dtype.
        """

    def predict(self, x, out=None) -> Any:
        """y_hat, (n, n_out): written to out, of NumPy's or where this engine computes, or a new array of NumPy's."""

    def evaluate(self, x, y) -> Totals:
        """Loss and hits over all samples."""

    def loss_and_gradients(self, x, y) -> tuple[float, np.ndarray]:
        """Sum of the samples' losses (as in Totals), and dL/dw, dL/db of the batch, flat as the parameters are."""

    def train_epoch(self, x, y, epoch: Epoch) -> Iterator[Totals]:
        """One update of the parameters for every batch of the epoch.

        Yields the totals since the start of the epoch, now and then, and at its end. How often depends on time; no bit of the
        last totals, or of the parameters, does. Where the batches are shared by several processes, it yields after each step,
        and the last totals are those of its own samples.
        """

    def trace(self, x, y) -> dict[str, list[np.ndarray]]:
        """z, a and delta of one batch, a list each with layer 1 at index 0."""

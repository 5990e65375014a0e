"""The interface of engines: all numerical work that a network asks for."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from numbanet.engines.epoch import Epoch

# The longest time that an engine computes before it yields, so that progress is shown and Ctrl-C is heard.
SLICE_SECONDS = 0.05


class Pace:
    """The number of samples that fit into a slice, adapted to the duration of the last slice.

    Parameters
    ----------
    samples : int
        Number of samples of the first slice.
    """

    def __init__(self, samples: int):
        self.samples = samples

    def took(self, samples: int, seconds: float) -> None:
        """Adapts the number of samples, by a factor of 0.1 to 8, to the seconds that the last slice took."""
        factor = SLICE_SECONDS * samples / max(seconds, 1e-9) / self.samples
        self.samples = max(1, int(self.samples * min(max(factor, 0.1), 8.0)))


class Totals(NamedTuple):
    """Sums over samples.

    Parameters
    ----------
    samples : int
        Number of samples.
    loss : float
        Sum of their losses, each the inner sum of the sheet's formula with n = 1, times the sample's weight.
    hits : int
        Number of right answers: right samples for cce, right outputs for bce.
    """

    samples: int
    loss: float
    hits: int


class Engine(Protocol):
    """Holds the parameters of one network, on the device that computes with them.

    `x` is (n, n_in) and `y` is (n, n_out) in all methods, as `upload` returned them.
    """

    def read(self) -> NDArray[np.floating]:
        """Returns the parameters: flat, layer by layer, w then b. The array stays as it is; it may be read-only."""
        ...

    def write(self, parameters: NDArray[np.floating]) -> None:
        """Replaces the parameters."""
        ...

    def read_moments(self, count: int) -> list[NDArray[np.floating]]:
        """Returns the first `count` moments of the update rule, each flat like the parameters; the arrays may be read-only."""
        ...

    def write_moments(self, moments: list[NDArray[np.floating]]) -> None:
        """Replaces the first moments of the update rule; all moments are 0 at first."""
        ...

    def upload(self, array: Any) -> Any:
        """Returns the array, in C order and of the network's dtype, on the engine's device.

        An array that lies there already, or that does not fit there and is brought in parts, is returned as it is.
        """
        ...

    def predict(self, x: Any, out: Any = None, *, logits: bool = False) -> Any:
        """Returns the outputs of the last layer.

        Parameters
        ----------
        x : (n, n_in)
        out : (n, n_out), optional
            Array to write to, in NumPy's memory or on the engine's device; a new NumPy array if None.
        logits : bool
            Whether to return z, the pre-activations of the last layer, in place of y_hat.

        Returns
        -------
        (n, n_out)
            `out`, or the new array.
        """
        ...

    def evaluate(self, x: Any, y: Any) -> Totals:
        """Returns loss and hits over all samples."""
        ...

    def loss_and_gradients(self, x: Any, y: Any) -> tuple[float, NDArray[np.floating]]:
        """Returns the sum of the samples' losses (as in Totals), and dL/dw, dL/db of the batch, flat like the parameters."""
        ...

    def train_epoch(self, x: Any, y: Any, epoch: Epoch) -> Iterator[Totals]:
        """Updates the parameters once for every batch of the epoch.

        Yields the totals since the start of the epoch, several times and at its end. The number of times depends on the clock;
        the last totals and the parameters do not. If several processes share the batches, it yields after each step, and the
        last totals count its own samples.
        """
        ...

    def trace(self, x: Any, y: Any) -> dict[str, list[NDArray[np.floating]]]:
        """Returns z, a and delta of one batch, each as a list with layer 1 at index 0."""
        ...

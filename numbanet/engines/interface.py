"""The interface that every engine implements. The interface covers all numerical work that a network needs."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from numbanet.engines.epoch import Epoch

# The longest time that an engine computes before it yields, so that progress is displayed and Ctrl-C takes effect.
SLICE_SECONDS = 0.05


class Pace:
    """Adapts the number of samples in a slice (the work of an engine between two yields) to the time that the last slice took.

    Parameters
    ----------
    samples : int
        Number of samples of the first slice.
    """

    def __init__(self, samples: int):
        self.samples = samples

    def took(self, samples: int, seconds: float) -> None:
        """Adapts the number of samples of the next slice, given the samples and the seconds of the last slice.

        The new number of samples is 0.1 to 8 times the old number.
        """
        factor = SLICE_SECONDS * samples / max(seconds, 1e-9) / self.samples
        self.samples = max(1, int(self.samples * min(max(factor, 0.1), 8.0)))


class Totals(NamedTuple):
    """The sums of the losses and of the correct predictions over a set of samples.

    Parameters
    ----------
    samples : int
        Number of samples that have been processed.
    loss : float
        Sum of the samples' losses. The loss of a sample is the inner sum of the loss formula with n = 1, times the sample's
        weight.
    hits : int or float
        Number of correct predictions: correctly classified samples for the loss cce, correct outputs for the loss bce. If
        `evaluate` gets weights, each correct prediction counts as the weight of its sample.
    """

    samples: int
    loss: float
    hits: float


class Engine(Protocol):
    """Holds the parameters of one network on a device (CPU or GPU), and computes with them there.

    In all methods, `x` is an array (n, n_in) and `y` is an array (n, n_out), as `upload` returned them.
    """

    def read(self) -> NDArray[np.floating]:
        """Returns the parameters as a flat array: layer by layer, w and then b.

        Training does not change the returned array, which may be read-only.
        """
        ...

    def write(self, parameters: NDArray[np.floating]) -> None:
        """Replaces all parameters by `parameters`, a flat array with w and then b of each layer, from first to last layer."""
        ...

    def read_moments(self, count: int) -> list[NDArray[np.floating]]:
        """Returns the first `count` moments of the update rule (such as Adam's m and v), each flat like the parameters.

        The returned arrays may be read-only.
        """
        ...

    def write_moments(self, moments: list[NDArray[np.floating]]) -> None:
        """Replaces the first `len(moments)` moments of the update rule. All moments of a new engine are 0."""
        ...

    def upload(self, array: Any) -> Any:
        """Copies the array, which has C order and the network's dtype, to the engine's device, and returns the copy.

        The array itself is returned if it already lies on the device, or if it does not fit there and is copied in parts later.
        """
        ...

    def predict(self, x: Any, out: Any = None, *, logits: bool = False) -> Any:
        """Returns the outputs of the last layer for every sample.

        Parameters
        ----------
        x : (n, n_in)
            Inputs, one row per sample.
        out : (n, n_out), optional
            Array to write the outputs to: a NumPy array, or an array on the engine's device. If `out` is None, the outputs are
            written to a new NumPy array.
        logits : bool
            Whether to return z, the values of the last layer before its activation, instead of y_hat.

        Returns
        -------
        (n, n_out)
            The array with the outputs: `out`, or the new array.
        """
        ...

    def evaluate(self, x: Any, y: Any, weights: NDArray[np.floating] | None = None) -> Totals:
        """Returns the weighted sums of the losses and of the correct predictions over all samples.

        The weights (n,) are a NumPy array of the network's dtype; without weights, all samples have the weight 1.
        """
        ...

    def loss_and_gradients(
        self, x: Any, y: Any, weights: NDArray[np.floating] | None = None
    ) -> tuple[float, NDArray[np.floating]]:
        """Returns the sum of the samples' losses (as in `Totals`), and the gradients of the batch that x and y form.

        The gradients dL/dw and dL/db are one array, flat like the parameters. The weights are those of `evaluate`; the
        gradients are divided by the number of samples, whatever the weights.
        """
        ...

    def train_epoch(self, x: Any, y: Any, epoch: Epoch) -> Iterator[Totals]:
        """Updates the parameters once for every batch of the epoch.

        Yields the totals since the start of the epoch, several times during the epoch and once at its end. The number of yields
        depends on the clock; the last totals and the parameters do not depend on the clock. If several processes share the
        batches, the engine yields after each step, and the last totals count only the samples of this process.

        If an exception interrupts the training, the engine may yield once more, before it raises the exception: the number of
        samples of the steps that are in the parameters. Between two yields, callbacks and other threads may call any method.
        """
        ...

    def trace(self, x: Any, y: Any) -> dict[str, list[NDArray[np.floating]]]:
        """Returns z, a and delta of one batch, each as a list of arrays with layer 1 at index 0."""
        ...

"""Defines the interface of all engines. An engine performs all numerical work of a network."""

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from numbanet.engines.epoch import Epoch

# The time, in seconds, for which an engine computes before it yields, so that progress is displayed and Ctrl-C takes effect.
SLICE_SECONDS = 0.05


class Pace:
    """Adapts the number of samples in a slice (the work of an engine between two yields) to the speed of the engine.

    Parameters
    ----------
    samples : int
        Number of samples in the first slice.
    """

    def __init__(self, samples: int):
        self.samples = samples

    def took(self, samples: int, seconds: float) -> None:
        """Adapts the number of samples in the next slice, so that the next slice takes about 0.05 s (SLICE_SECONDS).

        `samples` is the number of samples in the last slice, and `seconds` is the time that the last slice took. The next
        slice has between 0.1 and 8 times the samples of the last slice.
        """
        factor = SLICE_SECONDS * samples / max(seconds, 1e-9) / self.samples
        self.samples = max(1, int(self.samples * min(max(factor, 0.1), 8.0)))


class Totals(NamedTuple):
    """The sum of the losses, and the number of correct outputs, over a set of samples.

    Parameters
    ----------
    samples : int
        Number of samples that have been processed.
    loss : float
        Sum of the samples' losses. Each loss is multiplied by the sample's weight, but not divided by the number n of samples.
    hits : int or float
        Number of correct outputs. With the loss cce, the predicted class counts as the only output of a sample. If `evaluate`
        receives sample weights, each correct output counts with the weight of its sample.
    """

    samples: int
    loss: float
    hits: float


class NotFiniteError(ValueError):
    """Raised by an engine that has found inf or nan in the inputs x.

    The call that raises the error has not changed the parameters.
    """


class Engine(Protocol):
    """Holds the parameters of one network on a device (CPU or GPU), and performs the network's computations there.

    In all methods, `x` is an array of shape (n, n_in), and `y` is an array of shape (n, n_out). `x` and `y` must have been
    returned by `upload`.

    Attributes
    ----------
    finds_not_finite : bool
        Whether the methods search `x` for inf and nan while they compute, and raise NotFiniteError. The method `train_epoch`
        searches `x` for inf and nan only if the epoch consists of one batch. If `finds_not_finite` is False, the caller must
        search `x` for inf and nan before the call.
    """

    finds_not_finite: bool

    def read(self) -> NDArray[np.floating]:
        """Returns the parameters as a flat array, which contains, layer by layer, w and then b.

        The returned array may be read-only. Later training does not change the returned array.
        """
        ...

    def write(self, parameters: NDArray[np.floating]) -> None:
        """Replaces all parameters with `parameters`, a flat array that contains, layer by layer, w and then b."""
        ...

    def read_moments(self, count: int) -> list[NDArray[np.floating]]:
        """Returns the first `count` moments of the update rule (velocity, or Adam's m and v).

        Each moment is a flat array in the order of the parameters, and may be read-only.
        """
        ...

    def write_moments(self, moments: list[NDArray[np.floating]]) -> None:
        """Replaces the first `len(moments)` moments of the update rule. All moments of a new engine are 0."""
        ...

    def upload(self, array: Any) -> Any:
        """Copies an array to the engine's device, and returns the copy. The array must have C order and the network's dtype.

        If the array is already on the device, or does not fit into the device's memory, `upload` returns the array itself. An
        array that is too large for the device's memory is copied in parts during the computation.
        """
        ...

    def predict(self, x: Any, out: Any = None, *, logits: bool = False) -> Any:
        """Returns the outputs of the last layer for every sample.

        Parameters
        ----------
        x : (n, n_in)
            The inputs, one row per sample.
        out : (n, n_out), optional
            The array to which the outputs are written: a NumPy array, or an array on the engine's device. If `out` is None, the
            outputs are written to a new NumPy array.
        logits : bool
            If True, the outputs are the pre-activations z of the last layer; if False, the predictions y_hat.

        Returns
        -------
        (n, n_out)
            The array with the outputs, which is either `out` or the new array.
        """
        ...

    def evaluate(self, x: Any, y: Any, weights: NDArray[np.floating] | None = None) -> Totals:
        """Returns the weighted sum of the losses, and the weighted number of correct outputs, over all samples.

        `weights` contains the sample weights, a NumPy array of shape (n,) with the network's dtype. If `weights` is None, all
        samples have the weight 1.
        """
        ...

    def loss_and_gradients(
        self, x: Any, y: Any, weights: NDArray[np.floating] | None = None
    ) -> tuple[float, NDArray[np.floating]]:
        """Returns the sum of the samples' losses (as in `Totals`), and the gradients of the batch that consists of all samples.

        The gradients dL/dw and dL/db are returned as one flat array in the order of the parameters. `weights` contains the
        sample weights, as in `evaluate`. The gradients are divided by the number of samples, even if there are sample weights.
        """
        ...

    def train_epoch(self, x: Any, y: Any, epoch: Epoch) -> Iterator[Totals]:
        """Updates the parameters once for every batch of the epoch.

        Yields the totals (`Totals`) since the start of the epoch, several times during the epoch and once at its end. The
        number of yields depends on the speed of the machine; the totals at the end of the epoch and the parameters do not. If
        several processes share the batches, the engine yields after each step. The totals at the end of the epoch then count
        only the samples of this process.

        If an exception interrupts training, the last totals yielded before the exception contain the number of samples in the
        completed steps. For this purpose, the engine may yield once more before it raises the exception. While the engine waits
        at a yield, callbacks and other threads may call any method.
        """
        ...

    def trace(self, x: Any, y: Any) -> dict[str, list[NDArray[np.floating]]]:
        """Returns z, a and delta of one batch, as a dict with the keys "z", "a" and "delta".

        The value of each key is a list with one array per layer, which holds the values of all samples in the batch.
        """
        ...

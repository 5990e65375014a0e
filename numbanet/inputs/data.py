"""Checked samples: x, y and weights, as all calls that take x and y hand them on."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from numbanet.engines.interface import Engine
from numbanet.engines.topology import Topology
from numbanet.inputs import arrays, weights


class Data(NamedTuple):
    """Checked samples with their targets and weights, on the host or on the GPU.

    Parameters
    ----------
    x : (n, n_in)
    y : (n, n_out)
    weights : (n,) ndarray, optional
        In the network's dtype, on the host; None if every sample weighs 1.
    """

    x: Any
    y: Any
    weights: np.ndarray | None = None

    @classmethod
    def checked(cls, x: ArrayLike, y: ArrayLike, topology: Topology, device: str, of: str = "") -> "Data":
        """Returns x and y in the form that the engines of this device take.

        Parameters
        ----------
        x, y : array_like or GPU array
        topology : Topology
        device : {"cpu", "cuda"}
        of : str
            Follows "x" and "y" in error messages, such as " of validation_data".

        Raises
        ------
        ValueError, TypeError
            x or y does not fit the network, see `samples` and `targets`.
        """
        samples = arrays.samples(x, topology, device, f"x{of}")
        return cls(samples, arrays.targets(y, samples.shape[0], topology, device, f"y{of}"))

    @property
    def n(self) -> int:
        """The number of samples."""
        return self.x.shape[0]

    @property
    def total_weight(self) -> float:
        """The sum of the weights; the number of samples if every sample weighs 1."""
        return float(self.n if self.weights is None else self.weights.sum(dtype=np.float64))

    def rows(self, rows: slice) -> "Data":
        """Returns views of some of the samples."""
        return Data(self.x[rows], self.y[rows], None if self.weights is None else self.weights[rows])

    def split(self, fraction: float) -> tuple["Data", "Data"]:
        """Returns the first samples, and without weights the last ones.

        Parameters
        ----------
        fraction : float
            Fraction of the samples in the second part, in [0, 1).

        Raises
        ------
        ValueError
            One of the parts would be empty.
        """
        first = self.n - round(fraction * self.n)
        if not 0 < first < self.n:
            raise ValueError(
                f"validation_split {fraction} of {self.n} samples leaves no sample to train on or to validate with"
            )
        return self.rows(slice(0, first)), self.rows(slice(first, self.n))._replace(weights=None)

    def weighted(
        self,
        sample_weight: ArrayLike | None,
        class_weight: Mapping[int, float] | str | None,
        loss: str,
        add_up: Callable[[np.ndarray], None] | None = None,
    ) -> "Data":
        """Returns the samples with weights, each the product of its sample weight and the weight of its class.

        Parameters
        ----------
        sample_weight : array_like (n,), optional
        class_weight : dict or "balanced", optional
            Weights by class.
        loss : str
            The network's loss: it decides which classes there are.
        add_up : callable, optional
            Replaces the numbers of samples per class by their sums over all processes, if each process has its own samples.

        Raises
        ------
        ValueError, TypeError
            A weight is not a non-negative finite number, all are 0, or the loss has no classes.
        """
        return Data(self.x, self.y, weights.sample_weights(self.y, sample_weight, class_weight, loss, add_up))

    def smoothed(self, amount: float, loss: str) -> "Data":
        """Returns the samples with smoothed targets, y + amount (1/K - y) (Szegedy et al., 2016, arXiv:1512.00567).

        The targets stay on the device that holds them.

        Parameters
        ----------
        amount : float
            In [0, 1).
        loss : str
            For cce, K is the number of outputs; for bce, where each output decides between two classes, K is 2.

        Raises
        ------
        ValueError
            Another loss has no classes to smooth.
        """
        if not amount:
            return self
        if loss not in ("bce", "cce"):
            raise ValueError(f"label_smoothing needs the loss bce or cce, not {loss}")
        indifferent = 1 / self.y.shape[1] if loss == "cce" else 0.5
        return self._replace(y=arrays.module_of(self.y).smoothed(self.y, amount, indifferent))

    def uploaded(self, engine: Engine) -> "Data":
        """Returns the samples on the engine's device, if they fit there."""
        return Data(engine.upload(self.x), engine.upload(self.y), self.weights)

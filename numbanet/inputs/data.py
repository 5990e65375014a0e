"""Checked samples: `Data` holds x, y and weights after their checks, and all further functions take `Data`."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from numbanet.engines.interface import Engine
from numbanet.engines.topology import Topology
from numbanet.inputs import arrays
from numbanet.inputs import weights as weighting


class Data(NamedTuple):
    """Checked samples with their targets and weights, on the host or on the GPU.

    Parameters
    ----------
    x : (n, n_in)
    y : (n, n_out)
    weights : (n,) ndarray, optional
        Weights of the samples, in host memory; None if every sample weighs 1. Engines take them in the network's dtype, which
        `scaled` and `as_given` return; `weighted` and `weighted_by_class` return float64.
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
            Text that follows "x" and "y" in error messages, such as " of validation_data".

        Raises
        ------
        ValueError, TypeError
            x or y does not fit the network; `samples` and `targets` describe the conditions.
        """
        samples = arrays.samples(x, topology, device, f"x{of}")
        return cls(samples, arrays.targets(y, samples.shape[0], topology, device, f"y{of}"))

    @property
    def n(self) -> int:
        """The number of samples."""
        return self.x.shape[0]

    @property
    def total_weight(self) -> float:
        """The sum of the weights of all samples, which is the number of samples if every sample weighs 1."""
        return float(self.n if self.weights is None else self.weights.sum(dtype=np.float64))

    def rows(self, rows: slice) -> "Data":
        """Returns the samples of a slice of rows, as views."""
        return Data(self.x[rows], self.y[rows], None if self.weights is None else self.weights[rows])

    def split(self, fraction: float) -> tuple["Data", "Data"]:
        """Splits the samples into training samples, the first ones, and validation samples, the last ones.

        Parameters
        ----------
        fraction : float
            Fraction of the samples that become validation samples, in [0, 1).

        Raises
        ------
        ValueError
            No training samples or no validation samples would be left.
        """
        first = self.n - round(fraction * self.n)
        if not 0 < first < self.n:
            raise ValueError(
                f"validation_split {fraction} of {self.n} samples leaves no sample to train on or to validate with"
            )
        return self.rows(slice(0, first)), self.rows(slice(first, self.n))

    def weighted(self, sample_weight: ArrayLike | None, of: str = "") -> "Data":
        """Returns the samples with sample_weight, (n,), as their weights, unless it is None.

        The text `of` follows "sample_weight" in error messages.

        Raises
        ------
        ValueError, TypeError
            sample_weight does not have one number per sample, or a weight is negative, not finite, or so small or large that
            its products would underflow or overflow.
        """
        if sample_weight is None:
            return self
        return self._replace(weights=weighting.of_samples(sample_weight, self.n, f"sample_weight{of}"))

    def weighted_by_class(
        self, class_weight: Mapping[int, float] | str | None, loss: str, add_up: weighting.AddUp | None = None
    ) -> "Data":
        """Returns the samples with their weights multiplied by the weights of their classes.

        Parameters
        ----------
        class_weight : dict or "balanced", optional
            Weights of the classes, by class index.
        loss : str
            The network's loss, which determines how y encodes classes.
        add_up : callable, optional
            Given if each process has its own samples. It replaces an array, the number of samples of each class, by the sum of
            these arrays over all processes.

        Raises
        ------
        ValueError, TypeError
            A weight is not a non-negative finite number, or class_weight is given for a loss without classes.
        """
        if class_weight is None:
            return self
        return self._replace(weights=weighting.with_classes(self.weights, self.y, class_weight, loss, add_up))

    def scaled(self, factor: float | None) -> "Data":
        """Returns the samples with their weights times a factor, in the network's dtype; None means that all weights are 1."""
        return self._replace(weights=weighting.scaled(self.weights, self.n, factor, self.y.dtype))

    def as_given(self) -> "Data":
        """Returns the samples with their weights in the network's dtype, not scaled.

        Raises
        ------
        ValueError
            A weight is so small or large that its products would underflow or overflow in this dtype.
        """
        if self.weights is None:
            return self
        weighting.refuse_extremes(self.weights, self.y.dtype, lambda s: f"the weight of sample {s}")
        return self._replace(weights=self.weights.astype(self.y.dtype))

    def to_evaluate(self) -> "Data":
        """Returns the samples with their weights as they were given, for weighted means.

        Raises
        ------
        ValueError
            All weights are 0, or `as_given` refuses a weight.
        """
        if self.weights is not None:
            weighting.refuse_zeros(self.total_weight)
        return self.as_given()

    def counted(self, rows: np.ndarray) -> np.ndarray:
        """Returns the given rows, one per sample, without the rows of samples whose weight is 0."""
        return rows if self.weights is None else rows[self.weights > 0]

    def smoothed(self, amount: float, loss: str) -> "Data":
        """Returns the samples with smoothed targets, y + amount (1/K - y) (Szegedy et al., 2016, arXiv:1512.00567).

        The smoothed targets are on the device that holds y.

        Parameters
        ----------
        amount : float
            Fraction of each target that is spread evenly over all classes, in [0, 1).
        loss : str
            The network's loss, which determines the number K of classes: for cce, K is the number of outputs; for bce, K is 2,
            because each output decides between two classes.

        Raises
        ------
        ValueError
            The loss is neither cce nor bce, and thus has no classes.
        """
        if not amount:
            return self
        if loss not in ("bce", "cce"):
            raise ValueError(f"label_smoothing needs the loss bce or cce, but the network's loss is {loss}")
        indifferent = 1 / self.y.shape[1] if loss == "cce" else 0.5
        return self._replace(y=arrays.module_of(self.y).smoothed(self.y, amount, indifferent))

    def uploaded(self, engine: Engine) -> "Data":
        """Returns the samples on the engine's device, if they fit there."""
        return Data(engine.upload(self.x), engine.upload(self.y), self.weights)

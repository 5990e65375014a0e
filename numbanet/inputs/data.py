"""Defines `Data`: samples x, targets y and sample weights, checked and converted for training and evaluation."""

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
    x : array (n, n_in)
        Samples, on the host or on the GPU.
    y : array (n, n_out)
        Targets, on the host or on the GPU.
    weights : ndarray (n,), optional
        Sample weights, always in host memory; None if every sample has the weight 1. The methods `weighted` and
        `weighted_by_class` return sample weights in float64. The methods `scaled` and `as_given` convert sample weights to the
        network's dtype, which the engines (the classes that compute on a device) require.
    """

    x: Any
    y: Any
    weights: np.ndarray | None = None

    @classmethod
    def checked(cls, x: ArrayLike, y: ArrayLike, topology: Topology, device: str, of: str = "", search: bool = True) -> "Data":
        """Checks and converts x and y by `arrays.samples` and `arrays.targets`, and returns them as `Data`.

        Parameters
        ----------
        x, y : array_like or GPU array
        topology : Topology
        device : {"cpu", "cuda"}
        of : str
            Text that error messages append to the names "x" and "y", such as " of validation_data".
        search : bool
            Whether to search x for inf and nan; see `arrays.samples`.

        Raises
        ------
        ValueError, TypeError
            x or y does not fit the network. `arrays.samples` and `arrays.targets` describe the conditions that x and y must
            satisfy.
        """
        samples = arrays.samples(x, topology, device, f"x{of}", search)
        return cls(samples, arrays.targets(y, samples.shape[0], topology, device, f"y{of}"))

    @property
    def n(self) -> int:
        """The number of samples."""
        return self.x.shape[0]

    @property
    def total_weight(self) -> float:
        """The sum of all sample weights; without sample weights, the number of samples."""
        return float(self.n if self.weights is None else self.weights.sum(dtype=np.float64))

    def rows(self, rows: slice) -> "Data":
        """Returns the samples in the slice `rows`, with views, not copies, of the arrays x, y and weights."""
        return Data(self.x[rows], self.y[rows], None if self.weights is None else self.weights[rows])

    def split(self, fraction: float) -> tuple["Data", "Data"]:
        """Splits the samples: the first rows become training samples, and the last rows become validation samples.

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
        """Returns the samples with the sample weights `sample_weight`, an array of shape (n,).

        If `sample_weight` is None, the samples are returned unchanged. `of` is a text, such as " of validation_data", that
        follows the name "sample_weight" in error messages.

        Raises
        ------
        ValueError, TypeError
            sample_weight does not contain one number per sample; or a weight is negative, is not finite, or is so small or
            large that `inputs.weights.refuse_extremes` raises ValueError.
        """
        if sample_weight is None:
            return self
        return self._replace(weights=weighting.of_samples(sample_weight, self.n, f"sample_weight{of}"))

    def weighted_by_class(
        self, class_weight: Mapping[int, float] | str | None, loss: str, add_up: weighting.AddUp | None = None
    ) -> "Data":
        """Returns the samples with each sample weight multiplied by the weight of the sample's class.

        Parameters
        ----------
        class_weight : dict or "balanced", optional
            A dict maps class indices to class weights.
        loss : str
            The network's loss, which determines how y encodes classes.
        add_up : callable, optional
            Function that adds up the class counts of all processes; required if each process holds different samples. The
            function receives an array with the number of this process's samples in each class, and overwrites the array with
            the sum of the arrays of all processes.

        Raises
        ------
        ValueError, TypeError
            A weight is not a non-negative finite number, or class_weight is given for a loss without classes.
        """
        if class_weight is None:
            return self
        return self._replace(weights=weighting.with_classes(self.weights, self.y, class_weight, loss, add_up))

    def scaled(self, factor: float | None) -> "Data":
        """Returns the samples with weights in the network's dtype, multiplied by `factor` unless it is None."""
        return self._replace(weights=weighting.scaled(self.weights, self.n, factor, self.y.dtype))

    def as_given(self) -> "Data":
        """Returns the samples with their sample weights converted to the network's dtype, but not multiplied by a factor.

        Raises
        ------
        ValueError
            A sample weight is so small or large that `inputs.weights.refuse_extremes` refuses it for the network's dtype.
        """
        if self.weights is None:
            return self
        weighting.refuse_extremes(self.weights, self.y.dtype, lambda s: f"the weight of sample {s}")
        return self._replace(weights=self.weights.astype(self.y.dtype))

    def to_evaluate(self) -> "Data":
        """Returns the samples with sample weights in the network's dtype, for an evaluation that computes weighted means.

        Raises
        ------
        ValueError
            All sample weights are 0, or a sample weight is so small or large that `as_given` raises ValueError.
        """
        if self.weights is not None:
            weighting.refuse_zeros(self.total_weight)
        return self.as_given()

    def counted(self, rows: np.ndarray) -> np.ndarray:
        """Returns `rows`, an array with one row per sample, without the rows of samples whose weight is 0."""
        return rows if self.weights is None else rows[self.weights > 0]

    def smoothed(self, amount: float, loss: str) -> "Data":
        """Returns the samples with the smoothed targets y + amount * (1/K - y), for K classes.

        Szegedy et al. (2016, arXiv:1512.00567) introduce label smoothing. The smoothed targets are stored on the same device as
        y.

        Parameters
        ----------
        amount : float
            Fraction of each target that is spread evenly over all classes, in [0, 1).
        loss : str
            The network's loss, which determines the number K of classes: for cce, the number of outputs; for bce, 2, because
            each output decides between two classes.

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
        """Returns the samples with x and y on the engine's device; an array too large for the device's memory is not copied."""
        x, y = engine.upload(self.x), engine.upload(self.y)
        return self if x is self.x and y is self.y else Data(x, y, self.weights)

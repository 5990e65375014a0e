"""Defines the attributes that give access to a fitted network's weights and biases, and the state that pickle stores."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from numbanet.network import Network
from numbanet.training.portable import packed, unpacked


class Fitted(BaseEstimator):
    """Base class of estimators: gives access to the fitted network's weights and biases, and supports pickle and copy."""

    network_: Network
    n_layers_: int

    @property
    def coefs_(self) -> list[NDArray[np.floating]]:
        """Copies of each layer's weights w (n_in, n_out). Assign a list of arrays to `coefs_` to set the weights."""
        return [w for w, _ in self._parameters()]

    @coefs_.setter
    def coefs_(self, coefs: Sequence[ArrayLike]) -> None:
        coefs = self._per_layer("coefs_", coefs)
        self.network_.set_parameters(list(zip(coefs, self.intercepts_, strict=True)))

    @property
    def intercepts_(self) -> list[NDArray[np.floating]]:
        """Copies of each layer's biases b (n_out,). Assign a list of arrays to `intercepts_` to set the biases."""
        return [b for _, b in self._parameters()]

    @intercepts_.setter
    def intercepts_(self, intercepts: Sequence[ArrayLike]) -> None:
        intercepts = self._per_layer("intercepts_", intercepts)
        self.network_.set_parameters(list(zip(self.coefs_, intercepts, strict=True)))

    def _per_layer(self, name: str, arrays: Sequence[ArrayLike]) -> Sequence[ArrayLike]:
        """Returns the arrays unchanged. Raises ValueError unless there is one array per layer of the fitted network."""
        check_is_fitted(self)
        if len(arrays) != self.n_layers_ - 1:
            raise ValueError(f"{name} must be a list of {self.n_layers_ - 1} arrays, one per layer, not of {len(arrays)}")
        return arrays

    def _parameters(self) -> list[tuple[NDArray[np.floating], NDArray[np.floating]]]:
        """Returns copies of all weights and biases.

        The copies are read-only, because writing to them would not change the network.
        """
        parameters = self.network_.parameters()
        for array in (array for pair in parameters for array in pair):
            array.flags.writeable = False
        return parameters

    def __getstate__(self) -> dict[str, Any]:
        """Returns the attributes for pickle and copy, as Python values that do not depend on the version of NumPy."""
        return packed(super().__getstate__())

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restores the attributes that `__getstate__` returned."""
        super().__setstate__(unpacked(state))

    def __sklearn_is_fitted__(self) -> bool:
        return hasattr(self, "network_")

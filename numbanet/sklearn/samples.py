"""Prepares the estimators' data: shuffles samples, converts sparse matrices to dense arrays, and checks sample weights."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.utils import check_array, check_consistent_length, gen_batches


class Shuffling(np.random.Generator):
    """A random generator for a network, which shuffles the samples in the same way as scikit-learn's estimators.

    In each epoch, scikit-learn shuffles the samples again, starting from their order in the previous epoch. Copies and pickles
    of a `Shuffling` object become a plain `numpy.random.Generator`.

    Parameters
    ----------
    generator : Generator
        The generator that draws all random numbers except the permutations, such as the keys of the dropout generator.
    random_state : RandomState
        The generator that draws the permutations.
    order : int array (n,), optional
        The order of the samples in the previous epoch; by default, the order of the rows of X.
    """

    def __init__(self, generator: np.random.Generator, random_state: np.random.RandomState, order: NDArray[Any] | None = None):
        super().__init__(generator.bit_generator)
        self.random_state, self.order = random_state, order

    def permutation(self, x: Any, axis: int = 0) -> NDArray[Any]:
        """Returns the order of the samples in the next epoch; x is the number of samples."""
        indices = np.arange(x)
        self.random_state.shuffle(indices)
        self.order = indices if self.order is None or self.order.size != x else self.order[indices]
        return self.order


def dense(X: Any) -> NDArray[Any]:  # noqa: N803
    """Returns samples as a dense array. A dense array is returned unchanged."""
    return X.toarray() if issparse(X) else X


def dense_batches(
    X: Any,  # noqa: N803
    targets: NDArray[Any],
    weights: NDArray[Any] | None,
    order: NDArray[Any],
    batch_size: int,
) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]]:
    """Yields the batches of one epoch as dense arrays. `order` contains the indices of the samples in the epoch's order."""
    for part in gen_batches(X.shape[0], batch_size):
        rows = order[part]
        yield dense(X[rows]), targets[rows], None if weights is None else weights[rows]


def checked_weights(sample_weight: Any, X: Any) -> NDArray[Any] | None:  # noqa: N803
    """Returns the sample weights as an array, or None if `sample_weight` is None. Raises ValueError for invalid weights."""
    if sample_weight is None:
        return None
    weights = check_array(sample_weight, ensure_2d=False, dtype="float64", input_name="sample_weight")
    if weights.ndim != 1:
        raise ValueError(f"sample_weight must have one dimension, but has shape {weights.shape}")
    check_consistent_length(X, weights)
    if (weights < 0).any() or not weights.any():
        raise ValueError("sample_weight contains a negative weight, or all weights are zero: pass weights of 0 or more")
    return weights

"""Samples and weights of the estimators: sparse matrices as dense arrays, weights checked, the order of an epoch."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import issparse
from sklearn.utils import check_array, check_consistent_length, gen_batches


class Shuffling(np.random.Generator):
    """A network's random generator that draws permutations as scikit-learn's estimators do.

    In each epoch, scikit-learn shuffles the order of the epoch before. Copies and pickles of this object are generators of the
    class `numpy.random.Generator`.

    Parameters
    ----------
    generator : Generator
        Draws all other random numbers, such as the keys of dropout.
    random_state : RandomState
        Draws the permutations.
    order : (n,) int, optional
        The order of the previous epoch; by default, the samples are in their own order.
    """

    def __init__(self, generator: np.random.Generator, random_state: np.random.RandomState, order: NDArray[Any] | None = None):
        super().__init__(generator.bit_generator)
        self.random_state, self.order = random_state, order

    def permutation(self, x: Any, axis: int = 0) -> NDArray[Any]:
        """Returns the order of the x samples in the next epoch."""
        indices = np.arange(x)
        self.random_state.shuffle(indices)
        self.order = indices if self.order is None or self.order.size != x else self.order[indices]
        return self.order


def dense(X: Any) -> NDArray[Any]:  # noqa: N803
    """Returns samples as a dense array."""
    return X.toarray() if issparse(X) else X


def dense_batches(
    X: Any,  # noqa: N803
    targets: NDArray[Any],
    weights: NDArray[Any] | None,
    order: NDArray[Any],
    batch_size: int,
) -> Iterator[tuple[NDArray[Any], NDArray[Any], NDArray[Any] | None]]:
    """Yields the batches of one epoch, converted to dense arrays, in an order of samples."""
    for part in gen_batches(X.shape[0], batch_size):
        rows = order[part]
        yield dense(X[rows]), targets[rows], None if weights is None else weights[rows]


def checked_weights(sample_weight: Any, X: Any) -> NDArray[Any] | None:  # noqa: N803
    """Returns the weights of the samples as an array; raises ValueError if they are invalid."""
    if sample_weight is None:
        return None
    weights = check_array(sample_weight, ensure_2d=False, dtype="float64", input_name="sample_weight")
    if weights.ndim != 1:
        raise ValueError(f"sample_weight must have one dimension, but has shape {weights.shape}")
    check_consistent_length(X, weights)
    if (weights < 0).any() or not weights.any():
        raise ValueError("sample_weight contains a negative weight, or all weights are zero: pass weights of 0 or more")
    return weights

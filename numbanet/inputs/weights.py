"""Checks sample_weight and class_weight, and combines them into one weight for each sample."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from numbanet import checks
from numbanet.inputs import arrays


def sample_weights(
    y: Any,
    sample_weight: ArrayLike | None,
    class_weight: Mapping[int, float] | str | None,
    loss: str,
    add_up: Callable[[np.ndarray], None] | None,
) -> np.ndarray | None:
    """Returns the weights of the samples with targets y, (n,), in the dtype of y; returns None if every sample weighs 1.

    `Data.weighted` describes the parameters and the errors that this function raises.
    """
    weights, dtype = None, y.dtype
    if sample_weight is not None:
        weights = arrays.real_array("sample_weight", sample_weight)
        if weights.shape != (y.shape[0],):
            raise ValueError(f"sample_weight must have shape ({y.shape[0]},), one weight for each sample, not {weights.shape}")
        weights = arrays.finite("sample_weight", weights, dtype)
    if class_weight is not None:
        classes = _classes(y, loss)
        counts = np.bincount(classes, minlength=max(y.shape[1], 2))
        if add_up is not None:
            add_up(counts)
        of_samples = _class_weights(class_weight, counts)[classes]
        weights = of_samples.astype(dtype) if weights is None else (weights * of_samples).astype(dtype)
    if weights is not None and ((weights < 0).any() or not weights.any()):
        raise ValueError("a sample weight or class weight is negative, or all weights are 0: pass weights of 0 or more")
    return weights


def _classes(y: Any, loss: str) -> np.ndarray:
    """Returns the class of each sample as an array (n,) in host memory."""
    binary = loss == "bce" and y.shape[1] == 1
    if loss != "cce" and not binary:
        raise ValueError("class_weight needs a network with classes: the loss cce, or the loss bce with a single output")
    return arrays.module_of(y).classes(y, binary)


def _class_weights(class_weight: Any, counts: np.ndarray) -> np.ndarray:
    """Returns the weight of each class; for "balanced", n / (number of classes with samples * number of samples of the class).

    scikit-learn defines the class weight "balanced" in the same way.
    """
    if isinstance(class_weight, str):
        checks.choice("class_weight", class_weight, ("balanced",))
        return counts.sum() / (np.count_nonzero(counts) * np.maximum(counts, 1))
    try:
        by_label = dict(class_weight)
    except (TypeError, ValueError):
        raise TypeError(f"class_weight must be 'balanced', or map classes to weights, not {class_weight!r}") from None
    weights = np.ones(counts.size)
    for label, weight in by_label.items():
        if not 0 <= checks.integer("a class of class_weight", label, 0) < counts.size:
            raise ValueError(f"class_weight names class {label!r}, but classes are 0 to {counts.size - 1}")
        weights[label] = checks.not_negative(f"class_weight[{label}]", weight)
    return weights

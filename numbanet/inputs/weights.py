"""Checks the arguments sample_weight and class_weight, and combines them into one weight per sample."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from numbanet import checks
from numbanet.inputs import arrays, objects

# A function that replaces an array, in place, with the sum of the arrays of all processes.
AddUp = Callable[[np.ndarray], None]


def of_samples(sample_weight: ArrayLike, n: int, name: str) -> np.ndarray:
    """Returns the sample weights of n samples as a float64 array of shape (n,).

    Raises
    ------
    ValueError, TypeError
        sample_weight does not have the shape (n,); or a sample weight is not a finite real number, is negative, or is so small
        or large that `refuse_extremes` raises ValueError.
    """
    on_host: Any = arrays.gpu_arrays.view(name, sample_weight).copy_to_host() if arrays.on_gpu(sample_weight) else sample_weight
    weights = arrays.real_array(name, on_host)
    if weights.shape != (n,):
        raise ValueError(f"{name} must have shape ({n},), one weight for each sample, not {weights.shape}")
    weights = arrays.finite(name, weights, checks.DOUBLE, weights)
    below = np.flatnonzero(weights < 0)
    if below.size:
        raise ValueError(
            f"{objects.cell(name, (int(below[0]),))} is negative ({weights[below[0]]:g}): pass weights of 0 or more"
        )
    refuse_extremes(weights, checks.DOUBLE, lambda s: objects.cell(name, (s,)))
    return weights


def with_classes(
    weights: np.ndarray | None, y: Any, class_weight: Mapping[int, float] | str, loss: str, add_up: AddUp | None
) -> np.ndarray:
    """Multiplies each sample weight by the weight of the sample's class; returns the products as a float64 array (n,).

    y contains the samples' targets. `Data.weighted_by_class` describes the parameters class_weight, loss and add_up, and the
    errors raised.
    """
    refuse_classless(loss, y.shape[1])
    classes = arrays.module_of(y).classes(y, loss == "bce")
    number = max(y.shape[1], 2)
    if isinstance(class_weight, str):
        counts = np.bincount(classes, weights, number).astype(np.float64)
        if add_up is not None:
            add_up(counts)
        of_class = balanced(class_weight, counts)
    else:
        of_class = by_class(class_weight, number)
    with np.errstate(under="ignore"):
        product = of_class[classes] if weights is None else weights * of_class[classes]
    refuse_extremes(product, checks.DOUBLE, lambda s: f"the weight of sample {s} (with the weight of its class)")
    return product


def refuse_classless(loss: str, n_out: int) -> None:
    """Raises ValueError if a network with this loss and number of outputs has no classes, so that class_weight is invalid."""
    if loss != "cce" and not (loss == "bce" and n_out == 1):
        raise ValueError("class_weight needs a network with classes: the loss cce, or the loss bce with a single output")


def balanced(name: str, counts: np.ndarray) -> np.ndarray:
    """Returns the weight of each class for class_weight="balanced", defined as in scikit-learn.

    A class that contains m of n samples has the weight n / (m * number of classes with samples). With sample weights, m and n
    are sums of sample weights instead of numbers of samples.

    Parameters
    ----------
    name : str
        The argument class_weight, which must be "balanced".
    counts : ndarray (classes,)
        The number of samples in each class or, with sample weights, the sum of the sample weights in each class.
    """
    checks.choice("class_weight", name, ("balanced",))
    present = counts > 0
    return counts.sum() / (max(1, np.count_nonzero(present)) * np.where(present, counts, 1))


def by_class(class_weight: Any, number: int) -> np.ndarray:
    """Returns the class weights of `number` classes as an array. A class that the mapping does not contain has the weight 1."""
    try:
        by_label = dict(class_weight)
    except (TypeError, ValueError):
        raise TypeError(f"class_weight must be 'balanced', or map classes to weights, not {class_weight!r}") from None
    weights = np.ones(number)
    for label, weight in by_label.items():
        if not 0 <= checks.integer("a class of class_weight", label, 0) < number:
            raise ValueError(f"class_weight names class {label!r}, but classes are 0 to {number - 1}")
        weights[label] = checks.not_negative(f"class_weight[{label}]", weight)
    return weights


def countable_beforehand(class_weight: Any, loss: str, n_out: int) -> None:
    """Checks class_weight for samples that arrive in batches.

    Because the batches are not read before training, the number of samples in each class is unknown.

    Raises
    ------
    ValueError, TypeError
        class_weight is "balanced", or is not a mapping from classes to weights, or the network has no classes.
    """
    if class_weight is None:
        return
    refuse_classless(loss, n_out)
    number = max(n_out, 2)
    if not isinstance(class_weight, str):
        by_class(class_weight, number)
        return
    checks.choice("class_weight", class_weight, ("balanced",))
    raise ValueError(
        "class_weight='balanced' needs the number of samples of each class, which is unknown while x yields batches: pass a "
        f"dict with a weight for each of the classes 0 to {number - 1}, such as n / ({number} * number of samples of the class)"
    )


def refuse_extremes(weights: np.ndarray, dtype: np.dtype, name: Callable[[int], str]) -> None:
    """Raises ValueError if a sample weight other than 0 is so small or large that its square could under- or overflow.

    Parameters
    ----------
    weights : float64 array (n,)
    dtype : numpy.dtype
        The type in which products with the weights are computed. A nonzero weight must lie between the square roots of the
        smallest and of the largest positive normal number of `dtype`.
    name : callable
        Takes the index of a weight, and returns the words that name the weight in the error message.
    """
    least, most = (math.sqrt(bound) for bound in (np.finfo(dtype).tiny, np.finfo(dtype).max))
    extreme = np.flatnonzero((weights > most) | ((weights > 0) & (weights < least)))
    if extreme.size:
        s = int(extreme[0])
        raise ValueError(
            f"{name(s)} is {weights[s]:g}: in {dtype}, a weight must be 0 or lie between {least:.2g} and {most:.2g}, so that "
            "its products neither underflow nor overflow"
        )


def scaled(weights: np.ndarray | None, n: int, factor: float | None, dtype: np.dtype) -> np.ndarray | None:
    """Returns the sample weights of n samples, multiplied by the factor, as an array of `dtype`.

    If `weights` is None, each sample weight is 1. If `factor` is None, the sample weights are only converted to `dtype`. If
    `weights` and `factor` are None, the function returns None.
    """
    if factor is None:
        return None if weights is None else weights.astype(dtype)
    with np.errstate(under="ignore"):
        return (np.full(n, factor) if weights is None else weights * factor).astype(dtype)


def refuse_zeros(total: float, of: str = "") -> None:
    """Raises ValueError if `total`, the sum of all sample weights, is 0.

    The message begins with "all weights", followed by `of`, for example " of the validation samples".
    """
    if total == 0:
        raise ValueError(f"all weights{of} are 0: pass a weight above 0 for at least one sample")

"""What samples and classes count in training, and how certain their targets are."""

from collections.abc import Callable

import numpy as np

from numbanet import checks, inputs
from numbanet.engines.topology import Topology


def nothing_to_add(counts: np.ndarray) -> None:
    """Where all samples are here."""


def weights(sample_weight, class_weight, y, topology: Topology, add_up: Callable = nothing_to_add) -> np.ndarray | None:
    """The weights of samples with targets y, (n,), in the network's dtype; None where all are 1.

    Each is what sample_weight says of the sample times what class_weight says of its class. add_up replaces how often the
    classes are there by how often they are in all processes, where each has samples of its own.
    """
    found = None
    if sample_weight is not None:
        found = inputs.real_array("sample_weight", sample_weight)
        if found.shape != (y.shape[0],):
            raise ValueError(f"sample_weight must have shape ({y.shape[0]},), one for each sample, not {found.shape}")
        found = inputs.finite("sample_weight", found, topology.dtype)
    if class_weight is not None:
        classes = _classes(inputs.on_host(y), topology)
        often = np.bincount(classes, minlength=max(topology.sizes[-1], 2))
        add_up(often)
        of_class = _class_weights(class_weight, often)[classes]
        found = of_class.astype(topology.dtype) if found is None else (found * of_class).astype(topology.dtype)
    if found is not None and ((found < 0).any() or not found.any()):
        raise ValueError("sample_weight and class_weight must not be negative, and not all be 0")
    return found


def _classes(y: np.ndarray, topology: Topology) -> np.ndarray:
    """The class of each sample."""
    if topology.loss == "cce":
        return y.argmax(axis=1)
    if topology.loss == "bce" and y.shape[1] == 1:
        return (y[:, 0] > 0.5).astype(np.intp)
    raise ValueError("class_weight needs the loss cce, or bce with a single output")


def _class_weights(class_weight, often: np.ndarray) -> np.ndarray:
    """The weight of each class; of "balanced" n / (number of classes times how often this one is there), as in scikit-learn."""
    if isinstance(class_weight, str):
        checks.choice("class_weight", class_weight, ("balanced",))
        return often.sum() / (np.count_nonzero(often) * np.maximum(often, 1))
    try:
        given = dict(class_weight)
    except (TypeError, ValueError):
        raise TypeError(f"class_weight must be 'balanced', or map classes to weights, not {class_weight!r}") from None
    count = often.size
    found = np.ones(count)
    for label, weight in given.items():
        if not 0 <= checks.integer("a class of class_weight", label, 0) < count:
            raise ValueError(f"class_weight names class {label!r}, but classes are 0 to {count - 1}")
        found[label] = checks.not_negative(f"class_weight[{label}]", weight)
    return found


def smoothed(y, amount: float, topology: Topology):
    """Targets that have moved that share of the way to indifference (Szegedy et al., 2016, arXiv:1512.00567)."""
    if not checks.share("label_smoothing", amount):
        return y
    if topology.loss not in ("bce", "cce"):
        raise ValueError(f"label_smoothing needs the loss bce or cce, not {topology.loss}")
    indifferent = 1 / topology.sizes[-1] if topology.loss == "cce" else 0.5
    y = inputs.on_host(y)
    return inputs.finite("y", y + y.dtype.type(amount) * (y.dtype.type(indifferent) - y), topology.dtype)

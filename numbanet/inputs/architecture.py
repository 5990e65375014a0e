"""Checks of the arguments that describe a network: sizes, activations, loss, dtype, dropout."""

import numbers

import numpy as np

from numbanet import checks
from numbanet.engines.topology import ACTIVATIONS, LOSSES, Topology

NATURAL_OUTPUT = {"cce": "softmax", "bce": "sigmoid", "mse": "identity", "sse": "identity"}
ALLOWED_OUTPUTS = {"cce": ("softmax",), "bce": ("sigmoid", "softmax")}
DTYPES = ("float32", "float64")


def topology(sizes, activations, loss, dtype, epsilon, dropout=0.0) -> Topology:
    """A checked Topology from the arguments of Network."""
    loss = checks.choice("loss", loss, LOSSES)
    dtype = _dtype(dtype)
    sizes = _sizes(sizes)
    activations = _activations(activations, len(sizes) - 1, loss)
    output = activations[-1]
    allowed = ALLOWED_OUTPUTS.get(loss, tuple(ACTIVATIONS))
    if output not in allowed:
        raise ValueError(f"loss {loss!r} needs a {' or '.join(allowed)} output, but layer {len(activations)} is {output!r}")
    if loss == "bce" and output == "softmax" and sizes[-1] == 1:
        raise ValueError("loss 'bce' needs at least 2 softmax outputs: a single one is always 1; take sigmoid")
    hidden = _dropout(dropout, len(sizes) - 2)
    return Topology(sizes, activations, loss, dtype, checks.positive("epsilon", epsilon, dtype), hidden)


def _dtype(dtype) -> np.dtype:
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or dtype is None or found.name not in DTYPES or not found.isnative:
        raise ValueError(f"unknown dtype {dtype!r}; known are {', '.join(DTYPES)}")
    return found


def _sizes(sizes) -> tuple[int, ...]:
    try:
        sizes = list(sizes)
    except TypeError:
        raise TypeError(f"sizes must be a list of integers, input first, not {sizes!r}") from None
    if len(sizes) < 2:
        raise ValueError(f"sizes must name the inputs and at least one layer, such as [64, 32, 10], not {sizes!r}")
    return tuple(checks.integer(f"sizes[{l}]", size) for l, size in enumerate(sizes))


def _activations(activations, layers: int, loss: str) -> tuple[str, ...]:
    if isinstance(activations, str):
        return (checks.choice("activation", activations, ACTIVATIONS),) * (layers - 1) + (NATURAL_OUTPUT[loss],)
    try:
        activations = list(activations)
    except TypeError:
        raise TypeError(f"activations must be a name or a list of names, not {activations!r}") from None
    if len(activations) != layers:
        raise ValueError(f"{layers} layers need {layers} activations, not {len(activations)}: {activations!r}")
    return tuple(checks.choice(f"activation of layer {l}", name, ACTIVATIONS) for l, name in enumerate(activations, start=1))


def _dropout(dropout, hidden: int) -> tuple[float, ...]:
    """A rate for each hidden layer; () where all are 0."""
    if isinstance(dropout, numbers.Real | str):
        dropout = [dropout] * hidden
    try:
        dropout = list(dropout)
    except TypeError:
        raise TypeError(f"dropout must be a number in [0, 1), or one for each hidden layer, not {dropout!r}") from None
    if len(dropout) != hidden:
        raise ValueError(f"{hidden} hidden layers need {hidden} dropout rates, not {len(dropout)}: {dropout!r}")
    rates = tuple(checks.share(f"dropout of layer {l}", rate) for l, rate in enumerate(dropout, start=1))
    return rates if any(rates) else ()

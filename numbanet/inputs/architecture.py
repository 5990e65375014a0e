"""Checks the arguments that describe a network: sizes, activations, loss, dtype, epsilon and dropout."""

import itertools
import numbers
import os
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike

from numbanet import checks
from numbanet.engines.topology import ACTIVATIONS, ALL_ACTIVATIONS, ALL_LOSSES, LOSSES, Topology
from numbanet.formulas import Activation, Formula, Loss, with_parameter

NATURAL_OUTPUT = {"cce": "softmax", "bce": "sigmoid", "poisson": "exponential"}  # identity for all other losses
ALLOWED_OUTPUTS = {"cce": ("softmax",), "bce": ("sigmoid", "softmax")}
DTYPES = ("float32", "float64")
MOST_BYTES = 1 << 42  # the largest total size of the parameters, in bytes, if the size of the machine's memory is unknown


def make_topology(
    sizes: Iterable[Any],
    activations: str | Activation | Iterable[str | Activation],
    loss: str | Loss,
    dtype: DTypeLike,
    epsilon: float,
    dropout: float | Iterable[float] = 0.0,
) -> Topology:
    """Checks the arguments that describe a network, and returns them as a `Topology`.

    Parameters
    ----------
    sizes, activations, loss, dtype, epsilon, dropout
        As for `Network`, which documents their values.

    Raises
    ------
    ValueError, TypeError
        The value of an argument is invalid; the error message names the argument and, if the argument has one value per layer,
        the layer.
    """
    formulas: dict[str, Activation | Loss] = {}
    loss_name = _named("loss", with_parameter(loss), ALL_LOSSES, Loss, formulas)
    layer_sizes = _sizes(sizes)
    names = _activations(activations, len(layer_sizes) - 1, loss_name, formulas)
    _check_output(names, loss_name)
    _check_softmax(names, layer_sizes[1:], loss_name)
    rates = _dropout(dropout, len(layer_sizes) - 2)
    number = _dtype(dtype)
    _check_memory(layer_sizes, number)
    slope = checks.positive("epsilon", epsilon, number)
    return Topology(layer_sizes, names, loss_name, number, slope, rates, tuple(formulas.values()))


def natural_output(loss: str) -> str:
    """Returns the name of the output activation that matches a loss."""
    return NATURAL_OUTPUT.get(loss, "identity")


def _named(
    argument: str,
    value: Any,
    known: Mapping[str, Any],
    kind: type[Activation | Loss],
    formulas: dict[str, Activation | Loss],
) -> str:
    """Returns the name of an activation or loss; `value` is this name, or an `Activation` or `Loss` object.

    `known` contains the built-in activations or losses by name; some of them are `Activation` or `Loss` objects, too. An object
    is added to `formulas` under its name. Raises ValueError if another formula already has this name.
    """
    if not isinstance(value, str | Formula):
        others = f", or an object of the class {kind.__name__}"
        raise TypeError(f"{argument} must be one of {', '.join(known)}{others}, not {checks.shown(value)}")
    if not isinstance(value, Formula):
        name = checks.choice(argument, value, known)
        if not isinstance(known[name], Formula):
            return name
        value = known[name]
    if not isinstance(value, kind):
        raise TypeError(f"{argument} must be a name or an object of the class {kind.__name__}, not {value!r}")
    if value.name in {*ACTIVATIONS, *LOSSES}:
        raise ValueError(f"{argument} {value!r} has the name of a formula that is built into numbanet: give it another name")
    if formulas.setdefault(value.name, value) != value:
        raise ValueError(f"two different formulas have the name {value.name!r}: give one of them another name")
    return value.name


def _check_output(activations: tuple[str, ...], loss: str) -> None:
    """Raises ValueError if the loss cannot be computed from the output layer's activation."""
    output = activations[-1]
    allowed = ALLOWED_OUTPUTS.get(loss)
    if allowed and output not in allowed:
        raise ValueError(
            f"loss {loss!r} needs the output activation {' or '.join(allowed)}, but the last layer, layer {len(activations)}, "
            f"has {output!r}"
        )


def _check_softmax(activations: tuple[str, ...], neurons: tuple[int, ...], loss: str) -> None:
    """Raises ValueError if a layer with softmax has a single neuron, whose activation would always be 1."""
    for l, (name, count) in enumerate(zip(activations, neurons, strict=True), start=1):
        if name == "softmax" and count == 1:
            remedy = "use another activation, or at least 2 neurons"
            if l == len(neurons):
                remedy = "for two classes, use 2 outputs with loss 'cce', or 1 output with sigmoid and loss 'bce'"
                remedy += "" if loss in ("bce", "cce") else "; for a number, use identity"
            raise ValueError(f"layer {l} has a single neuron with softmax, whose activation is always 1: {remedy}")


def _dtype(dtype: Any) -> np.dtype:
    try:
        number = np.dtype(dtype)
    except TypeError:
        number = None
    if number is None or dtype is None or number.name not in DTYPES or not number.isnative:
        raise ValueError(f"unknown dtype {dtype!r}{checks.suggestion(dtype, DTYPES)}; known are {', '.join(DTYPES)}")
    return number


def _sizes(sizes: Any) -> tuple[int, ...]:
    if isinstance(sizes, str):
        raise TypeError(f"sizes must be a list of integers, the number of inputs first, not the string {sizes!r}")
    try:
        sizes = list(sizes)
    except TypeError:
        raise TypeError(f"sizes must be a list of integers, the number of inputs first, not {sizes!r}") from None
    if len(sizes) < 2:
        raise ValueError(
            "sizes must contain the number of inputs, and the number of neurons of at least one layer, such as [64, 32, 10], "
            f"not {sizes!r}"
        )
    return tuple(checks.integer(f"sizes[{l}]", size) for l, size in enumerate(sizes))


def _check_memory(sizes: tuple[int, ...], dtype: np.dtype) -> None:
    """Raises ValueError if the parameters of the network alone need more memory than this machine has."""
    count = sum((n_in + 1) * n_out for n_in, n_out in itertools.pairwise(sizes))
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows has no os.sysconf
        memory = MOST_BYTES
    if count * dtype.itemsize > min(memory, MOST_BYTES):
        raise ValueError(f"sizes {list(sizes)} need {count} parameters, which exceed the memory of this machine")


def _activations(activations: Any, layers: int, loss: str, formulas: dict[str, Activation | Loss]) -> tuple[str, ...]:
    if isinstance(activations, str | Formula):
        name = _named("activation", activations, ALL_ACTIVATIONS, Activation, formulas)
        output = _named("activation", natural_output(loss), ALL_ACTIVATIONS, Activation, formulas)
        return (name,) * (layers - 1) + (output,)
    try:
        activations = list(activations)
    except TypeError:
        raise TypeError(
            f"activations must be a name, an Activation, or a list of them, one per layer, not {checks.shown(activations)}"
        ) from None
    if len(activations) != layers:
        raise ValueError(f"{layers} layers need {layers} activations, but {len(activations)} are given: {activations!r}")
    named = enumerate(activations, start=1)
    return tuple(_named(f"activation of layer {l}", value, ALL_ACTIVATIONS, Activation, formulas) for l, value in named)


def _dropout(dropout: Any, hidden: int) -> tuple[float, ...]:
    """Returns a tuple with the dropout rate of each hidden layer, or an empty tuple if all rates are 0."""
    if isinstance(dropout, numbers.Real | str):
        dropout = [checks.fraction("dropout", dropout)] * hidden  # refused even if there is no hidden layer
    try:
        dropout = list(dropout)
    except TypeError:
        raise TypeError(
            f"dropout must be a number in [0, 1), or a list of one number for each hidden layer, not {dropout!r}"
        ) from None
    if len(dropout) != hidden:
        raise ValueError(f"{hidden} hidden layers need {hidden} dropout rates, but {len(dropout)} are given: {dropout!r}")
    rates = tuple(checks.fraction(f"dropout of layer {l}", rate) for l, rate in enumerate(dropout, start=1))
    return rates if any(rates) else ()

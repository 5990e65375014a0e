"""Builds a `Network` from layers that were read from a model of another library."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from numbanet import checks, inputs
from numbanet.files import naming, reading
from numbanet.formulas import Loss
from numbanet.inputs.architecture import natural_output
from numbanet.network import Network

LOG_SOFTMAX = "log_softmax"  # the name of an activation that other libraries have, but numbanet does not


@dataclass
class Layer:
    """A linear layer and its activation.

    Parameters
    ----------
    name : str
        Name of the layer in the other library, for error messages.
    w, b : ndarray
        Weights (n_in, n_out) and biases (n_out,).
    activation : str, optional
        Name of the activation; None until the activation has been read.
    epsilon : float, optional
        The slope of leaky_relu for z <= 0; None for other activations.
    """

    name: str
    w: NDArray[Any]
    b: NDArray[Any]
    activation: str | None = None
    epsilon: float | None = None


def activate(layers: list[Layer], name: str, activation: str, epsilon: float | None = None) -> None:
    """Sets the activation of the last layer in `layers`; `name` is the activation's name in the other library."""
    if activation == "identity":
        return
    if not layers:
        raise ValueError(f"{name} comes before the first linear layer, but the first layer of a network must be linear")
    if layers[-1].activation is not None:
        raise ValueError(
            f"layer {layers[-1].name} has two activations, {layers[-1].activation} and then {name}, but only one is supported"
        )
    layers[-1].activation, layers[-1].epsilon = activation, epsilon


def leaky_relu(slope: float) -> tuple[str, float | None]:
    """Returns the activation and `epsilon` for a leaky ReLU with this slope: ("leaky_relu", slope), or ("relu", None) for 0."""
    return ("leaky_relu", checks.positive("the slope of leaky_relu", slope)) if slope else ("relu", None)


def known_activation(layer: str, name: Any, names: Mapping[str, str]) -> str:
    """Returns numbanet's name for another library's activation; raises ValueError if numbanet has no such activation."""
    if not isinstance(name, str) or name not in names:
        raise ValueError(f"layer {layer} has activation {name!r}, which is not supported; supported are {', '.join(names)}")
    return names[name]


def network(layers: list[Layer], loss: str | Loss, activations: str | Sequence[str] | None, **options: Any) -> Network:
    """Builds a `Network` from layers. If `activations` is None, each layer keeps the activation that was read with it."""
    _check_shapes(layers)
    if activations is None:
        _resolve_log_softmax(layers, loss)
        activations = [layer.activation or "identity" for layer in layers]
        if layers[-1].activation is None:
            activations[-1] = natural_output(str(getattr(loss, "name", loss)))
    slope = _slope(layers)
    if slope is not None and options.setdefault("epsilon", slope) != slope:
        raise ValueError(f"epsilon is {options['epsilon']}, but the layers' leaky_relu has slope {slope}: leave out epsilon")
    options.setdefault("dtype", "float64" if any(layer.w.dtype == np.float64 for layer in layers) else "float32")
    result = Network([layers[0].w.shape[0], *(layer.w.shape[1] for layer in layers)], activations, loss, **options)
    result.set_parameters([(layer.w, layer.b) for layer in layers])
    return result


def network_of_file(
    source: str | os.PathLike[str],
    read: Callable[[BinaryIO], list[Layer]],
    loss: str | Loss,
    activations: str | Sequence[str] | None,
    **options: Any,
) -> Network:
    """Builds a `Network` from the layers that the function `read` returns for an open file; all errors name the file."""
    complaint = "cannot import {}: {}"
    with reading(source, complaint) as file:
        layers = read(file)
        _check_shapes(layers)
    with naming(source, complaint, (ValueError, MemoryError)):
        return network(layers, loss, activations, **options)


def _resolve_log_softmax(layers: list[Layer], loss: str | Loss) -> None:
    """Replaces log_softmax with softmax in the last layer if the loss is cce; raises ValueError for any other log_softmax."""
    for layer in layers:
        if layer.activation == LOG_SOFTMAX:
            if layer is not layers[-1] or loss != "cce":
                raise ValueError(
                    f"layer {layer.name} has the activation log_softmax, which is supported only in the last layer and with "
                    "loss 'cce': there, softmax replaces log_softmax without a change of the loss and the gradients"
                )
            layer.activation = "softmax"


def _check_shapes(layers: list[Layer]) -> None:
    """Raises ValueError if an array of a layer has a wrong dtype or shape, or if layers do not fit together."""
    if not layers:
        raise ValueError("the source contains no linear layer, but a network needs at least one")
    n_out = None
    for layer in layers:
        layer.w, layer.b = (inputs.real_array(f"{symbol} of layer {layer.name}", getattr(layer, symbol)) for symbol in "wb")
        for array in (layer.w, layer.b):
            if array.dtype.kind != "f":
                raise ValueError(
                    f"layer {layer.name} has weights of dtype {array.dtype}; quantised weights are not supported: pass the "
                    "model as it was before quantisation, with weights of a float dtype"
                )
        if layer.w.ndim != 2:
            raise ValueError(
                f"the weights of layer {layer.name} have shape {layer.w.shape}, but a linear layer needs two dimensions"
            )
        if layer.b.shape != (layer.w.shape[1],):
            raise ValueError(f"layer {layer.name} has {layer.w.shape[1]} outputs, but its bias has shape {layer.b.shape}")
        if not layer.w.size:
            raise ValueError(
                f"the weights of layer {layer.name} have shape {layer.w.shape}, but a layer needs at least one input and "
                "at least one output"
            )
        if n_out not in (None, layer.w.shape[0]):
            raise ValueError(f"layer {layer.name} has {layer.w.shape[0]} inputs, but the layer before it has {n_out} outputs")
        n_out = layer.w.shape[1]


def _slope(layers: list[Layer]) -> float | None:
    """Returns the slope of leaky_relu, or None if no layer has this activation; raises ValueError if the slopes differ."""
    slopes = {layer.epsilon: layer.name for layer in layers if layer.epsilon is not None}
    if len(slopes) > 1:
        listed = ", ".join(f"{slope} (layer {name})" for slope, name in slopes.items())
        raise ValueError(f"leaky_relu has several slopes, {listed}, but a network has the same slope, epsilon, in all layers")
    return next(iter(slopes), None)

"""Layers read from another library, and the Network built from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbanet import checks, inputs
from numbanet.inputs.architecture import NATURAL_OUTPUT
from numbanet.network import Network


@dataclass
class Layer:
    """A linear layer and its activation.

    Parameters
    ----------
    name : str
        Name of the layer in its library, for error messages.
    w, b : ndarray
        Weights (n_in, n_out) and biases (n_out,).
    activation : str, optional
        Name of the activation; None until one is known.
    epsilon : float, optional
        Slope of leaky_relu for z <= 0.
    """

    name: str
    w: NDArray[Any]
    b: NDArray[Any]
    activation: str | None = None
    epsilon: float | None = None


def activate(layers: list[Layer], name: str, activation: str, epsilon: float | None = None) -> None:
    """Adds an activation to the last layer; `name` is its name in its library."""
    if activation == "identity":
        return
    if not layers:
        raise ValueError(f"{name} comes before the first linear layer: the first layer of a network must be linear")
    if layers[-1].activation is not None:
        raise ValueError(
            f"layer {layers[-1].name} has two activations, {layers[-1].activation} and then {name}: only one is supported"
        )
    layers[-1].activation, layers[-1].epsilon = activation, epsilon


def known_activation(layer: str, name: Any, names: Mapping[str, str]) -> str:
    """Returns numbanet's name of an activation from the name in its library; raises ValueError for an unknown one."""
    if not isinstance(name, str) or name not in names:
        raise ValueError(f"layer {layer} has activation {name!r}, which is not supported; supported are {', '.join(names)}")
    return names[name]


def network(layers: list[Layer], loss: str, activations: str | Sequence[str] | None, **options: Any) -> Network:
    """Returns a Network of the layers; if `activations` is None, it takes the activations of the layers."""
    _check_shapes(layers)
    if activations is None:
        activations = [layer.activation or "identity" for layer in layers]
        if layers[-1].activation is None:
            activations[-1] = NATURAL_OUTPUT[checks.choice("loss", loss, NATURAL_OUTPUT)]
    slope = _slope(layers)
    if slope is not None and options.setdefault("epsilon", slope) != slope:
        raise ValueError(f"epsilon is {options['epsilon']}, but leaky_relu of the layers has slope {slope}: leave epsilon out")
    options.setdefault("dtype", "float64" if any(layer.w.dtype == np.float64 for layer in layers) else "float32")
    result = Network([layers[0].w.shape[0], *(layer.w.shape[1] for layer in layers)], activations, loss, **options)
    result.set_parameters([(layer.w, layer.b) for layer in layers])
    return result


def _check_shapes(layers: list[Layer]) -> None:
    """Raises ValueError unless each layer takes the outputs of the one before it."""
    if not layers:
        raise ValueError("there is no linear layer")
    n_out = None
    for layer in layers:
        layer.w, layer.b = (inputs.real_array(f"{symbol} of layer {layer.name}", getattr(layer, symbol)) for symbol in "wb")
        if layer.w.ndim != 2:
            raise ValueError(f"weights of layer {layer.name} have shape {layer.w.shape}, but a linear layer has two dimensions")
        if layer.b.shape != (layer.w.shape[1],):
            raise ValueError(f"layer {layer.name} has {layer.w.shape[1]} outputs, but a bias of shape {layer.b.shape}")
        if n_out not in (None, layer.w.shape[0]):
            raise ValueError(f"layer {layer.name} has {layer.w.shape[0]} inputs, but the layer before it has {n_out} outputs")
        n_out = layer.w.shape[1]


def _slope(layers: list[Layer]) -> float | None:
    """Returns the slope of leaky_relu, which has to be the same in all layers."""
    slopes = {layer.epsilon: layer.name for layer in layers if layer.epsilon is not None}
    if len(slopes) > 1:
        listed = ", ".join(f"{slope} (layer {name})" for slope, name in slopes.items())
        raise ValueError(f"leaky_relu has several slopes, {listed}: a network has only one epsilon")
    return next(iter(slopes), None)

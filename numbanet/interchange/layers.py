"""Layers as another library has them, and a Network made of them."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from numbanet import checks, inputs
from numbanet.inputs.architecture import NATURAL_OUTPUT
from numbanet.network import Network


@dataclass
class Layer:
    """A linear layer and the activation behind it, under the name that its library knows it by.

    w is (n_in, n_out), b (n_out,); activation is None as long as none is known.
    """

    name: str
    w: np.ndarray
    b: np.ndarray
    activation: str | None = None
    epsilon: float | None = None


def activate(layers: list[Layer], name: str, activation: str, epsilon: float | None = None) -> None:
    """Puts an activation, of this name in its library, behind the last layer."""
    if activation == "identity":
        return
    if not layers:
        raise ValueError(f"{name} stands before the first linear layer: a network begins with a linear one")
    if layers[-1].activation is not None:
        raise ValueError(
            f"layer {layers[-1].name} has two activations, {layers[-1].activation} and then {name}: it may have one"
        )
    layers[-1].activation, layers[-1].epsilon = activation, epsilon


def known_activation(layer: str, name, names: dict[str, str]) -> str:
    """Our name of an activation, from that of its library."""
    if not isinstance(name, str) or name not in names:
        raise ValueError(f"layer {layer} has activation {name!r}; known are {', '.join(names)}")
    return names[name]


def network(layers: list[Layer], loss: str, activations, **options: Any) -> Network:
    """A Network of these layers, with activations as given or, where they are None, as the layers have them."""
    _check_shapes(layers)
    if activations is None:
        activations = [layer.activation or "identity" for layer in layers]
        if layers[-1].activation is None:
            activations[-1] = NATURAL_OUTPUT[checks.choice("loss", loss, NATURAL_OUTPUT)]
    slope = _slope(layers)
    if slope is not None and options.setdefault("epsilon", slope) != slope:
        raise ValueError(f"epsilon is {options['epsilon']}, but leaky_relu of the layers has slope {slope}")
    options.setdefault("dtype", "float64" if any(layer.w.dtype == np.float64 for layer in layers) else "float32")
    made = Network([layers[0].w.shape[0], *(layer.w.shape[1] for layer in layers)], activations, loss, **options)
    made.set_parameters([(layer.w, layer.b) for layer in layers])
    return made


def _check_shapes(layers: list[Layer]) -> None:
    if not layers:
        raise ValueError("there is no linear layer")
    n_out = None
    for layer in layers:
        layer.w, layer.b = (inputs.real_array(f"{symbol} of layer {layer.name}", getattr(layer, symbol)) for symbol in "wb")
        if layer.w.ndim != 2:
            raise ValueError(f"weights of layer {layer.name} have shape {layer.w.shape}: a linear layer's have two dimensions")
        if layer.b.shape != (layer.w.shape[1],):
            raise ValueError(f"layer {layer.name} has {layer.w.shape[1]} outputs, but a bias of shape {layer.b.shape}")
        if n_out not in (None, layer.w.shape[0]):
            raise ValueError(f"layer {layer.name} has {layer.w.shape[0]} inputs, but the layer before it {n_out} outputs")
        n_out = layer.w.shape[1]


def _slope(layers: list[Layer]) -> float | None:
    slopes = {layer.epsilon: layer.name for layer in layers if layer.epsilon is not None}
    if len(slopes) > 1:
        said = ", ".join(f"{slope} (layer {name})" for slope, name in slopes.items())
        raise ValueError(f"leaky_relu has several slopes, {said}: a network has one epsilon")
    return next(iter(slopes), None)

"""Imports PyTorch modules, state dicts of chains of nn.Linear, and files of state dicts; exports weights to PyTorch."""

import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbanet._extras import imported
from numbanet.interchange.layers import Layer, activate, network
from numbanet.network import Network

ACTIVATIONS = {
    "Identity": "identity",
    "Dropout": "identity",  # in prediction
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "Softmax": "softmax",
}


def from_torch(
    source: Any,
    *,
    loss: str,
    activations: str | Sequence[str] | None = None,
    layers: Sequence[str] | None = None,
    **options: Any,
) -> Network:
    """Creates a network from a PyTorch model.

    Parameters
    ----------
    source : nn.Sequential, nn.Module, mapping or path
        One of four kinds: an nn.Sequential of nn.Linear, the activations that numbanet has, nn.Identity and nn.Dropout; any
        other module that is a chain of nn.Linear; the state dict of such a module; or the path of a state dict's file. The
        file may be a .safetensors file, or a .pt, .pth or .bin file, which PyTorch reads with weights_only=True. Code in a
        file is not executed.
    loss : {"sse", "mse", "bce", "cce"}
        Loss of the network, as for `Network`.
    activations : str or list of str, optional
        Activations of the layers, as for `Network`. They are required unless source is an nn.Sequential, which defines its
        activations itself. If the last layer of the nn.Sequential has no activation (its outputs are logits), the network's
        output gets the activation that fits the loss (cce: softmax, bce: sigmoid).
    layers : list of str, optional
        Names of the layers in their order, such as ["fc1", "out"] for fc1.weight, fc1.bias, ... By default, layers whose names
        differ only in numbers are ordered by these numbers, and layers with other names as in the mapping. A .safetensors
        file does not store an order, so that other names need this argument.
    **options
        The parameters dtype, seed, epsilon, device and kernels of `Network`. The default dtype is float64 if any weights of the
        source have this dtype, else float32.

    Returns
    -------
    Network
        A network whose weights w are the transposed weights of PyTorch. A layer without bias in PyTorch gets biases of 0.

    Raises
    ------
    ValueError, TypeError
        A layer is missing or unknown, or its shape does not fit; the message names the layer.
    ModuleNotFoundError
        The package that reads the file is not installed; the message says what to install.
    """
    if isinstance(source, str | os.PathLike):
        state, ordered = _file(Path(source))
        linear = _linear_layers(state, layers, ordered)
    elif isinstance(source, Mapping):
        linear = _linear_layers(source, layers)
    elif _is_module(source, "Sequential"):
        if activations is not None or layers is not None:
            raise ValueError(
                "an nn.Sequential defines its activations and layers itself: leave out these arguments, or pass its "
                "state_dict()"
            )
        return network(_modules(source), loss, None, **options)
    elif _is_module(source, "Module"):
        linear = _linear_layers(source.state_dict(), layers)
    else:
        raise TypeError(f"source must be an nn.Module, a state dict or the path of a file, not {type(source).__name__}")
    if activations is None:
        raise ValueError("a state dict contains weights only: pass the argument activations, too")
    return network(linear, loss, activations, **options)


def to_torch(network: Network) -> dict[str, NDArray[np.floating]]:
    """Exports the weights of a network as a PyTorch state dict.

    Parameters
    ----------
    network : Network
        The network to export.

    Returns
    -------
    dict of str to ndarray
        The arrays "0.weight" (n_out, n_in), "0.bias" (n_out,), "2.weight", ..., which form the state dict of an nn.Sequential
        with an nn.Linear for each layer. Each nn.Linear is followed by a module for its activation, unless the activation is
        identity. The arrays are in C order, as `safetensors.numpy.save_file` requires.
    """
    state, position = {}, 0
    for (w, b), activation in zip(network.parameters(), network.activations, strict=True):
        state |= {f"{position}.weight": np.ascontiguousarray(w.T), f"{position}.bias": b}
        position += 1 if activation == "identity" else 2
    return state


def _is_module(source: Any, name: str) -> bool:
    """Returns whether source is an instance of torch.nn's class `name`; never imports PyTorch, which such a source has done."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, getattr(torch.nn, name))


def _modules(sequential: Iterable[Any], prefix: str = "", layers: list[Layer] | None = None) -> list[Layer]:
    """Appends the layers of an nn.Sequential, including nested nn.Sequentials, to the list `layers`, and returns the list."""
    layers = [] if layers is None else layers
    for position, module in enumerate(sequential):
        name, kind = f"{prefix}{position}", type(module).__name__
        if _is_module(module, "Sequential"):
            _modules(module, f"{name}.", layers)
        elif _is_module(module, "Linear"):
            layers.append(_layer(name, module.weight, module.bias))
        elif kind in ACTIVATIONS and type(module).__module__.startswith("torch.nn."):
            if kind == "Softmax" and module.dim not in (None, 1, -1):
                raise ValueError(f"layer {name} is a softmax over dimension {module.dim}, but only the last one is supported")
            activate(layers, f"{name} ({kind})", ACTIVATIONS[kind], getattr(module, "negative_slope", None))
        else:
            raise ValueError(
                f"layer {name} is {kind}, which is not supported; supported are Linear, Sequential, {', '.join(ACTIVATIONS)}"
            )
    return layers


def _layer(name: str, weight: Any, bias: Any) -> Layer:
    weight = _array(f"weight of layer {name}", weight)
    if weight.ndim != 2:
        raise ValueError(f"the weight of layer {name} has shape {weight.shape}, but a linear layer needs two dimensions")
    b = np.zeros(len(weight), weight.dtype) if bias is None else _array(f"bias of layer {name}", bias)
    return Layer(name, weight.T, b)


def _array(name: str, value: Any) -> NDArray[Any]:
    """Returns a PyTorch tensor or an array as a NumPy array."""
    if not hasattr(value, "detach"):
        return np.asarray(value)
    value = value.detach().cpu()
    if str(value.dtype) == "torch.bfloat16":  # NumPy has no such dtype, and float32 holds every bfloat16 exactly
        value = value.float()
    try:
        return value.numpy()
    except TypeError as error:
        raise TypeError(f"{name} has dtype {value.dtype}: {error}") from None


def _file(path: Path) -> tuple[Mapping, bool]:
    """Returns the state dict in a file, and True if the file stores the tensors in the order of the model's layers."""
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        return _safetensors(path), False
    if suffix not in (".pt", ".pth", ".bin"):
        raise ValueError(f"cannot read {path}: the file of a state dict must end in .safetensors, .pt, .pth or .bin")
    torch = imported("torch", "torch")
    with path.open("rb") as file:
        try:
            state = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # PyTorch raises exceptions of many kinds
            raise ValueError(f"cannot read {path}: it is damaged or not a state dict: {error}") from None
    if not isinstance(state, Mapping) or not all(_is_tensor(value) for value in state.values()):
        content = ", ".join(map(str, state)) if isinstance(state, Mapping) else f"a {type(state).__name__}"
        raise ValueError(
            f"{path} contains {content} instead of the tensors of a state dict: load it with PyTorch, and pass the state dict"
        )
    return state, True


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "detach")


def _safetensors(path: Path) -> dict[str, NDArray[Any]]:
    with path.open("rb"):  # raises an OSError that names the file
        pass
    package = imported("safetensors", "numbanet[safetensors]")
    try:
        with package.safe_open(path, framework="np") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, the file is not a dict
    except (package.SafetensorError, TypeError) as error:
        raise ValueError(f"cannot read {path}: {error}") from None


def _linear_layers(state: Mapping[str, Any], names: Sequence[str] | None, ordered: bool = True) -> list[Layer]:
    """Returns the layers of a state dict in the order of `names` or, if names is None, in the order of `_in_order`."""
    parts: dict[str, dict[str, Any]] = {}
    for key, value in state.items():
        name, _, symbol = str(key).rpartition(".")
        parts.setdefault(name, {})[symbol] = value
    if names is None:
        names = _in_order(list(parts), ordered)
    layers = []
    for name in names:
        if name not in parts:
            raise ValueError(f"layers names {name!r}, but the state dict has no such layer; it has {', '.join(parts)}")
        tensors = parts[name]
        if "weight" not in tensors or tensors.keys() - {"weight", "bias"}:
            raise ValueError(f"layer {name!r} has the tensors {', '.join(tensors)}, but a linear layer has weight and bias")
        layers.append(_layer(name, tensors["weight"], tensors.get("bias")))
    if left_out := [name for name in parts if name not in names]:
        raise ValueError(f"layers omits {', '.join(left_out)}: name every layer of the state dict")
    return layers


def _in_order(names: list[str], ordered: bool) -> list[str]:
    """Sorts names that differ only in numbers by the numbers; keeps any other names in their order, or raises ValueError."""
    split = {name: re.split(r"(\d+)", name) for name in names}
    if len({tuple(parts[::2]) for parts in split.values()}) <= 1:
        return sorted(names, key=lambda name: [int(number) for number in split[name][1::2]])
    if not ordered:
        raise ValueError(f"the file does not store the order of {', '.join(names)}: pass their names in order as layers")
    return names

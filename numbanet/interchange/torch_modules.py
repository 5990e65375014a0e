"""PyTorch: import of an nn.Sequential, of the state dict of any chain of nn.Linear, and of its file; export of weights."""

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
        An nn.Sequential of nn.Linear, the activations of numbanet, nn.Identity and nn.Dropout; any other module that is a
        chain of nn.Linear; the state dict of either; or the file of a state dict: .safetensors, or .pt, .pth, .bin, which
        PyTorch reads with weights_only=True. Nothing in a file is executed.
    loss : {"sse", "mse", "bce", "cce"}
        As for `Network`.
    activations : str or list of str, optional
        As for `Network`; required unless source is an nn.Sequential, which defines its activations. If the nn.Sequential
        ends without an activation (in logits), the output gets the natural one for the loss (cce: softmax, bce: sigmoid).
    layers : list of str, optional
        Names of the layers in their order, such as ["fc1", "out"] for fc1.weight, fc1.bias, ... By default layers whose
        names differ only in numbers are ordered by these, all others as in the mapping; a .safetensors file has no order.
    **options
        dtype, seed, epsilon, device, kernels, as for `Network`; the default dtype is float64 if any weights are, else
        float32.

    Returns
    -------
    Network
        A network whose w is PyTorch's weight transposed. The bias of a layer without one is 0.

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
            raise ValueError("an nn.Sequential defines activations and layers itself: leave them out, or pass its state_dict()")
        return network(_modules(source), loss, None, **options)
    elif _is_module(source, "Module"):
        linear = _linear_layers(source.state_dict(), layers)
    else:
        raise TypeError(f"source must be an nn.Module, a state dict or the path of a file, not {type(source).__name__}")
    if activations is None:
        raise ValueError("activations must be given: a state dict holds weights only")
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
        "0.weight" (n_out, n_in), "0.bias" (n_out,), "2.weight", ...: the state dict of an nn.Sequential that consists of an
        nn.Linear per layer, each followed by a module for its activation unless that is identity. The arrays are in C order,
        as `safetensors.numpy.save_file` requires.
    """
    state, position = {}, 0
    for (w, b), activation in zip(network.parameters(), network.activations, strict=True):
        state |= {f"{position}.weight": np.ascontiguousarray(w.T), f"{position}.bias": b}
        position += 1 if activation == "identity" else 2
    return state


def _is_module(source: Any, name: str) -> bool:
    """Returns True for an instance of nn.`name`, without importing PyTorch: if it is one, PyTorch is already imported."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, getattr(torch.nn, name))


def _modules(sequential: Iterable[Any], prefix: str = "", layers: list[Layer] | None = None) -> list[Layer]:
    """Appends the layers of an nn.Sequential, and of those nested in it, to `layers`, and returns that list."""
    layers = [] if layers is None else layers
    for position, module in enumerate(sequential):
        name, kind = f"{prefix}{position}", type(module).__name__
        if _is_module(module, "Sequential"):
            _modules(module, f"{name}.", layers)
        elif _is_module(module, "Linear"):
            layers.append(_layer(name, module.weight, module.bias))
        elif kind in ACTIVATIONS and type(module).__module__.startswith("torch.nn."):
            if kind == "Softmax" and module.dim not in (None, 1, -1):
                raise ValueError(f"layer {name} is a softmax over dimension {module.dim}: only the last dimension is supported")
            activate(layers, f"{name} ({kind})", ACTIVATIONS[kind], getattr(module, "negative_slope", None))
        else:
            raise ValueError(
                f"layer {name} is {kind}, which is not supported; supported are Linear, Sequential, {', '.join(ACTIVATIONS)}"
            )
    return layers


def _layer(name: str, weight: Any, bias: Any) -> Layer:
    weight = _array(f"weight of layer {name}", weight)
    if weight.ndim != 2:
        raise ValueError(f"weight of layer {name} has shape {weight.shape}: the weight of a linear layer has two dimensions")
    b = np.zeros(len(weight), weight.dtype) if bias is None else _array(f"bias of layer {name}", bias)
    return Layer(name, weight.T, b)


def _array(name: str, value: Any) -> NDArray[Any]:
    """Returns a PyTorch tensor, or a value that is an array already, as a NumPy array."""
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
    """Returns the state dict in a file, and True if its order is that of the model."""
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
            f"{path} contains {content}, not the tensors of a state dict: load it with PyTorch and pass the state dict in it"
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
    """Returns the layers of a state dict in the order of `names`, or in their own order."""
    parts: dict[str, dict[str, Any]] = {}
    for key, value in state.items():
        name, _, symbol = str(key).rpartition(".")
        parts.setdefault(name, {})[symbol] = value
    if names is None:
        names = _in_order(list(parts), ordered)
    layers = []
    for name in names:
        if name not in parts:
            raise ValueError(f"there is no layer {name!r}; there are {', '.join(parts)}")
        tensors = parts[name]
        if "weight" not in tensors or tensors.keys() - {"weight", "bias"}:
            raise ValueError(f"layer {name!r} has {', '.join(tensors)}: a linear layer has weight and bias")
        layers.append(_layer(name, tensors["weight"], tensors.get("bias")))
    if left_out := [name for name in parts if name not in names]:
        raise ValueError(f"layers omits {', '.join(left_out)}: name every layer of the state dict")
    return layers


def _in_order(names: list[str], ordered: bool) -> list[str]:
    """Sorts names that differ only in numbers by these; keeps other names in their order, if the source has one."""
    split = {name: re.split(r"(\d+)", name) for name in names}
    if len({tuple(parts[::2]) for parts in split.values()}) <= 1:
        return sorted(names, key=lambda name: [int(number) for number in split[name][1::2]])
    if not ordered:
        raise ValueError(f"the file does not store the order of {', '.join(names)}: pass their names in order as layers")
    return names

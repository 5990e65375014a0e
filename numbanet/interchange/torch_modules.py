"""PyTorch: an nn.Sequential, the state dict of any chain of nn.Linear, and files of one; and the way back."""

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from numbanet._extras import imported
from numbanet.interchange.layers import Layer, activate, network
from numbanet.network import Network

ACTIVATIONS = {
    "Identity": "identity",
    "Dropout": "identity",  # which it is, in prediction
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "Softmax": "softmax",
}


def from_torch(source, *, loss, activations=None, layers=None, **options) -> Network:
    """The network of a PyTorch model.

    Parameters
    ----------
    source : nn.Sequential, nn.Module, mapping or path
        An nn.Sequential of nn.Linear, of the activations numbanet knows, nn.Identity and nn.Dropout; any other module that
        is a chain of nn.Linear; the state dict of either; or a file of a state dict: .safetensors, or .pt, .pth, .bin, which
        PyTorch reads with weights_only=True. Nothing in a file is executed.
    loss : {"sse", "mse", "bce", "cce"}
        As for `Network`.
    activations : str or list of str
        As for `Network`. Not for an nn.Sequential, which says itself; where it ends in logits, without an activation, the
        output takes what is natural for the loss (cce: softmax, bce: sigmoid).
    layers : list of str, optional
        Names of the layers in their order: ["fc1", "out"] for fc1.weight, fc1.bias, ... Unless given, layers whose names
        differ in their numbers alone go by these, others as they lie in the mapping; a .safetensors file has no order.
    **options
        dtype, seed, epsilon, device, kernels, as for `Network`; dtype is float64 where weights are, else float32.

    Returns
    -------
    Network
        Its w is PyTorch's weight transposed; a layer without a bias gets one of 0.

    Raises
    ------
    ValueError, TypeError
        What is missing, unknown, or of a shape that does not fit, by the name of its layer.
    ModuleNotFoundError
        The package for this file is not installed; the message says what to install.
    """
    if isinstance(source, str | os.PathLike):
        source, ordered = _file(Path(source))
        found = _linear_layers(source, layers, ordered)
    elif isinstance(source, Mapping):
        found = _linear_layers(source, layers)
    elif _is_module(source, "Sequential"):
        if activations is not None or layers is not None:
            raise ValueError("activations and layers are those of the nn.Sequential: leave them out, or pass its state_dict()")
        return network(_modules(source), loss, None, **options)
    elif _is_module(source, "Module"):
        found = _linear_layers(source.state_dict(), layers)
    else:
        raise TypeError(f"source must be an nn.Module, a state dict or the path of one, not {type(source).__name__}")
    if activations is None:
        raise ValueError("activations must be given: a state dict holds weights only")
    return network(found, loss, activations, **options)


def to_torch(network: Network) -> dict[str, np.ndarray]:
    """The weights under the names, and in the shapes, of PyTorch's state dict.

    Parameters
    ----------
    network : Network

    Returns
    -------
    dict of str to ndarray
        "0.weight" (n_out, n_in), "0.bias" (n_out,), "2.weight", ... of an nn.Sequential that has an nn.Linear for each
        layer and its activation behind it, identity being none. In C order: `safetensors.numpy.save_file` may have them.
    """
    state, position = {}, 0
    for (w, b), activation in zip(network.parameters(), network.activations, strict=True):
        state |= {f"{position}.weight": np.ascontiguousarray(w.T), f"{position}.bias": b}
        position += 1 if activation == "identity" else 2
    return state


def _is_module(source, name: str) -> bool:
    """Whether it is an nn.`name`; without importing PyTorch, which is there already if so."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, getattr(torch.nn, name))


def _modules(sequential, prefix: str = "", found: list[Layer] | None = None) -> list[Layer]:
    """The layers of an nn.Sequential and of those inside it."""
    found = [] if found is None else found
    for position, module in enumerate(sequential):
        name, kind = f"{prefix}{position}", type(module).__name__
        if _is_module(module, "Sequential"):
            _modules(module, f"{name}.", found)
        elif _is_module(module, "Linear"):
            found.append(_layer(name, module.weight, module.bias))
        elif kind in ACTIVATIONS and type(module).__module__.startswith("torch.nn."):
            if kind == "Softmax" and module.dim not in (None, 1, -1):
                raise ValueError(f"layer {name} is a softmax over dimension {module.dim}: numbanet's is over the last")
            activate(found, f"{name} ({kind})", ACTIVATIONS[kind], getattr(module, "negative_slope", None))
        else:
            raise ValueError(f"layer {name} is {kind}; known are Linear, Sequential, {', '.join(ACTIVATIONS)}")
    return found


def _layer(name: str, weight, bias) -> Layer:
    weight = _array(f"weight of layer {name}", weight)
    if weight.ndim != 2:
        raise ValueError(f"weight of layer {name} has shape {weight.shape}: that of a linear layer has two dimensions")
    b = np.zeros(len(weight), weight.dtype) if bias is None else _array(f"bias of layer {name}", bias)
    return Layer(name, weight.T, b)


def _array(name: str, value) -> np.ndarray:
    """A tensor of PyTorch's, or what is an array already."""
    if not hasattr(value, "detach"):
        return np.asarray(value)
    value = value.detach().cpu()
    if str(value.dtype) == "torch.bfloat16":  # which NumPy has not; every bfloat16 is a float32
        value = value.float()
    try:
        return value.numpy()
    except TypeError as error:
        raise TypeError(f"{name} has dtype {value.dtype}: {error}") from None


def _file(path: Path) -> tuple[Mapping, bool]:
    """The state dict in a file, and whether it is in the order of the model."""
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        return _safetensors(path), False
    if suffix not in (".pt", ".pth", ".bin"):
        raise ValueError(f"cannot read {path}: a state dict is in a .safetensors, .pt, .pth or .bin file")
    torch = imported("torch", "torch")
    with path.open("rb") as file:
        try:
            state = torch.load(file, map_location="cpu", weights_only=True)
        except Exception as error:  # it raises of all kinds
            raise ValueError(f"cannot read {path}: it is not whole, or no state dict: {error}") from None
    if not isinstance(state, Mapping) or not all(_is_tensor(value) for value in state.values()):
        held = f"holds {', '.join(map(str, state))}" if isinstance(state, Mapping) else f"is a {type(state).__name__}"
        raise ValueError(f"{path} {held}: not the tensors of a state dict; load it with PyTorch and pass the state dict in it")
    return state, True


def _is_tensor(value) -> bool:
    return hasattr(value, "detach")


def _safetensors(path: Path) -> dict[str, np.ndarray]:
    with path.open("rb"):  # an OSError that names the file
        pass
    package = imported("safetensors", "numbanet[safetensors]")
    try:
        with package.safe_open(path, framework="np") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, it is no dict
    except (package.SafetensorError, TypeError) as error:
        raise ValueError(f"cannot read {path}: {error}") from None


def _linear_layers(state: Mapping, names, ordered: bool = True) -> list[Layer]:
    """The layers of a state dict: `names` of them, or all."""
    parts: dict[str, dict] = {}
    for key, value in state.items():
        name, _, symbol = str(key).rpartition(".")
        parts.setdefault(name, {})[symbol] = value
    if names is None:
        names = _in_order(list(parts), ordered)
    found = []
    for name in names:
        if name not in parts:
            raise ValueError(f"there is no layer {name!r}; there are {', '.join(parts)}")
        tensors = parts[name]
        if "weight" not in tensors or tensors.keys() - {"weight", "bias"}:
            raise ValueError(f"layer {name!r} has {', '.join(tensors)}: a linear layer has weight and bias")
        found.append(_layer(name, tensors["weight"], tensors.get("bias")))
    if left_out := [name for name in parts if name not in names]:
        raise ValueError(f"layers leaves out {', '.join(left_out)}")
    return found


def _in_order(names: list[str], ordered: bool) -> list[str]:
    """By number, where they differ in numbers alone; else as they are, which has to be an order."""
    split = {name: re.split(r"(\d+)", name) for name in names}
    if len({tuple(parts[::2]) for parts in split.values()}) <= 1:
        return sorted(names, key=lambda name: [int(number) for number in split[name][1::2]])
    if not ordered:
        raise ValueError(f"the order of {', '.join(names)} is not in the file: give their names in order as layers")
    return names

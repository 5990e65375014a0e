"""Imports chains of nn.Linear layers from PyTorch modules, state dicts and files; exports networks as state dicts."""

import os
import re
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from numbanet import inputs
from numbanet._extras import imported
from numbanet.files import most_bytes, opened_archive
from numbanet.files.parsing import reason
from numbanet.files.tensors import Tensor, read_tensors
from numbanet.formulas import Loss
from numbanet.interchange.comparison import check_reproduces
from numbanet.interchange.layers import LOG_SOFTMAX, Layer, activate, leaky_relu, network, network_of_file
from numbanet.interchange.own_files import refuse_own
from numbanet.network import Network

ACTIVATIONS = {
    "Identity": "identity",
    "Sigmoid": "sigmoid",
    "Tanh": "tanh",
    "ReLU": "relu",
    "LeakyReLU": "leaky_relu",
    "Softmax": "softmax",
    "LogSoftmax": LOG_SOFTMAX,
    "SiLU": "silu",
    "GELU": "gelu",
    "ELU": "elu",
    "SELU": "selu",
    "Mish": "mish",
    "Hardsigmoid": "hard_sigmoid",
    "Softsign": "softsign",
    "Softplus": "softplus",
}
ONES = {"ELU": "alpha", "Softplus": "beta"}  # attributes of modules that numbanet supports only if they are 1
# Modules without effect in prediction: Flatten, because numbanet's rows are flat, and modules that act only in training.
SKIPPED = ("Flatten", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout")
WRAPPERS = {"OptimizedModule": "_orig_mod", "DataParallel": "module", "DistributedDataParallel": "module"}
# The largest allowed difference between the outputs of a module and of its network, relative to the largest logit.
TOLERANCES = {"float64": 1e-9, "float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}
# The integer types are listed, so that the error about quantised weights can name the layer.
SAFETENSORS_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I8": "i1", "U8": "u1"}
REMEDY = (
    "numbanet takes modules that apply linear layers one after the other, in the order of their names or of the argument "
    "layers, with the activations that the argument activations names"
)
REDUCED = 2e-2  # the tolerance for float32 if the device may compute products in a lower precision, such as TF32


def from_torch(
    source: Any,
    *,
    loss: str | Loss,
    activations: str | Sequence[str] | None = None,
    layers: Sequence[str] | None = None,
    **options: Any,
) -> Network:
    """Creates a network from a PyTorch model.

    Parameters
    ----------
    source : nn.Sequential, nn.Module, mapping or path
        An nn.Sequential, any other module that applies nn.Linear modules one after the other, the state dict of such a module,
        or the path of a file that contains the state dict. An nn.Sequential may contain nn.Linear, the activations that
        numbanet has, modules without effect in prediction (nn.Flatten, nn.Identity, nn.Dropout and its variants), and nested
        nn.Sequentials. The file may be a .safetensors file, or a .pt, .pth or .bin file, which PyTorch reads with
        weights_only=True. Code in a file is not executed.
    loss : str or Loss
        Loss of the network, as for `Network`.
    activations : str or list of str, optional
        Activations of the layers, as for `Network`. `activations` is required unless source is an nn.Sequential, which defines
        its activations itself. If the last layer of the nn.Sequential has no activation, its outputs are logits; the network's
        last layer then gets the activation that fits the loss (cce: softmax, bce: sigmoid, poisson: exponential). If the loss
        is cce, an nn.LogSoftmax at the end of the model (as PyTorch's nn.NLLLoss requires) becomes softmax.
    layers : list of str, optional
        Names of the layers from the first to the last, such as ["fc1", "out"] for fc1.weight, fc1.bias, ... By default, layers
        whose names differ only in numbers are ordered by these numbers, and layers with other names keep the order of the state
        dict. A .safetensors file does not store an order; the argument `layers` is therefore required unless the names in the
        file differ only in numbers.
    **options
        The parameters dtype, seed, epsilon, device and kernels of `Network`. The default dtype is float64 if any weights of the
        source have this dtype, else float32.

    Returns
    -------
    Network
        A network whose weights w are the transposed PyTorch weights. If a PyTorch layer has no bias, the biases are 0.

    Raises
    ------
    ValueError, TypeError
        A layer is missing or unknown, its shape does not fit, or its weights are quantised (the message names the layer); a
        module does not just apply its layers one after the other; or the file was written by `Network.save`.
    ModuleNotFoundError
        The package that reads the file is not installed; the message says what to install.

    Notes
    -----
    If source is a module, `from_torch` computes the module's outputs for random rows in evaluation mode, without gradients.
    `from_torch` compares the module's outputs with the network's predictions or, if the module returns logits, with the
    network's logits. Before it returns, `from_torch` restores the module's training mode and PyTorch's random state. A state
    dict or a file does not contain the method `forward`, so `from_torch` cannot check the order of the layers and the
    activations.
    """
    refuse_own(source, "from_torch")
    module: Any = None
    if isinstance(source, str | os.PathLike):
        if activations is None:
            raise ValueError(f"{os.fspath(source)} contains weights only: pass the argument activations, too")
        read = _reader(Path(source))
        return network_of_file(source, lambda file: read(file, layers), loss, activations, **options)
    if isinstance(source, Mapping):
        linear = _linear_layers(source, layers)
    elif _is_module(source, "Module"):
        module = _unwrapped(source)
        linear = None if _is_module(module, "Sequential") else _linear_layers(module.state_dict(), layers)
    else:
        raise TypeError(f"source must be an nn.Module, a state dict or the path of a file, not {type(source).__name__}")
    if linear is None:
        if activations is not None or layers is not None:
            raise ValueError(
                "an nn.Sequential defines its activations and layers itself: leave out the arguments activations and layers, "
                "or pass its state_dict()"
            )
        linear = _modules(module)
    elif activations is None:
        raise ValueError("a state dict contains weights only: pass the argument activations, too")
    result = network(linear, loss, activations, **options)
    if module is not None:
        _check_module(result, module)
    return result


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
        with an nn.Linear for each layer. In the nn.Sequential, each nn.Linear is followed by the module of its activation,
        unless the activation is identity. The arrays are in C order, as `safetensors.numpy.save_file` requires.
    """
    state, position = {}, 0
    for (w, b), activation in zip(network.parameters(), network.activations, strict=True):
        state |= {f"{position}.weight": np.ascontiguousarray(w.T), f"{position}.bias": b}
        position += 1 if activation == "identity" else 2
    return state


def _is_module(source: Any, name: str) -> bool:
    """Returns whether source is an instance of the torch.nn class `name`; does not import PyTorch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, getattr(torch.nn, name))


def _modules(sequential: Iterable[Any], prefix: str = "", layers: list[Layer] | None = None) -> list[Layer]:
    """Appends the layers of an nn.Sequential, including nested nn.Sequentials, to the list `layers`, and returns the list.

    The names of the layers begin with `prefix`.
    """
    layers = [] if layers is None else layers
    for position, module in enumerate(sequential):
        name, kind = f"{prefix}{position}", type(module).__name__
        if _is_module(module, "Sequential"):
            _modules(module, f"{name}.", layers)
        elif _is_module(module, "Linear"):
            layers.append(_layer(name, module.weight, module.bias))
        elif kind in ACTIVATIONS and type(module).__module__.startswith("torch.nn."):
            if "Softmax" in kind and module.dim not in (None, 1, -1):
                raise ValueError(f"layer {name} is a softmax over dimension {module.dim}: only the last, dim=-1, is supported")
            activate(layers, f"{name} ({kind})", *_activation(name, kind, module))
        elif kind not in SKIPPED or not type(module).__module__.startswith("torch.nn."):
            supported = ", ".join(("Linear", "Sequential", *ACTIVATIONS, *SKIPPED))
            raise ValueError(f"layer {name} is {kind}, which is not supported; supported are {supported}")
    return layers


def _activation(name: str, kind: str, module: Any) -> tuple[str, float | None]:
    """Returns numbanet's name for the activation of a module, and the slope if this name is leaky_relu (otherwise None)."""
    if kind == "LeakyReLU":
        return leaky_relu(module.negative_slope)
    if kind == "GELU" and module.approximate == "tanh":
        return "gelu_tanh", None
    if kind in ONES and getattr(module, ONES[kind]) != 1:
        value = getattr(module, ONES[kind])
        raise ValueError(f"layer {name} is {kind} with {ONES[kind]} = {value}, but only {ONES[kind]} = 1 is supported")
    return ACTIVATIONS[kind], None


def _unwrapped(module: Any) -> Any:
    """Returns the module inside the wrapper of torch.compile or of parallel training, or the module itself if it has none."""
    kind = type(module).__name__
    is_wrapper = kind in WRAPPERS and type(module).__module__.startswith("torch.")
    return _unwrapped(getattr(module, WRAPPERS[kind])) if is_wrapper else module


def _check_module(result: Network, module: Any) -> None:
    """Raises ValueError if `module` and the network `result` compute different outputs; leaves the module unchanged."""
    torch = sys.modules["torch"]
    parameter = next(module.parameters())
    dtype, device = str(parameter.dtype).removeprefix("torch."), parameter.device
    is_exact = dtype != "float32" or (device.type == "cpu" and torch.get_float32_matmul_precision() == "highest")
    rtol = max(TOLERANCES[dtype] if is_exact else REDUCED, TOLERANCES[result.dtype])

    def outputs(x: NDArray[np.floating]) -> NDArray[np.floating]:
        try:
            y = _in_prediction(torch, module, torch.from_numpy(x).to(device, parameter.dtype))
        except Exception as error:  # because the module's code can raise any exception
            raise ValueError(
                f"the module cannot compute the outputs for inputs of shape {x.shape}: {type(error).__name__}: {error}. "
                f"{REMEDY}"
            ) from error
        if not hasattr(y, "detach"):
            raise ValueError(f"the module returns an object of type {type(y).__name__}, not a tensor. {REMEDY}")
        return np.asarray(_array("output of the module", y), np.float64)

    check_reproduces(result, outputs, rtol, REMEDY)


def _in_prediction(torch: Any, module: Any, x: Any) -> Any:
    """Returns the module's output in evaluation mode; restores the mode of each submodule, and PyTorch's random state."""
    modes = [(part, part.training) for part in module.modules()]
    devices = [x.device] if x.device.type == "cuda" else []
    try:
        for part, _ in modes:
            part.training = False
        with (
            torch.random.fork_rng(devices),
            torch.no_grad(),
            torch.autocast(x.device.type, enabled=False),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")  # PyTorch's warnings, such as the warning about an nn.Softmax without dim
            return module(x)
    finally:
        for part, mode in modes:
            part.training = mode


def _layer(name: str, weight: Any, bias: Any) -> Layer:
    weight = _array(f"weight of layer {name}", weight)
    if weight.ndim != 2:
        raise ValueError(f"the weight of layer {name} has shape {weight.shape}, but a linear layer needs two dimensions")
    if not weight.size:
        raise ValueError(f"the weight of layer {name} has shape {weight.shape}, but must have at least one row and one column")
    b = np.zeros(len(weight), weight.dtype) if bias is None else _array(f"bias of layer {name}", bias)
    return Layer(name, weight.T, b)


def _array(name: str, value: Any) -> NDArray[Any]:
    """Converts a PyTorch tensor or an array to a NumPy array."""
    return inputs.of_tensor(name, value) if hasattr(value, "detach") else np.asarray(value)


def _reader(path: Path) -> Callable[[BinaryIO, Sequence[str] | None], list[Layer]]:
    """Returns the function that reads files in the format of `path`; it takes an open file, and the layers' names if given."""
    suffix = path.suffix.lower()
    if suffix == ".safetensors":
        return _safetensors
    if suffix not in (".pt", ".pth", ".bin"):
        raise ValueError(f"cannot import {path}: the file of a state dict must end in .safetensors, .pt, .pth or .bin")
    return _pickled


def _pickled(file: BinaryIO, names: Sequence[str] | None) -> list[Layer]:
    """Reads the layers from a file that PyTorch wrote; such a file stores the tensors in the order of the model's layers."""
    torch = imported("torch", "torch")
    if zipfile.is_zipfile(file):
        opened_archive(file)
    file.seek(0)
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # PyTorch raises exceptions of many kinds
        raise ValueError(f"the file is damaged or not a state dict: {reason(error)}") from None
    if not isinstance(state, Mapping) or not all(_is_tensor(value) for value in state.values()):
        content = ", ".join(map(str, state)) if isinstance(state, Mapping) else f"a {type(state).__name__}"
        raise ValueError(
            f"the file contains {content} instead of the tensors of a state dict: load it with PyTorch, and pass the state dict"
        )
    # With a stride of 0, a huge tensor may consist of repetitions of the few numbers in a small file.
    if sum(value.numel() * value.element_size() for value in state.values()) > most_bytes(file):
        raise ValueError("the tensors of the file need far more memory than the file: save copies made by tensor.clone()")
    return _linear_layers(state, names)


def _is_tensor(value: Any) -> bool:
    return hasattr(value, "detach")


def _safetensors(file: BinaryIO, names: Sequence[str] | None) -> list[Layer]:
    """Reads the layers from a safetensors file, which does not store the order of its tensors."""
    _, tensors = read_tensors(file)
    return _linear_layers({name: _tensor(name, tensor) for name, tensor in tensors.items()}, names, ordered=False)


def _tensor(name: str, tensor: Tensor) -> NDArray[Any]:
    """Converts a tensor of a safetensors file to an array; bfloat16, which NumPy does not have, becomes float32."""
    if tensor.dtype == "BF16":  # a bfloat16 is the upper half of a float32
        flat = (np.frombuffer(tensor.data, "<u2").astype(np.uint32) << 16).view(np.float32)
    elif tensor.dtype in SAFETENSORS_DTYPES:
        flat = np.frombuffer(tensor.data, SAFETENSORS_DTYPES[tensor.dtype])
    else:
        known = ", ".join(SAFETENSORS_DTYPES)
        raise ValueError(f"the tensor {name} has dtype {tensor.dtype}; supported are {known}, BF16")
    return flat.reshape(tensor.shape)


def _linear_layers(state: Mapping[str, Any], names: Sequence[str] | None, ordered: bool = True) -> list[Layer]:
    """Returns the layers of a state dict in the order of `names`; if `names` is None, `_in_order` determines the order."""
    parts: dict[str, dict[str, Any]] = {}
    for key, value in state.items():
        name, _, symbol = str(key).rpartition(".")
        parts.setdefault(name, {})[symbol] = value
    if names is None:
        names = _in_order(list(parts), ordered)
    layers = []
    for name in names:
        if name not in parts:
            raise ValueError(
                f"the argument layers names {name!r}, but the state dict has no such layer; it has {', '.join(parts)}"
            )
        tensors = parts[name]
        if "weight" not in tensors or tensors.keys() - {"weight", "bias"}:
            raise ValueError(f"layer {name!r} has the tensors {', '.join(tensors)}, but a linear layer has weight and bias")
        layers.append(_layer(name, tensors["weight"], tensors.get("bias")))
    if left_out := [name for name in parts if name not in names]:
        raise ValueError(f"the argument layers omits {', '.join(left_out)}: name every layer of the state dict")
    return layers


def _in_order(names: list[str], ordered: bool) -> list[str]:
    """Sorts names that differ only in numbers; for other names, keeps the order if `ordered`, else raises ValueError."""
    split = {name: re.split(r"(\d+)", name) for name in names}
    if len({tuple(parts[::2]) for parts in split.values()}) <= 1:
        return sorted(names, key=lambda name: [int(number) for number in split[name][1::2]])
    if not ordered:
        raise ValueError(
            f"the file does not store the order of {', '.join(names)}: pass their names in order as the argument layers"
        )
    return names

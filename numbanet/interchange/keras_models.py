"""Imports a Keras 3 model, a .keras file or a .weights.h5 file; the files are read without Keras."""

import io
import json
import os
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from numbanet._extras import imported
from numbanet.files import name_of, opened_archive, suffix_of
from numbanet.formulas import Loss
from numbanet.interchange.comparison import check_reproduces
from numbanet.interchange.layers import LOG_SOFTMAX, Layer, activate, known_activation, leaky_relu, network, network_of_file
from numbanet.interchange.own_files import refuse_own
from numbanet.network import Network

ACTIVATIONS = {
    "linear": "identity",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "relu": "relu",
    "leaky_relu": "leaky_relu",
    "softmax": "softmax",
    "log_softmax": LOG_SOFTMAX,
    "silu": "silu",
    "gelu": "gelu",
    "elu": "elu",
    "selu": "selu",
    "mish": "mish",
    "hard_sigmoid": "hard_sigmoid",
    "softsign": "softsign",
    "softplus": "softplus",
    "exponential": "exponential",
}
ACTIVATION_LAYERS = ("ReLU", "LeakyReLU", "Softmax", "ELU")
LEAKY_SLOPE = 0.2  # the default slope of keras.activations.leaky_relu, for models that do not contain the slope
# Layers without effect in prediction: Flatten, because numbanet's rows are flat, and layers that act only in training.
SKIPPED = ("InputLayer", "Flatten", "Identity", "Dropout", "AlphaDropout", "GaussianDropout", "GaussianNoise",
           "ActivityRegularization")  # fmt: skip
QUANTISED = "quantised models and LoRA are not supported: pass the model from before its quantisation"
MODELS = ("Sequential", "Functional")
# The largest allowed difference between the outputs of a model and of its network, relative to the largest logit. The tolerance
# for float32 is large, because some devices compute float32 products in a lower precision.
TOLERANCES = {"float64": 1e-9, "float32": 2e-2, "mixed_float16": 2e-2, "float16": 2e-2}
COARSE = 1e-1  # the tolerance for bfloat16
# The most bytes of a configuration in a file; a configuration takes a few kilobytes per layer.
CONFIG_LIMIT = 1 << 24


def from_keras(source: Any, *, loss: str | Loss, activations: str | Sequence[str] | None = None, **options: Any) -> Network:
    """Creates a network from a Keras model.

    Parameters
    ----------
    source : keras.Model or path
        A Sequential model, a functional model whose layers form a chain, or the path of a .keras or .weights.h5 file of such a
        model, which is read by h5py. The model may contain Dense layers, the activations that numbanet has, layers without
        effect in prediction (Flatten, Identity, Dropout, GaussianNoise and similar layers), and nested Sequential or functional
        models of such layers. Code in a file is not executed. A network takes flat rows, so reshape its input images to
        (n, pixels).
    loss : str or Loss
        Loss of the network, as for `Network`.
    activations : str or list of str, optional
        Activations of the layers, as for `Network`. `activations` is required for a .weights.h5 file, and must be left out for
        any other source, because the model defines its activations itself. If the model's last layer has no activation (its
        outputs are logits), the network's last layer gets the activation that fits the loss (cce: softmax, bce: sigmoid,
        poisson: exponential). If the loss is cce, a log_softmax in the last layer becomes softmax.
    **options
        The parameters dtype, seed, epsilon, device and kernels of `Network`. The default dtype is float64 if any weights of the
        model have this dtype, else float32.

    Returns
    -------
    Network
        A network with the same predictions as the model.

    Raises
    ------
    ValueError, TypeError
        A layer is missing or unknown, its shape does not fit, or its weights are quantised (the message names the layer); the
        file is damaged, or was written by `Network.save`; or the model does not just apply its layers one after the other.
    ModuleNotFoundError
        h5py is not installed; the message says what to install.

    Notes
    -----
    The checksums of a .keras file are verified before its weights are read. A .weights.h5 file has no checksums. The HDF5
    library may hang when it reads a .weights.h5 file that somebody damaged on purpose.

    If source is a model, `from_keras` computes the model's outputs for random rows with training=False, and compares these
    outputs with the network's predictions or, if the model returns logits, with the network's logits.
    """
    refuse_own(source, "from_keras")
    weights_only = isinstance(source, str | os.PathLike) and os.fspath(source).endswith(".weights.h5")
    if weights_only and activations is None:
        raise ValueError("a .weights.h5 file contains weights only: pass the argument activations, too")
    if activations is not None and not weights_only:
        raise ValueError("the Keras model defines its activations itself: leave out the argument activations")
    if isinstance(source, str | os.PathLike):
        if not weights_only and suffix_of(source) != ".keras":
            raise ValueError(
                f"cannot import {name_of(source)}: it must be a .keras or .weights.h5 file; load any other file with Keras, "
                "and pass the model"
            )
        read = _weights_file if weights_only else _model_file
        return network_of_file(source, read, loss, activations, **options)
    if not hasattr(source, "get_config") or not hasattr(source, "layers"):
        raise TypeError(
            f"source must be a Keras model, or the path of a .keras or .weights.h5 file, not {type(source).__name__}"
        )
    result = network(_layers(source.get_config(), _weights_of_model(source)), loss, None, **options)
    _check_model(result, source)
    return result


def _check_model(result: Network, model: Any) -> None:
    """Raises ValueError if the model and the network compute different outputs."""
    keras = sys.modules.get("keras")
    if keras is None or not isinstance(model, keras.Model):  # the object is no Keras model, but has the configuration of one
        return
    policy = model.dtype_policy.name
    rtol = COARSE if "bfloat16" in policy else max(TOLERANCES.get(policy, COARSE), TOLERANCES[result.dtype])

    def outputs(x: NDArray[np.floating]) -> NDArray[np.floating]:
        shape = [
            -1,
            *(size or 1 for size in getattr(model, "input_shape", x.shape)[1:]),
        ]  # an unbuilt model has no shape
        y = model(keras.ops.convert_to_tensor(x.reshape(shape)), training=False)
        return np.asarray(keras.ops.convert_to_numpy(y), np.float64).reshape(len(x), -1)

    check_reproduces(result, outputs, rtol, "numbanet takes models that apply Dense layers one after the other")


def _weights_of_model(model: Any) -> Callable[[str], Any]:
    """Returns a function that returns the weights of a Keras model's layer of a given name; see `weights_of` in `_layers`."""
    layers = {layer.name: layer for layer in model.layers}
    return lambda name: _weights_of_model(layer) if hasattr(layer := layers[name], "layers") else layer.get_weights()


def _layers(config: Mapping[str, Any], weights_of: Callable[[str], Any], layers: list[Layer] | None = None) -> list[Layer]:
    """Appends the layers of a model configuration, including nested models, to the list `layers`, and returns the list.

    For the name of a Dense layer, `weights_of` returns the arrays [kernel, bias] of the layer. For the name of a nested model,
    it returns the `weights_of` for the layers of the nested model.
    """
    layers = [] if layers is None else layers
    before = None
    if "layers" not in config:
        raise ValueError("the model is neither Sequential nor functional: its configuration does not list its layers")
    outputs = config.get("output_layers")
    if outputs and (names := re.findall(r'\["([^"]*)", \d', json.dumps(outputs))) != [config["layers"][-1]["config"]["name"]]:
        raise ValueError(f"the model is not a chain: its outputs come from {', '.join(names)}, not only from its last layer")
    for entry in config["layers"]:
        kind, settings = entry["class_name"], entry["config"]
        name = settings["name"]
        _check_chain(entry, name, before)
        before = name
        if kind in MODELS:
            _layers(settings, weights_of(name), layers)
        elif kind == "Dense":
            arrays = weights_of(name)
            if len(arrays) != 1 + settings["use_bias"]:
                remedy = QUANTISED if arrays else "build the model first, by its inputs or by a call"
                needed = "kernel and bias" if settings["use_bias"] else "kernel"
                raise ValueError(f"layer {name} has {len(arrays)} arrays of weights, not {needed}; {remedy}")
            layers.append(_dense(name, arrays))
            activate(layers, name, *_named_activation(name, settings["activation"]))
        elif kind == "Activation":
            activate(layers, name, *_named_activation(name, settings["activation"]))
        elif kind in ACTIVATION_LAYERS:
            activate(layers, name, *_activation_layer(name, kind, settings))
        elif kind not in SKIPPED:
            supported = ", ".join(("Dense", "Activation", *ACTIVATION_LAYERS, *SKIPPED, *MODELS))
            raise ValueError(f"layer {name} is {kind}, which is not supported; supported are {supported}")
        elif kind == "Flatten" and settings.get("data_format") == "channels_first" and _rank(config) > 2:
            raise ValueError(f"layer {name} is Flatten with data_format 'channels_first', which is not supported")
    return layers


def _has_dense(entry: Mapping[str, Any]) -> bool:
    """Returns whether an entry of a model configuration is a Dense layer or a model that contains a Dense layer."""
    kind = entry["class_name"]
    return kind == "Dense" or (kind in MODELS and any(map(_has_dense, entry["config"]["layers"])))


def _rank(config: Mapping[str, Any]) -> int:
    """Returns the number of axes of the model's input, including the batch axis.

    If the configuration does not contain the input shape, returns 3, so that the caller treats the input as having more than
    two axes.
    """
    shape = config["layers"][0]["config"].get("batch_shape") or config.get("build_input_shape") or ()
    return len(shape) or 3


def _dense(name: str, arrays: Sequence[Any]) -> Layer:
    if not 1 <= len(arrays) <= 2:
        raise ValueError(f"layer {name} has {len(arrays)} arrays of weights, not kernel and bias; {QUANTISED}")
    arrays = [array.astype(np.float32) if array.dtype.name == "bfloat16" else array for array in map(np.asarray, arrays)]
    kernel = arrays[0]
    return Layer(name, kernel, arrays[1] if len(arrays) > 1 else np.zeros(kernel.shape[-1:], kernel.dtype))


def _check_chain(entry: Mapping[str, Any], name: str, before: str | None) -> None:
    """Raises ValueError if a functional model's layer takes any other input than the output of the layer before it."""
    taken = re.findall(r'"keras_history": \["([^"]*)"', json.dumps(entry.get("inbound_nodes", [])))
    if "inbound_nodes" in entry and taken != ([] if before is None else [before]):
        raise ValueError(f"the model is not a chain: layer {name} takes {taken or 'nothing'}, but follows {before}")


def _named_activation(name: str, activation: Any) -> tuple[str, float | None]:
    """Returns numbanet's name for an activation in a Keras configuration, and its slope (None except for leaky_relu)."""
    if isinstance(activation, dict) and activation.get("class_name") in ACTIVATION_LAYERS:
        return _activation_layer(name, activation["class_name"], activation["config"])
    ours = known_activation(name, activation, ACTIVATIONS)
    return ours, LEAKY_SLOPE if ours == "leaky_relu" else None


def _activation_layer(name: str, kind: str, settings: Mapping[str, Any]) -> tuple[str, float | None]:
    if kind == "Softmax":
        if settings.get("axis", -1) not in (-1, [-1]):
            raise ValueError(f"layer {name} is a softmax over axis {settings['axis']}, but only the last axis is supported")
        return "softmax", None
    if kind == "LeakyReLU":
        return leaky_relu(settings["negative_slope"])
    if kind == "ELU":
        if settings["alpha"] != 1:
            raise ValueError(f"layer {name} is ELU with alpha = {settings['alpha']}, but only alpha = 1 is supported")
        return "elu", None
    if settings.get("max_value") is not None or settings.get("threshold"):
        raise ValueError(f"layer {name} is a ReLU with max_value or threshold, which are not supported")
    return leaky_relu(settings.get("negative_slope") or 0.0)


def _model_file(file: BinaryIO) -> list[Layer]:
    with opened_archive(file) as archive:
        if archive.getinfo("config.json").file_size > CONFIG_LIMIT:
            raise ValueError(f"the config.json of the file is larger than {CONFIG_LIMIT} bytes")
        config = json.loads(archive.read("config.json"))["config"]
        if damaged := archive.testzip():  # HDF5 has no checksums, and its library may hang on a damaged file
            raise ValueError(f"the {damaged} of the file is damaged")
        weights = _weights(io.BytesIO(archive.read("model.weights.h5")))
        return _layers(config, _weights_by_name(config, weights))


def _weights_by_name(config: Mapping[str, Any], weights: "list[Weights]") -> Callable[[str], Any]:
    """Returns a function that returns a layer's weights by its name in a configuration; see `weights_of` in `_layers`.

    In a .weights.h5 file, the layers of each class are numbered separately: dense, dense_1, ..., sequential, sequential_1, ...
    """
    by_name: dict[str, Any] = {}
    for kind in ("Dense", *MODELS):
        entries = [entry for entry in config["layers"] if entry["class_name"] == kind and _has_dense(entry)]
        stored = [content for name, content in weights if name.startswith(kind.lower())]
        if len(entries) != len(stored):
            raise ValueError(
                f"the file has weights of {len(stored)} {kind} layers, but its configuration has {len(entries)} {kind} layers"
            )
        for entry, content in zip(entries, stored, strict=True):
            by_name[entry["config"]["name"]] = content if kind == "Dense" else _weights_by_name(entry["config"], content)
    return by_name.get  # returns None for a nested model without weights


def _weights_file(file: BinaryIO) -> list[Layer]:
    return _in_order(_weights(file))


def _in_order(weights: "list[Weights]") -> list[Layer]:
    """Returns the layers of a .weights.h5 file in their order; raises ValueError if the file does not store the order."""
    kinds = {name.partition("_")[0] for name, _ in weights}
    if len(kinds) > 1:
        raise ValueError(
            f"the file does not store the order of the layers {', '.join(name for name, _ in weights)}: pass the .keras file, "
            "or the Keras model itself"
        )
    if kinds <= {"dense"}:
        return [_dense(name, content) for name, content in weights]
    return [layer for _, content in weights for layer in _in_order(content)]


# The name of a layer with its arrays [kernel, bias], or the name of a nested model with the `Weights` of its layers.
Weights = tuple[str, list[Any]]


def _weights(file: BinaryIO) -> list[Weights]:
    """Returns the weights of each Dense layer and nested model in an HDF5 file, sorted by class and number.

    A name in the file consists of a class (dense, sequential or functional) and, from the second layer of the class on, a
    number: dense, dense_1, dense_2, ...
    """
    h5py = imported("h5py", "keras")
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    with h5py.File(file, "r") as archive:
        return _weights_of_group(h5py, archive["layers"], size)


def _weights_of_group(h5py: Any, layers: Any, size: int) -> list[Weights]:
    found = {}
    for name, group in _members(h5py, layers).items():
        members = _members(h5py, group)
        variables = _members(h5py, members.get("vars", {}))
        known = re.fullmatch(r"(dense|sequential|functional)(?:_(\d+))?", name)
        if known and known[1] == "dense":
            arrays = [_dataset(name, variables[key], size) for key in sorted(variables, key=int)]
            found["dense", int(known[2] or 0)] = name, arrays
        elif known:
            if nested := _weights_of_group(h5py, members.get("layers", {}), size):
                found[known[1], int(known[2] or 0)] = name, nested
        elif variables:
            raise ValueError(f"layer {name} has weights, but only weights of Dense layers are supported")
    return [found[key] for key in sorted(found)]


def _members(h5py: Any, group: Any) -> dict[str, Any]:
    """Returns the members of an HDF5 group; raises ValueError if a member is a soft or external link."""
    if any(not isinstance(group.get(name, getlink=True), h5py.HardLink) for name in group):
        raise ValueError(f"the HDF5 group {group.name} contains soft or external links, which are not supported")
    return dict(group)


def _dataset(name: str, dataset: Any, size: int) -> NDArray[Any]:
    """Reads an HDF5 dataset. If the file is too short for the dataset, raises ValueError before memory is allocated.

    `size` is the size of the file in bytes.
    """
    stored = dataset.id.get_storage_size()
    if dataset.external or dataset.is_virtual or stored != dataset.size * dataset.dtype.itemsize or stored > size:
        raise ValueError(f"the file does not contain all weights of layer {name}")
    if dataset.attrs.get("dtype") == "bfloat16":  # NumPy has no bfloat16, which is the upper half of a float32
        return (dataset[...].view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return dataset[...]

"""Imports a Keras 3 model, its .keras file, or its weights in a .weights.h5 file; the files are read without Keras."""

import contextlib
import json
import os
import re
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from numbanet._extras import imported
from numbanet.interchange.layers import Layer, activate, known_activation, network
from numbanet.network import Network

ACTIVATIONS = {
    "linear": "identity",
    "sigmoid": "sigmoid",
    "tanh": "tanh",
    "relu": "relu",
    "leaky_relu": "leaky_relu",
    "softmax": "softmax",
}
LEAKY_SLOPE = 0.2  # default of keras.activations.leaky_relu, for an activation given by name
SKIPPED = ("InputLayer", "Dropout")  # they do nothing in prediction
# Bytes of a file's configuration, which takes some kilobytes per layer.
CONFIG_LIMIT = 1 << 24


def from_keras(source: Any, *, loss: str, activations: str | Sequence[str] | None = None, **options: Any) -> Network:
    """Creates a network from a Keras model.

    Parameters
    ----------
    source : keras.Model or path
        A Sequential model, or a functional model whose layers form a chain, with Dense layers, the activations that numbanet
        has, and Dropout layers; or the path of a .keras or .weights.h5 file of such a model, which h5py reads. Code in a file
        is not executed.
    loss : {"sse", "mse", "bce", "cce"}
        Loss of the network, as for `Network`.
    activations : str or list of str, optional
        Activations of the layers, as for `Network`. They are required for a .weights.h5 file, and must be left out for any
        other source, which defines its activations itself. If the model's last layer has no activation (its outputs are
        logits), the network's output gets the activation that fits the loss (cce: softmax, bce: sigmoid).
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
        A layer is missing or unknown, its shape does not fit (the message names the layer), or the file is damaged.
    ModuleNotFoundError
        h5py is not installed; the message says what to install.

    Notes
    -----
    The checksums of a .keras file are verified before the file is read. A .weights.h5 file has no checksums. If such a file
    has been damaged on purpose, the HDF5 library may hang when it reads the file.
    """
    if isinstance(source, str | os.PathLike) and os.fspath(source).endswith(".weights.h5"):
        if activations is None:
            raise ValueError("a .weights.h5 file contains weights only: pass the argument activations, too")
        return network(_weights_file(Path(source)), loss, activations, **options)
    if activations is not None:
        raise ValueError("the Keras model defines its activations itself: leave out the argument activations")
    if isinstance(source, str | os.PathLike):
        layers = _model_file(Path(source))
    elif hasattr(source, "get_config") and hasattr(source, "layers"):
        weights = {layer.name: layer.get_weights() for layer in source.layers}
        layers = _layers(source.get_config(), weights.__getitem__)
    else:
        raise TypeError(
            f"source must be a Keras model, or the path of a .keras or .weights.h5 file, not {type(source).__name__}"
        )
    return network(layers, loss, None, **options)


def _layers(config: Mapping[str, Any], weights_of: Callable[[str], Sequence[Any]]) -> list[Layer]:
    """Returns the layers of a model configuration in order; `weights_of` maps a Dense layer's name to its [kernel, bias]."""
    layers: list[Layer] = []
    before = None
    for entry in config["layers"]:
        kind, settings = entry["class_name"], entry["config"]
        name = settings["name"]
        _check_chain(entry, name, before)
        before = name
        if kind == "Dense":
            arrays = weights_of(name)
            if len(arrays) != 1 + settings["use_bias"]:
                raise ValueError(
                    f"layer {name} has {len(arrays)} arrays of weights, not kernel{' and bias' * settings['use_bias']}"
                )
            layers.append(_dense(name, arrays))
            activate(layers, name, *_named_activation(name, settings["activation"]))
        elif kind == "Activation":
            activate(layers, name, *_named_activation(name, settings["activation"]))
        elif kind in ("ReLU", "LeakyReLU", "Softmax"):
            activate(layers, name, *_activation_layer(name, kind, settings))
        elif kind not in SKIPPED:
            raise ValueError(
                f"layer {name} is {kind}, which is not supported; supported are Dense, Activation, ReLU, LeakyReLU, Softmax, "
                f"{', '.join(SKIPPED)}"
            )
    return layers


def _dense(name: str, arrays: Sequence[Any]) -> Layer:
    kernel = np.asarray(arrays[0])
    return Layer(name, kernel, np.asarray(arrays[1]) if len(arrays) > 1 else np.zeros(kernel.shape[-1:], kernel.dtype))


def _check_chain(entry: Mapping[str, Any], name: str, before: str | None) -> None:
    """Raises ValueError if the input of a functional model's layer is not exactly the output of the layer before it."""
    taken = re.findall(r'"keras_history": \["([^"]*)"', json.dumps(entry.get("inbound_nodes", [])))
    if "inbound_nodes" in entry and taken != ([] if before is None else [before]):
        raise ValueError(f"the model is not a chain: layer {name} takes {taken or 'nothing'}, but follows {before}")


def _named_activation(name: str, activation: Any) -> tuple[str, float | None]:
    """Returns numbanet's name of an activation in a Keras configuration, and the slope if the activation is leaky_relu."""
    if isinstance(activation, dict) and activation.get("class_name") in ("ReLU", "LeakyReLU", "Softmax"):
        return _activation_layer(name, activation["class_name"], activation["config"])
    ours = known_activation(name, activation, ACTIVATIONS)
    return ours, LEAKY_SLOPE if ours == "leaky_relu" else None


def _activation_layer(name: str, kind: str, settings: Mapping[str, Any]) -> tuple[str, float | None]:
    if kind == "Softmax":
        if settings.get("axis", -1) != -1:
            raise ValueError(f"layer {name} is a softmax over axis {settings['axis']}, but only the last axis is supported")
        return "softmax", None
    if kind == "LeakyReLU":
        return "leaky_relu", settings["negative_slope"]
    if settings.get("max_value") is not None or settings.get("negative_slope") or settings.get("threshold"):
        raise ValueError(f"layer {name} is a ReLU with max_value, negative_slope or threshold, which are not supported")
    return "relu", None


def _model_file(path: Path) -> list[Layer]:
    if path.suffix.lower() != ".keras":
        raise ValueError(
            f"cannot read {path}: it must be a .keras or .weights.h5 file; load any other file with Keras, and pass the model"
        )
    with _reading(path) as file, zipfile.ZipFile(file) as archive:
        if archive.getinfo("config.json").file_size > CONFIG_LIMIT:
            raise ValueError(f"its config.json is larger than {CONFIG_LIMIT} bytes")
        config = json.loads(archive.read("config.json"))["config"]
        if damaged := archive.testzip():  # HDF5 has no checksums, and its library may hang on a damaged file
            raise ValueError(f"its {damaged} is damaged")
        with archive.open("model.weights.h5") as weights:
            arrays = [arrays for _, arrays in _weights(weights)]
        names = [entry["config"]["name"] for entry in config["layers"] if entry["class_name"] == "Dense"]
        if len(names) != len(arrays):
            raise ValueError(
                f"it has weights of {len(arrays)} Dense layers, but its configuration has {len(names)} Dense layers"
            )
        return _layers(config, dict(zip(names, arrays, strict=True)).__getitem__)


def _weights_file(path: Path) -> list[Layer]:
    with _reading(path) as file:
        return [_dense(name, arrays) for name, arrays in _weights(file)]


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[BinaryIO]:
    """Opens a file; turns exceptions that a damaged or foreign file causes into a ValueError that names the file."""
    with path.open("rb") as file:
        try:
            yield file
        except (
            zipfile.BadZipFile,
            AttributeError,
            LookupError,
            TypeError,
            ValueError,
            OSError,
            RuntimeError,
            EOFError,
        ) as error:
            raise ValueError(f"cannot read {path}: {error}") from None


def _weights(file: Any) -> list[tuple[str, list[NDArray[Any]]]]:
    """Returns the name and [kernel, bias] of each Dense layer in an HDF5 file, in the order of the layers' numbers."""
    h5py = imported("h5py", "numbanet[keras]")
    with h5py.File(file, "r") as archive:
        dense = {}
        for name, group in _members(h5py, archive["layers"]).items():
            variables = _members(h5py, _members(h5py, group).get("vars", {}))
            number = re.fullmatch(r"dense(?:_(\d+))?", name)
            if number:
                dense[int(number[1] or 0)] = name, [_dataset(name, variables[key]) for key in sorted(variables)]
            elif variables:
                raise ValueError(f"layer {name} has weights, but only weights of Dense layers are supported")
        return [dense[number] for number in sorted(dense)]


def _members(h5py: Any, group: Any) -> dict[str, Any]:
    """Returns the members of an HDF5 group; raises ValueError if a member is a soft or external link, which is not followed."""
    if any(not isinstance(group.get(name, getlink=True), h5py.HardLink) for name in group):
        raise ValueError(f"the HDF5 group {group.name} contains soft or external links, which are not supported")
    return dict(group)


def _dataset(name: str, dataset: Any) -> NDArray[Any]:
    """Returns the array of an HDF5 dataset; raises ValueError, before allocating memory, if the file lacks a part of it."""
    if dataset.external or dataset.is_virtual or dataset.id.get_storage_size() != dataset.size * dataset.dtype.itemsize:
        raise ValueError(f"the file does not contain all weights of layer {name}")
    return dataset[...]

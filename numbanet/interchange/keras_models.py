"""Keras 3: a model, a .keras file, or the weights of one in a .weights.h5 file, of which Keras itself reads nothing here."""

import contextlib
import json
import os
import re
import zipfile
from pathlib import Path

import numpy as np

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
LEAKY_SLOPE = 0.2  # of the function keras.activations.leaky_relu, which a name stands for
SKIPPED = ("InputLayer", "Dropout")  # which do nothing in prediction
# Of a file's configuration: some kilobytes a layer.
CONFIG_LIMIT = 1 << 24


def from_keras(source, *, loss, activations=None, **options) -> Network:
    """The network of a Keras model.

    Parameters
    ----------
    source : keras.Model or path
        A Sequential, or a functional model that is a chain, of Dense, the activations numbanet knows, and Dropout; or its
        file, .keras or .weights.h5, which h5py reads. Nothing in a file is executed.
    loss : {"sse", "mse", "bce", "cce"}
        As for `Network`.
    activations : str or list of str
        As for `Network`, and for a .weights.h5 file only; all others say themselves. Where a model ends in logits, without
        an activation, the output takes what is natural for the loss (cce: softmax, bce: sigmoid).
    **options
        dtype, seed, epsilon, device, kernels, as for `Network`; dtype is float64 where weights are, else float32.

    Returns
    -------
    Network

    Raises
    ------
    ValueError, TypeError
        What is missing, unknown, or of a shape that does not fit, by the name of its layer; a damaged file.
    ModuleNotFoundError
        h5py is not installed; the message says what to install.

    Notes
    -----
    A .keras file has checksums, which are compared first. A .weights.h5 file has none, and HDF5's own library reads it:
    damaged on purpose, it may bring that library to a halt.
    """
    if isinstance(source, str | os.PathLike) and os.fspath(source).endswith(".weights.h5"):
        if activations is None:
            raise ValueError("activations must be given: a .weights.h5 file holds weights only")
        return network(_weights_file(Path(source)), loss, activations, **options)
    if activations is not None:
        raise ValueError("activations are those of the Keras model: leave them out")
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


def _layers(config: dict, weights_of) -> list[Layer]:
    """The layers of a model, in the order of its configuration; `weights_of` gives [kernel, bias] of each Dense by name."""
    found: list[Layer] = []
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
            found.append(_dense(name, arrays))
            activate(found, name, *_named_activation(name, settings["activation"]))
        elif kind == "Activation":
            activate(found, name, *_named_activation(name, settings["activation"]))
        elif kind in ("ReLU", "LeakyReLU", "Softmax"):
            activate(found, name, *_activation_layer(name, kind, settings))
        elif kind not in SKIPPED:
            raise ValueError(
                f"layer {name} is {kind}; known are Dense, Activation, ReLU, LeakyReLU, Softmax, {', '.join(SKIPPED)}"
            )
    return found


def _dense(name: str, arrays) -> Layer:
    kernel = np.asarray(arrays[0])
    return Layer(name, kernel, np.asarray(arrays[1]) if len(arrays) > 1 else np.zeros(kernel.shape[-1:], kernel.dtype))


def _check_chain(entry: dict, name: str, before: str | None) -> None:
    """Each layer of a functional model has to take what the one before it gives, and nothing else."""
    taken = re.findall(r'"keras_history": \["([^"]*)"', json.dumps(entry.get("inbound_nodes", [])))
    if "inbound_nodes" in entry and taken != ([] if before is None else [before]):
        raise ValueError(f"layer {name} takes {taken or 'nothing'}, the layer before it is {before}: the model is no chain")


def _named_activation(name: str, activation) -> tuple[str, float | None]:
    """Our name, and the slope of a leaky ReLU, of what a configuration has as an activation."""
    if isinstance(activation, dict) and activation.get("class_name") in ("ReLU", "LeakyReLU", "Softmax"):
        return _activation_layer(name, activation["class_name"], activation["config"])
    ours = known_activation(name, activation, ACTIVATIONS)
    return ours, LEAKY_SLOPE if ours == "leaky_relu" else None


def _activation_layer(name: str, kind: str, settings: dict) -> tuple[str, float | None]:
    if kind == "Softmax":
        if settings.get("axis", -1) != -1:
            raise ValueError(f"layer {name} is a softmax over axis {settings['axis']}: numbanet's is over the last")
        return "softmax", None
    if kind == "LeakyReLU":
        return "leaky_relu", settings["negative_slope"]
    if settings.get("max_value") is not None or settings.get("negative_slope") or settings.get("threshold"):
        raise ValueError(f"layer {name} is a ReLU with a largest value, slope or threshold of its own: numbanet has none")
    return "relu", None


def _model_file(path: Path) -> list[Layer]:
    if path.suffix.lower() != ".keras":
        raise ValueError(f"cannot read {path}: it must be a .keras or .weights.h5 file; of an older one, pass the loaded model")
    with _reading(path) as file, zipfile.ZipFile(file) as archive:
        if archive.getinfo("config.json").file_size > CONFIG_LIMIT:
            raise ValueError("its config.json is too long")
        config = json.loads(archive.read("config.json"))["config"]
        if damaged := archive.testzip():  # HDF5 has no checksum, and its library no patience with what is damaged
            raise ValueError(f"its {damaged} is damaged")
        with archive.open("model.weights.h5") as weights:
            arrays = [arrays for _, arrays in _weights(weights)]
        names = [entry["config"]["name"] for entry in config["layers"] if entry["class_name"] == "Dense"]
        if len(names) != len(arrays):
            raise ValueError(f"it has weights of {len(arrays)} Dense, its configuration {len(names)}")
        return _layers(config, dict(zip(names, arrays, strict=True)).__getitem__)


def _weights_file(path: Path) -> list[Layer]:
    with _reading(path) as file:
        return [_dense(name, arrays) for name, arrays in _weights(file)]


@contextlib.contextmanager
def _reading(path: Path):
    """The open file; what reading a damaged or foreign one raises becomes a ValueError that names it."""
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


def _weights(file) -> list[tuple[str, list[np.ndarray]]]:
    """Name and [kernel, bias] of each Dense in an HDF5 file of Keras, which numbers them in the order of the model."""
    h5py = imported("h5py", "numbanet[keras]")
    with h5py.File(file, "r") as archive:
        found = {}
        for name, group in _members(h5py, archive["layers"]).items():
            variables = _members(h5py, _members(h5py, group).get("vars", {}))
            number = re.fullmatch(r"dense(?:_(\d+))?", name)
            if number:
                found[int(number[1] or 0)] = name, [_dataset(name, variables[key]) for key in sorted(variables)]
            elif variables:
                raise ValueError(f"layer {name} has weights: only those of Dense are known")
        return [found[number] for number in sorted(found)]


def _members(h5py, group) -> dict:
    """What lies in a group itself; links could lead out of the file."""
    if any(not isinstance(group.get(name, getlink=True), h5py.HardLink) for name in group):
        raise ValueError(f"{group.name} has links")
    return dict(group)


def _dataset(name: str, dataset) -> np.ndarray:
    """An array, which has to lie in the file in full: what a header claims is not allocated."""
    if dataset.external or dataset.is_virtual or dataset.id.get_storage_size() != dataset.size * dataset.dtype.itemsize:
        raise ValueError(f"the weights of layer {name} are not in the file in full")
    return dataset[...]

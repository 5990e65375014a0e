"""Converts a network to an ONNX model for prediction, with operators of opset 17 (https://onnx.ai/onnx/operators)."""

import json
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbanet._extras import imported
from numbanet.engines.topology import Topology
from numbanet.persist.description import Description

OPSET, IR_VERSION = 17, 8  # versions of 2022, because many programs that run ONNX files do not support newer ones
LIMIT = (1 << 31) - (1 << 20)  # a protobuf message must be smaller than 2 GiB; a megabyte is left for all but the parameters
OPERATORS = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu", "leaky_relu": "PRelu", "softmax": "Softmax"}


def serialized(description: Description, parameters: NDArray[Any]) -> bytes:
    """Returns the bytes of a checked ONNX model from x (N, n_in) to y_hat (N, n_out), with constants layer1.w, layer1.b, ..."""
    topology = description.topology
    if parameters.nbytes > LIMIT:
        raise ValueError(f"the network has {parameters.nbytes} bytes of parameters, but an ONNX file can hold at most {LIMIT}")
    onnx = imported("onnx", "numbanet[onnx]")
    helper, element = onnx.helper, onnx.helper.np_dtype_to_tensor_dtype(topology.dtype)
    n_in, n_out = topology.sizes[0], topology.sizes[-1]
    graph = helper.make_graph(
        _nodes(helper, topology.activations),
        "numbanet",
        [helper.make_tensor_value_info("x", element, ["N", n_in])],
        [helper.make_tensor_value_info("y_hat", element, ["N", n_out])],
        [onnx.numpy_helper.from_array(array, name) for name, array in _constants(topology, parameters).items()],
    )
    model = helper.make_model(
        graph,
        producer_name="numbanet",
        producer_version=_version(),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    helper.set_model_props(model, {"numbanet": json.dumps(description.to_dict())})
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def _version() -> str:
    """Returns the version of the installed numbanet, or an empty string if numbanet is not installed as a package."""
    try:
        return metadata.version("numbanet")
    except metadata.PackageNotFoundError:
        return ""


def _constants(topology: Topology, parameters: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Returns the constant tensors (initialisers) of the ONNX model by name."""
    constants: dict[str, NDArray[Any]] = {}
    for l, (w, b) in enumerate(topology.views(np.ascontiguousarray(parameters)), start=1):
        constants |= {f"layer{l}.w": w, f"layer{l}.b": b}
    if "leaky_relu" in topology.activations:
        constants["epsilon"] = np.full(1, topology.epsilon, topology.dtype)  # LeakyRelu would round it to float32
    return constants


def _nodes(helper: Any, activations: tuple[str, ...]) -> list[Any]:
    """Returns the nodes for z = x w + b and a = phi(z) of each layer; identity has no node; a of the last layer is y_hat."""
    nodes, x = [], "x"
    for l, name in enumerate(activations, start=1):
        a = "y_hat" if l == len(activations) else f"a{l}"
        z = a if name == "identity" else f"z{l}"
        nodes.append(helper.make_node("Gemm", [x, f"layer{l}.w", f"layer{l}.b"], [z], f"layer{l}.forward_sum"))
        if name != "identity":
            inputs = [z, "epsilon"] if name == "leaky_relu" else [z]
            axis = {"axis": 1} if name == "softmax" else {}
            nodes.append(helper.make_node(OPERATORS[name], inputs, [a], f"layer{l}.{name}", **axis))
        x = a
    return nodes

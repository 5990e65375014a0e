"""A network as an ONNX model that predicts: https://onnx.ai/onnx/operators, opset 17."""

import json

import numpy as np

from numbanet._extras import imported
from numbanet.persist.description import Description

OPSET, IR_VERSION = 17, 8  # of 2022: newer ones are unknown to many of the programs that run such files
LIMIT = (1 << 31) - (1 << 20)  # a protobuf message has to stay below 2 GiB; a megabyte is left to all but the parameters
OPERATORS = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu", "leaky_relu": "PRelu", "softmax": "Softmax"}


def serialized(description: Description, parameters: np.ndarray) -> bytes:
    """The bytes of a checked model: x (N, n_in) to y_hat (N, n_out), initialisers layer1.w, layer1.b, ..."""
    from numbanet import __version__  # there by now, not yet when this module is imported

    topology = description.topology
    if parameters.nbytes > LIMIT:
        raise ValueError(f"{parameters.nbytes} bytes of parameters are more than an ONNX file can hold, {LIMIT}")
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
        producer_version=__version__,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )
    helper.set_model_props(model, {"numbanet": json.dumps(description.to_dict())})
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def _constants(topology, parameters: np.ndarray) -> dict[str, np.ndarray]:
    constants = {}
    for l, (w, b) in enumerate(topology.views(np.ascontiguousarray(parameters)), start=1):
        constants |= {f"layer{l}.w": w, f"layer{l}.b": b}
    if "leaky_relu" in topology.activations:
        constants["epsilon"] = np.full(1, topology.epsilon, topology.dtype)  # LeakyRelu would round it to float32
    return constants


def _nodes(helper, activations) -> list:
    """z = x w + b and a = phi(z) of each layer; identity is no node, and the last a is y_hat."""
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

"""Converts a network to an ONNX model for prediction, with operators of opset 17 (https://onnx.ai/onnx/operators)."""

import json
from importlib import metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbanet._extras import imported
from numbanet.engines.topology import Topology
from numbanet.persist import onnx_formulas, onnx_table
from numbanet.persist.description import Description
from numbanet.persist.onnx_table import Graph, Node, Port

OPSET, IR_VERSION = 17, 8  # versions of 2022: many programs that run ONNX files do not support newer versions
LIMIT = (1 << 31) - (1 << 20)  # a protobuf message must be smaller than 2 GiB; 1 MiB is left for all other content
OPERATORS = {"sigmoid": "Sigmoid", "tanh": "Tanh", "relu": "Relu", "leaky_relu": "PRelu", "softmax": "Softmax"}


def serialized(description: Description, parameters: NDArray[Any]) -> bytes:
    """Returns the bytes of a checked ONNX model that computes y_hat (N, n_out) from x (N, n_in).

    The model contains the parameters as constants named layer1.w, layer1.b, ... If the network was trained on a table, the
    model also contains the encoding of the table, as described in `numbanet.persist.onnx_table`.
    """
    topology = description.topology
    _check_activations(topology)
    if parameters.nbytes > LIMIT:
        raise ValueError(f"the network has {parameters.nbytes} bytes of parameters, but an ONNX file can hold at most {LIMIT}")
    onnx = imported("onnx", "onnx")
    helper, graph = onnx.helper, _graph(topology, parameters)
    domains = {"": OPSET}
    if description.table is not None:
        graph = onnx_table.with_encoding(graph, description.table, topology.dtype)
        domains["ai.onnx.ml"] = onnx_table.ML_OPSET
    model = helper.make_model(
        _message(onnx, graph),
        producer_name="numbanet",
        producer_version=_version(),
        opset_imports=[helper.make_opsetid(domain, version) for domain, version in domains.items()],
        ir_version=IR_VERSION,
    )
    helper.set_model_props(model, {"numbanet": json.dumps(description.to_dict())})
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString(deterministic=True)


def _graph(topology: Topology, parameters: NDArray[Any]) -> Graph:
    """Returns the graph that computes a network's predictions y_hat from x."""
    return Graph(
        [("x", topology.dtype, topology.sizes[0], "")],
        [("y_hat", topology.dtype, topology.sizes[-1], "")],
        _nodes(topology.activations),
        _constants(topology, parameters),
    )


def _check_activations(topology: Topology) -> None:
    """Raises ValueError if an activation cannot be exported."""
    for activation in topology.own_activations:
        if not activation.is_built_in:
            raise ValueError(
                f"a network with the activation {activation.name!r} cannot be exported: the exported activations are identity, "
                f"{', '.join([*OPERATORS, *onnx_formulas.STEPS])}"
            )
        if activation.name == "gelu" and topology.dtype == np.float64:
            raise ValueError(
                "a float64 network with the activation 'gelu' cannot be exported, because ONNX Runtime has no error function "
                "for float64: use a float32 network, or the activation 'gelu_tanh'"
            )


def _message(onnx: Any, graph: Graph) -> Any:
    """Converts a graph to an ONNX GraphProto, which is a protobuf message."""
    helper = onnx.helper

    def element(dtype: np.dtype) -> int:
        return onnx.TensorProto.STRING if dtype.kind == "O" else helper.np_dtype_to_tensor_dtype(dtype)

    def values(ports: list[Port]) -> list[Any]:
        return [helper.make_tensor_value_info(name, element(dtype), ["N", n], text) for name, dtype, n, text in ports]

    nodes = [
        helper.make_node(
            operator, before, after, name, **{k: element(v) if isinstance(v, np.dtype) else v for k, v in attributes.items()}
        )
        for operator, before, after, name, attributes in graph.nodes
    ]
    constants = [onnx.numpy_helper.from_array(array, name) for name, array in graph.constants.items()]
    return helper.make_graph(nodes, "numbanet", values(graph.inputs), values(graph.outputs), constants)


def _version() -> str:
    """Returns the version of the installed numbanet, or an empty string if numbanet is not installed as a package."""
    try:
        return metadata.version("numbanet")
    except metadata.PackageNotFoundError:
        return ""


def _constants(topology: Topology, parameters: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Returns the constant tensors (initializers) of the ONNX model by name."""
    constants: dict[str, NDArray[Any]] = {}
    for l, (w, b) in enumerate(topology.views(np.ascontiguousarray(parameters)), start=1):
        constants |= {f"layer{l}.w": w, f"layer{l}.b": b}
    if "leaky_relu" in topology.activations:
        constants["epsilon"] = np.full(1, topology.epsilon, topology.dtype)  # for PRelu, as LeakyRelu has a float32 slope
    for name in onnx_formulas.STEPS.keys() & topology.activations:
        constants |= onnx_formulas.constants(name, topology.dtype)
    return dict(sorted(constants.items()))


def _nodes(activations: tuple[str, ...]) -> list[Node]:
    """Returns the nodes that compute, for each layer, z = x w + b from its inputs x, and a = phi(z) with its activation phi.

    The activation identity adds no node.
    """
    nodes: list[Node] = []
    x = "x"
    for l, name in enumerate(activations, start=1):
        a = "y_hat" if l == len(activations) else f"a{l}"
        z = a if name == "identity" else f"z{l}"
        nodes.append(("Gemm", [x, f"layer{l}.w", f"layer{l}.b"], [z], f"layer{l}.forward_sum", {}))
        if name in onnx_formulas.STEPS:
            nodes += onnx_formulas.nodes(name, z, a, f"layer{l}")
        elif name != "identity":
            inputs = [z, "epsilon"] if name == "leaky_relu" else [z]
            axis = {"axis": 1} if name == "softmax" else {}
            nodes.append((OPERATORS[name], inputs, [a], f"layer{l}.{name}", axis))
        x = a
    return nodes

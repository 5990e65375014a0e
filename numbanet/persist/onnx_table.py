"""Adds the encoding of a table to an ONNX graph, which then takes raw columns and returns answers (labels or numbers).

The graph standardises numbers in float64, as `numbanet.tables` does. The graph converts strings to numbers with the operator
LabelEncoder of ai.onnx.ml. If a row has a value for which numbanet raises an error, such as an unknown category, the answer for
the row is NaN or, for classes, an empty string.
"""

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbanet.checks import listed
from numbanet.tables.encoding import Boolean, Categorical, Classes, Encoding, Numeric, Quantity
from numbanet.tables.labels import BOOLEANS
from numbanet.tables.spelling import MISSING

ML_OPSET = 2  # the first version of ai.onnx.ml whose LabelEncoder returns numbers of any type
FLOAT32_DEVIATIONS = 1000  # float32 has 7 digits; if |mean| is 1000 * scale, standardised numbers keep 4 digits
FLOAT32_SCALES = 1e-30, 1e30

Node = tuple[str, list[str], list[str], str, dict[str, Any]]  # operator, inputs, outputs, name, attributes
Port = tuple[str, np.dtype, int, str]  # name, dtype, number of columns, description


@dataclass
class Graph:
    """The parts of an ONNX graph, before they are converted to protobuf messages.

    Parameters
    ----------
    inputs, outputs : list of Port
        The inputs and outputs of the graph, all of shape (N, columns). A port with the dtype `object` contains strings.
    nodes : list of Node
        The operators, in the order in which they are computed.
    constants : dict of str to ndarray
        The constant tensors by name.
    """

    inputs: list[Port]
    outputs: list[Port]
    nodes: list[Node]
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)

    def node(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Adds a node with a single output, and returns the name of the output."""
        self.nodes.append((operator, list(inputs), [output], output, attributes))
        return output

    def constant(self, name: str, value: Any, dtype: Any) -> str:
        """Adds a constant tensor, and returns its name."""
        self.constants[name] = np.asarray(value, dtype)
        return name

    def cast(self, value: str, dtype: Any, output: str) -> str:
        """Adds a node that converts a value of the graph to a dtype, and returns the name of the result."""
        return self.node("Cast", [value], output, to=np.dtype(dtype))

    def renamed(self, names: dict[str, str]) -> "Graph":
        """Returns a copy of the graph, with tensors renamed as the dict `names` says.

        A tensor that is not in `names`, but already has one of the new names, gets underscores at the end of its name.
        """
        taken = set(names.values())

        def new(name: str) -> str:
            if name in names:
                return names[name]
            while name in taken:
                name += "_"
            return name

        return Graph(
            [(new(name), dtype, n, text) for name, dtype, n, text in self.inputs],
            [(new(name), dtype, n, text) for name, dtype, n, text in self.outputs],
            [
                (operator, list(map(new, before)), list(map(new, after)), name, attributes)
                for operator, before, after, name, attributes in self.nodes
            ],
            {new(name): value for name, value in self.constants.items()},
        )


def is_matrix(encoding: Encoding) -> bool:
    """Returns whether all columns are numbers, so that the graph has a single input x instead of one input per column."""
    return all(type(feature) is Numeric for feature in encoding.features)


def interface(encoding: Encoding) -> str:
    """Returns a sentence that describes the inputs and outputs of the ONNX model of a network trained on a table."""
    names = listed(feature.name for feature in encoding.features)
    takes = f"x, the raw numbers of the columns {names}" if is_matrix(encoding) else f"an input per raw column, {names}"
    target = encoding.target
    returns = "answers and probabilities" if isinstance(target, Classes) else f"answers, in the units of {target.name!r}"
    return f"the file contains the encoding of the table: it takes {takes}, and returns {returns}"


def with_encoding(network: Graph, encoding: Encoding, dtype: np.dtype) -> Graph:
    """Returns a graph that encodes raw columns as x, computes the network's y_hat, and decodes y_hat to labels or numbers.

    Parameters
    ----------
    network : Graph
        The graph that computes the network's y_hat (N, n_out) from x (N, n_in).
    encoding : Encoding
        The encoding of the table on which the network was trained.
    dtype : dtype
        The dtype of the network.
    """
    graph, names = Graph([], [], [], dict(network.constants)), [feature.name for feature in encoding.features]
    raw = [f"column {i}" for i in range(len(names))]  # temporary names; at the end replaced with the column names
    words = MISSING if encoding.spelling.missing is None else encoding.spelling.missing
    parts, is_strings = [], lambda i: isinstance(encoding.features[i], Categorical)
    if is_matrix(encoding):
        number = np.dtype(np.float64) if _needs_float64(encoding.features) else dtype
        graph.inputs = [("raw", number, encoding.width, f"numbers of the columns {listed(names)}")]
    else:
        for name, feature in zip(raw, encoding.features, strict=True):
            kind = np.dtype(np.float64) if type(feature) is Numeric else np.dtype(object)
            graph.inputs.append((name, kind, 1, f"column of kind {feature.kind}"))
    for has_strings, run in itertools.groupby(range(len(raw)), is_strings):
        if has_strings:
            parts += [_one_hot(graph, raw[i], encoding.features[i], i, dtype, words) for i in run]
        else:
            places = list(run)
            columns = ["raw"] if is_matrix(encoding) else [raw[i] for i in places]
            parts.append(_standardised(graph, columns, [encoding.features[i] for i in places], places[0], dtype, words))
    graph.node("Concat", parts, "x", axis=1)
    known = _known(graph, dtype)
    graph.nodes += network.nodes
    if isinstance(encoding.target, Classes):
        ((_, _, n_out, _),) = network.outputs
        _answers_of_classes(graph, encoding.target, known, dtype, n_out)
    else:
        _answers_of_quantity(graph, encoding.target, known)
    return graph.renamed({"raw": "x"} if is_matrix(encoding) else dict(zip(raw, names, strict=True)))


def _needs_float64(features: Iterable[Any]) -> bool:
    """Returns whether rounding the raw numbers of a column to float32 would noticeably change the standardised numbers."""
    least, most = FLOAT32_SCALES
    return any(abs(f.mean) > FLOAT32_DEVIATIONS * f.scale or not least < f.scale < most for f in features)


def _standardised(
    graph: Graph, columns: list[str], features: Sequence[Any], place: int, dtype: np.dtype, words: frozenset[str]
) -> str:
    """Adds nodes that encode adjacent columns of numbers and booleans, and returns the name of the encoded columns.

    The nodes fill in missing values, and then replace each value v by (v - mean) / scale. `place` is the index of the first
    column, and `words` are the strings that mean a missing value.
    """
    values = []
    for column, feature in zip(columns, features, strict=len(columns) > 1):
        if isinstance(feature, Boolean):
            codes = {
                spelling(text): value for text, value in BOOLEANS.items() for spelling in (str.lower, str.title, str.upper)
            }
            column = _looked_up(graph, column, codes | _missing(feature.fill, codes, words), f"boolean of {column}", math.nan)
        values.append(graph.cast(column, np.float64, f"number of {column}"))
    v = graph.node("Concat", values, f"v{place}", axis=1)
    fills = [math.nan if f.fill is None or isinstance(f, Boolean) else f.fill for f in features]
    if not np.isnan(fills).all():
        fill = graph.constant(f"v{place}.fill", [fills], np.float64)
        v = graph.node("Where", [graph.node("IsNaN", [v], f"v{place}.missing"), fill, v], f"v{place}.filled")
    mean, scale = (graph.constant(f"v{place}.{s}", [[getattr(f, s) for f in features]], np.float64) for s in ("mean", "scale"))
    quotient = graph.node("Div", [graph.node("Sub", [v, mean], f"v{place}.centred"), scale], f"v{place}.standardised")
    return graph.cast(quotient, dtype, f"x{place}")


def _one_hot(graph: Graph, column: str, feature: Any, place: int, dtype: np.dtype, words: frozenset[str]) -> str:
    """Adds nodes that encode a column of strings one-hot; the encoding of an unknown string is NaN.

    `place` is the index of the column, and `words` are the strings that mean a missing value.
    """
    codes = {category: k for k, category in enumerate(feature.categories)}
    fill = None if feature.fill is None else codes[feature.fill]
    index = _looked_up(graph, column, codes | _missing(fill, codes, words), f"index of {column}", -1)
    categories = graph.constant(f"x{place}.categories", [range(feature.width)], np.int64)
    one = graph.cast(graph.node("Equal", [index, categories], f"x{place}.equal"), dtype, f"x{place}.one")
    zero, nan = graph.constant(f"x{place}.zero", 0, np.int64), graph.constant(f"x{place}.nan", math.nan, dtype)
    return graph.node("Where", [graph.node("Less", [index, zero], f"x{place}.unknown"), nan, one], f"x{place}")


def _missing(fill: Any, codes: dict[str, Any], words: frozenset[str]) -> dict[str, Any]:
    """Returns a dict that maps each of `words`, the strings that mean a missing value, to the replacement `fill`.

    The dict lacks the words that are keys of `codes`; if `fill` is None, the dict is empty.
    """
    return {} if fill is None else dict.fromkeys(sorted(words - codes.keys()), fill)


def _looked_up(graph: Graph, column: str, codes: dict[str, Any], output: str, default: float) -> str:
    """Adds a LabelEncoder, which maps each key of `codes` to its code (integer or float), and other strings to `default`."""
    kind = "float" if isinstance(default, float) else "int64"
    attributes = {"keys_strings": list(codes), f"values_{kind}s": list(codes.values()), f"default_{kind}": default}
    return graph.node("LabelEncoder", [column], output, domain="ai.onnx.ml", **attributes)


def _known(graph: Graph, dtype: np.dtype) -> str:
    """Adds nodes that compute a column of booleans: True for each row of x that contains only finite numbers."""
    most = graph.constant("x.most", np.finfo(dtype).max, dtype)
    finite = graph.node("LessOrEqual", [graph.node("Abs", ["x"], "x.size"), most], "x.finite")
    least = graph.node("ReduceMin", [graph.cast(finite, np.int32, "x.flags")], "x.least", axes=[1], keepdims=1)
    return graph.cast(least, np.bool_, "x.known")


def _answers_of_quantity(graph: Graph, target: Quantity, known: str) -> None:
    """Adds the output `answers` (N, 1): predictions in the units of the target column, or NaN for rows with `known` False."""
    scale, mean = (graph.constant(f"y.{name}", getattr(target, name), np.float64) for name in ("scale", "mean"))
    scaled = graph.node("Mul", [graph.cast("y_hat", np.float64, "y"), scale], "y.scaled")
    value = graph.node("Add", [scaled, mean], "y.in_units")
    graph.node("Where", [known, value, graph.constant("y.nan", math.nan, np.float64)], "answers")
    graph.outputs = [("answers", np.dtype(np.float64), 1, target.name)]


def _answers_of_classes(graph: Graph, target: Classes, known: str, dtype: np.dtype, n_out: int) -> None:
    """Adds two outputs: `answers` (N, 1), which contains labels, and `probabilities` (N, classes)."""
    probabilities = "y_hat"
    if n_out == 1:
        half, one = graph.constant("y.half", 0.5, dtype), graph.constant("y.one", 1, dtype)
        index = graph.cast(graph.node("Greater", ["y_hat", half], "y.second"), np.int64, "y.index")
        first = graph.node("Sub", [one, "y_hat"], "y.first")
        probabilities = graph.node("Concat", [first, "y_hat"], "y.both", axis=1)
    else:
        index = graph.node("ArgMax", ["y_hat"], "y.index", axis=1, keepdims=1)
    nothing = graph.constant("y.nothing", len(target.labels), np.int64)
    labels = graph.constant("y.labels", [*target.labels, ""], object)
    graph.node("Gather", [labels, graph.node("Where", [known, index, nothing], "y.known_index")], "answers", axis=0)
    graph.node("Where", [known, probabilities, graph.constant("y.nan", math.nan, dtype)], "probabilities")
    graph.outputs = [
        ("answers", np.dtype(object), 1, target.name),
        ("probabilities", dtype, len(target.labels), f"of {listed(target.labels)}"),
    ]

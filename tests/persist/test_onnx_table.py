"""For a network that was trained on a table, ONNX Runtime and the network give the same answers for rows with raw values."""

import math
from dataclasses import replace

import numpy as np
import pytest

import numbanet
from numbanet import tables
from numbanet.tables.columns import Numbers, Strings, Table
from numbanet.tables.encoding import Boolean, Categorical, Classes, Encoding, Numeric, Quantity
from numbanet.tables.spelling import Spelling
from tests.helpers.engines import DTYPES, each

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

N = 60
CITIES, FLAGS = ("Bonn", "Köln", "Ulm", ""), ("true", "False", "TRUE", "")
QUANTITY, CLASSES = Quantity("price", 250_000.0, 80_000.0), Classes("label", ("no", "perhaps", "yes"))
TWO = Classes("label", ("no", "yes"))


def columns(*, missing):
    """Returns random columns of a table; if `missing` is True, some values of three columns are missing."""
    random = np.random.default_rng(0)
    last = 4 if missing else 3
    size = random.normal(90, 30, N)
    size[:: 7 if missing else N + 1] = math.nan if missing else 90
    return {
        "size": size,
        "time": 1_700_000_000 + random.uniform(0, 1e4, N),
        "city": [CITIES[k] for k in random.integers(0, last, N)],
        "balcony": [FLAGS[k] for k in random.integers(0, last, N)],
        "year": random.integers(1900, 2020, N).astype(float),
    }


def encoding(names, target, *, missing):
    """Returns an encoding, which converts the columns `names` to inputs of a network."""
    features = {
        "size": Numeric("size", 90, 30, 85.5 if missing else None),
        "time": Numeric("time", 1_700_005_000.0, 2900.0),
        "city": Categorical("city", ("Bonn", "Köln", "Ulm"), "Ulm" if missing else None),
        "balcony": Boolean("balcony", 0.25, 0.43, 1.0 if missing else None),
        "year": Numeric("year", 1960, 30),
    }
    return Encoding(tuple(features[name] for name in names), target)


def table_of(raw):
    """Returns the columns as a `Table`; arrays become `Numbers` and lists become `Strings`, as if read from a CSV file."""
    kept = {
        name: Numbers(np.asarray(v)) if isinstance(v, np.ndarray) else Strings([t or None for t in v])
        for name, v in raw.items()
    }
    return Table("a.csv", kept, N)


def network(encoding, loss, dtype):
    net = numbanet.Network([encoding.width, 8, encoding.target.width(loss)], "relu", loss, dtype=dtype, seed=0)
    random = np.random.default_rng(1)
    net.set_parameters([(random.normal(0, 1, w.shape), random.normal(0, 1, b.shape)) for w, b in net.parameters()])
    net.table = encoding
    return net


def feed(session, raw):
    """Returns the inputs of the ONNX session: the columns by name, or the matrix x if all columns are numeric."""
    kinds = {"tensor(float)": "f4", "tensor(double)": "f8", "tensor(string)": object}
    if [port.name for port in session.get_inputs()] == ["x"]:
        return {"x": np.stack(list(raw.values()), axis=1).astype(kinds[session.get_inputs()[0].type])}
    return {port.name: np.array(raw[port.name], kinds[port.type]).reshape(N, 1) for port in session.get_inputs()}


def session_of(net, path):
    net.export(path)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def agrees(net, raw, path):
    """Checks that ONNX Runtime and numbanet give the same answers and probabilities for the raw columns."""
    session = session_of(net, path)
    answers, *probabilities = session.run(None, feed(session, raw))
    y_hat = net.predict(net.table.x(table_of(raw), net.dtype))
    expected = net.table.target.answers(y_hat)
    assert answers.shape == (N, 1)
    assert [port.name for port in session.get_outputs()] == ["answers", "probabilities"][: 1 + len(probabilities)]
    if isinstance(net.table.target, Quantity):
        tolerance = {"float32": 1e-6, "float64": 1e-13}[net.dtype]
        np.testing.assert_allclose(answers[:, 0], expected, rtol=0, atol=tolerance * np.abs(expected).max())
    else:
        assert answers[:, 0].tolist() == expected and len(set(expected)) > 1
        tolerance = {"float32": 2e-6, "float64": 1e-12}[net.dtype]
        np.testing.assert_allclose(probabilities[0], net.table.target.probabilities(y_hat), rtol=0, atol=tolerance)
    return session


@each("target, loss", [(QUANTITY, "mse"), (CLASSES, "cce"), (TWO, "cce"), (TWO, "bce")])
@each("dtype", DTYPES)
@each("missing", [False, True])
def test_columns_of_every_kind(target, loss, dtype, missing, tmp_path):
    raw = columns(missing=missing)
    session = agrees(network(encoding(raw, target, missing=missing), loss, dtype), raw, tmp_path / "net.onnx")
    assert [(port.name, port.type, port.shape) for port in session.get_inputs()] == [
        ("size", "tensor(double)", ["N", 1]), ("time", "tensor(double)", ["N", 1]), ("city", "tensor(string)", ["N", 1]),
        ("balcony", "tensor(string)", ["N", 1]), ("year", "tensor(double)", ["N", 1]),
    ]  # fmt: skip


@each("names", [["city"], ["balcony"], ["city", "year", "size", "balcony"], ["city", "year", "city 2"]])
def test_columns_in_any_order(names, tmp_path):
    raw = {name: columns(missing=False)[name.split()[0]] for name in names}
    known = encoding(columns(missing=False), QUANTITY, missing=False).features
    kinds = {feature.name: feature for feature in known}
    features = tuple(replace(kinds[name.split()[0]], name=name) for name in names)
    agrees(network(Encoding(features, QUANTITY), "sse", "float64"), raw, tmp_path / "net.onnx")


@each("dtype", DTYPES)
@each("missing", [False, True])
def test_columns_of_numbers_are_one_matrix(dtype, missing, tmp_path):
    raw = {name: columns(missing=missing)[name] for name in ("size", "year")}
    if dtype == np.float32:
        raw = {name: v.astype("f4").astype("f8") for name, v in raw.items()}  # rounded to float32, as the input is
    session = agrees(network(encoding(raw, QUANTITY, missing=missing), "mse", dtype), raw, tmp_path / "net.onnx")
    (x,) = session.get_inputs()
    assert (x.name, x.shape) == ("x", ["N", 2])
    assert x.type == {"float32": "tensor(float)", "float64": "tensor(double)"}[np.dtype(dtype).name]


@each("name, features", [
    ("time", None), ("tiny", Numeric("tiny", 0, 1e-35)), ("huge", Numeric("huge", 0, 1e35)),
])  # fmt: skip
def test_numbers_that_float32_would_round_away_are_float64(name, features, tmp_path):
    raw = {"time": columns(missing=False)["time"]}
    raw |= {"tiny": np.linspace(-1e-35, 1e-35, N), "huge": np.linspace(-1e35, 1e35, N)}
    raw = {name: raw[name]}
    known = encoding(["time"], QUANTITY, missing=False) if features is None else Encoding((features,), QUANTITY)
    session = agrees(network(known, "mse", "float32"), raw, tmp_path / "net.onnx")
    assert session.get_inputs()[0].type == "tensor(double)"


def test_rows_that_numbanet_refuses_get_no_answer(tmp_path):
    raw = columns(missing=False)
    wrong = {"size": [math.nan, math.inf], "city": ["", "Trier"], "balcony": ["", "maybe"], "year": [-math.inf]}
    for target, loss, nothing in ((QUANTITY, "mse", None), (CLASSES, "cce", ""), (TWO, "bce", "")):
        net = network(encoding(raw, target, missing=False), loss, "float32")
        session = session_of(net, tmp_path / "net.onnx")
        right, *_ = session.run(None, feed(session, raw))
        for name, values in wrong.items():
            spoilt = {column: list(v) for column, v in raw.items()}
            spoilt[name][: len(values)] = values
            answers, *rest = session.run(None, feed(session, spoilt))
            refused = answers[: len(values), 0].tolist()
            assert refused == [nothing] * len(values) if nothing is not None else np.isnan(refused).all()
            assert all(np.isnan(p[: len(values)]).all() for p in rest)
            assert (answers[len(values) :] == right[len(values) :]).all()


@each("names", [["x", "answers", "z1"], ["layer1.w", "y_hat", "probabilities"], ["x.known", "a b/c", "x_"], ["raw", "v0", "é"]])
def test_names_of_columns_do_not_collide_with_names_of_the_graph(names, tmp_path):
    kinds = [Categorical(names[0], ("Bonn", "Köln", "Ulm")), Numeric(names[1], 90, 30), Numeric(names[2], 1960, 30)]
    raw = dict(zip(names, [columns(missing=False)[name] for name in ("city", "size", "year")], strict=True))
    net = network(Encoding(tuple(kinds), TWO), "cce", "float64")
    session = session_of(net, tmp_path / "net.onnx")
    assert [port.name for port in session.get_inputs()] == names
    assert not set(names) & {port.name for port in session.get_outputs()}
    answers, _ = session.run(None, feed(session, raw))
    assert answers[:, 0].tolist() == TWO.answers(net.predict(net.table.x(table_of(raw))))


def test_the_texts_that_mean_a_missing_value_are_those_of_the_table(tmp_path):
    of_city = Categorical("city", ("Bonn", "Köln", "Ulm"), "Ulm")
    net = network(Encoding((of_city,), TWO, spelling=Spelling(missing=frozenset({"?"}))), "cce", "float64")
    answers, _ = session_of(net, tmp_path / "net.onnx").run(None, {"city": np.array([["?"], ["Ulm"], [""], ["NA"]], object)})
    assert answers[0, 0] == answers[1, 0] == answers[2, 0] != "" and answers[3, 0] == ""


def test_a_trained_table_and_its_network_without_the_encoding(tmp_path):
    (tmp_path / "a.csv").write_text("city,size,price\n" + "".join(f"{CITIES[k % 3]},{40 + k},{3 * k}.5\n" for k in range(N)))
    table = tables.read(tmp_path / "a.csv")
    known = tables.learn(table, "price")
    net = numbanet.Network([known.width, 4, 1], "tanh", "mse", seed=0)
    net.table = known
    net.fit(known.x(table), known.y(table), epochs=2, learning_rate=0.01, verbose=0)
    agrees(net, {"city": [CITIES[k % 3] for k in range(N)], "size": np.arange(40.0, 100)}, tmp_path / "net.onnx")
    net.table = None
    session = session_of(net, tmp_path / "net.onnx")
    x = known.x(table, "float32")
    np.testing.assert_allclose(session.run(["y_hat"], {"x": x})[0], net.predict(x), rtol=1e-5, atol=1e-6)

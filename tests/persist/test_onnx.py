"""From the ONNX file of an exported network, ONNX Runtime computes the same predictions as the network."""

import json
import os
import sys

import numpy as np
import pytest

import numbanet
from numbanet import persist
from numbanet.engines.topology import ALL_ACTIVATIONS
from numbanet.persist.models import description_of
from tests.helpers.engines import DTYPES, each
from tests.helpers.networks import PAIRS

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

# Tolerances relative to the largest output, because a small output may be the difference of large terms.
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}


def run(path, x):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(["y_hat"], {"x": x})[0]


def network(sizes, activations, loss, dtype):
    """Returns a network with normally distributed weights and biases."""
    net = numbanet.Network(sizes, activations, loss, dtype=dtype, epsilon=0.03, kernels="reference")
    random = np.random.default_rng(0)
    net.set_parameters([(random.normal(0, 1, w.shape), random.normal(0, 1, b.shape)) for w, b in net.parameters()])
    return net


def agrees(net, path, n):
    net.export(path)
    x = np.random.default_rng(1).standard_normal((n, net.sizes[0])).astype(net.dtype)
    found, expected = run(path, x), net.predict(x)
    assert found.dtype == net.dtype and found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE[net.dtype] * np.abs(expected).max())


@each("dtype", DTYPES)
def test_every_activation(dtype, tmp_path):
    names = [name for name in ALL_ACTIVATIONS if (name, dtype) != ("gelu", "float64")]  # ONNX Runtime has no Erf for float64
    for part in (names[first : first + 4] for first in range(0, len(names), 4)):
        agrees(network([5, *range(6, 6 + len(part)), 3], [*part, "identity"], "mse", dtype), tmp_path / "net.onnx", 40)


@each("output, loss", PAIRS)
@each("dtype", DTYPES)
def test_every_output_for_any_number_of_samples(output, loss, dtype, tmp_path):
    for n in (1, 9):
        agrees(network([4, 6, 3], ["leaky_relu", output], loss, dtype), tmp_path / "net.onnx", n)


def test_a_trained_network_sees_the_digits_alike(tmp_path):
    x, y, x_test, y_test = numbanet.load_digits()
    net = numbanet.Network([64, 32, 10], "relu", "cce", seed=0)
    net.fit(x, y, epochs=5, learning_rate=0.1, verbose=0)
    net.export(tmp_path / "net.onnx")
    y_hat = run(tmp_path / "net.onnx", x_test)
    np.testing.assert_allclose(y_hat, net.predict(x_test), rtol=0, atol=1e-6)
    assert (y_hat.argmax(axis=1) == y_test).mean() == pytest.approx(net.evaluate(x_test, y_test)["accuracy"])


def test_an_old_runtime_finds_what_it_knows(tmp_path):
    net = network([4, 6, 5, 3], ["leaky_relu", "identity", "softmax"], "cce", "float64")
    net.export(tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    onnx.checker.check_model(model, full_check=True)
    assert (model.ir_version, model.opset_import[0].version, len(model.opset_import)) == (8, 17, 1)
    (x,), (y_hat,) = model.graph.input, model.graph.output
    assert (x.name, y_hat.name) == ("x", "y_hat")
    assert [dim.dim_param or dim.dim_value for dim in y_hat.type.tensor_type.shape.dim] == ["N", 3]
    assert [node.op_type for node in model.graph.node] == ["Gemm", "PRelu", "Gemm", "Gemm", "Softmax"]
    tensors = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for l, (w, b) in enumerate(net.parameters(), start=1):
        assert (tensors[f"layer{l}.w"] == w).all() and (tensors[f"layer{l}.b"] == b).all()


def test_the_metadata_describe_the_network(tmp_path):
    net = network([4, 6, 3], "leaky_relu", "cce", "float64")
    net.export(tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    entries = json.loads(session.get_modelmeta().custom_metadata_map["numbanet"])
    assert persist.Description.from_dict(entries) == description_of(net._model)
    before = (tmp_path / "net.onnx").read_bytes()
    net.export(tmp_path / "net.onnx")
    assert (tmp_path / "net.onnx").read_bytes() == before


def test_networks_that_cannot_be_exported_are_refused(tmp_path, monkeypatch):
    net = network([4, 3], ["softmax"], "cce", "float32")
    with pytest.raises(ValueError, match=r"cannot export .*net.npz': the name must end in .onnx"):
        net.export(tmp_path / "net.npz")
    with monkeypatch.context() as patch:
        patch.setattr(persist.onnx_file, "LIMIT", 59)
        with pytest.raises(ValueError, match="the network has 60 bytes of parameters, but an ONNX file can hold at most 59"):
            net.export(tmp_path / "net.onnx")
    with pytest.raises(
        ValueError, match=r"float64 network with the activation 'gelu' cannot be exported.* use a float32 network"
    ):
        network([4, 3], ["gelu"], "mse", "float64").export(tmp_path / "net.onnx")
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install .onnx>="):
        net.export(tmp_path / "net.onnx")
    assert os.listdir(tmp_path) == []

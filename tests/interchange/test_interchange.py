"""A network converted from another library makes the same predictions as the original model.

The script tests/files/make.py wrote the files of PyTorch and Keras in tests/files, so the tests do not need these libraries.
"""

import io
import itertools
import json
import os
import pickle
import sys
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

import numbanet
from numbanet.interchange import from_keras, from_sklearn, from_torch, to_torch
from tests.helpers.engines import DTYPES, each

FILES = Path(__file__).parents[1] / "files"
PREDICTIONS = json.loads((FILES / "predictions.json").read_text())


def agrees(net, predicted, x=PREDICTIONS["x"]):
    tolerance = {"float32": 1e-6, "float64": 1e-12}[net.dtype]
    np.testing.assert_allclose(net.predict(x), np.reshape(predicted, (len(x), -1)), rtol=tolerance, atol=tolerance)


def state(*sizes, names=None, dtype="f4"):
    """Returns random weights and biases as a dict that imitates a PyTorch state dict, with NumPy arrays."""
    random, arrays = np.random.default_rng(0), {}
    for l, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        name = names[l] if names else str(2 * l)
        arrays |= {f"{name}.weight": random.standard_normal((n_out, n_in)).astype(dtype),
                   f"{name}.bias": random.standard_normal(n_out).astype(dtype)}  # fmt: skip
    return arrays


def forward(arrays, names, x):
    """Computes with NumPy the outputs of a network with the layers `names`, and with tanh between the layers."""
    for name in names[:-1]:
        x = np.tanh(x @ arrays[f"{name}.weight"].T + arrays[f"{name}.bias"])
    return x @ arrays[f"{names[-1]}.weight"].T + arrays[f"{names[-1]}.bias"]


# scikit-learn


@pytest.fixture
def sklearn():
    return pytest.importorskip("sklearn.neural_network")


def targets(kind, x):
    score = x @ [1.0, -2, 0.5]
    return {
        "classes": np.array(["a", "b", "c"])[np.digitize(score, [-1, 1])],
        "two classes": score > 0,
        "labels": np.stack([score > 0, score > 1, x[:, 0] > 0], axis=1).astype(int),
        "regression": score,
        "regressions": np.stack([score, x[:, 0] ** 2], axis=1),
    }[kind]


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
@each("activation", ["identity", "logistic", "tanh", "relu"])
@each("kind", ["classes", "two classes", "labels", "regression", "regressions"])
@each("dtype", DTYPES)
def test_of_scikit_learn(sklearn, kind, activation, dtype):
    x = np.random.default_rng(0).standard_normal((50, 3)).astype(dtype)
    estimator = sklearn.MLPRegressor if kind.startswith("regression") else sklearn.MLPClassifier
    mlp = estimator(hidden_layer_sizes=(5, 4), activation=activation, max_iter=20, random_state=0).fit(x, targets(kind, x))
    net = from_sklearn(mlp)
    assert net.dtype == dtype.name and net.sizes[:3] == [3, 5, 4]
    expected = mlp.predict(x) if kind.startswith("regression") else mlp.predict_proba(x)
    agrees(net, expected[:, 1] if kind == "two classes" else expected, x)
    assert net.loss == {"classes": "cce", "two classes": "bce", "labels": "bce"}.get(kind, "mse")


@pytest.mark.filterwarnings("ignore:Stochastic Optimizer")
def test_what_is_no_fitted_mlp_is_refused(sklearn):
    with pytest.raises(ValueError, match="this MLPClassifier is not fitted"):
        from_sklearn(sklearn.MLPClassifier())
    with pytest.raises(TypeError, match="must be a fitted MLPClassifier or MLPRegressor, not list"):
        from_sklearn([])
    mlp = sklearn.MLPRegressor(hidden_layer_sizes=(2,), max_iter=2).fit([[1], [2]], [1, 2])
    mlp.out_activation_ = "softplus"
    with pytest.raises(
        ValueError,
        match="is 'softplus', which is not supported; supported are softmax, logistic, identity, exp",
    ):
        from_sklearn(mlp)


# PyTorch


@each("suffix", [".safetensors", ".pt"])
def test_of_a_file_that_pytorch_wrote(suffix):
    pytest.importorskip({".safetensors": "safetensors", ".pt": "torch"}[suffix])
    net = from_torch(FILES / f"torch{suffix}", loss="cce", activations="tanh", kernels="reference")
    assert net.sizes == [4, 5, 5, 5, 5, 5, 5, 3] and net.dtype == "float32" and net.kernels == "reference"
    agrees(net, PREDICTIONS["torch"])


@each("dtype", DTYPES)
@each("names", [["0", "2", "10"], ["net.9.linear", "net.10.linear", "net.100.linear"], ["fc1", "fc2", "fc3"], ["b", "c", "a"]])
def test_of_a_state_dict(names, dtype):
    arrays = state(3, 3, 3, 3, names=names, dtype=dtype)
    x = np.random.default_rng(1).standard_normal((5, 3)).astype(dtype)
    for order in (arrays, dict(sorted(arrays.items()))):
        layers = names if names[0] == "b" else None  # whose numbers say nothing
        net = from_torch(order, loss="mse", activations="tanh", layers=layers)
        assert net.dtype == dtype.name
        expected = forward(arrays, names, x)
        np.testing.assert_allclose(net.predict(x), expected, rtol=1e-5, atol=1e-6 if dtype == "f4" else 1e-12)
    if layers:
        in_order = from_torch(arrays, loss="mse", activations="tanh")  # in the order of a PyTorch state dict
        assert (in_order.predict(x) == net.predict(x)).all()


def test_a_layer_without_a_bias_gets_zeros():
    arrays = state(3, 2)
    del arrays["0.bias"]
    (_, b), *_ = from_torch(arrays, loss="mse", activations="identity").parameters()
    assert (b == 0).all()


def test_a_safetensors_file_has_no_order_but_that_of_numbers(tmp_path):
    save_file = pytest.importorskip("safetensors.numpy").save_file
    arrays = state(3, 3, 3, names=["hidden", "answer"])
    save_file(arrays, tmp_path / "net.safetensors")
    with pytest.raises(
        ValueError, match="does not store the order of answer, hidden: pass their names in order as the argument layers"
    ):
        from_torch(tmp_path / "net.safetensors", loss="mse", activations="tanh")
    net = from_torch(tmp_path / "net.safetensors", loss="mse", activations="tanh", layers=["hidden", "answer"])
    x = np.eye(3, dtype="f4")
    np.testing.assert_allclose(net.predict(x), forward(arrays, ["hidden", "answer"], x), rtol=1e-5, atol=1e-6)


@each(
    "changes, options, message",
    [
        ({}, {"activations": None}, "a state dict contains weights only: pass the argument activations"),
        ({}, {"activations": "swish"}, "unknown activation 'swish'|unknown activation"),
        ({}, {"activations": ["tanh"]}, "activation"),
        ({}, {"loss": "dice"}, "unknown loss 'dice'"),
        ({}, {"layers": ["0", "1"]}, "the argument layers names '1', but the state dict has no such layer; it has 0, 2"),
        ({}, {"layers": ["0"]}, "the argument layers omits 2: name every layer"),
        ({"2.weight": np.zeros((2, 5))}, {}, "layer 2 has 5 inputs, but the layer before it has 4 outputs"),
        ({"2.bias": np.zeros(3)}, {}, r"layer 2 has 2 outputs, but its bias has shape \(3,\)"),
        ({"2.weight": np.zeros((2, 4, 3, 3))}, {}, r"weight of layer 2 has shape \(2, 4, 3, 3\)"),
        ({"2.weight": np.full((2, 4), np.nan)}, {}, r"w\[0, 0\] of layer 2 is nan"),
        ({"2.weight": np.ones((2, 4), np.int8)}, {}, "layer 2 has weights of dtype int8; quantised weights are not supported"),
        ({"2.weight": np.zeros((2, 4), complex)}, {}, "w of layer 2 must contain real numbers"),
        ({"1.running_mean": np.zeros(4)}, {}, "layer '1' has the tensors running_mean, but a linear layer has weight and bias"),
        ({"2.running_mean": np.zeros(4)}, {}, "layer '2' has the tensors weight, bias, running_mean"),
        ({"layer3.w": np.zeros(4)}, {"layers": ["0", "2", "layer3"]}, "layer 'layer3' has the tensors w"),
    ],
)
def test_a_state_dict_that_is_no_chain_of_linear_layers_is_refused(changes, options, message):
    with pytest.raises((ValueError, TypeError), match=message):
        from_torch(state(3, 4, 2) | changes, **{"loss": "mse", "activations": "tanh"} | options)


def test_an_empty_state_dict_is_refused():
    with pytest.raises(ValueError, match="the source contains no linear layer"):
        from_torch({}, loss="mse", activations="tanh")


@each("source", [None, 3, [np.zeros((2, 2))]])
def test_what_pytorch_has_not_made_is_refused(source):
    with pytest.raises(TypeError, match=r"source must be an nn.Module, a state dict or the path of a file, not"):
        from_torch(source, loss="mse", activations="tanh")


def test_files_that_hold_no_state_dict_are_refused(tmp_path):
    pytest.importorskip("safetensors")
    with pytest.raises(FileNotFoundError):
        from_torch(tmp_path / "missing.safetensors", loss="mse", activations="tanh")
    (tmp_path / "net.h5").write_bytes(b"")
    with pytest.raises(ValueError, match=r"net.h5: the file of a state dict must end in .safetensors, .pt, .pth or .bin"):
        from_torch(tmp_path / "net.h5", loss="mse", activations="tanh")
    whole = (FILES / "torch.safetensors").read_bytes()
    for length in range(0, len(whole), 37):
        (tmp_path / "net.safetensors").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cannot import .*net.safetensors"):
            from_torch(tmp_path / "net.safetensors", loss="cce", activations="tanh")


def test_a_safetensors_file_of_bfloat16(tmp_path):
    pytest.importorskip("safetensors")
    values = np.array([[1.5, -2.0], [0.0078125, 3e38]], "f4")
    upper = (values.view("u4") >> 16).astype("u2")
    for dtype, data in (("BF16", upper.tobytes()), ("F8_E4M3", bytes(4))):
        header = json.dumps({"0.weight": {"dtype": dtype, "shape": [2, 2], "data_offsets": [0, len(data)]}}).encode()
        (tmp_path / "net.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + data)
        if dtype == "BF16":
            net = from_torch(tmp_path / "net.safetensors", loss="mse", activations="identity")
            assert net.dtype == "float32" and (net.parameters()[0][0] == (upper.astype("u4") << 16).view("f4").T).all()
    with pytest.raises(ValueError, match=r"tensor 0.weight has dtype F8_E4M3; supported are F64, F32"):
        from_torch(tmp_path / "net.safetensors", loss="mse", activations="identity")


@each("name", ["net.npz", "net.safetensors", "net.pt", "net.keras", "net.weights.h5", "net"])
@each("function", [from_torch, from_keras, from_sklearn])
def test_files_and_networks_of_numbanet_are_told_about_load(name, function, tmp_path):
    pytest.importorskip("safetensors")
    net = numbanet.Network([2, 3], "identity", "mse")
    saved = tmp_path / ("saved.safetensors" if name.endswith(".safetensors") else "saved.npz")
    net.save(saved)
    saved.rename(tmp_path / name)
    options = {} if function is from_sklearn else {"loss": "mse"}
    with pytest.raises(ValueError, match=r"is a file of numbanet, not of another library: load it with Network.load\('"):
        function(tmp_path / name, **options)
    with pytest.raises(TypeError, match=f"source is a numbanet Network already: use it as it is, without {function.__name__}"):
        function(net, **options)


@each("name, hint", [("sequential.keras", "from_keras"), ("sequential.weights.h5", "from_keras"), ("torch.pt", "from_torch"),
                     ("torch.safetensors", "from_torch")])  # fmt: skip
def test_load_names_the_function_for_files_of_other_libraries(name, hint):
    pytest.importorskip("safetensors")
    with pytest.raises(ValueError, match=f"{name} is damaged or not a numbanet model: .* call numbanet.{hint}"):
        numbanet.Network.load(FILES / name)


def test_there_and_back_again(tmp_path):
    save_file = pytest.importorskip("safetensors.numpy").save_file
    net = numbanet.Network([3, 4, 5, 2], ["tanh", "identity", "softmax"], "cce", dtype="float64", seed=0)
    arrays = to_torch(net)
    assert list(arrays) == ["0.weight", "0.bias", "2.weight", "2.bias", "3.weight", "3.bias"]
    assert arrays["0.weight"].shape == (4, 3) and all(array.flags["C_CONTIGUOUS"] for array in arrays.values())
    save_file(arrays, tmp_path / "net.safetensors")
    for source in (arrays, tmp_path / "net.safetensors"):
        back = from_torch(source, loss="cce", activations=net.activations)
        assert repr(back) == repr(net)
        for (w, b), (w_back, b_back) in zip(net.parameters(), back.parameters(), strict=True):
            assert (w == w_back).all() and (b == b_back).all()


@pytest.fixture
def torch():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    return torch


def test_of_a_sequential(torch):
    nn = torch.nn
    relu = nn.ReLU()  # which is there twice
    model = nn.Sequential(
        nn.Linear(4, 5), nn.LeakyReLU(0.03), nn.Sequential(nn.Linear(5, 4), relu, nn.Dropout()), nn.Linear(4, 4, bias=False),
        relu, nn.Linear(4, 6), nn.Sigmoid(), nn.Identity(), nn.Linear(6, 3), nn.Linear(3, 3), nn.Softmax(dim=-1),
    ).double().eval()  # fmt: skip
    x = torch.randn(7, 4, dtype=torch.float64)
    net = from_torch(model, loss="cce")
    assert net.activations == ["leaky_relu", "relu", "relu", "sigmoid", "identity", "softmax"] and net.epsilon == 0.03
    agrees(net, model(x).detach().numpy(), x.numpy())
    logits = from_torch(model[:-1], loss="cce")
    agrees(logits, model(x).detach().numpy(), x.numpy())


def test_of_activations_beyond_the_sheet(torch):
    nn = torch.nn
    names = ["elu", "gelu", "gelu_tanh", "hard_sigmoid", "mish", "selu", "silu", "softplus", "softsign"]
    modules = [
        nn.ELU(),
        nn.GELU(),
        nn.GELU("tanh"),
        nn.Hardsigmoid(),
        nn.Mish(),
        nn.SELU(),
        nn.SiLU(),
        nn.Softplus(),
        nn.Softsign(),
    ]
    model = nn.Sequential(*(module for each in modules for module in (nn.Linear(4, 4), each)), nn.Linear(4, 1)).double()
    x = torch.randn(7, 4, dtype=torch.float64)
    net = from_torch(model, loss="poisson")
    assert net.activations == [*names, "exponential"]
    agrees(net, model(x).exp().detach().numpy(), x.numpy())
    assert from_torch(model, loss=numbanet.Quantile(0.9)).activations == [*names, "identity"]


def test_of_another_module(torch):
    class Perceptron(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.hidden, self.answer = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)

        def forward(self, x):
            return self.answer(torch.tanh(self.hidden(x)))

    model, x = Perceptron(), torch.randn(7, 4)
    agrees(from_torch(model, loss="mse", activations="tanh"), model(x).detach().numpy(), x.numpy())
    rounded = from_torch(model.bfloat16().state_dict(), loss="mse", activations="tanh")
    assert rounded.dtype == "float32"
    assert (rounded.parameters()[0][0] == model.hidden.weight.T.float().detach().numpy()).all()


def test_a_sequential_that_is_no_chain_of_known_layers_is_refused(torch):
    nn = torch.nn
    for modules, message in (
        ([nn.Linear(4, 4), nn.BatchNorm1d(4)], "layer 1 is BatchNorm1d, which is not supported; supported are Linear"),
        ([nn.Sequential(nn.Hardswish())], "layer 0.0 is Hardswish"),
        ([nn.Linear(4, 4), nn.ELU(0.5)], "layer 1 is ELU with alpha = 0.5, but only alpha = 1 is supported"),
        ([nn.Linear(4, 4), nn.Softplus(2)], "layer 1 is Softplus with beta = 2"),
        ([nn.ReLU(), nn.Linear(4, 4)], r"0 \(ReLU\) comes before the first linear layer"),
        ([nn.Linear(4, 4), nn.ReLU(), nn.Tanh()], r"layer 0 has two activations, relu and then 2 \(Tanh\)"),
        ([nn.Linear(4, 4), nn.Softmax(dim=0)], "layer 1 is a softmax over dimension 0"),
        (
            [nn.Linear(4, 4), nn.LeakyReLU(0.1), nn.Linear(4, 4), nn.LeakyReLU(0.2)],
            "several slopes, 0.1 .layer 0., 0.2 .layer 2.",
        ),
        ([nn.Linear(4, 4), nn.Linear(5, 4)], "layer 1 has 5 inputs, but the layer before it has 4 outputs"),
        ([], "the source contains no linear layer"),
    ):
        with pytest.raises(ValueError, match=message):
            from_torch(nn.Sequential(*modules), loss="mse")
    linear = nn.Sequential(nn.Linear(4, 4), nn.LeakyReLU(0.1))
    with pytest.raises(ValueError, match=r"leave out the arguments activations and layers, or pass its state_dict\(\)"):
        from_torch(linear, loss="mse", activations="tanh")
    with pytest.raises(ValueError, match=r"epsilon is 0.3, but the layers' leaky_relu has slope 0.1"):
        from_torch(linear, loss="mse", epsilon=0.3)


def test_layers_that_do_nothing_to_rows_in_prediction(torch):
    nn = torch.nn
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(4, 6), nn.ReLU(), nn.AlphaDropout(), nn.Dropout1d(), nn.Identity(),
        nn.Sequential(nn.Linear(6, 5), nn.LeakyReLU(0.0), nn.FeatureAlphaDropout()), nn.Linear(5, 3), nn.LogSoftmax(dim=1),
    )  # fmt: skip
    x = torch.randn(7, 4)
    net = from_torch(model, loss="cce")
    assert net.activations == ["relu", "relu", "softmax"]
    agrees(net, model.eval()(x).exp().detach().numpy(), x.numpy())
    for kept, loss in ((model, "bce"), (nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(dim=1), nn.Linear(3, 3)), "cce")):
        with pytest.raises(ValueError, match="activation log_softmax, which is supported only in the last layer and with loss"):
            from_torch(kept, loss=loss)


def module_of(torch, forward, *, biases=True):
    """Returns a PyTorch module with the layers a and b, in this order, and the method `forward`."""

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = torch.nn.Linear(4, 4, biases), torch.nn.Linear(4, 4, biases)

        def forward(self, x):
            return forward(self, x)

    return Module()


def hidden(torch, m, x):
    return m.b(torch.relu(m.a(x)))


TAKEN = {
    "logits": hidden,
    "probabilities": lambda torch, m, x: torch.softmax(hidden(torch, m, x), 1),
    "logarithms": lambda torch, m, x: torch.log_softmax(hidden(torch, m, x), 1),
    "dropout": lambda torch, m, x: m.b(torch.nn.functional.dropout(torch.relu(m.a(x)), 0.5, m.training)),
    "flat": lambda torch, m, x: hidden(torch, m, x.view(len(x), -1)),
}
OTHER_FUNCTION = "the model does not just apply its layers one after the other, with the activations relu, softmax"
REFUSED = {
    "backwards": (lambda torch, m, x: m.a(torch.relu(m.b(x))), OTHER_FUNCTION),
    "skip": (lambda torch, m, x: x + hidden(torch, m, x), OTHER_FUNCTION),
    "relu6": (lambda torch, m, x: m.b(torch.nn.functional.relu6(m.a(x))), OTHER_FUNCTION),
    "leaky": (lambda torch, m, x: m.b(torch.nn.functional.leaky_relu(m.a(x))), OTHER_FUNCTION),
    "scaled": (lambda torch, m, x: hidden(torch, m, x / 255), OTHER_FUNCTION),
    "temperature": (lambda torch, m, x: torch.softmax(hidden(torch, m, x) / 1.01, 1), OTHER_FUNCTION),
    "always dropout": (lambda torch, m, x: m.b(torch.nn.functional.dropout(torch.relu(m.a(x)))), OTHER_FUNCTION),
    "nan": (lambda torch, m, x: hidden(torch, m, x) * float("nan"), OTHER_FUNCTION),
    "classes": (
        lambda torch, m, x: hidden(torch, m, x).argmax(1),
        r"the model returns outputs of shape \(48,\), but its layers",
    ),
    "two outputs": (lambda torch, m, x: (hidden(torch, m, x), x), "returns an object of type tuple, not a tensor"),
    "images": (lambda torch, m, x: hidden(torch, m, x.mean((2, 3))), "cannot compute the outputs for inputs of shape"),
}


@each("name", TAKEN)
@each("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_a_module_is_compared_with_its_network(torch, name, dtype):
    model = module_of(torch, lambda m, x: TAKEN[name](torch, m, x)).to(getattr(torch, dtype))
    model.a.eval()
    state = torch.get_rng_state()
    net = from_torch(model, loss="cce", activations="relu")
    assert (model.training, model.a.training, model.b.training) == (True, False, True)
    assert (torch.get_rng_state() == state).all()
    x = torch.randn(9, 4)
    expected = torch.softmax(hidden(torch, model.float(), x), 1).detach().numpy()
    np.testing.assert_allclose(net.predict(x.numpy()), expected, rtol=1e-5, atol=1e-6)


@each("name", REFUSED)
def test_a_module_that_computes_another_function_is_refused(torch, name):
    function, message = REFUSED[name]
    model = module_of(torch, lambda m, x: function(torch, m, x))
    state = torch.get_rng_state()
    with pytest.raises(ValueError, match=message):
        from_torch(model, loss="cce", activations="relu")
    assert model.training and (torch.get_rng_state() == state).all()
    assert from_torch(model.state_dict(), loss="cce", activations="relu").sizes == [4, 4, 4]  # which holds no function


def test_a_sequential_that_does_more_than_its_layers_is_refused(torch):
    class Shifted(torch.nn.Sequential):
        def forward(self, x):
            return super().forward(x) + 1

    hooked = torch.nn.Sequential(torch.nn.Linear(4, 3))
    hooked[0].register_forward_hook(lambda module, x, y: 2 * y)
    for model in (Shifted(torch.nn.Linear(4, 3)), hooked, torch.nn.Sequential(torch.nn.Flatten(0), torch.nn.Linear(4, 3))):
        with pytest.raises(ValueError, match=r"does not just apply its layers|cannot compute the outputs"):
            from_torch(model, loss="mse")


def test_one_output_without_its_dimension(torch):
    model = torch.nn.Sequential(torch.nn.Linear(4, 1), torch.nn.Flatten(0))
    flat = module_of(torch, lambda m, x: m.b(torch.tanh(m.a(x))).squeeze(-1))
    flat.b = torch.nn.Linear(4, 1)
    for source, options in ((model, {}), (flat, {"activations": "tanh"})):
        assert from_torch(source, loss="bce", **options).sizes[-1] == 1


def test_pytorch_takes_the_weights(torch):
    net = numbanet.Network([4, 6, 3], ["leaky_relu", "softmax"], "cce", seed=0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.LeakyReLU(0.01), torch.nn.Linear(6, 3), torch.nn.Softmax(dim=1))
    model.load_state_dict({name: torch.from_numpy(array) for name, array in to_torch(net).items()})
    x = torch.randn(7, 4)
    agrees(net, model(x).detach().numpy(), x.numpy())


class Bomb:
    def __reduce__(self):
        return pytest.fail, ("a pickle was executed",)


def test_pickles_are_not_executed(torch, tmp_path):
    path = tmp_path / "net.pt"
    torch.save({"0.weight": Bomb()}, path)
    for content in (path.read_bytes(), pickle.dumps(Bomb()), (FILES / "torch.pt").read_bytes()[:3000], b""):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"cannot import .*net.pt: the file is damaged or not a state dict"):
            from_torch(path, loss="cce", activations="tanh")
    torch.save({"epoch": 3, "model": {"0.weight": torch.zeros(2, 2)}}, path)
    with pytest.raises(ValueError, match=r"net.pt: the file contains epoch, model instead of the tensors of a state dict"):
        from_torch(path, loss="cce", activations="tanh")


# Keras


@pytest.fixture
def h5py():
    return pytest.importorskip("h5py")


def test_activations_of_keras_have_the_same_names(h5py, tmp_path):
    """The test replaces the activations in a Keras file, and checks only names; other tests check the formulas."""
    names = {"gelu", "elu", "selu", "silu", "mish", "hard_sigmoid", "softsign", "softplus", "exponential"}
    for name in names:
        change = settings(2, activation=name)

        def elu(layers, change=change):
            change(layers)
            layers[2].update(class_name="Activation")

        assert from_keras(configured(tmp_path, elu), loss="cce").activations == [name, "tanh", "softmax"]

    def layer(alpha):
        def change(layers):
            layers[2].update(class_name="ELU")
            layers[2]["config"]["alpha"] = alpha

        return change

    assert from_keras(configured(tmp_path, layer(1.0)), loss="cce").activations == ["elu", "tanh", "softmax"]
    with pytest.raises(ValueError, match=r"is ELU with alpha = 0.5, but only alpha = 1 is supported"):
        from_keras(configured(tmp_path, layer(0.5)), loss="cce")


@each("name, options", [
    ("sequential.keras", {"loss": "cce"}),
    ("functional.keras", {"loss": "bce"}),
    ("sequential.weights.h5", {"loss": "cce", "activations": ["leaky_relu", "tanh", "softmax"], "epsilon": 0.03}),
])  # fmt: skip
def test_of_a_file_that_keras_wrote(h5py, name, options):
    for path in (FILES / name, str(FILES / name)):
        agrees(from_keras(path, **options), PREDICTIONS[name.partition(".")[0]])


def configured(tmp_path, change, name="sequential.keras", weights=None):
    """Returns a copy of a Keras model file with a changed configuration or other weights."""
    with zipfile.ZipFile(FILES / name) as old, zipfile.ZipFile(tmp_path / "net.keras", "w") as new:
        config = json.loads(old.read("config.json"))
        change(config["config"]["layers"])
        new.writestr("config.json", json.dumps(config))
        new.writestr("model.weights.h5", old.read("model.weights.h5") if weights is None else weights)
    return tmp_path / "net.keras"


def settings(position, **changes):
    return lambda layers: layers[position]["config"].update(changes)


@each(
    "change, message",
    [
        (
            settings(1, activation="swish"),
            "layer dense has activation 'swish', which is not supported; supported are linear, sigmoid",
        ),
        (settings(1, activation="relu"), "layer dense has two activations, relu and then leaky_re_lu"),
        (settings(4, use_bias=True), "layer dense_1 has 1 arrays of weights, not kernel and bias"),
        (lambda layers: layers.append(layers[1]), "weights of 3 Dense layers, but its configuration has 4"),
        (
            lambda layers: layers[3].update(class_name="BatchNormalization"),
            "layer dropout is BatchNormalization, which is not supported; supported are Dense",
        ),
        (lambda layers: layers.insert(1, layers[2]), "leaky_re_lu comes before the first linear layer"),
        (lambda layers: layers.clear(), "weights of 3 Dense layers, but its configuration has 0"),
        (lambda layers: layers[1].clear(), "class_name"),
    ],
)
def test_a_keras_model_that_is_no_chain_of_known_layers_is_refused(h5py, change, message, tmp_path):
    with pytest.raises(ValueError, match=rf"(net.keras.*{message}|{message})"):
        from_keras(configured(tmp_path, change), loss="cce")


def test_a_functional_model_has_to_be_a_chain(h5py, tmp_path):
    def skip(layers):
        layers[-1]["inbound_nodes"] = layers[-2]["inbound_nodes"]

    with pytest.raises(ValueError, match=r"the model is not a chain: layer answer takes \['dense_4'\], but follows re_lu"):
        from_keras(configured(tmp_path, skip, "functional.keras"), loss="bce")


def test_a_damaged_file_of_keras_is_refused_before_its_weights_are_read(h5py, tmp_path):
    whole = (FILES / "sequential.keras").read_bytes()
    start = whole.index(b"\x89HDF")
    for place in range(start, start + 25432, 97):  # the length of model.weights.h5
        (tmp_path / "net.keras").write_bytes(whole[:place] + bytes([whole[place] ^ 0x10]) + whole[place + 1 :])
        with pytest.raises(ValueError, match=r"the model\.weights\.h5 of the file is damaged"):
            from_keras(tmp_path / "net.keras", loss="cce")


@each("name", ["sequential.keras", "sequential.weights.h5"])
def test_truncated_files_of_keras_are_refused(h5py, name, tmp_path):
    whole, path = (FILES / name).read_bytes(), tmp_path / name
    options = {} if name.endswith(".keras") else {"activations": "tanh"}
    for length in range(0, len(whole), 997):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=f"cannot import .*{name}"):
            from_keras(path, loss="cce", **options)


def altered(h5py, change):
    """Changes a copy of a Keras weights file, and returns the bytes of the copy."""
    content = io.BytesIO((FILES / "sequential.weights.h5").read_bytes())
    with h5py.File(content, "r+") as archive:
        change(archive["layers"], h5py)
    return content.getvalue()


def replaced(**options):
    """Returns a function that replaces the first layer's weight matrix in a Keras weights file with a new HDF5 dataset.

    `options` are the arguments of h5py's method `create_dataset`, which creates the new dataset.
    """

    def change(layers, h5py):
        del layers["dense/vars/0"]
        layers["dense/vars"].create_dataset("0", **options)

    return change


def linked(layers, h5py):
    layers["dense/vars"].pop("0")
    layers["dense/vars/0"] = h5py.ExternalLink(str(FILES / "sequential.weights.h5"), "/layers/dense/vars/0")


@each(
    "change, message",
    [
        (
            replaced(shape=(1 << 20, 1 << 20), dtype="f4", chunks=(64, 64)),
            "the file does not contain all weights of layer dense",
        ),
        (replaced(shape=(4, 6), dtype="f4", external="elsewhere"), "the file does not contain all weights"),
        (replaced(data=np.zeros((4, 7), "f4")), r"layer dense has 7 outputs, but its bias has shape \(6,\)"),
        (replaced(data=np.zeros(4, "f4")), r"weights of layer dense have shape \(4,\)"),
        (replaced(data=np.full((4, 6), np.inf, "f4")), r"w\[0, 0\] of layer 1 is inf"),
        (linked, "contains soft or external links"),
        (
            lambda layers, _: layers.move("dense", "batch_normalization"),
            "layer batch_normalization has weights, but only weights of",
        ),
        (lambda layers, _: layers.clear(), "no linear layer|weights of 0 Dense"),
    ],
)
def test_weights_of_keras_that_do_not_fit_are_refused(h5py, change, message, tmp_path):
    weights = altered(h5py, change)
    (tmp_path / "net.weights.h5").write_bytes(weights)
    with pytest.raises(ValueError, match=message):
        from_keras(tmp_path / "net.weights.h5", loss="cce", activations="tanh")
    with pytest.raises(ValueError, match=message):
        from_keras(configured(tmp_path, lambda layers: None, weights=weights), loss="cce")


def test_what_keras_has_not_made_is_refused(h5py, tmp_path):
    with pytest.raises(TypeError, match=r"source must be a Keras model, or the path of a .keras or .weights.h5 file, not list"):
        from_keras([], loss="cce")
    with pytest.raises(FileNotFoundError):
        from_keras(tmp_path / "missing.keras", loss="cce")
    with pytest.raises(ValueError, match=r"net.h5: it must be a .keras or .weights.h5 file"):
        from_keras(tmp_path / "net.h5", loss="cce")
    with pytest.raises(ValueError, match=r"a .weights.h5 file contains weights only: pass the argument activations"):
        from_keras(FILES / "sequential.weights.h5", loss="cce")
    with pytest.raises(ValueError, match="the Keras model defines its activations itself: leave out"):
        from_keras(FILES / "sequential.keras", loss="cce", activations="tanh")


def test_without_h5py_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ModuleNotFoundError, match=r"the package h5py is needed, but not installed: .*pip install .h5py>="):
        from_keras(FILES / "sequential.keras", loss="cce")


@pytest.fixture
def keras(h5py):
    pytest.importorskip("torch")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(0)
    return keras


@pytest.mark.filterwarnings("ignore")  # Keras's own
def test_of_a_model_of_keras(keras):
    layers = keras.layers
    model = keras.Sequential([
        keras.Input((4,)), layers.Dense(5, activation="leaky_relu"), layers.Dense(4), layers.Activation("sigmoid"),
        layers.Dense(4, activation="relu"), layers.Dense(3), layers.Softmax(),
    ])  # fmt: skip
    net = from_keras(model, loss="cce")
    assert net.activations == ["leaky_relu", "sigmoid", "relu", "softmax"] and net.epsilon == 0.2
    agrees(net, model.predict(np.array(PREDICTIONS["x"], "f4"), verbose=0))
    logits = from_keras(keras.Sequential(model.layers[:-1]), loss="cce")
    assert logits.activations == net.activations
    branching = keras.Input((4,))
    with pytest.raises(ValueError, match=r"is not a chain|is Add"):
        from_keras(keras.Model(branching, layers.Add()([layers.Dense(4)(branching), branching])), loss="mse")
    first = layers.Dense(4)(branching)
    with pytest.raises(ValueError, match=r"is not a chain: its outputs come from .*, not only from its last layer"):
        from_keras(keras.Model(branching, [first, layers.Dense(4)(first)]), loss="mse")

    class Doubled(keras.Sequential):
        def call(self, x, **options):
            return 2 * super().call(x, **options)

    with pytest.raises(ValueError, match="the model does not just apply its layers"):
        from_keras(Doubled([keras.Input((4,)), layers.Dense(3)]), loss="mse")
    with pytest.raises(ValueError, match="0 arrays of weights, not kernel and bias; build the model first"):
        from_keras(keras.Sequential([layers.Dense(3)]), loss="mse")


@pytest.mark.filterwarnings("ignore")  # Keras's own
def test_keras_layers_that_do_nothing_to_rows_and_nested_models(keras, tmp_path):
    layers, Sequential = keras.layers, keras.Sequential
    model = Sequential([
        keras.Input((2, 3)), layers.Flatten(), layers.Dense(5, activation="tanh"), layers.GaussianNoise(0.1),
        Sequential([layers.Dense(4, activation="relu"), Sequential([layers.Dense(6), layers.LeakyReLU(negative_slope=0)])]),
        Sequential([layers.Identity(), layers.ActivityRegularization(0.1)]), layers.AlphaDropout(0.5),
        Sequential([layers.GaussianDropout(0.5), layers.Dense(5), layers.ReLU(negative_slope=0.25)]),
        layers.Dense(3, activation="log_softmax"),
    ])  # fmt: skip
    model.save(tmp_path / "net.keras")
    model.save_weights(tmp_path / "net.weights.h5")
    x = np.random.default_rng(0).standard_normal((7, 2, 3)).astype("f4")
    for source in (model, tmp_path / "net.keras"):
        net = from_keras(source, loss="cce")
        assert net.activations == ["tanh", "relu", "relu", "leaky_relu", "softmax"] and net.epsilon == 0.25
        agrees(net, np.exp(model.predict(x, verbose=0)), x.reshape(7, 6))
        with pytest.raises(ValueError, match="log_softmax, which is supported only in the last layer and with loss"):
            from_keras(source, loss="mse")
    with pytest.raises(
        ValueError, match=r"does not store the order of the layers dense, dense_1, sequential, .*: pass the .keras"
    ):
        from_keras(tmp_path / "net.weights.h5", loss="cce", activations="relu")


@pytest.mark.filterwarnings("ignore")  # Keras's own
@each("bias", [True, False])
def test_quantised_models_of_keras_are_refused(keras, bias, tmp_path):
    layers = keras.layers
    model = keras.Sequential([keras.Input((4,)), layers.Dense(6, use_bias=bias), layers.Dense(3, use_bias=bias)])
    model.quantize("int8")
    model.save(tmp_path / "net.keras")
    model.save_weights(tmp_path / "net.weights.h5")
    for source, options in ((model, {}), (tmp_path / "net.keras", {}), (tmp_path / "net.weights.h5", {"activations": "relu"})):
        with pytest.raises(ValueError, match="quantised"):
            from_keras(source, loss="mse", **options)


@pytest.mark.filterwarnings("ignore")  # Keras's own
def test_keras_weights_of_bfloat16(keras, tmp_path):
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, dtype="bfloat16")])
    model.save(tmp_path / "net.keras")
    expected = keras.ops.convert_to_numpy(keras.ops.cast(model.layers[0].kernel, "float32"))
    for source in (model, tmp_path / "net.keras"):
        assert (from_keras(source, loss="mse").parameters()[0][0] == expected).all()

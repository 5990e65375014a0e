"""Weights of other libraries: imported networks predict what the originals predict.

The files of PyTorch and Keras in tests/files were made by those libraries (make.py there), which need not be installed.
"""

import io
import itertools
import json
import os
import pickle
import sys
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
    """A state dict as PyTorch has it, in NumPy's arrays."""
    random, arrays = np.random.default_rng(0), {}
    for l, (n_in, n_out) in enumerate(itertools.pairwise(sizes)):
        name = names[l] if names else str(2 * l)
        arrays |= {f"{name}.weight": random.standard_normal((n_out, n_in)).astype(dtype),
                   f"{name}.bias": random.standard_normal(n_out).astype(dtype)}  # fmt: skip
    return arrays


def forward(arrays, names, x):
    """tanh between the layers, by NumPy."""
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
    mlp.out_activation_ = "exp"  # of a Poisson regression, which older versions lack
    with pytest.raises(
        ValueError,
        match="is 'exp', which is not supported; supported are softmax, logistic, identity",
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
        in_order = from_torch(arrays, loss="mse", activations="tanh")  # as a state dict is
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
    with pytest.raises(ValueError, match="does not store the order of answer, hidden: pass their names in order as layers"):
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
        ({}, {"loss": "mae"}, "unknown loss 'mae'"),
        ({}, {"layers": ["0", "1"]}, "layers names '1', but the state dict has no such layer; it has 0, 2"),
        ({}, {"layers": ["0"]}, "layers omits 2: name every layer"),
        ({"2.weight": np.zeros((2, 5))}, {}, "layer 2 has 5 inputs, but the layer before it has 4 outputs"),
        ({"2.bias": np.zeros(3)}, {}, r"layer 2 has 2 outputs, but its bias has shape \(3,\)"),
        ({"2.weight": np.zeros((2, 4, 3, 3))}, {}, r"weight of layer 2 has shape \(2, 4, 3, 3\)"),
        ({"2.weight": np.full((2, 4), np.nan)}, {}, "w of layer 2.* is nan"),
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
        with pytest.raises(ValueError, match=r"cannot read .*net.safetensors"):
            from_torch(tmp_path / "net.safetensors", loss="cce", activations="tanh")


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
        ([nn.Sequential(nn.GELU())], "layer 0.0 is GELU"),
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
    with pytest.raises(ValueError, match=r"leave out these arguments, or pass its state_dict\(\)"):
        from_torch(linear, loss="mse", activations="tanh")
    with pytest.raises(ValueError, match=r"epsilon is 0.3, but the layers' leaky_relu has slope 0.1"):
        from_torch(linear, loss="mse", epsilon=0.3)


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
        with pytest.raises(ValueError, match=r"cannot read .*net.pt: it is damaged or not a state dict"):
            from_torch(path, loss="cce", activations="tanh")
    torch.save({"epoch": 3, "model": {"0.weight": torch.zeros(2, 2)}}, path)
    with pytest.raises(ValueError, match=r"net.pt contains epoch, model instead of the tensors of a state dict"):
        from_torch(path, loss="cce", activations="tanh")


# Keras


@pytest.fixture
def h5py():
    return pytest.importorskip("h5py")


@each("name, options", [
    ("sequential.keras", {"loss": "cce"}),
    ("functional.keras", {"loss": "bce"}),
    ("sequential.weights.h5", {"loss": "cce", "activations": ["leaky_relu", "tanh", "softmax"], "epsilon": 0.03}),
])  # fmt: skip
def test_of_a_file_that_keras_wrote(h5py, name, options):
    for path in (FILES / name, str(FILES / name)):
        agrees(from_keras(path, **options), PREDICTIONS[name.partition(".")[0]])


def configured(tmp_path, change, name="sequential.keras", weights=None):
    """The model's file with another configuration or other weights."""
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
        with pytest.raises(ValueError, match=r"its model\.weights\.h5 is damaged"):
            from_keras(tmp_path / "net.keras", loss="cce")


@each("name", ["sequential.keras", "sequential.weights.h5"])
def test_truncated_files_of_keras_are_refused(h5py, name, tmp_path):
    whole, path = (FILES / name).read_bytes(), tmp_path / name
    options = {} if name.endswith(".keras") else {"activations": "tanh"}
    for length in range(0, len(whole), 997):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=f"cannot read .*{name}"):
            from_keras(path, loss="cce", **options)


def altered(h5py, change):
    """The bytes of the weights' file after a change."""
    content = io.BytesIO((FILES / "sequential.weights.h5").read_bytes())
    with h5py.File(content, "r+") as archive:
        change(archive["layers"], h5py)
    return content.getvalue()


def replaced(**options):
    """Another kernel in place of the first."""

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
        (replaced(data=np.full((4, 6), np.inf, "f4")), r"w of layer 1\[0, 0\] is inf"),
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
    with pytest.raises(ModuleNotFoundError, match=r"needs the package h5py, .*: pip install 'numbanet\[keras\]'"):
        from_keras(FILES / "sequential.keras", loss="cce")


@pytest.mark.filterwarnings("ignore")  # Keras's own
def test_of_a_model_of_keras():
    pytest.importorskip("torch")
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(0)
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

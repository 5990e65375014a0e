"""The activations and losses beyond the sheet: networks with them agree with whole-array NumPy on every engine."""

import math
import pickle

import numpy as np
import pytest

from numbanet import Network, pictures
from numbanet.formulas import BEYOND_ACTIVATIONS, BEYOND_LOSSES
from tests.helpers.engines import ENGINES, each

ERF = np.vectorize(math.erf)


def sigmoid(z):
    return np.exp(-np.logaddexp(0, -z))


PHI = {
    "silu": lambda z: z * sigmoid(z),
    "gelu": lambda z: z * (1 + ERF(z / np.sqrt(2))) / 2,
    "elu": lambda z: np.where(z > 0, z, np.exp(z) - 1),
    "softplus": lambda z: np.logaddexp(0, z),
}
D_PHI = {
    "silu": lambda z: sigmoid(z) * (1 + z * sigmoid(-z)),
    "gelu": lambda z: (1 + ERF(z / np.sqrt(2))) / 2 + z * np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi),
    "elu": lambda z: np.where(z > 0, 1, np.exp(z)),
    "softplus": sigmoid,
}
LOSS = {
    "mae": lambda error: np.abs(error),
    "huber": lambda error: np.where(np.abs(error) <= 1, error**2 / 2, np.abs(error) - 0.5),
}
D_LOSS = {"mae": np.sign, "huber": lambda error: np.clip(error, -1, 1)}


def test_every_formula_has_an_expected_value():
    assert PHI.keys() == D_PHI.keys() == BEYOND_ACTIVATIONS.keys() and LOSS.keys() == D_LOSS.keys() == BEYOND_LOSSES.keys()


@each(
    "hidden, output, loss",
    [("silu", "gelu", "mae"), ("gelu", "silu", "huber"), ("elu", "softplus", "huber"), ("softplus", "elu", "mae")],
)
@each("device, kernels", ENGINES)
def test_gradients_are_those_of_numpy(device, kernels, hidden, output, loss):
    net = Network([3, 4, 2], [hidden, output], loss, dtype="float64", seed=1, device=device, kernels=kernels)
    random = np.random.default_rng(0)
    x, y = 2 * random.standard_normal((5, 3)), random.standard_normal((5, 2))
    (w1, b1), (w2, b2) = net.parameters()
    z1 = x @ w1 + b1
    a1 = PHI[hidden](z1)
    z2 = a1 @ w2 + b2
    error = PHI[output](z2) - y
    delta2 = D_LOSS[loss](error) * D_PHI[output](z2) / 5
    delta1 = delta2 @ w2.T * D_PHI[hidden](z1)
    found, ((dw1, db1), (dw2, db2)) = net.gradients(x, y)
    assert found == pytest.approx(LOSS[loss](error).sum() / 5, rel=1e-12)
    for ours, exact in ((dw1, x.T @ delta1), (db1, delta1.sum(0)), (dw2, a1.T @ delta2), (db2, delta2.sum(0))):
        np.testing.assert_allclose(ours, exact, rtol=1e-11, atol=1e-14)


def test_files_and_pickles_need_only_the_names(tmp_path):
    net = Network([3, 4, 1], "gelu", "huber", seed=0)
    net.save(tmp_path / "net.npz")
    loaded = Network.load(tmp_path / "net.npz")
    again = pickle.loads(pickle.dumps(net))
    x = np.ones((2, 3))
    for other in (loaded, again):
        assert (other.predict(x) == net.predict(x)).all() and repr(other) == repr(net) and other.formulas == []
    assert pickle.loads(pickle.dumps(BEYOND_LOSSES["mae"])) is BEYOND_LOSSES["mae"]


def test_a_picture_shows_the_formula():
    pytest.importorskip("matplotlib")
    ax = pictures.activation_function("gelu")
    function, derivative = ax.get_lines()[:2]
    np.testing.assert_allclose(function.get_ydata(), PHI["gelu"](function.get_xdata()), atol=1e-12)
    np.testing.assert_allclose(derivative.get_ydata(), D_PHI["gelu"](derivative.get_xdata()), atol=1e-12)

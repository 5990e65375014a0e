"""On every engine, networks with the activations and losses of equations/beyond.py agree with PyTorch.

The script tests/files/make_formulas.py wrote PyTorch's losses and gradients to formulas.json, so the tests do not need PyTorch.
"""

import json
import math
import pickle
from pathlib import Path

import numpy as np
import pytest

from numbanet import Huber, Loss, Network, Quantile, pictures
from numbanet.formulas import BEYOND_ACTIVATIONS, BEYOND_LOSSES
from tests.files.make_formulas import ACTIVATIONS, LOSSES, layers, problem
from tests.helpers.engines import ENGINES, each

# On the CPU, the reference loops run with each activation, but with two losses only, because they are compiled for each loss.
# The formulas of the other losses are compared in tests/equations, and by the fast engine.
CASES = [
    pytest.param(*engine.values, loss, id=f"{loss}-{engine.id}")
    for engine in ENGINES
    for loss in (LOSSES[:2] if engine.values == ("cpu", "reference") else LOSSES)
]
EXPECTED = json.loads((Path(__file__).parents[1] / "files" / "formulas.json").read_text())["networks"]


def test_every_formula_is_compared():
    assert {*ACTIVATIONS} == BEYOND_ACTIVATIONS.keys() and {*LOSSES} >= BEYOND_LOSSES.keys() and EXPECTED.keys() == {*LOSSES}


@each("device, kernels, loss", CASES)
def test_losses_and_gradients_are_those_of_pytorch(device, kernels, loss):
    x, y, parameters = problem(loss)
    sizes = [x.shape[1], *(len(b) for _, b in parameters)]
    net = Network(sizes, layers(loss), loss, dtype="float64", seed=0, device=device, kernels=kernels)
    net.set_parameters(parameters)
    expected = EXPECTED[loss]
    found, gradients = net.gradients(x, y)
    assert found == pytest.approx(expected["loss"], rel=1e-12)
    ours = [net.predict(x), *(array for pair in gradients for array in pair)]
    for array, exact in zip(ours, [expected["y_hat"], *expected["gradients"]], strict=True):
        np.testing.assert_allclose(array, exact, rtol=1e-12, atol=1e-12 * np.abs(exact).max())


def test_files_and_pickles_need_only_the_names(tmp_path):
    x = np.ones((2, 3))
    for loss in ("huber", Huber(2.5), Quantile(0.9)):
        net = Network([3, 4, 1], "gelu", loss, seed=0)
        net.save(tmp_path / "net.npz")
        loaded = Network.load(tmp_path / "net.npz")
        again = pickle.loads(pickle.dumps(net))
        for other in (loaded, again):
            assert (other.predict(x) == net.predict(x)).all() and repr(other) == repr(net) and other.formulas == []
            assert other.evaluate(x, [1, 9]) == net.evaluate(x, [1, 9])
    assert pickle.loads(pickle.dumps(BEYOND_LOSSES["mae"])) is BEYOND_LOSSES["mae"]


def test_losses_have_parameters():
    assert Huber() == BEYOND_LOSSES["huber"] == Huber(1) and Quantile() == BEYOND_LOSSES["quantile"] != Quantile(0.25)
    loss = Huber(delta=1e-3)
    assert (loss.name, loss.delta, repr(Quantile(0.9))) == ("huber(delta=0.001)", 0.001, "Quantile(0.9)")
    assert pickle.loads(pickle.dumps(loss)) == loss != Huber(2e-3) and isinstance(loss, Loss)
    assert Network([2, 1], "tanh", "huber(delta=1e-3)").loss == Network([2, 1], "tanh", loss).loss == loss.name


@each(
    "make, error, message",
    [
        (lambda: Huber(0), ValueError, "delta must be positive"),
        (lambda: Huber("1"), TypeError, "delta must be a real number, not '1'"),
        (lambda: Quantile(1), ValueError, r"q must lie in \(0, 1\), not 1.0"),
        (lambda: Quantile(math.nan), ValueError, "q must be finite"),
        (lambda: Network([2, 1], "tanh", "huber(delta=-1)"), ValueError, r"unknown loss 'huber\(delta=-1\)'"),
        (lambda: Network([2, 1], "tanh", "huber(delta=1e)"), ValueError, r"unknown loss 'huber\(delta=1e\)'"),
        (lambda: Network([2, 1], "tanh", "mae(q=0.5)"), ValueError, r"unknown loss 'mae\(q=0.5\)'"),
    ],
)
def test_wrong_parameters_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()


@each(
    "loss, y, message",
    [
        ("poisson", [[1], [-0.5]], r"y\[1, 0\] is -0.5: targets of poisson must be at least 0"),
        ("hinge", [[1], [0]], r"y\[1, 0\] is 0.0: targets of hinge must be -1 or 1"),
    ],
)
def test_targets_for_which_a_loss_is_not_defined_are_refused(loss, y, message):
    with pytest.raises(ValueError, match=message):
        Network([2, 1], "tanh", loss).evaluate(np.ones((2, 2)), y)


def test_a_poisson_network_predicts_positive_numbers():
    net = Network([2, 3, 1], "tanh", "poisson", seed=0)
    assert net.activations == ["tanh", "exponential"] and (net.predict(np.eye(2)) > 0).all()


def test_a_picture_shows_the_formula():
    pytest.importorskip("matplotlib")
    ax = pictures.activation_function("softsign")
    function, derivative = ax.get_lines()[:2]
    z = function.get_xdata()
    np.testing.assert_allclose(function.get_ydata(), z / (1 + abs(z)), atol=1e-12)
    np.testing.assert_allclose(derivative.get_ydata(), 1 / (1 + abs(z)) ** 2, atol=1e-12)

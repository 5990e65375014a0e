"""The methods of the class `Network` do, on every engine, what their documentation says."""

import copy
import json
import os
import pickle
import re
import subprocess
import sys
import warnings

import numpy as np
import pytest

import numbanet
from numbanet import _cuda
from numbanet._compile import config
from numbanet.engines.loops import CudaLoops
from numbanet.equations import forward_sum, forward_sum_cuda
from numbanet.inputs import devices
from numbanet.proof import oracle
from numbanet.training import reporting
from tests.helpers.engines import CUDA, DEVICES, DTYPES, ENGINES, each
from tests.helpers.networks import flatten

# The tests use only a part of the digits, because the simulated GPU takes time in proportion to weights and samples.
SMALL, PIXELS = (12, slice(24, 40)) if _cuda.SIMULATED else (60, slice(0, 64))
SIZES = (PIXELS.stop - PIXELS.start, 6, 10)


@pytest.fixture(scope="module")
def digits():
    x, y, x_test, y_test = numbanet.load_digits()
    return x[:SMALL, PIXELS], y[:SMALL], x_test[:SMALL, PIXELS], y_test[:SMALL]


def network(device="cpu", kernels="fast", sizes=SIZES, activations=("tanh", "softmax"), loss="cce", **options):
    return numbanet.Network(list(sizes), list(activations), loss, device=device, kernels=kernels, **{"seed": 0} | options)


@each("device, kernels", ENGINES)
def test_fit_lowers_the_loss_and_tells(device, kernels, digits, capsys):
    x, y, x_test, y_test = digits
    net = network(device, kernels)
    before = net.evaluate(x, y)
    history = net.fit(x, y, epochs=3, batch_size=5, learning_rate=0.5, validation_data=(x_test, y_test))
    after = net.evaluate(x, y)
    assert after["loss"] < before["loss"]
    assert history.epoch == [1, 2, 3] and not history.interrupted
    assert list(history.history) == ["loss", "accuracy", "val_loss", "val_accuracy", "seconds"]
    assert history.history["loss"][2] < history.history["loss"][0]
    validation = net.evaluate(x_test, y_test)
    assert history.history["val_loss"][-1] == validation["loss"]
    assert history.history["val_accuracy"][-1] == validation["accuracy"]
    assert "3 epochs" in repr(history)
    out = capsys.readouterr().out
    line = r"epoch \d/3  loss \d\.\d{4}  accuracy \d\.\d{4}  val_loss \d\.\d{4}  val_accuracy \d\.\d{4}  \d+\.\d\d s\n"
    assert re.fullmatch(f"({line}){{3}}", out), out


@each("device, kernels", ENGINES)
def test_verbose_0_prints_nothing(device, kernels, digits, capfd):
    x, y, _, _ = digits
    network(device, kernels).fit(x, y, epochs=1, verbose=0)
    assert capfd.readouterr() == ("", "")


@each("device, kernels", ENGINES)
def test_an_epoch_that_lasts_shows_a_bar_on_a_terminal(device, kernels, digits, capsys, monkeypatch):
    x, y, _, _ = digits
    monkeypatch.setattr(reporting, "BAR_AFTER_SECONDS", 0)
    network(device, kernels).fit(x, y, epochs=1)
    assert "samples/s" not in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    network(device, kernels).fit(x, y, epochs=1)
    err = capsys.readouterr().err
    assert "epoch 1/1:" in err and f"/{SMALL} [" in err and "samples/s" in err


@each("dtype", DTYPES)
@each("device, kernels", ENGINES)
def test_the_same_seed_gives_the_same_bits(device, kernels, dtype, digits):
    x, y, _, _ = digits
    runs = []
    for _ in range(2):
        net = network(device, kernels, dtype=dtype, seed=7)
        history = net.fit(x, y, epochs=2, batch_size=7, learning_rate=0.2, verbose=0)
        runs.append((np.concatenate([p.ravel() for pair in net.parameters() for p in pair]), history.history["loss"]))
    assert (runs[0][0] == runs[1][0]).all() and runs[0][1] == runs[1][1]
    other = network(device, kernels, dtype=dtype, seed=8)
    assert (other.parameters()[0][0] != network(device, kernels, dtype=dtype, seed=7).parameters()[0][0]).any()


def test_every_engine_gives_the_same_predictions(digits):
    x, y, _, _ = digits
    for dtype, tolerance in (("float32", 1e-5), ("float64", 1e-13)):
        nets = [network(device, kernels, dtype=dtype) for device, kernels in (engine.values for engine in ENGINES)]
        for net in nets:
            net.fit(x, y, epochs=1, batch_size=8, learning_rate=0.1, verbose=0)
        for net in nets[1:]:
            np.testing.assert_allclose(net.predict(x), nets[0].predict(x), rtol=tolerance, atol=tolerance)


def test_a_network_gives_the_oracles_predictions_on_every_device(digits):
    x, y, _, _ = digits
    for device in DEVICES:
        net = network(device)
        np.testing.assert_allclose(
            net.predict(x[:5]),
            oracle.step(net.parameters(), net.activations, "cce", x[:5], np.eye(10)[y[:5]])["y_hat"].astype(float),
            rtol=1e-5,
        )


@each("name, limit", [("relu", (6 / 64) ** 0.5), ("tanh", (6 / 164) ** 0.5), ("leaky_relu", (6 / 64) ** 0.5)])
def test_weights_start_uniformly_within_their_limit(name, limit):
    (w, b), _ = network(sizes=(64, 100, 10), activations=(name, "softmax")).parameters()
    assert 0.99 * limit < np.abs(w).max() <= limit
    assert abs(w.mean()) < limit / 20
    assert (b == 0).all()


def test_one_activation_serves_all_hidden_layers():
    for loss, output in (("cce", "softmax"), ("bce", "sigmoid"), ("mse", "identity"), ("sse", "identity")):
        assert numbanet.Network([3, 4, 5, 2], "tanh", loss).activations == ["tanh", "tanh", output]
    assert numbanet.Network([3, 2], "tanh", "mse").activations == ["identity"]


def test_parameters_are_copies_and_go_back_in(digits):
    x, _, _, _ = digits
    one, other = network(seed=1), network(seed=2)
    parameters = one.parameters()
    other.set_parameters(parameters)
    assert (one.predict(x) == other.predict(x)).all()
    parameters[0][0][:] = 0
    assert (one.predict(x) == other.predict(x)).all()


@each("device, kernels", ENGINES)
def test_a_step_moves_against_the_gradient(device, kernels, digits):
    x, y, _, _ = digits
    net = network(device, kernels, dtype="float64")
    loss, gradients = net.gradients(x, y)
    before = net.parameters()
    assert net.train_step(x, y, 0.25) == pytest.approx(loss, rel=1e-14)
    for pair, old, slope in zip(net.parameters(), before, gradients, strict=True):
        for found, value, dl in zip(pair, old, slope, strict=True):
            np.testing.assert_allclose(found, value - 0.25 * dl, rtol=1e-12, atol=1e-15)


@each("loss", ["sse", "mse", "bce", "cce"])
def test_the_loss_of_an_epoch_is_that_of_evaluate(loss):
    """The learning rate is almost 0, so that `fit` and `evaluate` compute the loss with the same parameters."""
    random = np.random.default_rng(0)
    output = {"sse": "identity", "mse": "identity", "bce": "sigmoid", "cce": "softmax"}[loss]
    net = network(sizes=(4, 3), activations=(output,), loss=loss, dtype="float64")
    x, y = random.standard_normal((10, 4)), random.dirichlet(np.ones(3), 10)
    history = net.fit(x, y, epochs=1, batch_size=4, learning_rate=1e-12, verbose=0).history
    result = net.evaluate(x, y)
    assert history["loss"][0] == pytest.approx(result["loss"], rel=1e-9)
    assert ("accuracy" in result) == (loss in ("bce", "cce"))
    if "accuracy" in result:
        assert history["accuracy"][0] == result["accuracy"]


def test_labels_and_one_hot_rows_are_the_same_targets(digits):
    x, y, _, _ = digits
    net = network()
    one_hot = np.eye(10)[y]
    assert net.evaluate(x, y) == net.evaluate(x, one_hot) == net.evaluate(x, y.astype(np.uint8)) == net.evaluate(x, list(y))


def test_one_output_takes_flat_targets():
    net = numbanet.Network([2, 1], ["sigmoid"], "bce", seed=0)
    x, y = [[0, 1], [1, 0]], [0, 1]
    assert net.evaluate(x, y) == net.evaluate(x, [[0], [1]])
    net = numbanet.Network([2, 1], ["identity"], "mse", seed=0)
    assert net.gradients(x, y)[0] == net.gradients(x, [[0], [1]])[0]


def test_accuracy_of_bce_counts_outputs():
    net = numbanet.Network([1, 2], ["sigmoid"], "bce", seed=0)
    net.set_parameters([([[100, -100]], [0, 0])])
    assert net.evaluate([[1], [1]], [[1, 0], [1, 1]])["accuracy"] == 0.75


def test_without_shuffling_the_order_is_that_of_the_samples(digits):
    x, y, _, _ = digits
    fitted, stepped = network(), network()
    fitted.fit(x, y, epochs=1, batch_size=SMALL // 2, learning_rate=0.1, shuffle=False, verbose=0)
    for half in (slice(None, SMALL // 2), slice(SMALL // 2, None)):
        stepped.train_step(x[half], y[half], 0.1)
    assert (fitted.predict(x) == stepped.predict(x)).all()


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # the simulator computes with NumPy, which warns about overflow
@each("device, kernels", ENGINES)
def test_divergence_ends_fit_and_keeps_the_last_finite_epoch(device, kernels):
    x = np.random.default_rng(0).standard_normal((8, 2)) * 100
    y = x.sum(axis=1)
    diverged, stopped = (numbanet.Network([2, 3, 1], "relu", "sse", seed=0, device=device, kernels=kernels) for _ in range(2))
    with pytest.raises(FloatingPointError, match="with learning rate 1000") as failure:
        diverged.fit(x, y, epochs=50, batch_size=4, learning_rate=1000, verbose=0)
    epoch = int(re.search(r"epoch (\d+)", str(failure.value))[1])
    if epoch > 1:
        stopped.fit(x, y, epochs=epoch - 1, batch_size=4, learning_rate=1000, verbose=0)
    for found, expected in zip(diverged.parameters(), stopped.parameters(), strict=True):
        assert np.isfinite(found[0]).all()
        assert (found[0] == expected[0]).all() and (found[1] == expected[1]).all()


@pytest.mark.simulator
@pytest.mark.skipif(not CUDA, reason="needs a GPU or the simulator")
def test_a_network_moves_between_devices(digits):
    x, y, _, _ = digits
    net = network("cpu")
    before = net.predict(x)
    assert net.to("cuda") is net and net.device == "cuda"
    np.testing.assert_allclose(net.predict(x), before, rtol=1e-5)
    net.train_step(x, y, 0.1)
    trained = net.predict(x)
    assert (trained != before).any()
    np.testing.assert_allclose(net.to("cpu").predict(x), trained, rtol=1e-4)


@each("device, kernels", ENGINES)
def test_a_trace_names_every_symbol(device, kernels, tmp_path):
    net = network(device, kernels, sizes=(2, 3, 2))
    x, y = [[0.5, -1], [2, 0]], [0, 1]
    trace = net.trace(x, y)
    loss, gradients = net.gradients(x, y)
    assert trace.loss == loss
    assert (trace.x == x).all() and (trace.y == [[1, 0], [0, 1]]).all() and (trace.y_hat == net.predict(x)).all()
    for l, ((w, b), (dw, db)) in enumerate(zip(net.parameters(), gradients, strict=True)):
        for symbol, expected in (("w", w), ("b", b), ("dw", dw), ("db", db)):
            assert (getattr(trace, symbol)[l] == expected).all()
        np.testing.assert_allclose(trace.db[l], trace.delta[l].sum(axis=0), rtol=1e-5, atol=1e-7)
    trace.save(tmp_path / "golden.npz")
    with np.load(tmp_path / "golden.npz") as saved:
        assert {"x", "y", "y_hat", "loss", "w1", "b1", "z1", "a1", "delta1", "dw1", "db1", "w2", "db2"} <= set(saved)
        assert (saved["delta2"] == trace.delta[1]).all() and saved["loss"] == trace.loss
    trace.save(tmp_path / "golden.json")
    written = json.loads((tmp_path / "golden.json").read_text())
    assert list(written) == list(trace.symbols())
    for symbol, array in trace.symbols().items():
        assert (np.array(written[symbol], array.dtype) == array).all()
    printed = trace.table()
    assert "z_j = sum_i w_ij x_i + b_j" in printed and f"L = {loss:.9g}" in printed
    assert f"{trace.dw[1][2, 1]:.9g}" in printed


def test_a_trace_that_is_not_finite_is_no_json(tmp_path):
    net = numbanet.Network([1, 1], ["identity"], "sse", device=DEVICES[0])
    net.set_parameters([([[1e38]], [0])])
    trace = net.trace([[1e2]], [0])
    with pytest.raises(ValueError, match="z1 contains inf or nan, which JSON cannot represent"):
        trace.save(tmp_path / "golden.json")
    assert os.listdir(tmp_path) == []
    trace.save(tmp_path / "golden.npz")


@pytest.mark.skipif(_cuda.SIMULATED, reason="runs on the CPU")
def test_the_loops_run_as_python_to_step_through_them(capsys):
    code = """
from numbanet import Network
from numbanet.equations import forward_sum
net = Network([3, 4, 2], "tanh", "cce", seed=0)
print(type(forward_sum).__name__, net.train_step([[1, 2, 3], [4, 5, 6]], [0, 1], 0.1), *net.predict([[1, 2, 3]])[0])
"""
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    exec(code, {})
    (python, *expected), (kind, *found) = result.stdout.split(), capsys.readouterr().out.split()
    assert python == "function" and kind == ("function" if config.DISABLE_JIT else "CPUDispatcher")
    assert [float(number) for number in found] == pytest.approx([float(number) for number in expected], rel=1e-5)


def test_auto_takes_what_there_is():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = numbanet.Network([1, 1], ["identity"], "mse", device="auto")
    assert net.device == ("cuda" if CUDA else "cpu")


@pytest.mark.skipif(CUDA, reason="there is a GPU or the simulator")
def test_auto_says_once_that_it_takes_the_cpu():
    devices.warn_once.cache_clear()
    with pytest.warns(RuntimeWarning, match="chooses the CPU") as caught:
        numbanet.Network([1, 1], ["identity"], "mse", device="auto")
    numbanet.Network([1, 1], ["identity"], "mse", device="auto")  # the test would fail at a second warning
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.skipif(CUDA, reason="there is a GPU or the simulator")
def test_cuda_without_a_gpu_says_what_is_missing():
    for attempt in (
        lambda: numbanet.Network([1, 1], ["identity"], "mse", device="cuda"),
        lambda: network().to("cuda"),
        lambda: numbanet.verify("cuda"),
    ):
        with pytest.raises(RuntimeError, match=r"driver.*pip install .numba-cuda.cu13.>="):
            attempt()


def test_a_small_grid_is_no_reason_to_warn():
    """numba.cuda warns about launches with too few thread blocks to fill a GPU, and pytest treats warnings as errors."""
    assert _cuda.configured(forward_sum_cuda, (1, 1), (32, 8)) is not None


def test_more_samples_than_a_grid_has_room_for_are_refused():
    class Huge:
        shape = (2**20, 3)

    with pytest.raises(ValueError, match="1048576 samples at once are too many"):
        CudaLoops().run(forward_sum, Huge)


def test_a_network_says_what_it_is():
    assert repr(network(sizes=(64, 6, 10))) == (
        "Network([64, 6, 10], activations=['tanh', 'softmax'], loss='cce', dtype='float32', device='cpu', kernels='fast')"
    )


def test_digits_are_the_originals_split_in_a_fixed_way():
    x, y, x_test, y_test = numbanet.load_digits()
    assert x.shape == (1438, 64) and x_test.shape == (359, 64) and x.dtype == np.float32
    assert x.min() == 0 and x.max() == 1 and set(y) == set(y_test) == set(range(10))
    assert (np.bincount(np.concatenate([y, y_test])) == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]).all()
    ink = 16 * (x.sum(dtype=float) + x_test.sum(dtype=float))
    assert ink == 561718
    assert list(y_test[:6]) == [4, 9, 4, 9, 4, 9]


def pickled(net):
    return pickle.loads(pickle.dumps(net))


@each("optimizer", ["gradient_descent", "nesterov", "adam"])
@each("copied", [copy.deepcopy, pickled])
@each("kernels", ["fast", "reference"])
def test_a_copy_goes_on_to_the_same_bits(kernels, copied, optimizer, digits):
    x, y, _, _ = digits
    net = network(DEVICES[0], kernels)
    options = {"epochs": 2, "batch_size": 7, "learning_rate": 0.01, "optimizer": optimizer, "verbose": 0}
    net.fit(x, y, **options)
    other = copied(net)
    assert repr(other) == repr(net)
    for each_net in (net, other):
        each_net.fit(x, y, **options)
    for (w, b), (w_other, b_other) in zip(net.parameters(), other.parameters(), strict=True):
        assert np.array_equal(w, w_other) and np.array_equal(b, b_other)


def test_a_network_pickled_on_a_gpu_comes_up_on_the_cpu_where_there_is_none(monkeypatch):
    net = network("cpu", "reference")
    net._model.device = "cuda"  # simulates a network on a GPU: the pickle contains only the name of the device
    content = pickle.dumps(net)
    monkeypatch.setattr(_cuda, "unusable_reason", lambda: "no GPU today")
    devices.warn_once.cache_clear()
    with pytest.warns(RuntimeWarning, match="no GPU today"):
        assert pickle.loads(content).device == "cpu"


@each("first, second, remembers", [("Adam", "Adam", True), ("Adam", "AdamW", False)])
def test_other_constants_of_an_optimizer_do_not_forget(first, second, remembers, digits):
    x, y, _, _ = digits
    net = network(DEVICES[0], "reference")
    net.train_step(x, y, 0.01, optimizer=getattr(numbanet, first)(weight_decay=0.1))
    before = flatten(*zip(*net.parameters(), strict=True))
    net.train_step(x, y, 1e-3, optimizer=getattr(numbanet, second)(weight_decay=1e-30))
    # The first step of Adam changes every parameter that has a gradient by eta; later steps change parameters by other amounts.
    largest = np.abs(flatten(*zip(*net.parameters(), strict=True)) - before).max()
    assert (largest != pytest.approx(1e-3, rel=1e-4)) == remembers


LOST = r"[wb]\[[\d, ]+\] of layer \d is (nan|-?inf)"


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid")  # the simulator computes with NumPy
@each("device, kernels", ENGINES)
def test_every_call_tells_of_parameters_that_a_training_step_made_infinite(device, kernels):
    net = numbanet.Network([3, 4, 2], "relu", "cce", seed=0, device=device, kernels=kernels)
    x, y = 1000 * np.eye(3, dtype="f4"), np.array([0, 1, 0])
    before, loss = net.parameters(), net.evaluate(x, y)
    net.train_step(x, y, 1e38)
    warning = rf"is nan, because {LOST}: an earlier training step failed; call set_parameters or Network.load"
    for name, call in (
        ("the first output", net.predict),
        ("the loss", lambda x: net.evaluate(x, y)),
        ("the loss", lambda x: net.gradients(x, y)),
        ("the loss", lambda x: net.trace(x, y)),
    ):
        with pytest.warns(RuntimeWarning, match=f"^{name} {warning}"):
            call(x)
    error = rf"^the loss of a batch is nan, and {LOST}: this update, with learning rate 0.01, or an earlier update failed; call"
    for train in (lambda: net.train_step(x, y, 0.01), lambda: net.partial_fit(x, y, batch_size=2)):
        with pytest.raises(FloatingPointError, match=error):
            train()
    with pytest.raises(FloatingPointError, match=rf"^{LOST} already before the first update of fit: call set_parameters"):
        net.fit(x, y, epochs=1, verbose=0)
    net.set_parameters(before)
    assert net.evaluate(x, y) == loss and np.isfinite(net.predict(x)).all()


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid")  # the simulator computes with NumPy
@each("device, kernels", ENGINES)
def test_an_infinite_loss_of_finite_parameters_is_told_apart(device, kernels):
    net = numbanet.Network([1, 1], "relu", "sse", seed=0, device=device, kernels=kernels)
    with pytest.raises(
        FloatingPointError, match=r"is inf, and all parameters are finite, .* range of float32; scale the inputs"
    ):
        net.train_step([[0.0]], [1e20], 1e-30)
    assert np.isfinite(flatten(*zip(*net.parameters(), strict=True))).all()


class TrainsAgain(numbanet.Callback):
    """Makes the parameters infinite at the end of an epoch."""

    def on_epoch_end(self, epoch, logs):
        self.network.train_step(1000 * np.eye(3), [0, 1, 0], 1e38)


def test_fit_says_which_parameters_it_keeps_and_who_made_the_others_infinite():
    def failure(**options):
        net = numbanet.Network([3, 4, 2], "relu", "cce", seed=0)
        with pytest.raises(FloatingPointError) as error:
            net.fit(1000 * np.eye(3), [0, 1, 0], **{"epochs": 9, "verbose": 0} | options)
        assert np.isfinite(net.predict(np.eye(3))).all()
        return str(error.value)

    first = failure(learning_rate=1e38)
    assert "in epoch 1 with learning rate 1e+38; the network keeps the parameters from before the training." in first
    rates = {"schedule": lambda epoch: 1e-9 if epoch < 3 else 1e38}
    assert "in epoch 3 with learning rate 1e+38; the network keeps the parameters of the previous epoch." in failure(**rates)
    best = failure(**rates, early_stopping=numbanet.EarlyStopping(5, monitor="learning_rate", mode="min"))
    assert "the network keeps the parameters of epoch 1, the best." in best
    assert failure(callbacks=TrainsAgain()).startswith("a callback made a parameter infinite or NaN in epoch 1; the network")

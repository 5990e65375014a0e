"""Every engine agrees with an independent implementation, the oracle, in predictions, losses, gradients, updates and traces."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from numbanet import _cuda
from numbanet.engines import make_engine
from numbanet.engines import topology as engine_topology
from numbanet.engines.cpu.engine import FastCpuEngine
from numbanet.engines.epoch import epoch_of
from numbanet.engines.reference import ReferenceEngine
from numbanet.engines.topology import ACTIVATIONS, LOSSES, Topology
from numbanet.proof import oracle
from tests.helpers.engines import DTYPES, ENGINES, each
from tests.helpers.networks import EPSILON, PAIRS, data, engine_with_parameters, flatten, topology

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}
# Modules that check the time while they train.
SLICED = ["numbanet.engines.reference", "numbanet.engines.interface", "numbanet.engines.cuda.engine"]
EXAMPLES = 5 if _cuda.SIMULATED else 40


def check_step(device, kernels, top, n):
    """Compares the loss, gradients, predictions and trace of one batch with the oracle's, relative to each array's maximum."""
    engine, flat = engine_with_parameters(top, device, kernels)
    x, y = data(top, n)
    exact = oracle.step(top.views(flat), top.activations, top.loss, x, y, EPSILON)
    x, y = engine.upload(x), engine.upload(y)
    total, gradients = engine.loss_and_gradients(x, y)
    traced = engine.trace(x, y)
    assert_close(oracle.mean_or_sum(top.loss, total, n), exact["loss"], top)
    assert_close(oracle.mean_or_sum(top.loss, engine.evaluate(x, y).loss, n), exact["loss"], top)
    assert_close(gradients, flatten(exact["dw"], exact["db"]), top)
    assert_close(engine.predict(x), exact["y_hat"], top)
    assert_close(engine.predict(x, logits=True), exact["z"][-1], top)
    for symbol, arrays in traced.items():
        for found, expected in zip(arrays, exact[symbol], strict=True):
            assert_close(found, expected, top)
    assert (engine.read() == flat).all()


def assert_close(found, expected, top):
    expected = np.asarray(expected, np.float64)
    scale = max(1, np.abs(expected).max())
    np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE[top.dtype.name] * scale)


def with_dtypes(combinations):
    """Returns each combination of activations and losses with float32 and with float64; in the simulator, only with one dtype.

    The simulator computes scalars in float64 for both dtypes, so one dtype per combination suffices; the two alternate.
    """
    order = [*ACTIVATIONS, *LOSSES]
    return [
        pytest.param(np.dtype(dtype), *names, id="-".join((dtype, *names)))
        for names in combinations
        for k, dtype in enumerate(("float32", "float64"))
        if not _cuda.SIMULATED or (sum(map(order.index, names)) + k) % 2
    ]


@each("dtype, hidden, output, loss", with_dtypes([(hidden, *pair) for hidden in ACTIVATIONS for pair in PAIRS]))
@each("device, kernels", ENGINES)
def test_a_step_for_every_activation_and_loss(device, kernels, dtype, hidden, output, loss):
    check_step(device, kernels, topology((3, 4, 5), (hidden, output), loss, dtype), n=3)


@each("dtype, output, loss", with_dtypes(PAIRS))
@each("device, kernels", ENGINES)
def test_a_step_through_a_single_layer(device, kernels, dtype, output, loss):
    check_step(device, kernels, topology((3, 2), (output,), loss, dtype), n=2)


WIDTH_1 = [(output, loss) for output, loss in PAIRS if (output, loss) != ("softmax", "bce")]


@each("dtype, output, loss", with_dtypes(WIDTH_1))
@each("device, kernels", ENGINES)
def test_a_step_with_layers_of_width_1_and_a_batch_of_1(device, kernels, dtype, output, loss):
    check_step(device, kernels, topology((1, 1, 1), ("tanh", output), loss, dtype), n=1)


@st.composite
def steps(draw):
    """Draws a topology of 1 to 5 layers and a batch of at most 9 samples."""
    layers = draw(st.integers(1, 5))
    sizes = draw(st.lists(st.integers(1, 9), min_size=layers + 1, max_size=layers + 1))
    output, loss = draw(st.sampled_from(PAIRS))
    hidden = draw(st.lists(st.sampled_from(list(ACTIVATIONS)), min_size=layers - 1, max_size=layers - 1))
    if (output, loss) == ("softmax", "bce"):
        sizes[-1] = max(2, sizes[-1])
    return sizes, (*hidden, output), loss, draw(st.integers(1, 9))


@each("dtype", DTYPES)
@each("device, kernels", ENGINES)
@settings(max_examples=EXAMPLES, deadline=None, derandomize=True)
@given(step=steps())
def test_a_step_of_any_shape(device, kernels, dtype, step):
    sizes, activations, loss, n = step
    check_step(device, kernels, topology(sizes, activations, loss, dtype), n)


@pytest.mark.skipif(_cuda.SIMULATED, reason="hundreds of samples take the simulator minutes")
@each("dtype", DTYPES)
@each("device, kernels", ENGINES)
def test_a_batch_larger_than_a_block_of_rows(device, kernels, dtype):
    check_step(device, kernels, topology((5, 7, 3), ("tanh", "softmax"), "cce", dtype), n=1100)


@each("dtype", DTYPES)
@each("device, kernels", ENGINES)
def test_logits_fill_the_array_that_is_passed(device, kernels, dtype):
    top = topology((3, 17, 2), ("relu", "softmax"), "cce", dtype)
    engine, flat = engine_with_parameters(top, device, kernels)
    x, y = data(top, 7)
    out = np.empty((7, 2), dtype)
    assert engine.predict(engine.upload(x), out, logits=True) is out
    assert_close(out, oracle.step(top.views(flat), top.activations, top.loss, x, y, EPSILON)["z"][-1], top)
    assert (out == engine.predict(engine.upload(x), logits=True)).all()


@each("output, loss", PAIRS)
@each("device, kernels", ENGINES)
def test_gradients_are_the_central_differences_of_the_loss(device, kernels, output, loss):
    hidden_ones = list(ACTIVATIONS)
    if _cuda.SIMULATED:  # one hidden activation each; `test_a_step_for_every_activation_and_loss` tests all
        first = PAIRS.index((output, loss)) % len(hidden_ones)
        hidden_ones = hidden_ones[first : first + 1]
    for hidden in hidden_ones:
        top = topology((2, 3, 2), (hidden, output), loss, np.dtype("float64"))
        engine, flat = engine_with_parameters(top, device, kernels, seed=5)
        x, y = (engine.upload(array) for array in data(top, 2, seed=7))
        _, gradients = engine.loss_and_gradients(x, y)
        h = 1e-5
        checked = range(0, flat.size, 8) if _cuda.SIMULATED else range(flat.size)
        for p in checked:
            losses = []
            for step in (h, -h, 2 * h, -2 * h):
                moved = flat.copy()
                moved[p] += step
                engine.write(moved)
                losses.append(oracle.mean_or_sum(loss, engine.evaluate(x, y).loss, 2))
            # The error of the five-point rule is of order h^4, which is far below the rounding errors of the losses.
            slope = (8 * (losses[0] - losses[1]) - (losses[2] - losses[3])) / (12 * h)
            assert abs(slope - gradients[p]) <= 1e-7 * max(1e-2, abs(slope)), (hidden, p)


@each("loss, output", [("cce", "softmax"), ("bce", "sigmoid"), ("mse", "identity"), ("sse", "tanh")])
@each("dtype", DTYPES)
@each("device, kernels", ENGINES)
def test_an_epoch_is_the_gradient_descent_of_its_batches(device, kernels, dtype, loss, output):
    top = topology((3, 4, 2), ("tanh", output), loss, dtype)
    engine, flat = engine_with_parameters(top, device, kernels)
    count, batch_size, eta = 8, 3, 0.125
    x, y = data(top, count)
    order = np.random.default_rng(3).permutation(count).astype(np.int32)[::-1]  # any integer dtype, any memory layout
    parameters = top.views(flat.astype(np.float64))
    expected_loss = expected_hits = 0
    for first in range(0, count, batch_size):
        rows = order[first : first + batch_size]
        exact = oracle.step(parameters, top.activations, loss, x[rows], y[rows], EPSILON)
        expected_loss += exact["loss"] * (1 if loss == "sse" else rows.size)
        if loss == "cce":
            expected_hits += (exact["y_hat"].argmax(axis=1) == y[rows].argmax(axis=1)).sum()
        else:
            expected_hits += ((exact["y_hat"] > 0.5) == (y[rows] > 0.5)).sum()
        parameters = [(w - eta * dw, b - eta * db) for (w, b), dw, db in zip(parameters, exact["dw"], exact["db"], strict=True)]
    *_, totals = engine.train_epoch(engine.upload(x), engine.upload(y), epoch_of(order, batch_size, eta))
    assert totals.samples == count and totals.hits == expected_hits
    assert_close(totals.loss, expected_loss, top)
    assert_close(engine.read(), flatten(*zip(*parameters, strict=True)), top)


@each("device, kernels", ENGINES)
def test_an_epoch_comes_in_slices(device, kernels, monkeypatch):
    """With a time limit of 0 s, the engine returns to Python after each block of samples or each step."""
    for module in SLICED:
        monkeypatch.setattr(f"{module}.SLICE_SECONDS", 0.0)
    top = topology((2, 2), ("softmax",), "cce", np.dtype("float32"))
    engine, _ = engine_with_parameters(top, device, kernels)
    count = 12 if _cuda.SIMULATED else 2000
    x, y = data(top, count)
    slices = list(engine.train_epoch(engine.upload(x), engine.upload(y), epoch_of(np.arange(count), 4, 0.1)))
    assert len(slices) >= 3
    assert slices[-1].samples == count and slices == sorted(slices, key=lambda totals: totals.samples)


@pytest.mark.skipif(_cuda.SIMULATED, reason="the simulator computes with float64 scalars in between")
@each("dtype", DTYPES)
@each("device, kernels", ENGINES)
def test_slices_do_not_change_a_bit(device, kernels, dtype, monkeypatch):
    top = topology((6, 5, 3), ("tanh", "softmax"), "cce", dtype)
    x, y = data(top, 700)
    trained = []
    for seconds in (0.0, 10.0):
        for module in SLICED:
            monkeypatch.setattr(f"{module}.SLICE_SECONDS", seconds)
        engine, _ = engine_with_parameters(top, device, kernels)
        x_there, y_there = engine.upload(x), engine.upload(y)
        *_, totals = engine.train_epoch(x_there, y_there, epoch_of(np.arange(700), 300, 0.1))
        trained.append((totals, engine.evaluate(x_there, y_there), engine.predict(x_there).tolist(), engine.read().tolist()))
    assert trained[0] == trained[1]


@each("dtype", DTYPES)
@each("device, kernels", ENGINES)
@each("output, loss", [("sigmoid", "bce"), ("softmax", "bce"), ("softmax", "cce"), ("softmax", "mse"), ("sigmoid", "sse")])
def test_saturated_outputs_stay_finite_and_right(device, kernels, dtype, output, loss):
    """The network has a single layer whose weights are the identity matrix, so z equals x, which contains numbers up to 1e4."""
    top = topology((3, 3), (output,), loss, dtype)
    engine, _ = engine_with_parameters(top, device, kernels)
    engine.write(np.concatenate([np.eye(3).ravel(), np.zeros(3)]).astype(dtype))
    z = np.array([[20, 0, 0], [0, 1e4, -1e4], [700, 699, -700], [50, -50, 0], [1e-30, -1e-30, 1]], dtype)
    y = np.eye(3, dtype=dtype)[[1, 0, 2, 1, 2]]
    z.flags.writeable = y.flags.writeable = False
    total, gradients = engine.loss_and_gradients(engine.upload(z), engine.upload(y))
    w_identity = [(np.eye(3), np.zeros(3))]
    with np.errstate(all="ignore"):
        exact = oracle.step(w_identity, (output,), loss, z, y)
    assert np.isfinite(total) and np.isfinite(gradients).all()
    np.testing.assert_allclose(oracle.mean_or_sum(loss, total, 5), exact["loss"], rtol=1e-5)
    if (output, loss) == ("softmax", "bce"):
        return  # the oracle divides 0 by 0; the next test checks this case
    # For a saturated output with a cross-entropy loss, the oracle's chain rule divides 0 by 0, but the short form of dL/db does
    # not.
    db = (exact["y_hat"] - y).sum(axis=0) / 5 if loss in ("bce", "cce") else exact["db"][0]
    np.testing.assert_allclose(gradients[-3:], db.astype(np.float64), rtol=1e-5, atol=1e-5)


@each("dtype", DTYPES)
@each("device, kernels", ENGINES)
def test_softmax_with_bce_learns_where_softmax_is_saturated(device, kernels, dtype):
    """For z = (20, 0) and y = (0, 1), L = 40 and dL/dz = (2, -2), although float32 rounds a to (1, 2e-9)."""
    top = topology((2, 2), ("softmax",), "bce", dtype)
    engine, _ = engine_with_parameters(top, device, kernels)
    engine.write(np.array([1, 0, 0, 1, 0, 0], dtype))
    x, y = np.array([[20, 0]], dtype), np.array([[0, 1]], dtype)
    x.flags.writeable = y.flags.writeable = False
    total, gradients = engine.loss_and_gradients(engine.upload(x), engine.upload(y))
    np.testing.assert_allclose(total, 40, rtol=1e-6)
    np.testing.assert_allclose(gradients[-2:], [2, -2], rtol=1e-6)


@each("kept", [("relu",), ("leaky_relu",), ("relu", "leaky_relu")])
@each("device, kernels", ENGINES)
def test_an_activation_that_keeps_z_trains_as_one_that_does_not(device, kernels, kept, monkeypatch):
    """If the engine keeps z, it computes the derivatives of relu and leaky_relu from z, otherwise from the activation a."""
    top = Topology((5, 7, 4, 3), ("relu", "leaky_relu", "softmax"), "cce", np.dtype("float64"), 0.25, (0.5, 0.0))
    x, y = data(top, 20)
    epoch = epoch_of(np.arange(20), 8, 0.125, dropout_key=1)
    exact, _ = engine_with_parameters(top, "cuda" if _cuda.SIMULATED else "cpu", "reference")
    list(exact.train_epoch(exact.upload(x), exact.upload(y), epoch))
    monkeypatch.setattr(engine_topology, "KEEPS_Z", frozenset(ACTIVATIONS[name] for name in kept))
    top = Topology(top.sizes, top.activations, top.loss, top.dtype, top.epsilon, top.dropout)  # reads the set anew
    engine, _ = engine_with_parameters(top, device, kernels)
    list(engine.train_epoch(engine.upload(x), engine.upload(y), epoch))
    np.testing.assert_allclose(engine.read(), exact.read(), rtol=1e-12, atol=1e-14)


@each("sizes, kind", [((300_000, 1), ReferenceEngine), ((300_000, 16), FastCpuEngine), ((1000, 1), FastCpuEngine)])
def test_a_layer_of_one_output_does_not_reserve_a_multiple_of_its_weights(sizes, kind):
    engine = make_engine(Topology(sizes, ("identity",), "mse", np.dtype("float32")), "cpu", "fast")
    assert isinstance(engine, kind)

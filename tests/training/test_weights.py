"""Sample weights and class weights have the same effect for every batch size, and for arrays and iterators of batches."""

import numpy as np
import pytest

import numbanet
from numbanet import _cuda
from numbanet.engines.cpu import epoch
from tests.helpers.engines import ENGINES, each
from tests.helpers.thread_communicators import together

COUNT = 9 if _cuda.SIMULATED else 60
SETTINGS = {"batch_size": 5, "learning_rate": 0.1, "verbose": 0}


def network(device="cpu", kernels="fast", loss="cce", **options):
    sizes = [3, 4, 1 if loss == "bce" else 2]
    return numbanet.Network(
        sizes, "tanh", loss, **{"seed": 3, "dtype": "float64", "device": device, "kernels": kernels} | options
    )


@pytest.fixture
def samples():
    random = np.random.default_rng(0)
    x = random.standard_normal((COUNT, 3))
    return x, (x[:, 0] + 0.3 * random.standard_normal(COUNT) > 0.5).astype(int)


@pytest.fixture
def weights():
    return np.random.default_rng(1).integers(0, 4, COUNT).astype(float)


def flat(net):
    return np.concatenate([array.ravel() for pair in net.parameters() for array in pair])


def losses_of(net, x, y):
    """Returns the loss of each sample, computed with NumPy from the prediction for the sample."""
    y_hat = net.predict(x)
    if net.loss == "cce":
        return -np.log(y_hat[np.arange(len(y)), y])
    if net.loss == "bce":
        return -np.log(np.where(y == 1, y_hat[:, 0], 1 - y_hat[:, 0]))
    return ((y_hat - np.eye(2)[y]) ** 2).sum(axis=1)


def targets(loss, y):
    return y if loss in ("cce", "bce") else np.eye(2)[y]


# Weights that are not scaled: gradients, train_step, partial_fit


@each("loss", ["cce", "bce"] if _cuda.SIMULATED else ["cce", "bce", "mse", "sse"])
@each("device, kernels", ENGINES)
def test_gradients_are_those_of_the_weighted_loss(device, kernels, loss, samples, weights):
    """The gradients equal central differences of the mean (for SSE, the sum) of the samples' weighted losses."""
    (x, y), net, n = samples, network(device, kernels, loss), 1 if loss == "sse" else COUNT
    value, gradients = net.gradients(x, targets(loss, y), sample_weight=weights)
    assert value == pytest.approx(weights @ losses_of(net, x, y) / n, rel=1e-12)
    parameters, h = net.parameters(), 1e-6
    for place in ((0, 0), (1, 1)):  # an entry of w of layer 1, and an entry of b of layer 2
        found = []
        for sign in (1, -1):
            moved = [(w.copy(), b.copy()) for w, b in parameters]
            moved[place[0]][place[1]].flat[0] += sign * h
            net.set_parameters(moved)
            found.append(weights @ losses_of(net, x, y) / n)
        net.set_parameters(parameters)
        assert gradients[place[0]][place[1]].flat[0] == pytest.approx((found[0] - found[1]) / (2 * h), rel=1e-6, abs=1e-9)


@each("device, kernels", ENGINES)
def test_a_step_goes_by_the_gradients_and_counts_a_single_weight(device, kernels, samples):
    x, y = samples
    stepped, passed, plain = (network(device, kernels) for _ in range(3))
    loss, gradients = stepped.gradients(x[:1], y[:1], sample_weight=[5.0])
    expected = [(w - 0.1 * dw, b - 0.1 * db) for (w, b), (dw, db) in zip(stepped.parameters(), gradients, strict=True)]
    assert stepped.train_step(x[:1], y[:1], 0.1, sample_weight=[5.0]) == pytest.approx(loss, rel=1e-12)
    assert passed.partial_fit(x[:1], y[:1], learning_rate=0.1, sample_weight=[5.0])["loss"] == pytest.approx(loss, rel=1e-12)
    assert plain.train_step(x[:1], y[:1], 0.5) == pytest.approx(loss / 5, rel=1e-12)
    for net in (stepped, passed, plain):
        np.testing.assert_allclose(
            flat(net), np.concatenate([a.ravel() for pair in expected for a in pair]), rtol=0, atol=1e-14
        )
    before = flat(stepped)
    assert stepped.train_step(x, y, 0.1, sample_weight=np.zeros(COUNT)) == 0
    assert (flat(stepped) == before).all()


# Scaled: fit


@each("optimizer", ["adam"] if _cuda.SIMULATED else ["gradient_descent", "adam"])
@each("device, kernels", ENGINES)
def test_fit_scales_weights_to_a_mean_of_1(device, kernels, optimizer, samples, weights):
    (x, y), settings = samples, {"epochs": 2, "shuffle": False, "optimizer": optimizer, **SETTINGS}
    one, tripled, batches = (network(device, kernels) for _ in range(3))
    history = one.fit(x, y, sample_weight=weights, **settings)
    tripled.fit(x, y, sample_weight=3e40 * weights, **settings)
    scaled = weights / weights.mean()
    parts = [slice(first, first + 5) for first in range(0, COUNT, 5)]
    other = batches.fit([(x[part], y[part], scaled[part]) for part in parts], **settings)
    for net in (tripled, batches):
        np.testing.assert_allclose(flat(net), flat(one), rtol=0, atol=1e-12)
    np.testing.assert_allclose(history["loss"], other["loss"], rtol=1e-12)


@each("loss", ["cce"] if _cuda.SIMULATED else ["cce", "bce", "mse"])
@each("device, kernels", ENGINES)
def test_the_loss_of_an_epoch_is_the_weighted_mean(device, kernels, loss, samples, weights):
    (x, y), net = samples, network(device, kernels, loss)
    settings = SETTINGS | {"learning_rate": 1e-14}
    expected = np.average(losses_of(net, x, y), weights=weights)
    assert net.fit(x, targets(loss, y), epochs=1, sample_weight=weights, **settings)["loss"][0] == pytest.approx(expected)
    batches = [(x[part], targets(loss, y)[part], 7 * weights[part]) for part in (slice(0, 4), slice(4, COUNT))]
    assert net.fit(batches, epochs=1, **settings)["loss"][0] == pytest.approx(expected)


def test_balanced_counts_what_is_trained_on_in_every_form(samples, weights, tmp_path):
    """Balanced class weights are equal for arrays, files and data divided between processes, even if a part lacks a class."""
    x, y = samples
    y = np.sort(y)  # the first shard contains only class 0
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    mapped = [np.load(tmp_path / f"{name}.npy", mmap_mode="r") for name in "xy"]
    settings = {"epochs": 2, "shuffle": False, **SETTINGS}

    def fitted(x, y, **options):
        net = network()
        net.fit(x, y, **settings | options)
        return flat(net)

    by_hand = COUNT / (2 * np.bincount(y))
    expected = fitted(x, y, sample_weight=by_hand[y])
    for found in (fitted(x, y, class_weight="balanced"), fitted(*mapped, class_weight="balanced")):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    of_weights = (weights / np.bincount(y, weights)[y]) * weights.sum() / 2
    np.testing.assert_allclose(
        fitted(x, y, class_weight="balanced", sample_weight=weights), fitted(x, y, sample_weight=of_weights), rtol=0, atol=1e-12
    )
    order = np.random.default_rng(2).permutation(COUNT)
    first = COUNT - round(0.25 * COUNT)
    split = fitted(x[order], y[order], class_weight="balanced", validation_split=0.25)
    np.testing.assert_allclose(split, fitted(x[order][:first], y[order][:first], class_weight="balanced"), rtol=0, atol=1e-12)

    ends = [0, COUNT // 3, COUNT]
    whole = {"batch_size": COUNT}
    for options in ({"class_weight": "balanced"}, {"sample_weight": True}, {"class_weight": {0: 0.0, 1: 2.0}}):

        def part(communicator, options=options):
            mine = slice(*ends[communicator.rank : communicator.rank + 2])
            own = dict(options)
            if own.pop("sample_weight", False):  # only rank 0 has sample weights; the samples of rank 1 count once
                own["sample_weight"] = None if communicator.rank else np.full(ends[1], 3.0)
            return fitted(x[mine], y[mine], communicator=communicator, sharded=True, **whole | own)

        given = dict(options)
        if "sample_weight" in given:
            given["sample_weight"] = np.where(np.arange(COUNT) < ends[1], 3.0, 1.0)
        for found in together(2, part):
            np.testing.assert_allclose(found, fitted(x, y, **whole | given), rtol=0, atol=1e-12)


@pytest.mark.skipif(_cuda.SIMULATED, reason="thousands of samples take the simulator minutes")
def test_a_rare_class_is_found_at_every_batch_size(tmp_path):
    """If 1 % of the samples are positive, numbanet finds as many of them as scikit-learn's balanced logistic regression."""
    linear_model = pytest.importorskip("sklearn.linear_model")
    from numbanet.cli import main
    from numbanet.sklearn import MLPClassifier

    random = np.random.default_rng(0)
    y = (np.arange(20_000) % 100 == 0).astype(int)
    x = random.standard_normal((20_000, 2)) + y[:, None] / np.sqrt(2)
    path, model = tmp_path / "rare.npz", str(tmp_path / "model.npz")
    np.savez(path, x=x, y=y)

    def recall(guess):
        return guess[y == 1].mean()

    expected = recall(linear_model.LogisticRegression(class_weight="balanced").fit(x, y).predict(x))
    assert 0.5 < expected < 0.9
    for batch_size, epochs, eta in ((1, 6, 2e-4), (32, 12, 5e-3), (4096, 100, 0.3), (20_000, 300, 1.0)):
        net = numbanet.Network([2, 2], ["softmax"], "cce", seed=0)
        options = {"batch_size": batch_size, "epochs": epochs, "learning_rate": eta}
        net.fit(x, y, class_weight="balanced", verbose=0, **options)
        assert recall(net.predict(x).argmax(axis=1)) == pytest.approx(expected, abs=0.05), batch_size
        if batch_size in (1, 4096):
            continue  # two batch sizes show that the estimator and the command pass on the weights
        options = {"learning_rate_init": eta, "momentum": 0.0, "n_iter_no_change": 999, "max_iter": epochs, "random_state": 0}
        mlp = MLPClassifier((), solver="sgd", class_weight="balanced", batch_size=batch_size, tol=0, **options)
        with pytest.warns(match="converged"):
            mlp.fit(x, y)
        command = ["train", str(path), "-q", "-o", model, "--class-weight", "balanced", "--optimizer", "gradient_descent"]
        command += ["--hidden", "4", "--activation", "identity", "--schedule", "cosine", "--validation-split", "0"]
        command += ["--batch-size", str(batch_size), "--epochs", str(epochs), "--learning-rate", str(eta)]
        assert main(command) == 0
        loaded = numbanet.Network.load(model)
        guesses = [mlp.predict(x), np.array(loaded.table.target.answers(loaded.predict(x)), int)]
        for guess, way in zip(guesses, ("estimator", "command"), strict=True):
            assert recall(guess) == pytest.approx(expected, abs=0.05), (batch_size, way)


# Weights in evaluate and in validation data


@each("loss", ["cce", "bce"] if _cuda.SIMULATED else ["cce", "bce", "mse", "sse"])
@each("device, kernels", ENGINES)
def test_a_weight_of_2_is_a_sample_twice_when_measured(device, kernels, loss, samples, weights):
    (x, y), net = samples, network(device, kernels, loss)
    y = targets(loss, y)
    twice = np.repeat(np.arange(COUNT), weights.astype(int))
    found, expected = net.evaluate(x, y, sample_weight=weights), net.evaluate(x[twice], y[twice])
    assert found.keys() == expected.keys()
    for name in found:
        assert found[name] == pytest.approx(expected[name], rel=1e-12), name
    kept = weights > 0
    metrics = ["mae", "f1"]
    masked = net.evaluate(x, y, metrics=metrics, sample_weight=kept)
    alone = net.evaluate(x[kept], y[kept], metrics=metrics)
    assert masked == pytest.approx(alone, rel=1e-12)


@pytest.mark.skipif(_cuda.SIMULATED, reason="counts the passes of the fast rung on the CPU")
def test_weights_cost_no_second_forward_pass(samples, weights, monkeypatch):
    (x, y), net = samples, network("cpu", "fast")
    engine, tasks = net._model.engine, []
    call = engine._call
    monkeypatch.setattr(engine, "_call", lambda job, *others: tasks.append(job.task) or call(job, *others))
    net.evaluate(x, y, sample_weight=weights)
    assert tasks == [epoch.EVALUATE]


@each("device, kernels", ENGINES)
def test_validation_data_are_measured_as_by_evaluate(device, kernels, samples, weights):
    (x, y), net = samples, network(device, kernels)
    history = net.fit(x, y, epochs=2, validation_data=(x, y, weights), metrics="f1", early_stopping=9, **SETTINGS)
    net.set_parameters(net.parameters())
    found = net.evaluate(x, y, metrics="f1", sample_weight=weights)
    assert history.best_epoch == 2
    for name, value in found.items():
        assert history[f"val_{name}"][-1] == pytest.approx(value, rel=1e-12), name
    plain = network(device, kernels).fit(x, y, epochs=1, validation_data=[x, y, None], **SETTINGS)
    assert plain["val_loss"].tolist() == network(device, kernels).fit(x, y, epochs=1, validation_data=(x, y), **SETTINGS)[
        "val_loss"
    ].tolist()  # fmt: skip


def test_processes_measure_weighted_validation_data_together(samples, weights):
    x, y = samples

    def fitted(communicator=None, mine=slice(None), **options):
        data = x[mine], y[mine], weights[mine]
        history = network().fit(x, y, epochs=2, validation_data=data, communicator=communicator, **SETTINGS | options)
        return history["val_loss"].tolist() + history["val_accuracy"].tolist()

    for found in together(2, fitted):
        np.testing.assert_allclose(found, fitted(), rtol=0, atol=1e-12)

    def shard(communicator):
        mine = slice(communicator.rank, None, 2)
        net = network()
        net.fit(
            x[mine], y[mine], epochs=1, validation_data=(x[mine], y[mine], weights[mine]), communicator=communicator,
            sharded=True, **SETTINGS,
        )  # fmt: skip
        history = net.fit(
            x[mine], y[mine], epochs=1, validation_data=(x[mine], y[mine], weights[mine]), communicator=communicator,
            sharded=True, **SETTINGS | {"learning_rate": 1e-14},
        )  # fmt: skip
        return history["val_loss"][0], history["val_accuracy"][0], *net.evaluate(x, y, sample_weight=weights).values()

    for loss, accuracy, whole_loss, whole_accuracy in together(2, shard):
        assert (loss, accuracy) == (pytest.approx(whole_loss, rel=1e-9), pytest.approx(whole_accuracy))


# Refused


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sample_weight": [0.0] * (COUNT - 1) + [-2.0]}, rf"sample_weight\[{COUNT - 1}\] is negative \(-2\)"),
        (
            {"sample_weight": np.full(COUNT, 1e-300)},
            r"sample_weight\[0\] is 1e-300: in float64, a weight must be 0 or lie between",
        ),
        ({"sample_weight": np.full(COUNT, 1e300)}, r"sample_weight\[0\] is 1e\+300"),
        ({"sample_weight": np.full(COUNT, 1e100), "class_weight": {0: 1e100, 1: 1e100}}, "the weight of sample 0 .* is 1e"),
        ({"class_weight": {0: 0, 1: 0}}, "all weights are 0"),
        ({"sample_weight": np.arange(COUNT) < 2, "validation_split": 0.5}, "all weights of the validation samples are 0"),
        ({"validation_data": (np.eye(3), [0, 1, 0], np.zeros(3))}, "all weights of the validation samples are 0"),
        ({"validation_data": (np.eye(3), [0, 1, 0], [1, 2])}, "sample_weight of validation_data must have shape"),
        ({"validation_data": (np.eye(3), [0, 1, 0], [1, 2, -3])}, r"sample_weight\[2\] of validation_data is negative"),
        ({"validation_data": (np.eye(3), [0, 1, 0], [1, 2, 3], 4)}, r"must be a pair \(x, y\), or \(x, y, sample_weight\)"),
    ],
)
def test_weights_that_mean_nothing_are_refused(arguments, message, samples):
    net = network(dtype="float32")
    before = flat(net)
    with pytest.raises(ValueError, match=message):
        net.fit(*samples, epochs=1, **SETTINGS | arguments)
    assert (flat(net) == before).all()


@each("call", ["train_step", "partial_fit", "gradients", "evaluate", "fit"])
@each("weight", [1e-40, 1e38])
def test_weights_as_given_are_in_the_range_of_the_dtype(call, weight, samples):
    """Products with sample weights of 1e-40 or 1e38 would underflow or overflow in float32, so each method raises an error."""
    (x, y), net = samples, network(dtype="float32")
    before, given = flat(net), np.full(COUNT, weight)
    calls = {
        "train_step": lambda: net.train_step(x, y, 0.1, sample_weight=given),
        "partial_fit": lambda: net.partial_fit(x, y, sample_weight=given),
        "gradients": lambda: net.gradients(x, y, sample_weight=given),
        "evaluate": lambda: net.evaluate(x, y, sample_weight=given),
        "fit": lambda: net.fit([(x, y, given)], epochs=1, verbose=0),
    }
    with pytest.raises(ValueError, match=r"the weight of sample 0 is 1e.* in float32"):
        calls[call]()
    assert (flat(net) == before).all()
    net.fit(x, y, epochs=1, sample_weight=given, **SETTINGS)  # scaled, they are 1
    assert not (flat(net) == before).all()


def test_batches_cannot_be_balanced(samples):
    x, y = samples
    net = network()
    before = flat(net)

    def batches():
        raise AssertionError("a batch was taken")

    for given, message in (
        ("balanced", "unknown while x yields batches: pass a dict"),
        ("balance", "did you mean 'balanced'"),
        ({2: 1.0}, "class 2"),
        ({0: -1.0}, "class_weight"),
        (3, "class_weight must be"),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            net.fit(batches, epochs=1, class_weight=given, verbose=0)
    with pytest.raises(ValueError, match="all weights are 0 in epoch 1"):
        net.fit([(x, y, np.zeros(COUNT))], epochs=1, verbose=0, optimizer=numbanet.GradientDescent(weight_decay=0.1))
    assert (flat(net) == before).all()
    alone = network()
    alone.fit([(x[y == 1], y[y == 1])], epochs=1, verbose=0)
    net.fit([(x[y == 0], y[y == 0]), (x[y == 1], y[y == 1])], epochs=1, class_weight={0: 0}, verbose=0)  # the first weighs 0
    assert (flat(net) == flat(alone)).all()


def test_processes_agree_on_what_is_missing_in_one_of_them(samples):
    """Training works even if only one of several processes has sample weights.

    If only one process has validation data, or batches instead of arrays, all processes raise an error; none waits for ever.
    """
    x, y = samples

    def fit(communicator, **of_rank_1):
        own = of_rank_1 if communicator.rank else {}
        network().fit(x, y, epochs=1, communicator=communicator, sharded=True, **SETTINGS | own)

    together(2, lambda communicator: fit(communicator, sample_weight=np.zeros(COUNT)))
    for own, message in (
        ({"validation_data": (x, y)}, "rank 0 in validation_data"),
        ({"x": [(x, y)], "y": None}, "differs from rank 0 in x"),
    ):

        def work(communicator, own=own):
            data = {"x": x, "y": y} | (own if communicator.rank else {})
            network().fit(**data, epochs=1, communicator=communicator, sharded=True, **SETTINGS)

        with pytest.raises(ValueError, match=message):
            together(2, work)
    with pytest.raises(ValueError, match="all weights are 0"):
        together(
            2, lambda each: network().fit(x, y, epochs=1, communicator=each, sharded=True, sample_weight=0 * y, **SETTINGS)
        )


@pytest.mark.simulator
@pytest.mark.skipif(_cuda.unusable_reason() is not None, reason="needs a GPU, or the simulator")
def test_weights_may_lie_on_the_gpu(samples, weights):
    x, y = samples
    net = network("cuda")
    there = _cuda.cuda.to_device(weights)
    assert net.evaluate(x, y, sample_weight=there) == net.evaluate(x, y, sample_weight=weights)

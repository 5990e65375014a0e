"""The metrics agree with scikit-learn's on random data, for regression, classes, several labels per sample and one output."""

import numpy as np
import pytest

import numbanet
from numbanet.training import metrics
from tests.helpers.engines import DTYPES, ENGINES, each

sk = pytest.importorskip("sklearn.metrics")

COUNT, K = 2000, 4
MACRO = {"average": "macro", "zero_division": 0}


def check(y, y_hat, expected, **options):
    for name, value in expected.items():
        assert metrics.METRICS[name](y, y_hat, **options) == pytest.approx(value, rel=1e-12), name


def of_one_label(y, y_hat):
    """Returns scikit-learn's metrics for one label per sample, from targets y (0 or 1) and predicted probabilities y_hat."""
    y, y_hat = y > 0.5, y_hat.astype(np.float64)
    return {
        "f1": sk.f1_score(y, y_hat > 0.5, zero_division=0),
        "precision": sk.precision_score(y, y_hat > 0.5, zero_division=0),
        "recall": sk.recall_score(y, y_hat > 0.5, zero_division=0),
        "balanced_accuracy": sk.balanced_accuracy_score(y, y_hat > 0.5),
        "roc_auc": sk.roc_auc_score(y, y_hat),
        "log_loss": sk.log_loss(y, y_hat),
    }


@each("dtype", DTYPES)
def test_metrics_of_quantities(dtype):
    random = np.random.default_rng(0)
    y = (1000 + random.standard_normal((COUNT, 2))).astype(dtype)
    y_hat = (y + random.standard_normal((COUNT, 2))).astype(dtype)
    exact = y.astype(np.float64), y_hat.astype(np.float64)
    expected = {"mae": sk.mean_absolute_error(*exact), "mse": sk.mean_squared_error(*exact), "r2": sk.r2_score(*exact)}
    check(y, y_hat, expected | {"rmse": expected["mse"] ** 0.5})


@each("constant", [0.5, 0.1])
@each("right", [False, True])
def test_r2_of_a_constant_output(constant, right):
    """For y = 0.1, scikit-learn's r2 of wrong predictions is -5e31, because rounding makes the mean of y differ from 0.1."""
    y = np.full((1001, 1), constant)
    y_hat = y if right else y + 1
    assert metrics.r2(y, y_hat) == right
    if constant == 0.5:
        assert sk.r2_score(y, y_hat) == right


# In float64, the sums of float32 probabilities are not exactly 1.
@pytest.mark.filterwarnings("ignore:The y_prob values do not sum to one")
@each("dtype", DTYPES)
@each("classes", [K, K - 1])
def test_metrics_of_classes(dtype, classes):
    """The outputs have K classes; if `classes` is K - 1, no target has the last class, but predictions do."""
    random = np.random.default_rng(1)
    z = random.standard_normal((COUNT, K)).round(1)  # few different values, so that many predictions are equal
    y_hat = (np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)).astype(dtype)
    labels = random.integers(0, classes, COUNT)
    seen, exact = y_hat.argmax(axis=1), y_hat.astype(np.float64)
    areas = [sk.roc_auc_score(labels == j, exact[:, j]) for j in range(classes)]
    expected = {
        "f1": sk.f1_score(labels, seen, **MACRO),
        "precision": sk.precision_score(labels, seen, **MACRO),
        "recall": sk.recall_score(labels, seen, **MACRO),
        "balanced_accuracy": np.mean([(seen[labels == j] == j).mean() for j in range(classes)]),
        "roc_auc": np.mean(areas),
        "log_loss": sk.log_loss(labels, exact, labels=range(K)),
    }
    for options in ({}, {"labels": False}):
        check(np.eye(K, dtype=dtype)[labels], y_hat, expected, **options)


@each("dtype", DTYPES)
@each("k", [1, K])
def test_metrics_of_labels(dtype, k):
    random = np.random.default_rng(2)
    y = (random.random((COUNT, k)) < 0.3).astype(dtype)
    y_hat = np.clip(random.random((COUNT, k)) * 0.7 + 0.3 * y, 0.01, 0.99).round(2).astype(dtype)
    columns = [of_one_label(y[:, j], y_hat[:, j]) for j in range(k)]
    expected = {name: np.mean([column[name] for column in columns]) for name in columns[0]}
    for options in ({}, {"labels": True}):
        check(y, y_hat, expected, **options)


def test_metrics_of_labels_that_never_or_always_occur():
    y = np.array([[0, 1, 1, 0.0], [0, 1, 0, 0]])
    y_hat = np.array([[0.1, 0.9, 0.8, 0.9], [0.2, 0.3, 0.1, 0.2]])
    expected = {"f1": (0 + 2 / 3 + 1 + 0) / 4, "precision": 2 / 4, "recall": (0 + 1 / 2 + 1 + 0) / 4}
    check(y, y_hat, expected | {"balanced_accuracy": (1 + 1 / 2 + 1 + 1 / 2) / 4, "roc_auc": 1.0})
    assert np.isnan(metrics.roc_auc(y[:, :2], y_hat[:, :2], labels=True))


def test_log_loss_of_certain_and_wrong_predictions():
    y, y_hat = np.eye(2, dtype=np.float32), np.eye(2, dtype=np.float32)[::-1]
    assert metrics.log_loss(y, y_hat) == pytest.approx(sk.log_loss([0, 1], y_hat.astype(np.float64)), rel=1e-12)
    with pytest.raises(ValueError, match=r"^log_loss needs predictions from 0 to 1, but y_hat ranges from -1 to 2: use a n"):
        metrics.log_loss(y, np.array([[2, -1], [0, 1]]))


def test_a_metric_converts_in_slices(monkeypatch):
    random = np.random.default_rng(3)
    y, y_hat = random.random((2, 50, 3))
    targets = {name: y if name in metrics.OF_NUMBERS else y.round() for name in metrics.METRICS}
    whole = [metrics.METRICS[name](targets[name], y_hat) for name in targets]
    monkeypatch.setattr(metrics, "NUMBERS_AT_ONCE", 7)
    assert [metrics.METRICS[name](targets[name], y_hat) for name in targets] == pytest.approx(whole, rel=1e-12)


@each("loss, output, multi_label", [("bce", "sigmoid", True), ("bce", "softmax", True), ("cce", "softmax", False)])
@each("device, kernels", ENGINES)
def test_a_network_says_whether_its_outputs_are_labels(device, kernels, loss, output, multi_label):
    """With the loss bce, each output is a separate label, even if each row of y adds up to 1."""
    random = np.random.default_rng(4)
    x, y = random.standard_normal((20, 3)), np.eye(3)[random.integers(0, 3, 20)]
    net = numbanet.Network([3, 3], output, loss, seed=0, dtype="float64", device=device, kernels=kernels)
    names = ["f1", "precision", "recall", "balanced_accuracy", "roc_auc", "log_loss"]
    found = net.evaluate(x, y, metrics=[*names, metrics.f1])
    expected = {name: metrics.METRICS[name](y, net.predict(x), labels=multi_label) for name in names}
    assert {name: found[name] for name in names} == expected
    assert metrics.f1(y, net.predict(x), labels=True) != metrics.f1(y, net.predict(x), labels=False)
    if output == "softmax" and loss == "cce":
        assert found["log_loss"] == pytest.approx(found["loss"], rel=1e-12)
    history = net.fit(x, y, epochs=1, metrics=names, verbose=0)
    assert history["f1"][0] == metrics.f1(y, net.predict(x), labels=multi_label)


def test_log_loss_of_a_network_without_probabilities_is_refused():
    net = numbanet.Network([1, 2], "identity", "mse", seed=0)
    with pytest.raises(ValueError, match=r"^log_loss needs probabilities, but the network's last activation is identity: use"):
        net.fit([[1.0]], [[1.0, 0.0]], epochs=1, metrics="log_loss", verbose=0)


def test_every_metric_has_a_direction():
    assert metrics.DIRECTIONS.keys() == {"loss", "accuracy", *metrics.METRICS}
    random = np.random.default_rng(5)
    y = np.eye(3)[random.integers(0, 3, 60)]
    worse, better = (y + share * (1 / 3 - y) for share in (1.0, 0.1))
    worse = np.clip(worse + random.uniform(-0.1, 0.1, y.shape), 0, 1)
    for name, metric in metrics.METRICS.items():
        assert (metric(y, better) > metric(y, worse)) == (metrics.DIRECTIONS[name] == "max"), name


NUMBERS = (
    r"^the metric {} needs the targets 0 and 1, but y{} contains (-1|2.5|0.25): encode .* use the metrics mae, mse, rmse, r2$"
)


@each("number", [2.5, -1.0, 0.25])
@each("name", ["f1", "precision", "recall", "balanced_accuracy", "roc_auc"])
def test_metrics_of_classes_are_refused_for_numbers(name, number):
    """For targets that are not 0 or 1, numbanet raises an error, as scikit-learn does."""
    x, y = np.arange(8.0).reshape(4, 2), np.array([[0.0], [1], [1], [0]])
    numbers, refused = np.array([[0.0], [1], [number], [0]]), NUMBERS.format(name, "")
    net = numbanet.Network([2, 1], ["sigmoid"], "mse", seed=0)
    before = net.parameters()
    called = []
    with pytest.raises(ValueError, match=refused):
        net.fit(x, numbers, epochs=1, metrics={"own": lambda y, y_hat: called.append(1) or 0, "m": name}, verbose=0)
    with pytest.raises(ValueError, match=NUMBERS.format(name, " of the validation samples")):
        net.fit([(x, y)], epochs=1, metrics=name, validation_data=(x, numbers), verbose=0)
    with pytest.raises(ValueError, match=refused):
        net.fit(x, numbers, epochs=1, metrics=metrics.METRICS[name], validation_split=0.25, verbose=0)
    assert called == [] and all((w == v).all() for (w, _), (v, _) in zip(before, net.parameters(), strict=True))
    for call in (lambda: net.evaluate(x, numbers, metrics=name), lambda: metrics.METRICS[name](numbers, y)):
        with pytest.raises(ValueError, match=refused):
            call()
    assert net.evaluate(x, y, metrics=name)[name] == metrics.METRICS[name](y, net.predict(x))


def test_log_loss_takes_probabilities_but_no_other_numbers():
    x, y = np.arange(8.0).reshape(4, 2) / 10, np.array([0.0, 1, 0.25, 0.5])
    net = numbanet.Network([2, 1], ["sigmoid"], "mse", seed=0)
    p = net.predict(x)[:, 0].astype(np.float64)
    expected = -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean()
    assert net.evaluate(x, y, metrics="log_loss")["log_loss"] == pytest.approx(expected, rel=1e-12)
    for call in (net.evaluate, lambda *samples, **options: net.fit(*samples, epochs=1, verbose=0, **options)):
        with pytest.raises(ValueError, match=r"^the metric log_loss needs targets from 0 to 1, but y contains 2.5: "):
            call(x, y * 2.5, metrics="log_loss")


def test_metrics_of_numbers_suit_classes_too():
    x, y = np.arange(8.0).reshape(4, 2), np.array([0, 1, 1, 0])
    net = numbanet.Network([2, 2], "softmax", "cce", seed=0)
    found = net.evaluate(x, y, metrics=["mse", "r2"])
    one_hot, y_hat = np.eye(2)[y], net.predict(x).astype(np.float64)
    assert found["mse"] == pytest.approx(((one_hot - y_hat) ** 2).mean()) and found["r2"] == sk.r2_score(one_hot, y_hat)

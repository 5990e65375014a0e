"""The scores of a network, its largest errors and the importance of columns agree with scikit-learn and NumPy."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from numbanet import Network, evaluation, tables
from numbanet.evaluation import importance
from tests.helpers.engines import each

inspection = pytest.importorskip("sklearn.inspection")
from sklearn import metrics  # noqa: E402

PENGUINS = Path(__file__).parents[2] / "docs" / "penguins" / "penguins.csv"
RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(60, 4))
CLASSES = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
TARGETS = {
    "cce": CLASSES,
    "bce": CLASSES > 0,
    "labels": np.stack([CLASSES > 0, X[:, 2] > 0], axis=1),
    "mse": X[:, 0] - 2 * X[:, 1],
    "numbers": np.stack([X[:, 0], X[:, 1] ** 2], axis=1),
}
LOSSES = {"labels": "bce", "numbers": "mse"}


class Fitted:
    """A network in the form of a fitted estimator, which scikit-learn's functions take."""

    def fit(self, x, y):
        raise AssertionError("the estimator is fitted")


def trained(kind):
    y = TARGETS[kind]
    width = 3 if kind == "cce" else y[0].size
    net = Network([4, 8, width], "tanh", LOSSES.get(kind, kind), seed=0, kernels="reference")
    net.fit(X, y, epochs=20, learning_rate=0.1, verbose=0)
    return net, y


def drops_of_sklearn(net, x, y, encoded=lambda x: x, repeats=5, seed=0):
    name = "r2" if net.loss == "mse" else "accuracy"

    def score(_, x, y):
        return net.evaluate(encoded(x), y, metrics=["r2"] if name == "r2" else [])[name]

    found = inspection.permutation_importance(Fitted(), x, y, scoring=score, n_repeats=repeats, random_state=seed)
    return found.importances


@each("kind", TARGETS)
def test_the_importance_of_inputs_is_that_of_sklearn(kind):
    net, y = trained(kind)
    found = evaluation.permutation_importance(net, X, y, repeats=3, seed=7)
    np.testing.assert_array_equal(found.drops, drops_of_sklearn(net, X, y, repeats=3, seed=7))
    assert found.names == ["x[0]", "x[1]", "x[2]", "x[3]"] and found.rows == 60 and not found.interrupted
    assert found.score == ("r2" if net.loss == "mse" else "accuracy")
    means = found.drops.mean(axis=1)[found.order()]
    assert (np.diff(means) <= 0).all()


def test_the_inputs_of_a_column_are_permuted_together():
    pandas = pytest.importorskip("pandas")
    frame = pandas.read_csv(PENGUINS).dropna()
    encoding = tables.learn(frame, "species")
    net = Network([encoding.width, 4, 3], "tanh", "cce", seed=0, kernels="reference")
    net.table = encoding
    x, y = encoding.x(frame), encoding.y(frame)
    net.fit(x, y, epochs=10, learning_rate=0.1, verbose=0)
    found = evaluation.permutation_importance(net, x, y)
    assert found.names == [name for name in frame.columns if name != "species"]
    np.testing.assert_array_equal(found.drops, drops_of_sklearn(net, frame[found.names], y, encoding.x))


def test_many_rows_are_drawn_with_the_seed(monkeypatch):
    net, y = trained("mse")
    monkeypatch.setattr(importance, "MOST_ROWS", 25)
    found, again, other = (evaluation.permutation_importance(net, X, y, seed=seed) for seed in (1, 1, 2))
    assert found.rows == 25 and (found.drops == again.drops).all() and (found.drops != other.drops).any()


def test_an_interruption_keeps_the_measured_columns(monkeypatch):
    net, y = trained("mse")
    whole, evaluate, calls = evaluation.permutation_importance(net, X, y, repeats=2), net.evaluate, []

    def interrupted(*arguments, **options):
        calls.append(1)
        if len(calls) == 7:  # the baseline, two columns twice, and one permutation of the third column
            raise KeyboardInterrupt
        return evaluate(*arguments, **options)

    monkeypatch.setattr(net, "evaluate", interrupted)
    found = evaluation.permutation_importance(net, X, y, repeats=2)
    assert found.interrupted and found.names == ["x[0]", "x[1]"] and found.left_out == ["x[2]", "x[3]"]
    np.testing.assert_array_equal(found.drops, whole.drops[:2])


def test_a_time_limit_leaves_out_the_columns_with_the_smallest_weights(monkeypatch):
    net, y = trained("mse")
    (w, b), *others = net.parameters()
    net.set_parameters([(w * [[1], [2], [0.5], [3]], b), *others])
    whole, seconds = evaluation.permutation_importance(net, X, y), iter(range(9))
    assert whole.left_out == []
    monkeypatch.setattr(importance, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    found = evaluation.permutation_importance(net, X, y, seconds=1.5)
    assert found.names == ["x[1]", "x[3]"] and found.left_out == ["x[0]", "x[2]"] and not found.interrupted
    np.testing.assert_array_equal(found.drops, whole.drops[[1, 3]])
    means = whole.drops.mean(axis=1)
    np.testing.assert_array_equal(found.means, [np.nan, means[1], np.nan, means[3]])


def test_a_column_of_equal_values_has_no_importance(monkeypatch):
    net, y = trained("cce")
    x, calls, evaluate = X.copy(), [], net.evaluate
    x[:, 2] = 0.3
    expected = drops_of_sklearn(net, x, y)
    monkeypatch.setattr(net, "evaluate", lambda *given, **options: calls.append(1) or evaluate(*given, **options))
    found = evaluation.permutation_importance(net, x, y)
    np.testing.assert_array_equal(found.drops, expected)
    assert not found.drops[2].any() and len(calls) == 1 + 3 * 5


@each("kind", ["cce", "bce", "labels"])
def test_the_scores_are_those_of_sklearn(kind):
    net, y = trained(kind)
    found = evaluation.predictions(net, X, y)
    y_hat = net.predict(X)
    answer = y_hat.argmax(axis=1) if kind == "cce" else (y_hat > 0.5).reshape(y.shape)
    expected = metrics.precision_recall_fscore_support(y, answer, zero_division=0)
    scores = [score[1:] for score in found.scores()]
    np.testing.assert_allclose(np.transpose(scores), expected, rtol=1e-12)
    if kind != "labels":
        assert (found.answer == answer).all()
        of_truth = y_hat[np.arange(60), y] if kind == "cce" else np.where(y, y_hat[:, 0], 1 - y_hat[:, 0])
        assert found.worst(5) == np.argsort(of_truth, kind="stable")[:5].tolist()
    else:
        assert found.worst(60)[0] == np.abs(y - y_hat).sum(axis=1).argmax()


@each("kind", ["mse", "numbers"])
def test_residuals_are_predictions_minus_targets(kind):
    net, y = trained(kind)
    found = evaluation.predictions(net, X, y)
    residuals = net.predict(X).astype(float) - y.reshape(60, -1)
    np.testing.assert_array_equal(found.residuals, residuals)
    assert found.worst(60)[0] == np.abs(residuals / y.reshape(60, -1).std(axis=0)).max(axis=1).argmax()


def test_classes_given_as_rows_are_the_same():
    net, y = trained("cce")
    one, *others = (evaluation.predictions(net, X, given) for given in (y, np.eye(3)[y], y.reshape(-1, 1)))
    for other in others:
        assert (one.truth == other.truth).all() and one.scores() == other.scores()

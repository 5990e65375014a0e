"""numbanet's estimators pass scikit-learn's checks, agree with its MLP estimators, and have features that these lack."""

import copy
import pickle
import pickletools
import sys
import unittest

import numpy as np
import pytest

import numbanet
from numbanet import _cuda
from numbanet.engines.epoch import EPSILON_T, epoch_of, rates_of
from numbanet.training.optimizers import as_in_scikit_learn
from tests.helpers.engines import ENGINES, each

pytest.importorskip("sklearn", minversion="1.7")
pytest.importorskip("pandas")  # some of scikit-learn's checks use pandas

import pandas as pd
import scipy.sparse
from sklearn import neural_network
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_sample_weight_equivalence_on_dense_data, parametrize_with_checks

from numbanet.sklearn import MLPClassifier, MLPRegressor

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.skipif(_cuda.SIMULATED, reason="hundreds of trainings"),
]
ENDLESS = {"tol": 0.0, "n_iter_no_change": np.inf}


# max_iter is 100, as in scikit-learn's tests of its own MLPs, because most of the time is training.
@parametrize_with_checks([MLPClassifier(max_iter=100), MLPRegressor(max_iter=100)])
def test_check(estimator, check):
    if check.func.__name__ in ("check_estimator_sparse_array", "check_estimator_sparse_matrix"):
        estimator = clone(estimator).set_params(max_iter=5)  # they train once per sparse format, and check no accuracy
    try:
        check(estimator)
    except unittest.SkipTest as skipped:
        pytest.fail(f"a check was skipped: {skipped}")


# Beside scikit-learn's own


@pytest.fixture(scope="module")
def samples():
    random = np.random.default_rng(0)
    X = random.normal(size=(60, 5))
    three = np.array(["a", "b", "c"])[np.digitize(X[:, 0] + X[:, 1] ** 2, [0.3, 1.2])]
    many = np.stack([X[:, 0] - X[:, 1], np.sin(X[:, 2]) + X[:, 3]], axis=1)
    return {
        "binary": (X, (X[:, 0] > X[:, 1]) * 2 - 1),
        "multiclass": (X, three),
        "multilabel": (X, (many > 0.2).astype(int)),
        "number": (X, many[:, 0] * 3),
        "numbers": (X, many),
        "numbers of events": (X, np.rint(np.exp(many))),
    }


def kinds(task):
    """Returns the class of numbanet's estimator and the class of scikit-learn's estimator for a task."""
    name = "MLPRegressor" if task.startswith("number") else "MLPClassifier"
    return getattr(numbanet.sklearn, name), getattr(neural_network, name)


def alike(task, X, y, **options):  # noqa: N803
    """Returns numbanet's and scikit-learn's estimators with the same weights, ready to be trained further."""
    options = {"hidden_layer_sizes": (7, 4), "activation": "tanh", "random_state": 1, "shuffle": False} | ENDLESS | options
    ours, theirs = (kind(**options | {"max_iter": 1, "warm_start": True}).fit(X, y) for kind in kinds(task))
    theirs.coefs_, theirs.intercepts_ = ([array.copy() for array in each] for each in (ours.coefs_, ours.intercepts_))
    ours.coefs_, ours.intercepts_ = theirs.coefs_, theirs.intercepts_
    for mlp in (ours, theirs):  # undo all other effects of the first epoch
        mlp.t_, mlp.best_loss_, mlp._no_improvement_count = 0, np.inf, 0
    return ours, theirs


SOLVERS = {
    "sgd": {"solver": "sgd", "learning_rate_init": 0.05, "momentum": 0.0},
    "momentum": {"solver": "sgd", "learning_rate_init": 0.05, "nesterovs_momentum": False},
    "nesterov": {"solver": "sgd", "learning_rate_init": 0.05},
    "adam": {"solver": "adam", "learning_rate_init": 0.01},
    "invscaling": {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5, "momentum": 0.0, "power_t": 0.2},
}


@each("solver", SOLVERS)
@each("task", ["binary", "multiclass", "multilabel", "number", "numbers", "numbers of events"])
def test_training_agrees_with_scikit_learn(task, solver, samples):
    X, y = samples[task]
    loss = {"loss": "poisson"} if task == "numbers of events" else {}
    ours, theirs = alike(task, X, y, alpha=0.5, **loss, **SOLVERS[solver])
    for mlp in (ours, theirs):
        mlp.set_params(max_iter=20).fit(X, y)
    np.testing.assert_allclose(ours.loss_curve_[1:], theirs.loss_curve_[1:], rtol=1e-10)
    for name in ("coefs_", "intercepts_"):
        for w, w_theirs in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            np.testing.assert_allclose(w, w_theirs, rtol=0, atol=1e-10)
    for name in ("n_iter_", "t_", "n_layers_", "n_outputs_", "out_activation_", "n_features_in_"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.score(X, y) == pytest.approx(theirs.score(X, y))
    if task.startswith("number"):
        np.testing.assert_allclose(ours.predict(X), theirs.predict(X), rtol=0, atol=1e-9)
    else:
        assert np.array_equal(ours.classes_, theirs.classes_)
        assert np.array_equal(ours.predict(X), theirs.predict(X))
        np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), rtol=1e-9)
        np.testing.assert_allclose(ours.predict_log_proba(X), theirs.predict_log_proba(X), rtol=0, atol=1e-9)


def assert_same_parameters(ours, theirs):
    for name in ("coefs_", "intercepts_"):
        for w, w_theirs in zip(getattr(ours, name), getattr(theirs, name), strict=True):
            np.testing.assert_allclose(w, w_theirs, rtol=0, atol=1e-10)


@each("early_stopping", [False, True])
@each("activation, solver", [("logistic", "nesterov"), ("relu", "adam")])
@each("task", ["binary", "multiclass", "numbers"])
def test_equal_settings_give_scikit_learns_network(task, activation, solver, early_stopping, samples):
    X, y = samples[task]
    options = {"activation": activation, "early_stopping": early_stopping, "random_state": 3, "max_iter": 9}
    options |= {"alpha": 0.5} | SOLVERS[solver]  # the last batch is smaller, so that its penalty is larger
    ours, theirs = (kind(hidden_layer_sizes=(7, 4), batch_size=7, **options).fit(X, y) for kind in kinds(task))
    assert_same_parameters(ours, theirs)
    assert ours.n_iter_ == theirs.n_iter_
    # numbanet adds the penalty of the weights at the start of the epoch, scikit-learn at the start of each batch.
    assert ours.loss_curve_ == pytest.approx(theirs.loss_curve_, rel=0.1)
    assert ours.validation_scores_ == pytest.approx(theirs.validation_scores_)
    assert ours.best_validation_score_ == pytest.approx(theirs.best_validation_score_)


@each("device, kernels", ENGINES)
@each("task", ["multiclass", "number"])
def test_adam_moves_neurons_without_activation_as_scikit_learn_does(task, device, kernels, samples):
    """A ReLU neuron that is always 0 gets its gradient only from the weight penalty: little more than Adam's epsilon."""
    X, y = samples[task]
    ours, theirs = kinds(task)
    options = {"hidden_layer_sizes": (7, 4), "random_state": 0, "learning_rate_init": 0.01, "alpha": 1e-5, **ENDLESS}
    ours, theirs = ours(device=device, kernels=kernels, **options), theirs(**options)
    for steps in (1, 10, 100):
        for mlp in (ours, theirs):
            mlp.set_params(max_iter=steps).fit(5 + X, y)
        assert_same_parameters(ours, theirs)
        assert ((X + 5) @ theirs.coefs_[0] + theirs.intercepts_[0] < 0).all(axis=0).any()


def test_networks_keep_the_adam_of_the_paper_beside_estimators():
    adam = numbanet.Adam(weight_decay=0.5)
    for optimizer in (adam, as_in_scikit_learn(adam, 8), adam):
        own = optimizer is not adam
        rates = rates_of(np.array([8, 4]), 0.1, optimizer.rule(), 1)
        np.testing.assert_allclose(rates[:, EPSILON_T], 1e-8 * (1 if own else np.sqrt(1 - 0.999 ** np.array([1, 2]))))
        parts = epoch_of(np.arange(12), 8, 0.1, optimizer.rule()).parts()
        found = [(part.order.tolist(), part.batch_size, part.rule.weight_decay, len(part.rates)) for part in parts]
        apart = [(list(range(8)), 8, 0.5, 1), (list(range(8, 12)), 4, 1.0, 1)]
        assert found == (apart if own else [(list(range(12)), 8, 0.5, 2)])
        assert len(epoch_of(np.arange(8), 8, 0.1, optimizer.rule()).parts()) == 1


def test_a_random_state_of_the_user_gives_scikit_learns_order(samples):
    X, y = samples["number"]
    options = {"batch_size": 6, "max_iter": 2, **SOLVERS["nesterov"]}
    random_states = np.random.RandomState(5), np.random.RandomState(5)
    ours, theirs = (kind(random_state=state, **options) for kind, state in zip(kinds("number"), random_states, strict=True))
    for _ in range(2):
        assert_same_parameters(ours.fit(X, y), theirs.fit(X, y))


@each("early_stopping", [False, True])
@each("learning_rate", ["constant", "adaptive"])
def test_the_printed_lines_are_scikit_learns(learning_rate, early_stopping, samples, capsys):
    X, y = samples["multiclass"]
    options = {"solver": "sgd", "tol": 0.05, "n_iter_no_change": 2, "learning_rate": learning_rate, "momentum": 0}
    options |= {"early_stopping": early_stopping, "random_state": 0, "verbose": True, "learning_rate_init": 0.01}
    printed = []
    for kind in kinds("multiclass"):
        kind((4,), **options).fit(X, y)
        printed.append(capsys.readouterr().out.rstrip().replace(" Learning rate too small.", ""))
    assert printed[0] == printed[1] and printed[0].startswith("Iteration 1, loss = ") and printed[0].endswith(" Stopping.")


@each("task", ["multiclass", "number"])
def test_small_batches_and_weights_agree_with_scikit_learn(task, samples):
    X, y = samples[task]
    # All batches of 15 samples have the same mean weight, because alpha does not depend on the weights of a batch.
    weights = np.tile([0.5, 1.5, 1.0], 20)
    ours, theirs = alike(task, X, y, alpha=0.5, batch_size=15, **SOLVERS["nesterov"])
    for mlp in (ours, theirs):
        mlp.set_params(max_iter=5).fit(X, y, sample_weight=weights)
    for w, w_theirs in zip(ours.coefs_, theirs.coefs_, strict=True):
        np.testing.assert_allclose(w, w_theirs, rtol=0, atol=1e-10)


@each("learning_rate", ["constant", "adaptive"])
def test_training_stops_in_the_same_epoch_as_scikit_learns(learning_rate, samples):
    X, y = samples["multiclass"]
    options = {"tol": 0.01, "n_iter_no_change": 3, "learning_rate": learning_rate, **SOLVERS["sgd"]}
    ours, theirs = alike("multiclass", X, y, **options)
    for mlp in (ours, theirs):
        mlp.set_params(max_iter=300).fit(X, y)
    assert 3 < ours.n_iter_ == theirs.n_iter_ < 300
    assert ours.best_loss_ == pytest.approx(theirs.best_loss_)
    np.testing.assert_allclose(ours.coefs_[0], theirs.coefs_[0], rtol=0, atol=1e-10)


def test_the_signatures_contain_those_of_scikit_learn():
    for ours, theirs in zip(
        (MLPClassifier, MLPRegressor), (neural_network.MLPClassifier, neural_network.MLPRegressor), strict=True
    ):
        own, known = ours().get_params(), theirs().get_params()
        assert list(own)[: len(known)] != [] and known.items() <= own.items()


# Sample weights and class weights


@each("kind", [MLPClassifier, MLPRegressor])
def test_a_weight_of_zero_leaves_out_the_sample(kind, samples):
    X, y = samples["multiclass" if kind is MLPClassifier else "number"]
    weights = np.arange(60) % 3
    options = {"batch_size": 8, "max_iter": 3, "random_state": 0}
    weighted = kind(**options).fit(X, y, sample_weight=weights)
    removed = kind(**options).fit(X[weights > 0], y[weights > 0], sample_weight=weights[weights > 0])
    assert np.array_equal(weighted.coefs_[0], removed.coefs_[0])


def test_class_weights_are_sample_weights(samples):
    X, y = samples["multiclass"]
    options = {"max_iter": 5, "random_state": 0}
    given = MLPClassifier(class_weight={"a": 3.0, "c": 0.5}, **options).fit(X, y)
    weights = np.select([y == "a", y == "c"], [3.0, 0.5], 1.0)
    assert np.array_equal(given.coefs_[0], MLPClassifier(**options).fit(X, y, sample_weight=weights).coefs_[0])
    balanced = MLPClassifier(class_weight="balanced", **options).fit(X, y)
    weights = np.select([y == c for c in "abc"], [20 / np.sum(y == c) for c in "abc"])
    np.testing.assert_allclose(
        balanced.coefs_[0], MLPClassifier(**options).fit(X, y, sample_weight=weights).coefs_[0], rtol=0, atol=1e-12
    )


@each("kind", [MLPClassifier, MLPRegressor])
def test_partial_fit_takes_weights_as_they_are_given(kind, samples):
    """For a single sample, the weight 5 has the same effect as a learning rate that is five times as large."""
    X, y = samples["multiclass" if kind is MLPClassifier else "number"]
    known = {"classes": ["a", "b", "c"]} if kind is MLPClassifier else {}
    options = {"solver": "sgd", "momentum": 0.0, "alpha": 0.0, "random_state": 0}
    weighted, faster = (kind(learning_rate_init=eta, **options) for eta in (0.01, 0.05))
    for mlp, weight in ((weighted, [5.0]), (faster, None)):
        mlp.partial_fit(X[:1], y[:1], sample_weight=weight, **known)
    np.testing.assert_allclose(weighted.coefs_[0], faster.coefs_[0], rtol=0, atol=1e-14)
    ones, plain = (kind(learning_rate_init=0.01, shuffle=False, batch_size=7, **options | {"alpha": 0.5}) for _ in range(2))
    ones.partial_fit(X, y, sample_weight=np.ones(60), **known)
    plain.partial_fit(X, y, **known)
    np.testing.assert_allclose(ones.coefs_[0], plain.coefs_[0], rtol=0, atol=1e-14)


def test_class_weights_count_in_parts_of_one_class(samples):
    X, y = samples["multiclass"]
    options = {"solver": "sgd", "momentum": 0.0, "alpha": 0.0, "random_state": 0}
    given = MLPClassifier(class_weight={"a": 4.0}, learning_rate_init=0.01, **options)
    faster = MLPClassifier(learning_rate_init=0.04, **options)
    for mlp in (given, faster):
        mlp.partial_fit(X[y == "a"], y[y == "a"], classes=["a", "b", "c"])
    np.testing.assert_allclose(given.coefs_[0], faster.coefs_[0], rtol=0, atol=1e-14)


@each("kind", [MLPClassifier, MLPRegressor])
def test_weights_are_scaled_for_sparse_samples_too(kind, samples):
    X, y = samples["multiclass" if kind is MLPClassifier else "number"]
    weights = 1.0 + np.arange(60) % 4
    options = {"batch_size": 7, "max_iter": 3, "random_state": 0, "shuffle": False, "solver": "sgd", "alpha": 0.5}
    dense, sparse, tripled = (kind(**options) for _ in range(3))
    dense.fit(X, y, sample_weight=weights)
    sparse.fit(scipy.sparse.csr_array(X), y, sample_weight=weights)
    tripled.set_params(alpha=1.5).fit(
        scipy.sparse.csr_array(X), y, sample_weight=3 * weights
    )  # larger weights reduce the effect of alpha
    for mlp in (sparse, tripled):
        np.testing.assert_allclose(mlp.coefs_[0], dense.coefs_[0], rtol=0, atol=1e-12)
        np.testing.assert_allclose(mlp.loss_curve_, dense.loss_curve_, rtol=1e-10)


def test_validation_data_may_have_weights(samples):
    X, y = samples["multiclass"]
    kept = np.arange(60) % 3 > 0
    options = {"max_iter": 3, "random_state": 0, "early_stopping": True}
    masked = MLPClassifier(**options).fit(X, y, validation_data=(X, y, kept.astype(float)))
    alone = MLPClassifier(**options).fit(X, y, validation_data=(X[kept], y[kept]))
    np.testing.assert_allclose(masked.validation_scores_, alone.validation_scores_, rtol=1e-12)
    np.testing.assert_allclose(masked.history_["val_loss"], alone.history_["val_loss"], rtol=1e-10)
    with pytest.raises(ValueError, match=r"pair \(X, y\), or \(X, y, sample_weight\)"):
        MLPClassifier().fit(X, y, validation_data=(X, y, kept, kept))


def test_balanced_classes_with_weights_are_those_of_repeated_samples():
    check_sample_weight_equivalence_on_dense_data("MLPClassifier", MLPClassifier(class_weight="balanced"))


# Warm start and partial_fit


@each("solver", ["sgd", "adam"])
def test_a_warm_start_gives_the_same_bits(solver, samples):
    X, y = samples["multiclass"]
    options = {"batch_size": 7, "solver": solver, "random_state": 0, **ENDLESS}
    once = MLPClassifier(max_iter=4, **options).fit(X, y)
    often = MLPClassifier(max_iter=1, warm_start=True, **options)
    for _ in range(4):
        often = pickle.loads(pickle.dumps(often.fit(X, y)))
    assert all(np.array_equal(a, b) for a, b in zip(once.coefs_, often.coefs_, strict=True))
    assert once.loss_curve_ == often.loss_curve_ and once.t_ == often.t_
    assert once.history_.epoch == often.history_.epoch == [1, 2, 3, 4]
    assert (once.n_iter_, often.n_iter_) == (4, 1)


def test_copies_of_the_network_during_a_fit_have_an_ordinary_generator(samples):
    class Copies(numbanet.Callback):
        def on_epoch_end(self, epoch, logs):
            self.made = copy.deepcopy(self.network), pickle.loads(pickle.dumps(self.network)), self.network

    X, y = samples["multiclass"]
    copies = Copies()
    mlp = MLPClassifier(max_iter=2, dropout=0.1, random_state=0, callbacks=copies).fit(X, y)
    for network in (*copies.made, mlp.network_):
        assert type(network._model.generator) is np.random.Generator
    states = [network._model.generator.bit_generator.state for network in (*copies.made, mlp.network_)]
    assert all(state == states[0] for state in states)


FAILURES = {
    "other classes and a bad weight": ({}, {"sample_weight": np.full(60, -1.0)}),
    "an option that the network refuses": ({"label_smoothing": 3}, {}),
    "an option that fit refuses": ({"callbacks": 3}, {}),
    "validation data of other shape": ({}, {"validation_data": (np.ones((3, 9)), ["y", "y", "z"])}),
    "a split that is impossible": ({"early_stopping": True, "validation_fraction": 0.999}, {}),
    "a device that is missing": ({"device": "abacus"}, {}),
}


@each("warm_start", [False, True])
@each("failure", FAILURES)
def test_a_failed_refit_leaves_the_estimator_as_it_was(failure, warm_start, samples):
    X, y = samples["multiclass"]
    mlp = MLPClassifier((4,), max_iter=2, random_state=0).fit(pd.DataFrame(X, columns=list("abcde")), y)
    before, frame = pickle.dumps(mlp), pd.DataFrame(X, columns=list("abcde"))
    params, arguments = FAILURES[failure]
    predicted = mlp.predict(frame)
    changed = y if warm_start else np.where(X[:, 0] > 0, "y", "z")
    with pytest.raises((ValueError, TypeError, UserWarning)):
        mlp.set_params(warm_start=warm_start, **params).fit(frame if warm_start else X, changed, **arguments)
    mlp.set_params(warm_start=False, **{name: MLPClassifier().get_params()[name] for name in params})
    assert mlp.classes_.tolist() == ["a", "b", "c"] and np.array_equal(mlp.predict(frame), predicted)
    assert pickle.dumps(mlp) == before


def test_an_error_of_a_callback_keeps_the_finished_epochs(samples):
    class Fails(numbanet.Callback):
        def __init__(self, epoch):
            self.epoch = epoch

        def on_epoch_begin(self, epoch, logs):
            if epoch == self.epoch:
                raise RuntimeError("stop")

    X, y = samples["multiclass"]
    mlp = MLPClassifier((4,), max_iter=5, random_state=0)
    for epoch, found in ((1, None), (3, 2)):
        with pytest.raises(RuntimeError):
            mlp.set_params(callbacks=Fails(epoch)).fit(X, y)
        assert getattr(mlp, "n_iter_", None) == found
    binary = np.where(y == "a", "a", "b")
    with pytest.raises(RuntimeError):
        mlp.set_params(callbacks=Fails(1)).fit(X, binary)
    assert len(mlp.classes_) == 3 and mlp.predict_proba(X).shape == (60, 3) and len(mlp.loss_curve_) == 2
    with pytest.raises(RuntimeError):
        mlp.set_params(callbacks=Fails(2)).fit(X, binary)
    assert len(mlp.classes_) == 2 and mlp.predict_proba(X).shape == (60, 2) and len(mlp.loss_curve_) == 1


def test_a_warm_start_refuses_another_network(samples):
    X, y = samples["multiclass"]
    mlp = MLPClassifier(max_iter=1, warm_start=True).fit(X, y)
    with pytest.raises(ValueError, match=r"network has .*\[5, 100, 3\].* ask for .*\[5, 3, 3\].*: training cannot resume"):
        mlp.set_params(hidden_layer_sizes=(3,)).fit(X, y)
    mlp.set_params(hidden_layer_sizes=(100,))


def test_a_warm_start_refuses_other_classes(samples):
    X, y = samples["multiclass"]
    mlp = MLPClassifier(max_iter=1, warm_start=True).fit(X, y)
    before = mlp.coefs_[0]
    for other in (np.where(y == "a", "z", y), np.where(y == "a", "b", y), np.where(X[:, 0] > 2, "d", y)):
        found = f"Previously got ['a' 'b' 'c'], `y` has {np.unique(other)}"
        with pytest.raises(ValueError, match="warm_start can only be used") as raised:
            mlp.fit(X, other)
        assert found in str(raised.value) and np.array_equal(mlp.coefs_[0], before)
    mlp.partial_fit(X[:1], y[:1])  # the samples of one call need not contain all classes
    with pytest.raises(ValueError, match=r"contains the classes \['z'\], which are not among"):
        mlp.partial_fit(X[:1], ["z"])
    X, y = samples["numbers"]
    with pytest.raises(ValueError, match="1 per sample, but the estimator was fitted to 2 targets per sample"):
        MLPRegressor(max_iter=1, warm_start=True).fit(X, y).fit(X, y[:, 0])


def test_a_warm_start_holds_out_the_same_samples(samples):
    X, y = samples["number"]
    options = {"early_stopping": True, "solver": "sgd", "learning_rate_init": 1e-12, "random_state": 0, "max_iter": 1}
    mlp = MLPRegressor(warm_start=True, **options).fit(X, y).fit(X, y)
    assert mlp.validation_scores_[0] == pytest.approx(mlp.validation_scores_[1], abs=1e-9)


def test_partial_fit_learns_from_a_stream(samples):
    X, y = samples["multiclass"]
    mlp = MLPClassifier(random_state=0, learning_rate_init=0.01)
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        mlp.partial_fit(X, y)
    with pytest.raises(ValueError, match="sample_weight"):
        mlp.partial_fit(X, y, classes=["a", "b", "c"], sample_weight=np.full(60, -1))
    with pytest.raises(ValueError, match="classes must be passed on the first call"):
        mlp.partial_fit(X, y)  # the failed call does not count as the first call
    for epoch in range(40):
        for part in (slice(0, 20), slice(20, 23), slice(23, 60)):
            mlp.partial_fit(X[part], y[part], classes=["c", "b", "a"] if epoch == 0 else None)
    assert mlp.score(X, y) > 0.9 and mlp.t_ == 40 * 60 and len(mlp.loss_curve_) == 120
    with pytest.raises(ValueError, match="classes"):
        mlp.partial_fit(X, y, classes=["a", "b"])
    with pytest.raises(ValueError, match="balanced"):
        MLPClassifier(class_weight="balanced").partial_fit(X, y, classes=["a", "b", "c"])
    with pytest.raises(ValueError, match="early_stopping"):
        MLPRegressor(early_stopping=True).partial_fit(X, X[:, 0])
    X, y = samples["multilabel"]
    assert MLPClassifier().partial_fit(X, y).predict(X).shape == y.shape


def test_copies_predict_the_same(samples):
    X, y = samples["number"]
    mlp = MLPRegressor(max_iter=3, random_state=0).fit(X, y)
    for other in (copy.deepcopy(mlp), pickle.loads(pickle.dumps(mlp))):
        assert np.array_equal(other.predict(X), mlp.predict(X))
    with pytest.raises(NotFittedError):
        clone(mlp).predict(X)


def test_pickles_contain_nothing_private_of_numpy(samples):
    X, y = samples["multiclass"]
    options = {
        "random_state": np.random.RandomState(1),
        "class_weight": {np.str_("a"): np.float64(2)},
        "alpha": np.float32(0.1),
    }
    frame = pd.DataFrame(X, columns=list("abcde"))
    for labels in (y, y.astype(object), np.unique(y, return_inverse=True)[1]):
        mlp = MLPClassifier(max_iter=2, early_stopping=True, **options).set_params(
            class_weight=None if labels.dtype.kind == "i" else options["class_weight"]
        )
        content = pickle.dumps(mlp.fit(frame, labels))
        names = {text for _, text, _ in pickletools.genops(content) if isinstance(text, str) and text.startswith("numpy")}
        assert names <= {"numpy"}, names
        other = pickle.loads(content)
        assert np.array_equal(other.predict(frame), mlp.predict(frame)) and other.classes_.dtype == mlp.classes_.dtype
        assert list(other.feature_names_in_) == list("abcde") and repr(other.alpha) == repr(mlp.alpha)
        assert other.random_state.randint(10**9) == mlp.random_state.randint(10**9)
        assert other.class_weight == mlp.class_weight


def test_coefs_are_set_as_a_whole(samples):
    X, y = samples["number"]
    mlp = MLPRegressor(hidden_layer_sizes=(3,), max_iter=1).fit(X, y)
    with pytest.raises(ValueError, match="read-only"):
        mlp.coefs_[0][0, 0] = 1
    mlp.coefs_, mlp.intercepts_ = [np.ones((5, 3)), np.ones((3, 1))], [np.ones(3), np.ones(1)]
    np.testing.assert_allclose(mlp.predict(X), 3 * np.maximum(X.sum(axis=1) + 1, 0) + 1)
    with pytest.raises(ValueError, match=r"coefs_ must be a list of 2 arrays, one per layer, not of 1"):
        mlp.coefs_ = [np.ones((5, 3))]
    with pytest.raises(NotFittedError):
        MLPRegressor().intercepts_ = [np.ones(3), np.ones(1)]


# Validation


def test_validation_data_are_watched_and_never_trained_on(samples):
    X, y = samples["number"]
    options = {"max_iter": 6, "random_state": 0}
    mlp = MLPRegressor(**options).fit(X[:40], y[:40], validation_data=(X[40:], y[40:]))
    alone = MLPRegressor(**options).fit(X[:40], y[:40])
    assert np.array_equal(mlp.coefs_[0], alone.coefs_[0])
    assert mlp.history_["val_loss"][-1] == pytest.approx(np.mean((mlp.predict(X[40:]) - y[40:]) ** 2) / 2)
    assert mlp.validation_scores_[-1] == pytest.approx(r2_score(y[40:], mlp.predict(X[40:])))
    assert mlp.best_validation_score_ == max(mlp.validation_scores_) and alone.validation_scores_ is None
    penalty = mlp.loss_curve_ - mlp.history_["loss"]
    assert (penalty > 0).all() and penalty[0] < 1e-3


@each("given", [False, True])
def test_early_stopping_keeps_the_best(given, samples):
    X, y = samples["multiclass"]
    options = {"early_stopping": True, "validation_fraction": 0.4, "n_iter_no_change": 4, "random_state": 0}
    mlp = MLPClassifier(learning_rate_init=0.1, max_iter=100, **options)
    mlp.fit(X, y, validation_data=(X[:24], y[:24]) if given else None)
    scores = mlp.validation_scores_
    assert len(scores) == mlp.n_iter_ < 100 and mlp.best_loss_ is None
    assert mlp.best_validation_score_ == max(scores)
    if given:
        assert mlp.score(X[:24], y[:24]) == max(scores)
        assert mlp.t_ == 60 * mlp.n_iter_
    else:
        assert mlp.t_ == 36 * mlp.n_iter_


def test_a_warm_start_that_only_does_harm_keeps_the_previous_best(samples):
    X, y = samples["multiclass"]
    validation = X[:24], y[:24]
    mlp = MLPClassifier(early_stopping=True, warm_start=True, max_iter=20, learning_rate_init=0.05, random_state=0)
    mlp.fit(X, y, validation_data=validation)
    best, before = mlp.best_validation_score_, mlp.coefs_[0]
    mlp.set_params(learning_rate_init=10.0, max_iter=3).fit(X, y, validation_data=validation)
    assert max(mlp.validation_scores_[-3:]) < best == mlp.best_validation_score_ == mlp.score(*validation)
    assert np.array_equal(mlp.coefs_[0], before)


def test_a_loss_that_is_not_finite_names_the_given_learning_rate(samples):
    X, y = samples["number"]
    mlp = MLPRegressor(solver="sgd", learning_rate_init=70, random_state=0, activation="identity")
    for error in (ValueError, FloatingPointError):
        with pytest.raises(
            error, match=r"non-finite parameter weights.*in epoch \d+ with learning_rate_init=70; .* previous epoch"
        ):
            mlp.fit(X, y)
    assert len(mlp.history_.epoch) == len(mlp.loss_curve_) == mlp.n_iter_ and np.isfinite(mlp.coefs_[0]).all()
    with pytest.warns(ConvergenceWarning, match="parameters of the best epoch"):
        mlp.set_params(early_stopping=True).fit(X, y)
    scores = mlp.validation_scores_
    assert np.isnan(scores[-1]) and np.isnan(mlp.loss_) and len(scores) == len(mlp.loss_curve_) == mlp.n_iter_
    assert mlp.best_validation_score_ == max(scores[:-1]) and np.isfinite(mlp.predict(X)).all()


@each("rate, dtype, message", [(1e39, "float32", "1e\\+39"), (1e-45, "float32", "too small"), (5e-324, "float64", "too small")])
def test_learning_rates_beyond_the_dtype_are_named(rate, dtype, message, samples):
    X, y = samples["number"]
    with pytest.raises(ValueError, match=f"learning_rate_init.*{message}"):
        MLPRegressor(solver="sgd", learning_rate_init=rate, dtype=dtype).fit(X, y)


def test_a_split_that_is_impossible_names_the_labels():
    X = np.arange(8.0).reshape(4, 2)
    with pytest.raises(ValueError, match=r"3 of class 'no' and 1 of class 'yes'.*Classes with too few members are: \['True'\]"):
        MLPClassifier(early_stopping=True).fit(X, ["no", "no", "no", "yes"])
    with pytest.raises(ValueError, match=r"The validation set is too small: it has 1 sample of 4 and needs 2; increase"):
        MLPRegressor(early_stopping=True).fit(X, X[:, 0])


def test_sparse_labels_are_learnt(samples):
    X, y = samples["multilabel"]
    dense, sparse = (
        MLPClassifier(early_stopping=True, max_iter=3, random_state=0).fit(X, labels)
        for labels in (y, scipy.sparse.csr_array(y))
    )
    assert np.array_equal(dense.predict(X), sparse.predict(X)) and dense.validation_scores_ == sparse.validation_scores_


def test_a_run_that_has_not_converged_warns(samples):
    X, y = samples["number"]
    with pytest.warns(ConvergenceWarning, match=r"Maximum iterations \(2\)"):
        MLPRegressor(max_iter=2).fit(X, y)


def test_ctrl_c_keeps_the_finished_epochs(samples):
    class Interrupt(numbanet.Callback):
        def on_epoch_end(self, epoch, logs):
            if epoch == 2:
                raise KeyboardInterrupt

    X, y = samples["number"]
    mlp = MLPRegressor(callbacks=Interrupt())
    with pytest.warns(UserWarning, match="interrupted"):
        mlp.fit(X, y)
    assert mlp.n_iter_ == 2 and np.isfinite(mlp.predict(X)).all()


# Features beyond scikit-learn


def test_each_layer_has_its_activation(samples):
    X, y = samples["number"]
    mlp = MLPRegressor(hidden_layer_sizes=(4, 3), activation=("logistic", "tanh"), max_iter=1).fit(X, y)
    (w1, w2, w3), (b1, b2, b3) = mlp.coefs_, mlp.intercepts_
    by_hand = np.tanh(1 / (1 + np.exp(-(X @ w1 + b1))) @ w2 + b2) @ w3 + b3
    np.testing.assert_allclose(mlp.predict(X), by_hand[:, 0])
    assert mlp.network_.activations == ["sigmoid", "tanh", "identity"]


def test_the_decision_function_is_z(samples):
    for task in ("binary", "multiclass", "multilabel"):
        X, y = samples[task]
        mlp = MLPClassifier(max_iter=3).fit(X, y)
        z, p = mlp.decision_function(X), mlp.predict_proba(X)
        e = np.exp(z)
        by_hand = {"binary": lambda e=e: e / (1 + e), "multiclass": lambda e=e: e / e.sum(axis=1, keepdims=True)}
        found = p[:, 1] if task == "binary" else p
        np.testing.assert_allclose(found, by_hand.get(task, by_hand["binary"])())


def test_fractions_are_learnt_by_their_cross_entropy(samples):
    X, y = samples["number"]
    y = 1 / (1 + np.exp(-y))
    mlp = MLPRegressor(loss="log_loss", max_iter=300, learning_rate_init=0.01, random_state=0).fit(X, y)
    assert mlp.score(X, y) > 0.95 and (np.abs(mlp.predict(X) - 0.5) < 0.5).all()
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        mlp.fit(X, y * 2)


def third(z):
    return z / 3


def d_third(z, a):
    return 1 / 3


def test_activations_and_losses_may_be_objects(samples):
    X, y = samples["number"]
    activation = numbanet.Activation("third", third, d_third)
    mlp = MLPRegressor(numbanet.Quantile(0.9), (6, 5), activation, max_iter=5, random_state=0).fit(X, y)
    assert mlp.network_.activations == ["third", "third", "identity"] and mlp.network_.loss == "quantile(q=0.9)"
    copied, unpickled = clone(mlp), pickle.loads(pickle.dumps(mlp))
    assert copied.get_params() == unpickled.get_params() == mlp.get_params() and "Quantile(0.9)" in repr(copied)
    assert (copied.fit(X, y).predict(X) == mlp.predict(X)).all() and (unpickled.predict(X) == mlp.predict(X)).all()
    mlp.set_params(warm_start=True, loss="mae", activation=["mish", activation])
    with pytest.raises(ValueError, match="training cannot resume"):
        mlp.fit(X, y)
    assert mlp.set_params(warm_start=False).fit(X, y).network_.activations == ["mish", "third", "identity"]


def test_events_are_counted(samples):
    X, y = samples["numbers of events"]
    mlp = MLPRegressor(loss="poisson", max_iter=200, learning_rate_init=0.01, random_state=0).fit(X, y)
    assert mlp.score(X, y) > 0.9 and (mlp.predict(X) > 0).all()
    with pytest.raises(ValueError, match="must be at least 0"):
        mlp.fit(X, -y)
    network = numbanet.from_sklearn(neural_network.MLPRegressor(loss="poisson", max_iter=2, random_state=0).fit(X, y))
    assert network.activations == ["relu", "exponential"] and network.loss == "poisson"


@each("scale", [1.0, 1e-3])
@each("task", ["binary", "number"])
def test_gradients_are_clipped_at_their_norm(task, scale, samples):
    X, y = samples[task]
    ours, _ = kinds(task)
    options = {"solver": "sgd", "momentum": 0, "learning_rate_init": 0.5, "warm_start": True, "max_iter": 1, "random_state": 0}
    mlp = ours(hidden_layer_sizes=(4,), clip_norm=scale * 0.01, alpha=1e-12, **options).fit(X, y)
    before = np.concatenate([array.ravel() for array in mlp.coefs_ + mlp.intercepts_])
    mlp.fit(X, y)
    after = np.concatenate([array.ravel() for array in mlp.coefs_ + mlp.intercepts_])
    assert np.linalg.norm(after - before) == pytest.approx(0.5 * 0.01 * scale)


@each("task", ["binary", "number"])
def test_a_large_epsilon_turns_adam_into_gradient_descent(task, samples):
    X, y = samples[task]
    ours, _ = kinds(task)
    options = {"alpha": 1e-12, "max_iter": 1, "random_state": 0, "momentum": 0, "epsilon": 1e8}
    # The first step of Adam corrects the bias of the moments, but divides by the uncorrected epsilon.
    steps = {"sgd": 0.1, "adam": 0.1 * 1e8 / np.sqrt(1 - 0.999)}
    w, w_adam = (ours(solver=solver, learning_rate_init=eta, **options).fit(X, y).coefs_[0] for solver, eta in steps.items())
    np.testing.assert_allclose(w, w_adam, rtol=0, atol=1e-7)


def test_smoothed_labels_make_probabilities_milder(samples):
    X, y = samples["binary"]
    options = {"max_iter": 300, "learning_rate_init": 0.02, "random_state": 0, **ENDLESS}
    sharp, mild = (MLPClassifier(label_smoothing=amount, **options).fit(X, y) for amount in (0.0, 0.4))
    assert sharp.predict_proba(X).max() > 0.99
    assert mild.predict_proba(X).max() < 0.9


def test_dropout_goes_to_the_network(samples):
    X, y = samples["number"]
    options = {"hidden_layer_sizes": (20,), "solver": "sgd", "max_iter": 3, "random_state": 0}
    plain, dropped = (MLPRegressor(dropout=rate, **options).fit(X, y) for rate in (0.0, 0.5))
    assert not np.array_equal(plain.coefs_[0], dropped.coefs_[0])


def test_adamw_decays_by_alpha(samples):
    X, y = samples["number"]
    options = {"solver": "adamw", "activation": "tanh", "learning_rate_init": 0.1, "max_iter": 1, "random_state": 0}
    options["kernels"] = "reference"
    little, much = (MLPRegressor(alpha=alpha, **options).fit(X, y).coefs_[0] for alpha in (1e-9, 0.5))
    initial = (little - much) / (0.1 * 0.5)  # the weights decay by eta alpha w
    np.testing.assert_allclose(np.abs(little - initial), 0.1, rtol=1e-4)  # the first step of Adam has the length eta


def test_callbacks_see_scikit_learns_loss_and_may_stop(samples):
    class Look(numbanet.Callback):
        def __init__(self):
            self.losses, self.rates = [], []

        def on_epoch_begin(self, epoch, logs):
            self.rates.append(logs["learning_rate"])

        def on_epoch_end(self, epoch, logs):
            self.losses.append(logs["loss"])
            self.stop_training = epoch == 3

    X, y = samples["numbers"]
    look = Look()
    mlp = MLPRegressor(alpha=1e-9, solver="sgd", learning_rate="invscaling", callbacks=look, learning_rate_init=0.01).fit(X, y)
    assert mlp.n_iter_ == 3 and look.losses == pytest.approx(mlp.loss_curve_)
    assert look.rates == pytest.approx([0.01 / (1 + 60 * k) ** 0.5 for k in range(3)])
    assert list(mlp.history_["learning_rate"]) == pytest.approx(look.rates)


@each("dtype, given, found", [("auto", "float32", "float32"), ("auto", "int64", "float64"), ("float32", "float64", "float32")])
def test_dtypes(dtype, given, found, samples):
    X, y = samples["number"]
    mlp = MLPRegressor(max_iter=1, dtype=dtype).fit((8 * X).astype(given), y)
    assert mlp.coefs_[0].dtype == mlp.predict(X).dtype == found


@each("shuffle", [False, True])
@each("task", ["multiclass", "number"])
def test_sparse_and_dense_samples_train_alike(task, shuffle, samples):
    X, y = samples[task]
    X = np.where(X > 0, X, 0)
    ours, _ = kinds(task)
    options = {"max_iter": 3, "shuffle": shuffle, "batch_size": 16, "random_state": 0}
    dense = ours(**options).fit(X, y, sample_weight=np.arange(60), validation_data=(X, y))
    sparse = scipy.sparse.csc_array(X)
    mlp = ours(**options).fit(sparse, y, sample_weight=np.arange(60), validation_data=(sparse, y))
    assert np.array_equal(dense.coefs_[0], mlp.coefs_[0])
    assert dense.loss_curve_ == pytest.approx(mlp.loss_curve_) and dense.validation_scores_ == mlp.validation_scores_
    assert np.array_equal(dense.predict(X), mlp.predict(sparse))


@each("device, kernels", ENGINES)
def test_every_engine(device, kernels, samples):
    X, y = samples["multiclass"]
    mlp = MLPClassifier((4,), max_iter=3, random_state=0, device=device, kernels=kernels).fit(X, y)
    reference = MLPClassifier((4,), max_iter=3, random_state=0, kernels="reference").fit(X, y)
    np.testing.assert_allclose(mlp.predict_proba(X), reference.predict_proba(X), rtol=1e-9)


# Use together with other estimators of scikit-learn


def test_a_search_over_two_processes_in_a_pipeline(samples):
    X, y = samples["multiclass"]
    searches = []
    for kind, jobs in zip(kinds("multiclass"), (2, 1), strict=True):
        pipeline = make_pipeline(StandardScaler(), kind(max_iter=30, random_state=0, learning_rate_init=0.02))
        grid = {f"{kind.__name__.lower()}__hidden_layer_sizes": [(2,), (20,)]}
        search = GridSearchCV(pipeline, grid, cv=2, n_jobs=jobs, error_score="raise")
        searches.append(search.fit(pd.DataFrame(X, columns=list("abcde")), y))
    ours, theirs = searches
    assert ours.best_params_ == theirs.best_params_ and ours.best_score_ == pytest.approx(theirs.best_score_)
    assert list(ours.best_estimator_[0].feature_names_in_) == list("abcde")


@each("method", ["sigmoid", "isotonic"])
@each("dtype", ["float32", "float64"])
def test_probabilities_can_be_calibrated(dtype, method, samples):
    for task in ("binary", "multiclass"):
        X, y = samples[task]
        mlp = MLPClassifier(max_iter=50, learning_rate_init=0.02, random_state=0)
        calibrated = CalibratedClassifierCV(mlp, method=method, cv=2).fit(X.astype(dtype), y)
        p = calibrated.predict_proba(X.astype(dtype))
        np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
        assert calibrated.score(X.astype(dtype), y) > 0.6


# Bad input


@each(
    "name, value",
    [
        ("solver", "lbfgs"),
        ("activation", "swish"),
        ("activation", ("relu", "relu")),
        ("alpha", -1),
        ("batch_size", 0),
        ("learning_rate", "sometimes"),
        ("learning_rate_init", 0),
        ("power_t", -1),
        ("max_iter", 0),
        ("tol", -1e-3),
        ("momentum", 1),
        ("nesterovs_momentum", "yes"),
        ("early_stopping", 3),
        ("beta_1", 1),
        ("beta_2", -0.1),
        ("epsilon", 0),
        ("n_iter_no_change", 0),
        ("dropout", 1),
        ("clip_norm", 0),
        ("dtype", "float16"),
        ("device", "abacus"),
        ("kernels", "slow"),
        ("loss", "gamma"),
        ("activation", 3),
        ("activation", ["relu", "relu"]),
        ("loss", "sometimes"),
        ("max_fun", 0),
        ("max_fun", 1.5),
        ("class_weight", "fair"),
        ("label_smoothing", 1),
        ("warm_start", "maybe"),
        ("hidden_layer_sizes", (0,)),
    ],
)
def test_bad_parameters_are_named(name, value, samples):
    kind = MLPRegressor if name == "loss" else MLPClassifier
    X, y = samples["number" if name == "loss" else "binary"]
    options = {"solver": "sgd"} if name in ("momentum",) else {}
    with pytest.raises((ValueError, TypeError), match=name):
        kind(**options | {name: value}).fit(X, y)


@each("data", [3, (np.ones((2, 4)), np.ones(2)), (np.ones((2, 5)), np.array([7, 8]))])
def test_bad_validation_data(data, samples):
    X, y = samples["binary"]
    with pytest.raises(ValueError, match=r"validation_data|features|classes"):
        MLPClassifier().fit(X, y, validation_data=data)


def test_without_scikit_learn_the_error_says_what_to_install(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("numbanet.sklearn")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install .scikit-learn>="):
        import numbanet.sklearn  # noqa: F401

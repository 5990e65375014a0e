"""The scikit-learn estimators accept all arrays that `Network` accepts, and errors about DataFrames name the column."""

import numpy as np
import pytest

from numbanet import _cuda
from tests.helpers.engines import each
from tests.inputs.test_foreign_arrays import TAKEN, Tensor, X, pandas_frame, polars_frame

pytest.importorskip("sklearn", minversion="1.7")

from numbanet.sklearn import MLPClassifier, MLPRegressor

pytestmark = [
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:pandas.DataFrame with sparse columns"),
    pytest.mark.skipif(_cuda.SIMULATED, reason="the estimators train on the CPU"),
]
LABELS = np.array(["no", "yes", "yes", "no"])
NUMBERS = np.array([0.5, 1, 0, 2])


def classifier():
    return MLPClassifier((4,), max_iter=1, random_state=0, dtype="float64")


def weights_of(estimator):
    return np.concatenate([array.ravel() for array in (*estimator.coefs_, *estimator.intercepts_)])


@each("kind", [kind for kind in TAKEN if "names that are no texts" not in kind])
def test_samples_of_any_library_are_taken(kind):
    expected, x = classifier().fit(X, LABELS), TAKEN[kind]()
    found = classifier().fit(x, LABELS)
    assert np.array_equal(weights_of(found), weights_of(expected))
    assert np.array_equal(found.predict_proba(x), expected.predict_proba(X))
    assert np.array_equal(weights_of(found.partial_fit(x, LABELS)), weights_of(expected.partial_fit(X, LABELS)))


def test_targets_and_weights_may_be_tensors():
    def tensor(array):
        return Tensor(array, requires_grad=True)

    def fitted(x, y, weight):
        estimator = MLPRegressor(hidden_layer_sizes=(4,), max_iter=1, random_state=0)
        return weights_of(estimator.fit(x, y, weight, validation_data=(x, y)).partial_fit(x, y, weight))

    weight = np.array([1.0, 2, 1, 2])
    assert np.array_equal(fitted(*map(tensor, (X, NUMBERS, weight))), fitted(X, NUMBERS, weight))


@each(
    "frame, message",
    [
        (lambda: pandas_frame(c=LABELS), r"^X\[0, 2\] \(column 'c'\) is the string 'no', but X must .*pandas.get_dummies$"),
        (lambda: pandas_frame(c=LABELS).astype({"c": "category"}), r"^column 'c' of X is categorical"),
        (lambda: pandas_frame(a=[0.5, None, 1, 2]), r"^X\[1, 0\] \(column 'a'\) is nan in float64: X must be finite; fill in"),
        (lambda: pandas_frame(c=np.full(4, "2020-01-02", "M8[s]")), r"^column 'c' of X must .* dtype is datetime64"),
        (lambda: polars_frame(c=LABELS), r"^X\[0, 2\] \(column 'c'\) is the string 'no'"),
        (lambda: polars_frame().lazy(), r"^X is a LazyFrame"),
    ],
)
def test_a_column_that_is_refused_is_named(frame, message):
    fitted = classifier().fit(X, LABELS)
    for call in (lambda x: classifier().fit(x, LABELS), lambda x: fitted.partial_fit(x, LABELS), fitted.predict):
        with pytest.raises((TypeError, ValueError), match=message):
            call(frame())


def test_other_errors_keep_their_message():
    with pytest.raises(ValueError, match="Input y contains NaN"):
        MLPRegressor().fit(pandas_frame(), [0.5, np.nan, 1, 2])
    with pytest.raises(ValueError, match=r"validation_data must be a pair \(X, y\)"):
        classifier().fit(X, LABELS, validation_data=pandas_frame())

"""Multilayer perceptrons as scikit-learn estimators. The estimators require the installation of `numbanet[sklearn]`."""

from numbanet._extras import imported

imported("sklearn", "numbanet[sklearn]")

from numbanet.sklearn.classifier import MLPClassifier as MLPClassifier  # noqa: E402
from numbanet.sklearn.regressor import MLPRegressor as MLPRegressor  # noqa: E402

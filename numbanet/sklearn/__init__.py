"""Multilayer perceptrons as estimators of scikit-learn, which the extra `sklearn` brings."""

from numbanet._extras import imported

imported("sklearn", "numbanet[sklearn]")

from numbanet.sklearn.classifier import MLPClassifier as MLPClassifier  # noqa: E402
from numbanet.sklearn.regressor import MLPRegressor as MLPRegressor  # noqa: E402

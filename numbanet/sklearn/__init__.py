"""Multilayer perceptrons as scikit-learn estimators. numbanet's extra `sklearn` installs the package scikit-learn."""

from numbanet._extras import imported

imported("sklearn", "sklearn")

from numbanet.sklearn.classifier import MLPClassifier as MLPClassifier  # noqa: E402
from numbanet.sklearn.regressor import MLPRegressor as MLPRegressor  # noqa: E402

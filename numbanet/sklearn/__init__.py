"""Multilayer perceptrons as scikit-learn estimators. The command `pip install 'numbanet[sklearn]'` installs scikit-learn, too."""

from numbanet._extras import imported

imported("sklearn", "sklearn")

from numbanet.sklearn.classifier import MLPClassifier as MLPClassifier  # noqa: E402
from numbanet.sklearn.regressor import MLPRegressor as MLPRegressor  # noqa: E402

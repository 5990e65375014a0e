"""Imports fitted multilayer perceptrons from scikit-learn."""

from typing import Any

from numbanet.interchange.layers import Layer, known_activation, network
from numbanet.interchange.own_files import refuse_own
from numbanet.network import Network

ACTIVATIONS = {"identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu", "softmax": "softmax",
               "exp": "exponential"}  # fmt: skip
LOSSES = {"softmax": "cce", "logistic": "bce", "identity": "mse", "exp": "poisson"}


def from_sklearn(mlp: Any, **options: Any) -> Network:
    """Creates a network from a fitted MLPClassifier or MLPRegressor of scikit-learn.

    Parameters
    ----------
    mlp : estimator
        The fitted estimator. The network's loss is cce for three or more classes, bce for two classes or multilabel targets,
        and mse or poisson for regression. For two classes the network has one output, the probability of the second class.
    **options
        The parameters dtype, seed, device and kernels of `Network`. The default dtype is the dtype of the estimator's weights.

    Returns
    -------
    Network
        A network whose predictions equal the results of the classifier's `predict_proba`, or of the regressor's `predict`.
        Class k of the network is the class `mlp.classes_[k]`. If mlp was fitted on a DataFrame, the network takes DataFrames
        with the same columns.

    Raises
    ------
    TypeError
        mlp is neither an MLPClassifier nor an MLPRegressor.
    ValueError
        mlp is not fitted; its output activation is not supported; or mlp is the path of a file that `Network.load` reads.
    """
    refuse_own(mlp, "from_sklearn")
    kind = type(mlp).__name__
    if not hasattr(mlp, "hidden_layer_sizes") or not hasattr(mlp, "activation"):
        raise TypeError(f"mlp must be a fitted MLPClassifier or MLPRegressor, not {kind}")
    if not hasattr(mlp, "coefs_"):
        raise ValueError(f"this {kind} is not fitted: call its method fit first")
    if mlp.out_activation_ not in LOSSES:
        raise ValueError(
            f"the output activation of this {kind} is {mlp.out_activation_!r}, which is not supported; supported are "
            f"{', '.join(LOSSES)}"
        )
    names = [mlp.activation] * (len(mlp.coefs_) - 1) + [mlp.out_activation_]
    layers = [
        Layer(str(l), w, b, known_activation(str(l), name, ACTIVATIONS))
        for l, (w, b, name) in enumerate(zip(mlp.coefs_, mlp.intercepts_, names, strict=True), start=1)
    ]
    result = network(layers, LOSSES[mlp.out_activation_], None, **options)
    result._model.columns = tuple(getattr(mlp, "feature_names_in_", ())) or None
    return result

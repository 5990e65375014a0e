"""Import of fitted multilayer perceptrons of scikit-learn."""

from typing import Any

from numbanet.interchange.layers import Layer, known_activation, network
from numbanet.network import Network

ACTIVATIONS = {"identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu", "softmax": "softmax"}
LOSSES = {"softmax": "cce", "logistic": "bce", "identity": "mse"}


def from_sklearn(mlp: Any, **options: Any) -> Network:
    """Creates a network from a fitted MLPClassifier or MLPRegressor of scikit-learn.

    Parameters
    ----------
    mlp : estimator
        Its loss becomes cce (several classes), bce (two classes, or multilabel) or mse (regression). For two classes the
        network has one output, the probability of the second class.
    **options
        dtype, seed, device, kernels, as for `Network`; the default dtype is that of the estimator's weights.

    Returns
    -------
    Network
        A network with the predictions of `predict_proba`, or of a regressor's `predict`. Class k stands for
        `mlp.classes_[k]`.

    Raises
    ------
    TypeError
        mlp is not such an estimator.
    ValueError
        The estimator is not fitted, or its output is not supported (such as that of a Poisson regression).
    """
    kind = type(mlp).__name__
    if not hasattr(mlp, "hidden_layer_sizes") or not hasattr(mlp, "activation"):
        raise TypeError(f"mlp must be a fitted MLPClassifier or MLPRegressor, not {kind}")
    if not hasattr(mlp, "coefs_"):
        raise ValueError(f"this {kind} is not fitted: call its fit first")
    if mlp.out_activation_ not in LOSSES:
        raise ValueError(
            f"the output of this {kind} is {mlp.out_activation_!r}, which is not supported; supported are {', '.join(LOSSES)}"
        )
    names = [mlp.activation] * (len(mlp.coefs_) - 1) + [mlp.out_activation_]
    layers = [
        Layer(str(l), w, b, known_activation(str(l), name, ACTIVATIONS))
        for l, (w, b, name) in enumerate(zip(mlp.coefs_, mlp.intercepts_, names, strict=True), start=1)
    ]
    return network(layers, LOSSES[mlp.out_activation_], None, **options)

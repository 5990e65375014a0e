"""scikit-learn's fitted multilayer perceptrons."""

from numbanet.interchange.layers import Layer, known_activation, network
from numbanet.network import Network

ACTIVATIONS = {"identity": "identity", "logistic": "sigmoid", "tanh": "tanh", "relu": "relu", "softmax": "softmax"}
LOSSES = {"softmax": "cce", "logistic": "bce", "identity": "mse"}


def from_sklearn(mlp, **options) -> Network:
    """The network of a fitted MLPClassifier or MLPRegressor of scikit-learn.

    Parameters
    ----------
    mlp : estimator
        Its loss becomes cce (several classes), bce (two classes, or several labels at once) or mse (regression). Two classes
        have one output, the probability of the second.
    **options
        dtype, seed, device, kernels, as for `Network`; dtype is that of the estimator's weights unless given.

    Returns
    -------
    Network
        It predicts what `predict_proba` or, of a regressor, `predict` does. Classes are numbers: k stands for
        `mlp.classes_[k]`.

    Raises
    ------
    TypeError
        mlp is something else.
    ValueError
        It is not fitted, or has an output that numbanet does not (that of a Poisson regression).
    """
    kind = type(mlp).__name__
    if not hasattr(mlp, "hidden_layer_sizes") or not hasattr(mlp, "activation"):
        raise TypeError(f"mlp must be a fitted MLPClassifier or MLPRegressor, not {kind}")
    if not hasattr(mlp, "coefs_"):
        raise ValueError(f"this {kind} is not fitted: it has no weights yet")
    if mlp.out_activation_ not in LOSSES:
        raise ValueError(f"the output of this {kind} is {mlp.out_activation_!r}; known are {', '.join(LOSSES)}")
    names = [mlp.activation] * (len(mlp.coefs_) - 1) + [mlp.out_activation_]
    layers = [
        Layer(str(l), w, b, known_activation(str(l), name, ACTIVATIONS))
        for l, (w, b, name) in enumerate(zip(mlp.coefs_, mlp.intercepts_, names, strict=True), start=1)
    ]
    return network(layers, LOSSES[mlp.out_activation_], None, **options)

"""The scikit-learn estimator `MLPClassifier`."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy.sparse import issparse
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels

from numbanet import inputs
from numbanet.formulas import Activation
from numbanet.sklearn.base import BaseMLP, Samples
from numbanet.training.callbacks import Callback


class MLPClassifier(ClassifierMixin, BaseMLP):
    """Multilayer perceptron classifier with the parameters and attributes of scikit-learn's `MLPClassifier`.

    The loss is the cross-entropy. The output activation is softmax for three or more classes, and sigmoid for two classes and
    for multilabel targets. All statements about scikit-learn refer to its version 1.9.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
        Number of neurons of each hidden layer.
    activation : str, Activation, or sequence of str and Activation
        The activation of all hidden layers, or a list with one activation per hidden layer. Names are "identity", "logistic"
        (or "sigmoid"), "tanh", "relu", "leaky_relu", "softmax", and the names in the table of `docs/formulas.md`. An
        `Activation` is an activation function that you write.
    solver : {"adam", "sgd", "adamw"}
        Optimizer. "sgd" is gradient descent with momentum. scikit-learn's "lbfgs" is not available.
    alpha : float
        Strength of the L2 penalty on the weights w. Biases are not penalised. The penalty adds alpha / (2 n) * sum of all w^2
        to the loss of a batch of n samples. If `fit` gets sample weights, the n of the penalty is the number of samples in the
        batch times the mean sample weight of all training samples; in scikit-learn, n is then the sum of the sample weights in
        the batch. With the solver "adamw", there is no penalty; instead, alpha is the factor lambda of the weight decay
        w <- w - eta * lambda * w, with the learning rate eta.
    batch_size : int or "auto"
        Number of samples per update; "auto" is 200. If there are fewer training samples than batch_size, each update uses all
        samples.
    learning_rate : {"constant", "invscaling", "adaptive"}
        Learning rate schedule for the solver "sgd"; other solvers ignore the schedule. "constant" keeps the learning rate at
        `learning_rate_init`. "invscaling" divides `learning_rate_init` by (t + 1)^power_t, where t is the number of samples
        seen before the epoch. "adaptive" acts each time that the loss (or with `early_stopping` the validation score) has not
        improved for more than `n_iter_no_change` epochs: a learning rate above 1e-6 is divided by 5; at 1e-6 or less, training
        stops. With momentum, each step multiplies the whole velocity by the current learning rate. In scikit-learn, in
        contrast, each gradient in the velocity stays multiplied by the learning rate of the step that computed this gradient.
    learning_rate_init : float
        Initial learning rate eta, positive.
    power_t : float
        Exponent of the schedule "invscaling".
    max_iter : int
        Maximum number of epochs.
    shuffle : bool
        If True, each epoch visits the samples in a new random order.
    random_state : int, RandomState or None
        Seed of the initial weights and biases, the validation split, shuffling and dropout. With the same random_state,
        numbanet and scikit-learn draw the same initial weights and biases, the same validation split, and the same order of the
        samples in each epoch. Initial weights and biases are drawn uniformly between -limit and limit. For a layer with n_in
        inputs and n_out outputs, the limit is sqrt(2 / (n_in + n_out)) with the activation "logistic", and sqrt(6 / (n_in +
        n_out)) with any other activation. If `fit` is called again with `warm_start`, or `partial_fit` is called again,
        numbanet continues to draw from the same generator. In contrast to numbanet, scikit-learn creates a new generator for
        each call if random_state is an integer.
    tol : float
        The smallest decrease of the loss that counts as an improvement. With `early_stopping`, `tol` is the smallest increase
        of the validation score that counts as an improvement.
    verbose : bool
        If True, prints the loss of each epoch and, with `early_stopping`, the score, in the same format as scikit-learn.
    warm_start : bool
        If True and the estimator is already fitted, `fit` continues training the fitted network; y must have the same classes
        as in the previous call. Without early stopping, several calls to `fit` train bitwise the same network as a single call
        with the same total number of epochs.
    momentum : float
        Momentum of "sgd", in [0, 1).
    nesterovs_momentum : bool
        If True, "sgd" uses Nesterov's momentum.
    early_stopping : bool
        If True, training stops when the score on validation data no longer improves, and the parameters of the best epoch
        are restored.
    validation_fraction : float
        Fraction of the samples that `early_stopping` holds out if `fit` gets no validation data.
    beta_1, beta_2 : float
        Decay rates of the moments of "adam" and "adamw", in [0, 1).
    epsilon : float
        Constant in the denominator of "adam" and "adamw". With "adam", epsilon is added to the square root of the second
        moment before bias correction, as in scikit-learn. With "adamw", epsilon is added to the square root of the
        bias-corrected second moment, as in `numbanet.AdamW`.
    n_iter_no_change : int or inf
        Training stops after more than this number of consecutive epochs without an improvement of at least `tol`.
    max_fun : int
        Has no effect. scikit-learn has a parameter with this name, which limits the function calls of its solver "lbfgs".
    class_weight : dict or "balanced", optional
        A dict maps class labels to the weights of the classes in the loss. "balanced" chooses the class weights so that all
        classes have the same total weight, summed over the samples.
    label_smoothing : float
        Fraction of each training target that is spread evenly over all classes, in [0, 1).
    dropout : float or sequence of float
        Fraction of the hidden neurons that drop out in each training step, in [0, 1): one number for all hidden layers, or a
        list with one number per hidden layer.
    clip_norm : float, optional
        Maximum norm of the vector of all gradients. A vector with a larger norm is scaled down to the maximum norm.
    callbacks : Callback or list of Callback, optional
        Callbacks, as in `Network.fit`. In the logs passed to callbacks, "loss" and "val_loss" do not include the L2 penalty.
    dtype : {"auto", "float32", "float64"}
        Type of all numbers in the computation. "auto" is the dtype of X if X is float32 or float64, else float64.
    device : {"cpu", "cuda", "auto"}
        Device to compute on, as for `Network`.
    kernels : {"fast", "reference"}
        Implementation of the computation, as for `Network`.

    Attributes
    ----------
    classes_ : ndarray (n_classes,)
        Class labels.
    coefs_, intercepts_ : list of ndarray
        Copies of each layer's weights w (n_in, n_out) and of each layer's biases b (n_out,). To change the network, assign a
        list of arrays, one per layer, to `coefs_` or `intercepts_`; changing a copy does not change the network.
    loss_ : float
        Loss of the last epoch.
    best_loss_ : float or None
        Lowest loss of any epoch; None with `early_stopping`.
    loss_curve_ : list of float
        Loss of each epoch: the mean of the samples' losses, plus the L2 penalty of the weights at the start of the epoch. A
        sample's loss is measured just before the update for its batch. The `loss_curve_` of scikit-learn differs: it contains
        the L2 penalty of the weights at each batch, and limits the cross-entropy of a sample to 36 (in float64). Without early
        stopping, scikit-learn may stop training after a different number of epochs than numbanet, because its `loss_curve_`
        differs.
    validation_scores_ : list of float or None
        Validation score after each epoch; None without validation data.
    best_validation_score_ : float or None
        Highest validation score.
    network_ : Network
        The trained network, whose methods can save, export and trace the network.
    history_ : History
        Loss and metrics of each epoch. "loss" and "val_loss" do not include the L2 penalty.
    n_iter_ : int
        Number of epochs in the last call to `fit`.
    t_ : int
        Number of samples seen in training: a sample that is used in ten epochs counts ten times.
    n_features_in_, n_outputs_, n_layers_ : int
        The number of inputs, the number of outputs, and the number of layers including the input layer.
    feature_names_in_ : ndarray (n_features_in_,)
        Column names of X; the attribute `feature_names_in_` exists only if X has column names.
    out_activation_ : {"softmax", "logistic"}
        Activation of the output layer.

    See Also
    --------
    numbanet.Network : The network class that the estimator trains.

    Examples
    --------
    >>> from numbanet import load_digits
    >>> from numbanet.sklearn import MLPClassifier
    >>> X, y, X_test, y_test = load_digits()
    >>> classifier = MLPClassifier((64,), max_iter=100, random_state=0).fit(X, y)
    >>> round(classifier.score(X_test, y_test), 2)
    0.97
    """

    class_weight: dict[Any, float] | str | None
    label_smoothing: float
    classes_: NDArray[Any]
    _multilabel: bool
    _y_numeric = False

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: str | Activation | Sequence[str | Activation] = "relu",
        *,
        solver: str = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate: str = "constant",
        learning_rate_init: float = 0.001,
        power_t: float = 0.5,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: int | np.random.RandomState | None = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        momentum: float = 0.9,
        nesterovs_momentum: bool = True,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        n_iter_no_change: float = 10,
        max_fun: int = 15000,
        class_weight: dict[Any, float] | str | None = None,
        label_smoothing: float = 0.0,
        dropout: float | Sequence[float] = 0.0,
        clip_norm: float | None = None,
        callbacks: Callback | Sequence[Callback] | None = None,
        dtype: str = "auto",
        device: str = "cpu",
        kernels: str = "fast",
    ):
        self.hidden_layer_sizes, self.activation = hidden_layer_sizes, activation
        self.solver, self.alpha, self.batch_size = solver, alpha, batch_size
        self.learning_rate, self.learning_rate_init, self.power_t = learning_rate, learning_rate_init, power_t
        self.max_iter, self.shuffle, self.random_state = max_iter, shuffle, random_state
        self.tol, self.verbose, self.warm_start = tol, verbose, warm_start
        self.momentum, self.nesterovs_momentum = momentum, nesterovs_momentum
        self.early_stopping, self.validation_fraction = early_stopping, validation_fraction
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.n_iter_no_change, self.max_fun = n_iter_no_change, max_fun
        self.class_weight, self.label_smoothing = class_weight, label_smoothing
        self.dropout, self.clip_norm, self.callbacks = dropout, clip_norm, callbacks
        self.dtype, self.device, self.kernels = dtype, device, kernels

    def partial_fit(
        self,
        X: Samples,  # noqa: N803
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> Self:
        """Trains for one epoch on further samples.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`. `fit` scales the sample weights to a mean of 1; `partial_fit` does not, because the mean over all
            calls is unknown.
        classes : array_like (n_classes,), optional
            All class labels that occur in any call to `partial_fit`. The first call of `partial_fit` requires `classes`, unless
            y is multilabel.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            An argument, or a parameter of the estimator, is invalid; the error message names the argument or parameter.
        """
        if isinstance(self.class_weight, str):
            raise ValueError(
                "class_weight='balanced' needs all samples at once, but partial_fit gets a part of them: pass a dict"
            )
        y = inputs.without_tensors("y", y)
        if classes is None and not hasattr(self, "network_") and not type_of_target(y).startswith("multilabel"):
            raise ValueError("classes must be passed on the first call to partial_fit")
        return self._partial_fit(X, y, sample_weight, classes=classes)

    def predict_proba(self, X: Samples) -> NDArray[np.floating]:  # noqa: N803
        """Predicts the probability of each class.

        Parameters
        ----------
        X : array_like or sparse matrix, (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray, (n_samples, n_classes)
            Probabilities of the classes, in the order of `classes_`. For multilabel targets, column j is the probability of
            label j.
        """
        y_hat = self._predicted(X)
        if len(self.classes_) == 1 and not self._multilabel:
            return np.ones_like(y_hat)
        return np.hstack([1 - y_hat, y_hat]) if self.n_outputs_ == 1 and not self._multilabel else y_hat

    def predict_log_proba(self, X: Samples) -> NDArray[np.floating]:  # noqa: N803
        """Predicts the logarithm of the probability of each class.

        Parameters
        ----------
        X : array_like or sparse matrix, (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray, (n_samples, n_classes)
            Logarithms of the probabilities that `predict_proba` returns.
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def decision_function(self, X: Samples) -> NDArray[np.floating]:  # noqa: N803
        """Computes the logits: the values z to which the output layer applies its activation.

        Parameters
        ----------
        X : array_like or sparse matrix, (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray, (n_samples,) or (n_samples, n_classes)
            Logits of the classes. For two classes, there is one logit per sample, which is positive if the second class is
            predicted.
        """
        z = self._predicted(X, logits=True)
        return z[:, 0] if self.n_outputs_ == 1 and not self._multilabel else z

    # The methods that `BaseMLP` declares as abstract

    def _targets(self, y: Any, dtype: DTypeLike, known: bool, classes: Any = None) -> NDArray[Any]:
        """Returns y as class indices for three or more classes, else (for two classes or multilabel targets) as 0s and 1s."""
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y")
        if kind == "multiclass-multioutput":
            raise ValueError("multiclass-multioutput targets are not supported: wrap the classifier in MultiOutputClassifier")
        multilabel = kind == "multilabel-indicator"
        if not multilabel:
            y = column_or_1d(y, warn=True)
        if not known:
            self._multilabel = multilabel
            self.classes_ = np.arange(y.shape[1]) if multilabel else unique_labels(y if classes is None else classes)
        self._refuse_other_classes(y, multilabel, classes)
        count = len(self.classes_)
        self.n_outputs_ = count if multilabel or count > 2 else 1
        self.out_activation_ = "logistic" if multilabel or count <= 2 else "softmax"
        if multilabel:
            return (y.toarray() if issparse(y) else y).astype(dtype)
        indices = np.searchsorted(self.classes_, y)
        return indices if count > 2 else indices.astype(dtype)

    def _check_resumable(self, y: NDArray[Any]) -> None:
        classes = unique_labels(y)
        if set(classes) != set(self.classes_):
            raise ValueError(
                "warm_start can only be used where `y` has the same classes as in the previous call to fit. Previously got "
                f"{self.classes_}, `y` has {classes}: set warm_start=False to train a new network"
            )

    def _refuse_other_classes(self, y: Any, multilabel: bool, classes: Any) -> None:
        """Raises ValueError if y has other classes, or another number of labels, than in the first call to `fit`."""
        if multilabel != self._multilabel or (multilabel and y.shape[1] != len(self.classes_)):
            kind = f"{len(self.classes_)} {'labels per sample' if self._multilabel else 'classes'}"
            raise ValueError(f"y of shape {y.shape} does not match the targets of the first fit, which had {kind}")
        if classes is not None and not np.array_equal(unique_labels(classes), self.classes_):
            raise ValueError(
                f"classes {classes} differ from those of the first call, {self.classes_}: leave out the argument classes"
            )
        if not multilabel and len(np.setdiff1d(y, self.classes_)):
            raise ValueError(f"y contains the classes {np.setdiff1d(y, self.classes_)}, which are not among {self.classes_}")

    def _weighed(self, y: NDArray[Any], weights: NDArray[Any] | None) -> NDArray[Any] | None:
        if self.class_weight is None:
            return weights
        if self._multilabel:
            raise ValueError("class_weight is not supported for multilabel targets: use sample_weight")
        y = column_or_1d(y)
        classes = np.unique(y) if isinstance(self.class_weight, str) else self.classes_
        class_weights = compute_class_weight(self.class_weight, classes=classes, y=y, sample_weight=weights)
        sample_weights = class_weights[np.searchsorted(classes, y)]
        return sample_weights if weights is None else sample_weights * weights

    def _strata(self, targets: NDArray[Any]) -> NDArray[Any] | None:
        return targets.astype(bool)[:, np.newaxis] if self.n_outputs_ == 1 and not self._multilabel else None

    def _strata_words(self, strata: NDArray[Any] | None) -> str:
        if strata is None:
            return ""
        counts = [np.count_nonzero(strata == second) for second in (False, True)[: len(self.classes_)]]
        samples = [f"{count} of class {label!r}" for count, label in zip(counts, self.classes_.tolist(), strict=True)]
        return f" from each class (there are {' and '.join(samples)}; scikit-learn calls them False and True)"

    def _network_loss(self) -> str:
        return "cce" if self.out_activation_ == "softmax" else "bce"

    def _loss_unit(self) -> float:
        return 1.0

    def _fit_options(self) -> dict[str, Any]:
        return {"label_smoothing": self.label_smoothing}

    def _decoded(self, y_hat: NDArray[Any]) -> NDArray[Any]:
        if self._multilabel:
            return (y_hat > 0.5).astype(int)
        if len(self.classes_) > 2:
            return self.classes_[y_hat.argmax(axis=1)]
        return self.classes_[((y_hat[:, 0] > 0.5) & (len(self.classes_) == 2)).astype(int)]

    def _score_of(self, y: NDArray[Any], y_hat: NDArray[Any], weights: NDArray[Any] | None) -> float:
        return float(accuracy_score(y, y_hat, sample_weight=weights))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

"""MLPClassifier."""

import numpy as np
from scipy.sparse import issparse
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import column_or_1d
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target, unique_labels
from sklearn.utils.validation import check_is_fitted

from numbanet.network import Network
from numbanet.sklearn.base import BaseMLP


class MLPClassifier(ClassifierMixin, BaseMLP):
    """A multilayer perceptron that classifies, with the parameters and attributes of scikit-learn's.

    The loss is the cross-entropy: of a softmax output where there are three classes or more, of a sigmoid output where there
    are two, or labels of which a sample may have several. What is said of scikit-learn here is true of its version 1.9.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int
        Numbers of neurons.
    activation : str or sequence of str
        Of all hidden layers, or one name for each: "identity", "logistic" (or "sigmoid"), "tanh", "relu", "leaky_relu",
        "softmax".
    solver : {"adam", "sgd", "adamw"}
        The optimizer. "sgd" is gradient descent with momentum. There is no "lbfgs".
    alpha : float
        Strength of an L2 penalty on the weights w, not on b, divided by the samples of a batch: alpha / (2 n) times the sum
        of all w^2 is added to the loss, so alpha w / n to its gradient. n is the batch size for the last, smaller batch of an
        epoch, too (scikit-learn takes the number that it has), and with sample weights the batch size times their mean. Of
        "adamw" it is the weight decay lambda itself, w <- w - eta lambda w, and the loss has no penalty.
    batch_size : int or "auto"
        Samples per update; "auto" is 200. At most all there are.
    learning_rate : {"constant", "invscaling", "adaptive"}
        Of "sgd": always `learning_rate_init`; that / (t + 1)^power_t, t being the samples seen before the epoch; or a fifth
        of it each time that `n_iter_no_change` is exceeded, until it is 1e-6. It scales all of the velocity that momentum has
        gathered; in scikit-learn each step keeps the learning rate it was made with.
    learning_rate_init : float
        eta, positive.
    power_t : float
        Exponent of "invscaling".
    max_iter : int
        The most epochs.
    shuffle : bool
        Whether each epoch takes the samples in a new random order.
    random_state : int, RandomState or None
        Of the initial weights, which are drawn as `Network` draws them, of shuffling, of dropout and of what is set aside.
    tol, n_iter_no_change : float, int or inf
        Training ends when the loss, or with `early_stopping` the score, has been no better by `tol` for more than that many
        epochs.
    verbose : bool
        Whether to print a line per epoch.
    warm_start : bool
        Whether another `fit` goes on where the last one ended: without early stopping, to the bits of a single longer one.
    momentum : float
        Of "sgd", in [0, 1).
    nesterovs_momentum : bool
        Whether momentum is Nesterov's.
    early_stopping : bool
        Whether the score on validation data decides when to end. The parameters are then those of the best epoch.
    validation_fraction : float
        The share of the samples that is set aside for it, where `fit` is given no validation data.
    beta_1, beta_2, epsilon : float
        Of "adam" and "adamw". epsilon is added as Adam's paper has it first, to the root of the corrected moment;
        scikit-learn adds it to that of the uncorrected one.
    class_weight : dict or "balanced", optional
        What the samples of a class count; "balanced": all classes the same.
    label_smoothing : float
        How far, in [0, 1), targets move from certainty to indifference, in training only.
    dropout : float or sequence of float
        The share of the neurons that drop out of a step, in [0, 1): of all hidden layers, or one for each.
    clip_norm : float, optional
        The largest norm of all gradients together; longer ones are scaled down to it.
    callbacks : Callback or list of them, optional
        As for `Network.fit`; `loss` and `val_loss` in their logs are those of `history_`.
    dtype : {"auto", "float32", "float64"}
        Of all arithmetic; "auto" is that of X, if it is one of these, else float64.
    device : {"cpu", "cuda", "auto"}
    kernels : {"fast", "reference"}
        As for `Network`.

    Attributes
    ----------
    classes_ : ndarray (n_classes,)
    coefs_, intercepts_ : list of ndarray
        w (n_in, n_out) and b (n_out,) of each layer. They are copies; set the whole list to change the network.
    loss_, best_loss_ : float
        Of the last epoch, and the lowest; the latter is None with `early_stopping`.
    loss_curve_ : list of float
        The loss of each epoch's batches as they were trained on, with the penalty of the weights at its beginning.
    validation_scores_, best_validation_score_ : list of float, float
        What `score` is after each epoch, on the validation data; None where there are none.
    network_ : Network
        What is trained: to save, to export, to trace.
    history_ : History
        Figures of each epoch; "loss" and "val_loss" are without the penalty, and the latter without sample weights.
    n_iter_, t_ : int
        Epochs of the last `fit`; samples seen in all.
    n_features_in_, n_outputs_, n_layers_ : int
        The input counts as a layer.
    feature_names_in_ : ndarray (n_features_in_,)
        Where X had names of columns.
    out_activation_ : {"softmax", "logistic"}

    See Also
    --------
    Network : What is trained.
    """

    _y_numeric = False

    def __init__(
        self,
        hidden_layer_sizes=(100,),
        activation="relu",
        *,
        solver="adam",
        alpha=0.0001,
        batch_size="auto",
        learning_rate="constant",
        learning_rate_init=0.001,
        power_t=0.5,
        max_iter=200,
        shuffle=True,
        random_state=None,
        tol=1e-4,
        verbose=False,
        warm_start=False,
        momentum=0.9,
        nesterovs_momentum=True,
        early_stopping=False,
        validation_fraction=0.1,
        beta_1=0.9,
        beta_2=0.999,
        epsilon=1e-8,
        n_iter_no_change=10,
        class_weight=None,
        label_smoothing=0.0,
        dropout=0.0,
        clip_norm=None,
        callbacks=None,
        dtype="auto",
        device="cpu",
        kernels="fast",
    ):
        self._keep(locals())

    def partial_fit(self, X, y, sample_weight=None, classes=None):  # noqa: N803
        """One epoch over some more samples.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array_like (n_classes,), optional
            All classes there will be: needed in the first call, unless y is multilabel.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Where an argument or a parameter is not as described.
        """
        if isinstance(self.class_weight, str):
            raise ValueError("class_weight='balanced' needs all samples at once: give partial_fit a dict")
        if classes is None and not hasattr(self, "network_") and not type_of_target(y).startswith("multilabel"):
            raise ValueError("classes must be given in the first call of partial_fit")
        return self._partial_fit(X, y, sample_weight, classes=classes)

    def predict_proba(self, X):  # noqa: N803
        """The probability of each class.

        Parameters
        ----------
        X : array_like or sparse matrix, (n_samples, n_features)

        Returns
        -------
        ndarray, (n_samples, n_classes)
            In the order of `classes_`; of multilabel targets the probability of each label.
        """
        y_hat = self._y_hat(X)
        if len(self.classes_) == 1 and not self._multilabel:
            return np.ones_like(y_hat)
        return np.hstack([1 - y_hat, y_hat]) if self.n_outputs_ == 1 and not self._multilabel else y_hat

    def predict_log_proba(self, X):  # noqa: N803
        """The logarithm of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def decision_function(self, X):  # noqa: N803
        """z of the output layer, before it becomes probabilities.

        Parameters
        ----------
        X : array_like or sparse matrix, (n_samples, n_features)

        Returns
        -------
        ndarray, (n_samples,) or (n_samples, n_classes)
            One number where there are two classes, positive for the second.
        """
        check_is_fitted(self)
        net = self.network_
        activations = [*net.activations[:-1], "identity"]
        linear = Network(net.sizes, activations, "mse", dtype=net.dtype, device=net.device, kernels=net.kernels)
        linear.set_parameters(net.parameters())
        z = self._predicted(linear, X)
        return z[:, 0] if self.n_outputs_ == 1 and not self._multilabel else z

    # What BaseMLP asks for

    def _targets(self, y, dtype, known, classes=None) -> np.ndarray:
        """What the network is trained with: the indices of classes, or 0 and 1."""
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y")
        if kind == "multiclass-multioutput":
            raise ValueError("several classes for each of several outputs are not supported: take MultiOutputClassifier")
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

    def _refuse_other_classes(self, y, multilabel: bool, classes) -> None:
        if multilabel != self._multilabel or (multilabel and y.shape[1] != len(self.classes_)):
            raise ValueError(f"y of shape {y.shape} is not of the kind that training began with: {len(self.classes_)} classes")
        if classes is not None and not np.array_equal(unique_labels(classes), self.classes_):
            raise ValueError(f"classes {classes} are not those that training began with, {self.classes_}")
        if not multilabel and len(np.setdiff1d(y, self.classes_)):
            raise ValueError(f"y has classes {np.setdiff1d(y, self.classes_)}, which are not among {self.classes_}")

    def _weighed(self, y, weights) -> np.ndarray | None:
        """The weights of samples, times those of their classes."""
        if self.class_weight is None:
            return weights
        if self._multilabel:
            raise ValueError("class_weight needs one class for each sample, not labels")
        y = column_or_1d(y)
        classes = np.unique(y) if isinstance(self.class_weight, str) else self.classes_
        of_class = compute_class_weight(self.class_weight, classes=classes, y=y, sample_weight=weights)
        found = of_class[np.searchsorted(classes, y)]
        return found if weights is None else found * weights

    def _strata(self, targets):
        return targets if self.n_outputs_ == 1 and not self._multilabel else None

    def _network_loss(self) -> str:
        return "cce" if self.out_activation_ == "softmax" else "bce"

    def _loss_unit(self) -> float:
        return 1.0

    def _fit_options(self) -> dict:
        return {"label_smoothing": self.label_smoothing}

    def _decoded(self, y_hat) -> np.ndarray:
        if self._multilabel:
            return (y_hat > 0.5).astype(int)
        if len(self.classes_) > 2:
            return self.classes_[y_hat.argmax(axis=1)]
        return self.classes_[((y_hat[:, 0] > 0.5) & (len(self.classes_) == 2)).astype(int)]

    def _score_of(self, y, y_hat, weights) -> float:
        return float(accuracy_score(y, y_hat, sample_weight=weights))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags

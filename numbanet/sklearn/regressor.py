"""Defines the scikit-learn estimator `MLPRegressor`."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import column_or_1d

from numbanet import checks
from numbanet.formulas import BEYOND_LOSSES, Activation, Loss
from numbanet.sklearn.base import BaseMLP, Samples
from numbanet.training.callbacks import Callback

# The names of losses in numbanet, and the output activations that are not identity.
LOSSES = {"squared_error": "mse", "log_loss": "bce", **{name: name for name in BEYOND_LOSSES}}
OUTPUTS = {"log_loss": "logistic", "poisson": "exp"}


class MLPRegressor(RegressorMixin, BaseMLP):
    """Multilayer perceptron regressor with the parameters and attributes of scikit-learn's `MLPRegressor`.

    Parameters
    ----------
    loss : {"squared_error", "poisson", "log_loss", "mae", "huber", "log_cosh", "quantile", "hinge"} or Loss
        "squared_error" is half the squared error. "poisson" is half the Poisson deviance for targets of at least 0; the output
        activation is e^z. "log_loss" is the cross-entropy for targets in [0, 1]; the output activation is sigmoid. The names
        "mae", "huber", "log_cosh", "quantile" and "hinge" stand for the losses with these names in `numbanet.Network`. A `Loss`
        is a loss function that you write, or a loss with a parameter, such as `numbanet.Quantile(0.9)`. For all losses except
        "poisson" and "log_loss", the output activation is identity. The loss that the estimator reports is the average over
        all samples. The loss of a sample is an average over the outputs for "squared_error", but a sum over the outputs for any
        other loss. The gradients of "squared_error" are computed from the sum of the squared errors over the outputs, as in
        scikit-learn.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, max_iter, shuffle, \
random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, early_stopping, validation_fraction, beta_1, beta_2, \
epsilon, n_iter_no_change, max_fun, dropout, clip_norm, callbacks, dtype, device, kernels
        As for `MLPClassifier`.

    Attributes
    ----------
    coefs_, intercepts_, network_, loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_, history_, \
n_iter_, t_, n_features_in_, n_outputs_, n_layers_, feature_names_in_
        As for `MLPClassifier`. The validation score is the coefficient of determination R^2.
    out_activation_ : {"identity", "exp", "logistic"}
        Activation of the output layer.

    See Also
    --------
    numbanet.Network : The network class that the estimator trains.
    """

    loss: str | Loss
    _y_numeric = True

    def __init__(
        self,
        loss: str | Loss = "squared_error",
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
        dropout: float | Sequence[float] = 0.0,
        clip_norm: float | None = None,
        callbacks: Callback | Sequence[Callback] | None = None,
        dtype: str = "auto",
        device: str = "cpu",
        kernels: str = "fast",
    ):
        self.loss = loss
        self.hidden_layer_sizes, self.activation = hidden_layer_sizes, activation
        self.solver, self.alpha, self.batch_size = solver, alpha, batch_size
        self.learning_rate, self.learning_rate_init, self.power_t = learning_rate, learning_rate_init, power_t
        self.max_iter, self.shuffle, self.random_state = max_iter, shuffle, random_state
        self.tol, self.verbose, self.warm_start = tol, verbose, warm_start
        self.momentum, self.nesterovs_momentum = momentum, nesterovs_momentum
        self.early_stopping, self.validation_fraction = early_stopping, validation_fraction
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.n_iter_no_change, self.max_fun = n_iter_no_change, max_fun
        self.dropout, self.clip_norm, self.callbacks = dropout, clip_norm, callbacks
        self.dtype, self.device, self.kernels = dtype, device, kernels

    def partial_fit(
        self,
        X: Samples,  # noqa: N803
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
    ) -> Self:
        """Trains for one epoch on further samples.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`. `fit` scales the sample weights to a mean of 1; `partial_fit` does not, because the mean over all
            calls is unknown.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            An argument, or a parameter of the estimator, is invalid; the error message names the argument or parameter.
        """
        return self._partial_fit(X, y, sample_weight)

    # The methods that `BaseMLP` declares as abstract

    @property
    def _gradient_scale(self) -> float:
        """The ratio of the network's gradient to scikit-learn's: 2 for the squared error, which scikit-learn halves; else 1."""
        return 2.0 if self.loss == "squared_error" else 1.0

    def _targets(self, y: Any, dtype: DTypeLike, known: bool, classes: Any = None) -> NDArray[Any]:
        """Converts y to `dtype`; sets the number of outputs or, if `known` is True, checks it. `classes` has no effect."""
        if not isinstance(self.loss, Loss):
            checks.choice("loss", self.loss, LOSSES)
        y = np.asarray(y, dtype) if y.ndim == 2 and y.shape[1] > 1 else column_or_1d(y, warn=True).astype(dtype)
        if not known:
            self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]
            self.out_activation_ = "identity" if isinstance(self.loss, Loss) else OUTPUTS.get(self.loss, "identity")
        elif (outputs := 1 if y.ndim == 1 else y.shape[1]) != self.n_outputs_:
            targets = f"{checks.count(self.n_outputs_, 'target')} per sample"
            raise ValueError(f"y of shape {y.shape} has {outputs} per sample, but the estimator was fitted to {targets}")
        return y

    def _check_resumable(self, y: NDArray[Any]) -> None:
        """Does nothing, because `_targets` checks the number of outputs."""

    def _weighed(self, y: NDArray[Any], weights: NDArray[Any] | None) -> NDArray[Any] | None:
        return weights

    def _strata(self, targets: NDArray[Any]) -> NDArray[Any] | None:
        return None

    def _strata_words(self, strata: NDArray[Any] | None) -> str:
        return ""

    def _network_loss(self) -> str | Loss:
        return self.loss if isinstance(self.loss, Loss) else LOSSES[self.loss]

    def _loss_unit(self) -> float:
        """Returns the factor that converts the network's loss to scikit-learn's loss.

        For the squared error, the factor is 1 / (2 * n_outputs), because scikit-learn halves the squared error and averages it
        over the outputs. For any loss other than the squared error, the factor is 1.
        """
        return 0.5 / self.n_outputs_ if self.loss == "squared_error" else 1.0

    def _fit_options(self) -> dict[str, Any]:
        return {}

    def _decoded(self, y_hat: NDArray[Any]) -> NDArray[Any]:
        return y_hat[:, 0] if self.n_outputs_ == 1 else y_hat

    def _score_of(self, y: NDArray[Any], y_hat: NDArray[Any], weights: NDArray[Any] | None) -> float:
        if not np.isfinite(y_hat).all():
            return float("nan")
        return float(r2_score(y, y_hat, sample_weight=weights))

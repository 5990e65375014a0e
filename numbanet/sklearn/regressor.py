"""MLPRegressor."""

import numpy as np
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import column_or_1d

from numbanet import checks
from numbanet.sklearn.base import BaseMLP

LOSSES = {"squared_error": "mse", "log_loss": "bce"}


class MLPRegressor(RegressorMixin, BaseMLP):
    """A multilayer perceptron that predicts numbers, with the parameters and attributes of scikit-learn's.

    Parameters
    ----------
    loss : {"squared_error", "log_loss"}
        Half the squared error, and an identity output; or the cross-entropy of targets in [0, 1], and a sigmoid output. The
        losses that are noted are means over samples and, of the squared error, outputs; as in scikit-learn, its gradient is
        that of the sum over outputs.
    hidden_layer_sizes, activation, solver, alpha, batch_size, learning_rate, learning_rate_init, power_t, max_iter, shuffle, \
random_state, tol, verbose, warm_start, momentum, nesterovs_momentum, early_stopping, validation_fraction, beta_1, beta_2, \
epsilon, n_iter_no_change, dropout, clip_norm, callbacks, dtype, device, kernels
        As for `MLPClassifier`.

    Attributes
    ----------
    coefs_, intercepts_, network_, loss_, best_loss_, loss_curve_, validation_scores_, best_validation_score_, history_, \
n_iter_, t_, n_features_in_, n_outputs_, n_layers_, feature_names_in_
        As of `MLPClassifier`; the score is R^2.
    out_activation_ : {"identity", "logistic"}
    """

    _y_numeric = True

    def __init__(
        self,
        loss="squared_error",
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
        dropout=0.0,
        clip_norm=None,
        callbacks=None,
        dtype="auto",
        device="cpu",
        kernels="fast",
    ):
        self._keep(locals())

    def partial_fit(self, X, y, sample_weight=None):  # noqa: N803
        """One epoch over some more samples.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Where an argument or a parameter is not as described.
        """
        return self._partial_fit(X, y, sample_weight)

    # What BaseMLP asks for

    @property
    def _gradient_scale(self) -> float:
        """The network's mse has twice the gradient of half the squared error."""
        return 2.0 if self.loss == "squared_error" else 1.0

    def _targets(self, y, dtype, known) -> np.ndarray:
        """y as the network takes it."""
        checks.choice("loss", self.loss, LOSSES)
        y = np.asarray(y, dtype) if y.ndim == 2 and y.shape[1] > 1 else column_or_1d(y, warn=True).astype(dtype)
        if not known:
            self.n_outputs_ = 1 if y.ndim == 1 else y.shape[1]
            self.out_activation_ = "identity" if self.loss == "squared_error" else "logistic"
        return y

    def _weighed(self, y, weights):
        return weights

    def _strata(self, targets):
        return None

    def _network_loss(self) -> str:
        return LOSSES[self.loss]

    def _loss_unit(self) -> float:
        """Half the mean over outputs, too."""
        return 0.5 / self.n_outputs_ if self.loss == "squared_error" else 1.0

    def _fit_options(self) -> dict:
        return {}

    def _decoded(self, y_hat) -> np.ndarray:
        return y_hat[:, 0] if self.n_outputs_ == 1 else y_hat

    def _score_of(self, y, y_hat, weights) -> float:
        return float(r2_score(y, y_hat, sample_weight=weights))

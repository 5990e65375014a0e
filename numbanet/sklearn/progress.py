"""Defines the callback that records each epoch of a scikit-learn estimator, and decides when training stops."""

from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from numbanet.network import Network
from numbanet.training.callbacks import Callback

# If the learning rate is at most this value, the schedule "adaptive" stops training instead of lowering the learning rate.
LEAST_ADAPTIVE = 1e-6


class DivergenceError(FloatingPointError, ValueError):
    """Raised if the loss is no longer finite.

    For a loss that is not finite, `Network.fit` raises FloatingPointError, and scikit-learn raises ValueError.
    """


class Validation(NamedTuple):
    """The validation samples: inputs x, targets y as the user passed them, y converted for the network, and sample weights."""

    x: Any
    targets: NDArray[Any]
    y: NDArray[Any]
    weights: NDArray[Any] | None


class Estimator(Protocol):
    """The parameters and attributes of an estimator that `Progress` reads or sets."""

    solver: str
    learning_rate: str
    learning_rate_init: float
    power_t: float
    tol: float
    n_iter_no_change: float
    verbose: bool
    early_stopping: bool

    network_: Network
    n_iter_: int
    t_: int
    loss_: float
    best_loss_: float | None
    loss_curve_: list[float]
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    _rate_factor: float
    _no_improvement_count: int

    def _decoded(self, y_hat: NDArray[Any]) -> NDArray[Any]:
        """Converts the network's outputs y_hat to predictions in the form of the user's y, such as class labels."""
        ...

    def _score_of(self, y: NDArray[Any], y_hat: NDArray[Any], weights: NDArray[Any] | None) -> float:
        """Returns the score of the predictions y_hat for the targets y."""
        ...


class Progress(Callback):
    """Updates an estimator after each epoch, and stops training under the same conditions as scikit-learn.

    Training stops when the loss or, with early stopping, the validation score no longer improves. `Progress` is the
    first callback: it converts the network's loss in the logs to scikit-learn's loss, which all other callbacks then read.

    Parameters
    ----------
    estimator : BaseMLP
        The estimator to update.
    samples : int
        Number of training samples per epoch.
    penalty : float
        The factor of the L2 penalty. An epoch's loss includes `penalty` times the sum of all w^2.
    gradient_scale : float
        The ratio of the gradient of the network's loss to the gradient of scikit-learn's loss.
    loss_unit : float
        The factor that converts the network's loss to scikit-learn's loss.
    validation : Validation, optional
        The data on which the network is scored after each epoch.

    Attributes
    ----------
    logs : list of dict
        The logs of each epoch, including the changes by other callbacks.
    best_parameters : list of (w, b) or None
        With early stopping, the network's weights and biases after the epoch with the best score; otherwise None.
    """

    converts_metrics = True

    def __init__(
        self,
        estimator: Estimator,
        samples: int,
        penalty: float,
        gradient_scale: float,
        loss_unit: float,
        validation: Validation | None,
    ):
        self.estimator, self.samples, self.penalty = estimator, samples, penalty
        self.gradient_scale, self.loss_unit, self.validation = gradient_scale, loss_unit, validation
        self.logs: list[dict[str, float]] = []
        self.best_parameters = None

    def network_rate(self, epoch: int) -> float:
        """Returns the network's learning rate: the estimator's current rate divided by `gradient_scale`."""
        estimator = self.estimator
        rate = estimator.learning_rate_init * estimator._rate_factor
        if estimator.learning_rate == "invscaling":
            rate /= (estimator.t_ + 1) ** estimator.power_t
        return rate / self.gradient_scale

    @property
    def keeps_best(self) -> bool:
        """True if `restore_best` will replace the network's parameters after training."""
        return self.best_parameters is not None

    def on_train_begin(self, logs: dict[str, float]) -> None:
        """With early stopping and a warm start, stores the parameters at the start of this `fit` as the best so far."""
        if self.estimator.early_stopping and self.estimator.validation_scores_:
            self.best_parameters = self.estimator.network_.parameters()

    def on_epoch_begin(self, epoch: int, logs: dict[str, float]) -> None:
        """Converts the learning rate in the logs to scikit-learn's rate, and computes the L2 penalty of the current weights."""
        estimator = self.estimator
        if estimator.solver == "sgd":
            logs["learning_rate"] *= self.gradient_scale
        self.penalty_now = self.penalty and self.penalty * sum(float(np.vdot(w, w)) for w, _ in estimator.network_.parameters())

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Records scikit-learn's loss and the score, and stops training if the loss or the score no longer improves."""
        estimator = self.estimator
        for name in logs.keys() & {"loss", "val_loss"}:
            logs[name] *= self.loss_unit
        if "learning_rate" in logs:
            logs["learning_rate"] *= self.gradient_scale
        estimator.n_iter_ = epoch
        estimator.t_ += self.samples
        estimator.loss_ = logs["loss"] + self.penalty_now
        estimator.loss_curve_.append(estimator.loss_)
        self.logs.append(logs)
        self._print(f"Iteration {epoch}, loss = {estimator.loss_:.8f}")
        score_is_no_better = self.validation is not None and self._record_score(self.validation)
        self._watch(score_is_no_better if estimator.early_stopping else self._record_best_loss())

    def diverged(self, kept: str = "previous") -> str:
        """Returns the error message for an epoch whose loss is not finite.

        `kept` is "previous" or "best": the epoch whose parameters the estimator keeps.
        """
        estimator = self.estimator
        scheduled = estimator.solver == "sgd" and estimator.learning_rate != "constant"
        rate = self.network_rate(0) * self.gradient_scale if scheduled else estimator.learning_rate_init
        lowered = f", which the schedule {estimator.learning_rate!r} has lowered to {rate:g}" if scheduled else ""
        return (
            "Solver produced non-finite parameter weights. The input data may contain large values and need to be "
            f"preprocessed. The loss stopped being finite in epoch {estimator.n_iter_ + (kept == 'previous')} with "
            f"learning_rate_init={estimator.learning_rate_init:g}{lowered}; the estimator keeps the parameters of the {kept} "
            "epoch. Standardise X, or try a smaller learning_rate_init."
        )

    def record_divergence(self) -> None:
        """Records an epoch with a loss that is not finite. The epoch's score is NaN, as in scikit-learn."""
        estimator, nan = self.estimator, float("nan")
        assert estimator.validation_scores_ is not None  # set before the first epoch
        estimator.n_iter_ += 1
        estimator.t_ += self.samples
        estimator.loss_ = nan
        estimator.loss_curve_.append(nan)
        estimator.validation_scores_.append(nan)
        self.stop_training = True

    def restore_best(self) -> None:
        """Restores the parameters of the epoch with the best score, unless `best_parameters` is None."""
        if self.best_parameters is not None:
            self.estimator.network_.set_parameters(self.best_parameters)

    def _record_score(self, validation: Validation) -> bool:
        """Records the epoch's score. Returns whether the score is lower than the best previous score plus `tol`."""
        estimator, best = self.estimator, self.estimator.best_validation_score_
        assert estimator.validation_scores_ is not None and best is not None  # set before the first epoch
        y_hat = estimator._decoded(estimator.network_.predict(validation.x))
        score = estimator._score_of(validation.y, y_hat, validation.weights)
        estimator.validation_scores_.append(score)
        self._print(f"Validation score: {score:f}")
        if score > best:
            estimator.best_validation_score_ = score
            if estimator.early_stopping:
                self.best_parameters = estimator.network_.parameters()
        return score < best + estimator.tol

    def _record_best_loss(self) -> bool:
        """Records the lowest loss. Returns whether the epoch's loss is higher than the lowest previous loss minus `tol`."""
        estimator, best = self.estimator, self.estimator.best_loss_
        assert best is not None  # set before the first epoch
        estimator.best_loss_ = min(best, estimator.loss_)
        return estimator.loss_ > best - estimator.tol

    def _watch(self, no_better: bool) -> None:
        """Counts consecutive epochs without improvement; `no_better` is True if the current epoch brought no improvement.

        If the number of consecutive epochs without improvement exceeds `n_iter_no_change`, the method lowers the learning rate
        or stops training.
        """
        estimator = self.estimator
        estimator._no_improvement_count = estimator._no_improvement_count + 1 if no_better else 0
        if estimator._no_improvement_count <= estimator.n_iter_no_change:
            return
        watched = "Validation score" if estimator.early_stopping else "Training loss"
        epochs = f"{estimator.n_iter_no_change} consecutive epochs"
        message = f"{watched} did not improve more than tol={estimator.tol:f} for {epochs}."
        adaptive = estimator.solver == "sgd" and estimator.learning_rate == "adaptive"
        if adaptive and estimator.learning_rate_init * estimator._rate_factor > LEAST_ADAPTIVE:
            estimator._rate_factor /= 5
            estimator._no_improvement_count = 0
            self._print(f"{message} Setting learning rate to {estimator.learning_rate_init * estimator._rate_factor:f}")
        else:
            self.stop_training = True
            self._print(f"{message} Stopping.")

    def _print(self, line: str) -> None:
        if self.estimator.verbose:
            print(line, flush=True)

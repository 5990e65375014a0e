"""What scikit-learn's estimators note after each epoch, and by what they end the training."""

from typing import Any, NamedTuple

import numpy as np

from numbanet.training.callbacks import Callback

# Learning rates that have fallen this far fall no further: the training ends.
LEAST_ADAPTIVE = 1e-6


class Validation(NamedTuple):
    """Samples, targets as the network takes them, targets as the user gave them, weights or None."""

    x: Any
    targets: np.ndarray
    y: np.ndarray
    weights: np.ndarray | None


class Progress(Callback):
    """Keeps an estimator's attributes, and the learning rate; watches loss or score as scikit-learn's MLPs do.

    It is told figures of the network's loss, and makes of them what scikit-learn's loss is, for the callbacks after it, too.

    Parameters
    ----------
    estimator : BaseMLP
    samples : int
        Trained on in an epoch.
    penalty : float
        What the sum of all w^2 adds to the loss of an epoch, per unit.
    gradient_scale, loss_unit : float
        What the network's gradients are in those of scikit-learn's loss; what a unit of the network's loss is in its own.
    validation : Validation, optional
    """

    def __init__(self, estimator, samples: int, penalty: float, gradient_scale: float, loss_unit: float, validation):
        self.estimator, self.samples, self.penalty = estimator, samples, penalty
        self.gradient_scale, self.loss_unit, self.validation = gradient_scale, loss_unit, validation
        self.best_parameters = None

    def network_rate(self, epoch: int) -> float:
        """eta of the network's gradients; of the schedule invscaling, of that many samples seen."""
        estimator = self.estimator
        rate = estimator.learning_rate_init * estimator._rate_factor
        if estimator.learning_rate == "invscaling":
            rate /= (estimator.t_ + 1) ** estimator.power_t
        return rate / self.gradient_scale

    def on_train_begin(self, logs):
        if self.estimator.early_stopping and self.estimator.validation_scores_:
            self.best_parameters = self.network.parameters()  # of the training before, which this one goes on from

    def on_epoch_begin(self, epoch, logs):
        if self.estimator.solver == "sgd":
            logs["learning_rate"] *= self.gradient_scale
        self.penalty_now = self.penalty and self.penalty * sum(float(np.vdot(w, w)) for w, _ in self.network.parameters())

    def on_epoch_end(self, epoch, logs):
        estimator = self.estimator
        for name in logs.keys() & {"loss", "val_loss"}:
            logs[name] *= self.loss_unit
        if "learning_rate" in logs:
            logs["learning_rate"] *= self.gradient_scale
        estimator.n_iter_ = epoch
        estimator.t_ += self.samples
        estimator.loss_ = logs["loss"] + self.penalty_now
        estimator.loss_curve_.append(estimator.loss_)
        if self.validation is not None:
            self._note_score()
        self._watch()

    def restore_best(self) -> None:
        """Gives the network the parameters of the best score, where early stopping watched it."""
        if self.best_parameters is not None:
            self.network.set_parameters(self.best_parameters)

    def _note_score(self) -> None:
        estimator, (x, _, y, weights) = self.estimator, self.validation
        self.best_before = estimator.best_validation_score_
        score = estimator._score_of(y, estimator._decoded(self.network.predict(x)), weights)
        estimator.validation_scores_.append(score)
        if score > self.best_before:
            estimator.best_validation_score_ = score
            if estimator.early_stopping:
                self.best_parameters = self.network.parameters()

    def _watch(self) -> None:
        """Counts epochs without progress; when there were too many, the learning rate falls or the training ends."""
        estimator = self.estimator
        worse = self._score_is_no_better() if estimator.early_stopping else self._loss_is_no_better()
        estimator._no_improvement_count = estimator._no_improvement_count + 1 if worse else 0
        if estimator._no_improvement_count <= estimator.n_iter_no_change:
            return
        adaptive = estimator.solver == "sgd" and estimator.learning_rate == "adaptive"
        if adaptive and estimator.learning_rate_init * estimator._rate_factor > LEAST_ADAPTIVE:
            estimator._rate_factor /= 5
            estimator._no_improvement_count = 0
        else:
            self.stop_training = True

    def _loss_is_no_better(self) -> bool:
        estimator = self.estimator
        best, estimator.best_loss_ = estimator.best_loss_, min(estimator.best_loss_, estimator.loss_)
        return estimator.loss_ > best - estimator.tol

    def _score_is_no_better(self) -> bool:
        return self.estimator.validation_scores_[-1] < self.best_before + self.estimator.tol

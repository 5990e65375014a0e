"""Declares and checks the parameters of the scikit-learn estimators, and creates the optimizer that they describe."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from numbanet import checks, inputs
from numbanet.engines.topology import ALL_ACTIVATIONS
from numbanet.formulas import Activation
from numbanet.training import optimizers
from numbanet.training.callbacks import Callback

SOLVERS = ("sgd", "adam", "adamw")
# Activations that have one name in scikit-learn (the key) and another name in numbanet (the value).
ALIASES = {"logistic": "sigmoid", "exp": "exponential"}
LEARNING_RATES = ("constant", "invscaling", "adaptive")


class Parameters:
    """The parameters that the classifier and the regressor share. `MLPClassifier` documents the parameters."""

    hidden_layer_sizes: int | Sequence[int]
    activation: str | Activation | Sequence[str | Activation]
    solver: str
    alpha: float
    batch_size: int | str
    learning_rate: str
    learning_rate_init: float
    power_t: float
    max_iter: int
    shuffle: bool
    random_state: int | np.random.RandomState | None
    tol: float
    verbose: bool
    warm_start: bool
    momentum: float
    nesterovs_momentum: bool
    early_stopping: bool
    validation_fraction: float
    beta_1: float
    beta_2: float
    epsilon: float
    n_iter_no_change: float
    max_fun: int
    dropout: float | Sequence[float]
    clip_norm: float | None
    callbacks: Callback | Sequence[Callback] | None
    dtype: str
    device: str
    kernels: str

    @property
    def _gradient_scale(self) -> float:
        """The ratio of the gradient of the network's loss to the gradient of scikit-learn's loss."""
        return 1.0

    def _check_parameters(self) -> None:
        """Checks the parameters that `Network` and the optimizers do not check, or for which they use other names."""
        if isinstance(self.solver, str) and self.solver == "lbfgs":
            raise ValueError(
                "solver='lbfgs' is not available in numbanet.sklearn: use 'adam', 'adamw' or 'sgd', or scikit-learn's own "
                "estimator"
            )
        checks.choice("solver", self.solver, SOLVERS)
        checks.choice("learning_rate", self.learning_rate, LEARNING_RATES)
        checks.choice("dtype", self.dtype, ("auto", *inputs.DTYPES))
        checks.positive("learning_rate_init", self.learning_rate_init)
        if self.batch_size != "auto":
            checks.integer("batch_size", self.batch_size)
        for name in ("alpha", "power_t", "tol"):
            checks.not_negative(name, getattr(self, name))
        if self.n_iter_no_change != np.inf:
            checks.integer("n_iter_no_change", self.n_iter_no_change)
        checks.integer("max_fun", self.max_fun)
        if self.clip_norm is not None:
            checks.positive("clip_norm", self.clip_norm)
        for name in ("early_stopping", "nesterovs_momentum"):
            checks.flag(name, getattr(self, name))

    def _activations(self, hidden: int, output: str) -> list[str | Activation]:
        """Returns numbanet's names for the activations of all layers.

        The number of hidden layers is `hidden`, and `output` is the name of the output layer's activation.

        Raises
        ------
        ValueError, TypeError
            The parameter `activation` is invalid.
        """
        is_one = isinstance(self.activation, str | Activation)
        given = [self.activation] * hidden if is_one else self.activation
        if not isinstance(given, Collection) or len(given) != hidden:
            raise ValueError(
                f"activation must be one activation, or one for each of {hidden} hidden layers, not {checks.shown(given)}"
            )
        known = sorted({*ALL_ACTIVATIONS, *ALIASES})
        names = [value if isinstance(value, Activation) else checks.choice("activation", value, known) for value in given]
        return [ALIASES.get(value, value) if isinstance(value, str) else value for value in [*names, output]]

    def _check_learning_rate(self, dtype: np.dtype) -> None:
        """Checks that learning_rate_init is positive and finite in `dtype`, and not 0 after division by `_gradient_scale`."""
        checks.positive("learning_rate_init", self.learning_rate_init, dtype)
        if not dtype.type(self.learning_rate_init / self._gradient_scale):
            raise ValueError(f"learning_rate_init={self.learning_rate_init!r} is too small for {dtype}: pass a larger one")

    def _optimizer(self, batch_size: int, mean_weight: float) -> optimizers.Optimizer:
        """Returns the network's optimizer, which the parameter `solver` names.

        The method multiplies the L2 penalty, `clip_norm` and the `epsilon` of Adam by `_gradient_scale`, because the network's
        gradient is `_gradient_scale` times scikit-learn's gradient.
        """
        scale = self._gradient_scale
        options: dict[str, Any] = {
            "weight_decay": self.alpha if self.solver == "adamw" else scale * self.alpha / (batch_size * mean_weight),
            "clip_norm": None if self.clip_norm is None else scale * self.clip_norm,
        }
        if self.solver != "sgd":
            kind = optimizers.Adam if self.solver == "adam" else optimizers.AdamW
            optimizer = kind(self.beta_1, self.beta_2, scale * checks.positive("epsilon", self.epsilon), **options)
        elif self.momentum == 0:
            optimizer = optimizers.GradientDescent(**options)
        else:
            kind = optimizers.Nesterov if self.nesterovs_momentum else optimizers.Momentum
            optimizer = kind(self.momentum, **options)
        return optimizer if self.solver == "adamw" else optimizers.as_in_scikit_learn(optimizer, batch_size)

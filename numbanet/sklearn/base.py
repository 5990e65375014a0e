"""What the classifier and the regressor have in common."""

import warnings

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split
from sklearn.utils import check_array, check_consistent_length, check_random_state, gen_batches
from sklearn.utils.validation import check_is_fitted, validate_data

from numbanet import checks, inputs
from numbanet.engines.topology import ACTIVATIONS
from numbanet.network import Network
from numbanet.sklearn.progress import Progress, Validation
from numbanet.training import optimizers
from numbanet.training.history import History

SOLVERS = ("sgd", "adam", "adamw")
LEARNING_RATES = ("constant", "invscaling", "adaptive")
# scikit-learn's names of activations that the sheet calls otherwise.
ALIASES = {"logistic": "sigmoid"}
AUTO_BATCH_SIZE = 200
# Rows of a sparse X that are made dense at a time to predict.
DENSE_ROWS = 1024


class BaseMLP(BaseEstimator):
    """What the classifier and the regressor have in common; a subclass says what its targets and its loss are."""

    _gradient_scale = 1.0  # how many times the gradient of scikit-learn's loss that of the network's is

    def fit(self, X, y, sample_weight=None, validation_data=None):  # noqa: N803
        """Trains until the loss, or the validation score, gets no better, or for `max_iter` epochs.

        Parameters
        ----------
        X : array_like or sparse matrix, (n_samples, n_features)
            A sparse one is made dense batch by batch.
        y : array_like, (n_samples,) or (n_samples, n_outputs)
        sample_weight : array_like (n_samples,), optional
            What a sample counts, at least 0: 2 is the same as twice the sample, 0 as none.
        validation_data : tuple (X, y), optional
            Never trained on. Its loss goes into `history_`, its score into `validation_scores_`; with `early_stopping` it
            takes the place of a share of the samples.

        Returns
        -------
        self

        Raises
        ------
        ValueError, TypeError
            Where an argument or a parameter is not as described.
        FloatingPointError
            The loss stopped being finite; the parameters of the last finite epoch are kept.
        """
        goes_on = checks.flag("warm_start", self.warm_start) and hasattr(self, "network_")
        epochs = checks.integer("max_iter", self.max_iter)
        progress = self._fit(X, y, sample_weight, validation_data, goes_on, epochs)
        if self.n_iter_ == epochs and not progress.stop_training:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({epochs}) reached and the optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def _partial_fit(self, X, y, sample_weight, **known):  # noqa: N803
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        self._fit(X, y, sample_weight, None, hasattr(self, "network_"), 1, **known)
        return self

    def predict(self, X):  # noqa: N803
        """The answers.

        Parameters
        ----------
        X : array_like or sparse matrix, (n_samples, n_features)

        Returns
        -------
        ndarray, (n_samples,) or (n_samples, n_outputs)
            Classes, or numbers.
        """
        return self._decoded(self._y_hat(X))

    @property
    def coefs_(self) -> list[np.ndarray]:
        """Copies of w of each layer, (n_in, n_out); setting it sets the network's."""
        return [w for w, _ in self._parameters()]

    @coefs_.setter
    def coefs_(self, coefs):
        self.network_.set_parameters(list(zip(coefs, self.intercepts_, strict=True)))

    @property
    def intercepts_(self) -> list[np.ndarray]:
        """Copies of b of each layer, (n_out,); setting it sets the network's."""
        return [b for _, b in self._parameters()]

    @intercepts_.setter
    def intercepts_(self, intercepts):
        self.network_.set_parameters(list(zip(self.coefs_, intercepts, strict=True)))

    def _parameters(self):
        """Read-only, for nothing would come of writing to copies."""
        parameters = self.network_.parameters()
        for array in (array for pair in parameters for array in pair):
            array.flags.writeable = False
        return parameters

    def __sklearn_is_fitted__(self):
        return hasattr(self, "network_")

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # Training

    def _keep(self, parameters) -> None:
        """The arguments of `__init__`, as they are."""
        vars(self).update({name: value for name, value in parameters.items() if name != "self"})

    def _fit(self, X, y, sample_weight, validation_data, goes_on, epochs, **known) -> Progress:  # noqa: N803
        self._check_parameters()
        dtype = (np.float64, np.float32) if self.dtype == "auto" else self.dtype
        X, y = validate_data(
            self, X, y, accept_sparse="csr", dtype=dtype, multi_output=True, y_numeric=self._y_numeric, reset=not goes_on
        )
        random_state = check_random_state(self.random_state)
        seed = random_state.randint(np.iinfo(np.int32).max)
        targets = self._targets(y, X.dtype, goes_on, **known)
        weights = _weights(sample_weight, X)
        if weights is not None and not weights.all():
            X, y, targets, weights = (array[weights > 0] for array in (X, y, targets, weights))
        weights = self._weighed(y, weights)
        validation = None
        if validation_data is not None:
            validation = self._validation(validation_data, X.dtype)
        elif self.early_stopping:
            X, targets, weights, validation = self._split(X, y, targets, weights, random_state)
        network = self._network_for(X, seed, goes_on)
        self._begin(network, seed, validation, goes_on)
        return self._train(X, targets, weights, validation, epochs)

    def _check_parameters(self) -> None:
        """Those that neither the network nor its optimizers check under their own name."""
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
        if self.clip_norm is not None:
            checks.positive("clip_norm", self.clip_norm)
        for name in ("early_stopping", "nesterovs_momentum"):
            checks.flag(name, getattr(self, name))

    def _validation(self, validation_data, dtype) -> Validation:
        try:
            X, y = validation_data
        except (TypeError, ValueError):
            raise ValueError("validation_data must be a pair (X, y)") from None
        X, y = validate_data(
            self, X, y, accept_sparse="csr", dtype=dtype, multi_output=True, y_numeric=self._y_numeric, reset=False
        )
        return Validation(_dense(X), self._targets(y, dtype, known=True), y, None)

    def _split(self, X, y, targets, weights, random_state):  # noqa: N803
        """What to train on, and the share to validate with."""
        share, rows = checks.fraction("validation_fraction", self.validation_fraction), np.arange(X.shape[0])
        strata = self._strata(targets)
        train, test = train_test_split(rows, test_size=share, random_state=random_state, stratify=strata)
        if test.size < 2:
            raise ValueError("the validation set is too small: increase validation_fraction or the size of the data")
        weights, weights_test = (None, None) if weights is None else (weights[train], weights[test])
        return X[train], targets[train], weights, Validation(_dense(X[test]), targets[test], y[test], weights_test)

    def _network_for(self, X, seed, goes_on) -> Network:  # noqa: N803
        """A new network, or the one there is."""
        hidden = np.atleast_1d(self.hidden_layer_sizes).tolist()
        sizes = [X.shape[1], *hidden, self.n_outputs_]
        names = [self.activation] * len(hidden) if isinstance(self.activation, str) else list(self.activation)
        if len(names) != len(hidden):
            raise ValueError(f"activation must be one name, or one for each of {len(hidden)} hidden layers, not {names}")
        known = sorted({*ACTIVATIONS, *ALIASES})
        names = [checks.choice("activation", name, known) for name in names] + [self.out_activation_]
        activations = [ALIASES.get(name, name) for name in names]
        arguments = {"sizes": sizes, "activations": activations, "loss": self._network_loss()}
        arguments |= {"dropout": self.dropout, "kernels": self.kernels}
        if goes_on:
            if arguments != self._arguments:
                raise ValueError(f"training goes on with a network of {self._arguments}, not of {arguments}")
            return self.network_.to(self.device)
        network = Network(**arguments, dtype=X.dtype, seed=seed, device=self.device)
        self._arguments = arguments
        return network

    def _begin(self, network, seed, validation, goes_on) -> None:
        """The attributes that an epoch adds to."""
        self.network_, self.n_layers_, self.n_iter_ = network, len(network.sizes), 0
        if not goes_on:
            self._generator = np.random.default_rng(seed)
            self._rate_factor, self._no_improvement_count = 1.0, 0
            self.t_, self.loss_curve_, self.best_loss_, self.history_ = 0, [], None, History()
            self.validation_scores_ = self.best_validation_score_ = None
        if self.best_loss_ is None and not self.early_stopping:
            self.best_loss_ = np.inf
        if self.validation_scores_ is None and validation is not None:
            self.validation_scores_, self.best_validation_score_ = [], -np.inf

    def _train(self, X, targets, weights, validation, epochs) -> Progress:  # noqa: N803
        samples = X.shape[0]
        batch_size = min(AUTO_BATCH_SIZE if self.batch_size == "auto" else self.batch_size, samples)
        total = samples if weights is None else float(weights.sum(dtype=np.float64))
        penalty = 0.0 if self.solver == "adamw" else self.alpha / 2 * -(-samples // batch_size) / total
        progress = Progress(self, samples, penalty, self._gradient_scale, self._loss_unit(), validation)
        batches = issparse(X)
        data = (lambda: self._dense_batches(X, targets, weights, batch_size), None) if batches else (X, targets)
        scheduled = self.solver == "sgd" and self.learning_rate != "constant"
        try:
            history = self.network_.fit(
                *data,
                epochs=epochs,
                batch_size=batch_size,
                learning_rate=self.learning_rate_init / (self._gradient_scale if self.solver == "sgd" else 1.0),
                optimizer=self._optimizer(batch_size * total / samples),
                schedule=progress.network_rate if scheduled else None,
                shuffle=self.shuffle,
                validation_data=None if validation is None else (validation.x, validation.targets),
                sample_weight=None if batches else weights,
                callbacks=[progress, *_as_list(self.callbacks)],
                verbose=bool(self.verbose),
                **self._fit_options(),
            )
        finally:
            progress.restore_best()
        for epoch in range(len(history.epoch)):
            self.history_.add(len(self.history_.epoch) + 1, {name: values[epoch] for name, values in history.history.items()})
        if history.interrupted:
            warnings.warn("Training interrupted by user.", stacklevel=4)
        return progress

    def _optimizer(self, batch_weight: float) -> optimizers.Optimizer:
        """The solver with the constants that make of the network's gradients what scikit-learn's loss would."""
        scale = self._gradient_scale
        options = {
            "weight_decay": self.alpha if self.solver == "adamw" else scale * self.alpha / batch_weight,
            "clip_norm": None if self.clip_norm is None else scale * self.clip_norm,
        }
        if self.solver != "sgd":
            kind = optimizers.Adam if self.solver == "adam" else optimizers.AdamW
            return kind(self.beta_1, self.beta_2, scale * checks.positive("epsilon", self.epsilon), **options)
        if self.momentum == 0:
            return optimizers.GradientDescent(**options)
        kind = optimizers.Nesterov if self.nesterovs_momentum else optimizers.Momentum
        return kind(self.momentum, **options)

    def _dense_batches(self, X, targets, weights, batch_size):  # noqa: N803
        """The batches of an epoch over sparse samples."""
        order = self._generator.permutation(X.shape[0]) if self.shuffle else np.arange(X.shape[0])
        for part in gen_batches(X.shape[0], batch_size):
            rows = order[part]
            yield X[rows].toarray(), targets[rows], None if weights is None else weights[rows]

    def _y_hat(self, X) -> np.ndarray:  # noqa: N803
        check_is_fitted(self)
        return self._predicted(self.network_, X)

    def _predicted(self, network, X) -> np.ndarray:  # noqa: N803
        X = validate_data(self, X, accept_sparse="csr", dtype=(np.float64, np.float32), reset=False)
        if not issparse(X):
            return network.predict(X)
        return np.concatenate([network.predict(X[part].toarray()) for part in gen_batches(X.shape[0], DENSE_ROWS)])


def _weights(sample_weight, X) -> np.ndarray | None:  # noqa: N803
    """The samples' weights, checked."""
    if sample_weight is None:
        return None
    weights = check_array(sample_weight, ensure_2d=False, dtype=X.dtype, input_name="sample_weight")
    if weights.ndim != 1:
        raise ValueError(f"sample_weight must have one dimension, not shape {weights.shape}")
    check_consistent_length(X, weights)
    if (weights < 0).any() or not weights.any():
        raise ValueError("sample_weight must not be negative, and not all of it zero")
    return weights


def _dense(X):  # noqa: N803
    return X.toarray() if issparse(X) else X


def _as_list(callbacks) -> list:
    if callbacks is None:
        return []
    return list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]

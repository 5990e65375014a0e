"""Defines the base class of the scikit-learn estimators, which trains the network and predicts with it."""

import copy
import warnings
from abc import ABC, abstractmethod
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray
from scipy.sparse import issparse, sparray, spmatrix
from sklearn import model_selection
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils import check_random_state, gen_batches
from sklearn.utils.validation import check_is_fitted

from numbanet import checks, inputs
from numbanet.formulas import Loss
from numbanet.network import Network
from numbanet.sklearn.conversion import validate_data
from numbanet.sklearn.fitted import Fitted
from numbanet.sklearn.initial import initial_parameters
from numbanet.sklearn.parameters import Parameters
from numbanet.sklearn.progress import DivergenceError, Progress, Validation
from numbanet.sklearn.samples import Shuffling, checked_weights, dense, dense_batches
from numbanet.training.history import History

Samples: TypeAlias = ArrayLike | sparray | spmatrix

# scikit-learn does not declare types, and type checkers infer wrong types from the default arguments of this function.
train_test_split: Any = model_selection.train_test_split

AUTO_BATCH_SIZE = 200
# The number of rows of a sparse X that a prediction converts to a dense array at a time.
DENSE_ROWS = 1024


class BaseMLP(Parameters, Fitted, BaseEstimator, ABC):
    """Base class of the classifier and the regressor. Subclasses define the targets, the loss and the score."""

    # The attributes that `fit` sets; `MLPClassifier` documents the public ones.

    n_iter_: int
    t_: int
    n_outputs_: int
    out_activation_: str
    loss_: float
    best_loss_: float | None
    loss_curve_: list[float]
    validation_scores_: list[float] | None
    best_validation_score_: float | None
    history_: History
    _arguments: dict[str, Any]  # the arguments with which `Network` was created
    _rate_factor: float
    _no_improvement_count: int
    _random_state: np.random.RandomState  # draws the order of the samples
    _order: NDArray[np.integer] | None  # order of the samples in the last epoch
    _y_numeric: bool

    def fit(
        self,
        X: Samples,  # noqa: N803
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        validation_data: tuple[Samples, ArrayLike] | tuple[Samples, ArrayLike, ArrayLike | None] | None = None,
    ) -> Self:
        """Fits the network to the samples.

        Training stops when the loss no longer improves or, with `early_stopping`, when the validation score no longer improves.
        Training stops after `max_iter` epochs at the latest.

        Parameters
        ----------
        X : array_like or sparse matrix, (n_samples, n_features)
            Training samples. Batches of a sparse matrix are converted to dense arrays, one at a time.
        y : array_like, (n_samples,) or (n_samples, n_outputs)
            Targets.
        sample_weight : array_like (n_samples,), optional
            Non-negative weights of the samples. A sample weight of 2 is equivalent to two copies of the sample; a sample with
            the sample weight 0 is ignored. The sample weights are scaled so that their mean over all training samples is 1.
        validation_data : tuple (X, y) or (X, y, sample_weight), optional
            Samples, targets and sample weights for validation, not for training. After each epoch, the validation loss is added
            to `history_`, and the validation score to `validation_scores_`. With `early_stopping`, no part of X is held out if
            `validation_data` is given.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            An argument, or a parameter of the estimator, is invalid; the error message names the invalid one. The estimator is
            unchanged.
        DivergenceError
            The loss is no longer finite. After a DivergenceError, the network has the parameters of the last epoch with a
            finite loss. A DivergenceError is both a ValueError and a FloatingPointError. With early stopping, `fit` raises
            no DivergenceError if an epoch had a finite score; it restores the parameters of the best epoch, and issues a
            ConvergenceWarning.
        """
        resume = checks.flag("warm_start", self.warm_start) and hasattr(self, "network_")
        epochs = checks.integer("max_iter", self.max_iter)
        sample_weight = inputs.without_tensors("sample_weight", sample_weight)
        progress = self._fit(X, y, sample_weight, validation_data, resume, epochs, whole=True)
        if self.n_iter_ == epochs and not progress.stop_training:
            warnings.warn(
                f"Stochastic Optimizer: Maximum iterations ({epochs}) reached and the optimization hasn't converged yet.",
                ConvergenceWarning,
                stacklevel=2,
            )
        return self

    def _partial_fit(self, X: Samples, y: ArrayLike, sample_weight: ArrayLike | None, **known: Any) -> Self:  # noqa: N803
        if self.early_stopping:
            raise ValueError("partial_fit does not support early_stopping=True")
        sample_weight = inputs.without_tensors("sample_weight", sample_weight)
        self._fit(X, y, sample_weight, None, hasattr(self, "network_"), 1, whole=False, **known)
        return self

    def predict(self, X: Samples) -> NDArray[Any]:  # noqa: N803
        """Predicts the targets of samples.

        Parameters
        ----------
        X : array_like or sparse matrix, (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray, (n_samples,) or (n_samples, n_outputs)
            Predicted classes (classifier) or predicted values (regressor).
        """
        return self._decoded(self._predicted(X))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    # Methods that subclasses define

    @abstractmethod
    def _targets(self, y: Any, dtype: DTypeLike, known: bool, classes: Any = None) -> NDArray[Any]:
        """Converts y to the network's targets; if not `known`, y or `classes` defines the estimator's outputs and classes."""

    @abstractmethod
    def _check_resumable(self, y: NDArray[Any]) -> None:
        """Raises ValueError if y does not fit the fitted network, so that `fit` cannot resume training."""

    @abstractmethod
    def _weighed(self, y: NDArray[Any], weights: NDArray[Any] | None) -> NDArray[Any] | None:
        """Returns each sample weight times the weight of the sample's class, or None if all products are 1."""

    @abstractmethod
    def _strata(self, targets: NDArray[Any]) -> NDArray[Any] | None:
        """Returns the class of each sample if the validation split is stratified by class, otherwise None."""

    @abstractmethod
    def _strata_words(self, strata: NDArray[Any] | None) -> str:
        """Returns the part of an error message that says how many samples each class has, or "" if `strata` is None."""

    @abstractmethod
    def _network_loss(self) -> str | Loss:
        """Returns the network's loss."""

    @abstractmethod
    def _loss_unit(self) -> float:
        """Returns the factor that converts the network's loss to the loss as scikit-learn defines it."""

    @abstractmethod
    def _fit_options(self) -> dict[str, Any]:
        """Returns the additional keyword arguments that the subclass passes to `Network.fit`."""

    @abstractmethod
    def _decoded(self, y_hat: NDArray[Any]) -> NDArray[Any]:
        """Converts the network's outputs y_hat to predictions: class labels or numbers, as in the y passed to `fit`."""

    @abstractmethod
    def _score_of(self, y: NDArray[Any], y_hat: NDArray[Any], weights: NDArray[Any] | None) -> float:
        """Returns the score of the predictions y_hat for the targets y; both contain class labels or numbers, as in `fit`."""

    # Training

    def _fit(
        self,
        X: Any,  # noqa: N803
        y: Any,
        sample_weight: Any,
        validation_data: Any,
        resume: bool,
        epochs: int,
        *,
        whole: bool,
        **known: Any,
    ) -> Progress:
        """Trains the network. If `whole` is True, X is the whole data set, and the sample weights are scaled to a mean of 1.

        If an exception ends training before the first epoch has ended, all attributes of the estimator are reset to their
        previous values.
        """
        before = vars(self).copy()
        self.n_iter_ = 0
        try:
            prepared = self._prepared(X, y, sample_weight, validation_data, resume, whole, known)
            return self._train(*prepared, epochs, whole)
        except BaseException as error:
            if self.n_iter_ == 0 and not isinstance(error, DivergenceError):
                vars(self).clear()
                vars(self).update(before)
            raise

    def _prepared(
        self,
        X: Any,  # noqa: N803
        y: Any,
        sample_weight: Any,
        validation_data: Any,
        resume: bool,
        whole: bool,
        known: dict[str, Any],
    ) -> tuple[Any, NDArray[Any], NDArray[Any] | None, Validation | None]:
        """Checks all arguments, and creates the network; returns X, targets, weights and validation for `_train`."""
        self._check_parameters()
        dtype = (np.float64, np.float32) if self.dtype == "auto" else self.dtype
        X, y = validate_data(
            self, X, y, accept_sparse="csr", dtype=dtype, multi_output=True, y_numeric=self._y_numeric, reset=not resume
        )
        self._check_learning_rate(X.dtype)
        if resume and whole:
            self._check_resumable(y)
        targets = self._targets(y, X.dtype, resume, **known)
        weights = checked_weights(sample_weight, X)
        if weights is not None and not weights.all():
            X, y, targets, weights = (array[weights > 0] for array in (X, y, targets, weights))
        weights = self._weighed(y, weights)
        random_state = check_random_state(self.random_state)
        network = self._network_for(X, random_state, resume)
        network._model.columns = tuple(getattr(self, "feature_names_in_", ())) or None
        validation = None
        if validation_data is not None:
            validation = self._validation(validation_data, X.dtype)
        elif self.early_stopping:
            X, targets, weights, validation = self._split(X, y, targets, weights, random_state)
        self._begin(network, validation, resume, random_state)
        return X, targets, weights, validation

    def _validation(self, validation_data: Any, dtype: DTypeLike) -> Validation:
        try:
            X, y, *others = inputs.unpacked(validation_data)
            (sample_weight,) = others or (None,)
        except (TypeError, ValueError):
            raise ValueError("validation_data must be a pair (X, y), or (X, y, sample_weight)") from None
        X, y = validate_data(
            self, X, y, accept_sparse="csr", dtype=dtype, multi_output=True, y_numeric=self._y_numeric, reset=False
        )
        return Validation(dense(X), self._targets(y, dtype, known=True), y, checked_weights(sample_weight, X))

    def _split(
        self,
        X: Any,  # noqa: N803
        y: NDArray[Any],
        targets: NDArray[Any],
        weights: NDArray[Any] | None,
        random_state: np.random.RandomState,
    ) -> tuple[Any, NDArray[Any], NDArray[Any] | None, Validation]:
        """Returns the samples, targets and sample weights to train on, and the data to hold out for validation."""
        fraction, rows = checks.fraction("validation_fraction", self.validation_fraction), np.arange(X.shape[0])
        strata = self._strata(targets)
        try:
            train, test = train_test_split(rows, test_size=fraction, random_state=random_state, stratify=strata)
        except ValueError as error:
            raise ValueError(
                f"early_stopping cannot hold out the fraction {fraction:g} (validation_fraction) of {len(rows)} samples for "
                f"validation{self._strata_words(strata)}: pass validation_data or more samples. scikit-learn's message: {error}"
            ) from None
        if test.size < 2:
            raise ValueError(
                f"The validation set is too small: it has {checks.count(test.size, 'sample')} of {len(rows)} and needs 2; "
                "increase validation_fraction, or pass validation_data or more samples"
            )
        weights, weights_test = (None, None) if weights is None else (weights[train], weights[test])
        return X[train], targets[train], weights, Validation(dense(X[test]), targets[test], y[test], weights_test)

    def _network_for(self, X: Any, random_state: np.random.RandomState, resume: bool) -> Network:  # noqa: N803
        """Returns a new network with scikit-learn's initial parameters. If training resumes, returns the fitted network."""
        hidden = [checks.integer("hidden_layer_sizes", size) for size in np.atleast_1d(self.hidden_layer_sizes).tolist()]
        sizes = [X.shape[1], *hidden, self.n_outputs_]
        activations = self._activations(len(hidden), self.out_activation_)
        arguments: dict[str, Any] = {"sizes": sizes, "activations": activations, "loss": self._network_loss()}
        arguments |= {"dropout": self.dropout, "kernels": self.kernels}
        if resume:
            if arguments != self._arguments:
                raise ValueError(
                    f"the fitted network has {self._arguments}, but the estimator's parameters now ask for {arguments}: "
                    "training cannot resume; set warm_start=False and call fit to train a new network"
                )
            if self.early_stopping:
                initial_parameters(sizes, activations[:-1], random_state)  # advances random_state, for the same split
            return self.network_.to(self.device)
        inputs.make_topology(sizes, activations, arguments["loss"], X.dtype, 0.01, self.dropout)  # only checks the arguments
        parameters = initial_parameters(sizes, activations[:-1], random_state)
        seed = copy.deepcopy(random_state).randint(2**32, dtype=np.uint32)  # the copy leaves random_state unchanged
        network = Network(**arguments, dtype=X.dtype, seed=seed, device=self.device)
        network.set_parameters(parameters)
        self._arguments = arguments
        return network

    def _begin(
        self, network: Network, validation: Validation | None, resume: bool, random_state: np.random.RandomState
    ) -> None:
        """Gives initial values to the estimator's attributes that each epoch updates."""
        self.network_, self.n_layers_, self.n_iter_ = network, len(network.sizes), 0
        if not resume:
            self._rate_factor, self._no_improvement_count = 1.0, 0
            self._random_state, self._order = random_state, None
            self.t_, self.loss_curve_, self.best_loss_, self.history_ = 0, [], None, History()
            self.validation_scores_ = self.best_validation_score_ = None
        if self.best_loss_ is None and not self.early_stopping:
            self.best_loss_ = np.inf
        if self.validation_scores_ is None and validation is not None:
            self.validation_scores_, self.best_validation_score_ = [], -np.inf

    def _train(
        self,
        X: Any,  # noqa: N803
        targets: NDArray[Any],
        weights: NDArray[Any] | None,
        validation: Validation | None,
        epochs: int,
        whole: bool,
    ) -> Progress:
        samples = X.shape[0]
        batch_size = min(AUTO_BATCH_SIZE if isinstance(self.batch_size, str) else self.batch_size, samples)
        total = samples if weights is None else float(weights.sum(dtype=np.float64))
        penalty = 0.0 if self.solver == "adamw" else self.alpha / 2 * -(-samples // batch_size) / total
        progress = Progress(self, samples, penalty, self._gradient_scale, self._loss_unit(), validation)
        # If x is an array, `Network.fit` scales the sample weights to a mean of 1; if x yields batches, it uses the weights as
        # they are.
        batches = issparse(X) or not (whole or weights is None)
        if batches and whole and weights is not None:
            weights = weights * (samples / total)
        model = self.network_._model
        generator = model.generator
        shuffling = model.generator = Shuffling(generator, self._random_state, self._order if whole else None)
        order = shuffling.permutation if self.shuffle else np.arange
        data = (lambda: dense_batches(X, targets, weights, order(samples), batch_size), None) if batches else (X, targets)
        scheduled = self.solver == "sgd" and self.learning_rate != "constant"
        try:
            history = self.network_.fit(
                *data,
                epochs=epochs,
                batch_size=batch_size,
                learning_rate=self.learning_rate_init / (self._gradient_scale if self.solver == "sgd" else 1.0),
                optimizer=self._optimizer(batch_size, total / samples if whole else 1.0),
                schedule=progress.network_rate if scheduled else None,
                shuffle=self.shuffle,
                validation_data=None if validation is None else (validation.x, validation.targets, validation.weights),
                sample_weight=None if batches else weights,
                callbacks=[progress, *_as_list(self.callbacks)],
                verbose=False,  # `Progress` prints the lines, as scikit-learn prints them
                **self._fit_options(),
            )
        except FloatingPointError as error:
            self._add_history(progress.logs)
            if progress.best_parameters is None:
                raise DivergenceError(progress.diverged()) from error
            progress.record_divergence()
            warnings.warn(progress.diverged("best"), ConvergenceWarning, stacklevel=4)
            return progress
        finally:
            model.generator = generator
            self._order = shuffling.order if whole and self.warm_start else None
            progress.restore_best()
        metrics = history.history.items()
        self._add_history([{name: values[epoch] for name, values in metrics} for epoch in range(len(history.epoch))])
        if history.interrupted:
            warnings.warn("Training interrupted by user.", stacklevel=4)
        return progress

    def _add_history(self, epochs: list[dict[str, float]]) -> None:
        for logs in epochs:
            self.history_.add(len(self.history_.epoch) + 1, logs)

    def _predicted(self, X: Samples, *, logits: bool = False) -> NDArray[np.floating]:  # noqa: N803
        """Returns the network's outputs for X. If `logits` is True, returns the network's logits for X."""
        check_is_fitted(self)
        samples = validate_data(self, X, accept_sparse="csr", dtype=(np.float64, np.float32), reset=False)
        if not issparse(samples):
            return self.network_.predict(samples, logits=logits)
        parts = (samples[part].toarray() for part in gen_batches(samples.shape[0], DENSE_ROWS))
        return np.concatenate([self.network_.predict(part, logits=logits) for part in parts])


def _as_list(callbacks: Any) -> list[Any]:
    return list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks] if callbacks is not None else []

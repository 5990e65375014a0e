"""Checks the arguments of `Network.fit`, `train_step` and `partial_fit`, and runs the training."""

import contextlib
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple, NoReturn

import numpy as np
from numpy.typing import ArrayLike

from numbanet import checks, inputs
from numbanet.distributed.communicators import Communicator, communicator_of
from numbanet.distributed.consensus import Agreement
from numbanet.distributed.partition import Shards, Shared
from numbanet.inputs import Data, weights
from numbanet.persist.checkpoint import Checkpoint, CheckpointFile, checkpoint_of, conditions
from numbanet.training.history import History
from numbanet.training.loop import Settings, Training
from numbanet.training.metrics import check_targets, loss_and_accuracy
from numbanet.training.model import RESTORE, Model
from numbanet.training.optimizers import Optimizer, optimizer_of
from numbanet.training.processes import Batches, Processes
from numbanet.training.reporting import SCALE
from numbanet.training.steps import train_in_order


class Samples(NamedTuple):
    """The unchecked arguments of `Network.fit` that contain or describe the training data and the validation data."""

    x: Any
    y: ArrayLike | None
    sample_weight: ArrayLike | None = None
    class_weight: Mapping[int, float] | str | None = None
    label_smoothing: float = 0.0
    validation_data: Any = None
    validation_split: float = 0.0

    def fractions(self) -> tuple[float, float]:
        """Checks label_smoothing and validation_split, and returns the two values in this order."""
        split = checks.fraction("validation_split", self.validation_split)
        if split and self.validation_data is not None:
            raise ValueError("pass either validation_data or validation_split, not both")
        return checks.fraction("label_smoothing", self.label_smoothing), split

    def options(self, n_out: int, sharded: bool) -> dict[str, Any]:
        """Returns the checked arguments that change targets and weights, as JSON values to compare with those of a checkpoint.

        If each process has its own samples, the returned dict does not contain validation_split, which may differ between the
        processes.
        """
        of_classes = self.class_weight
        if of_classes is not None and not isinstance(of_classes, str):
            of_classes = weights.by_class(of_classes, max(n_out, 2)).tolist()
        split = {} if sharded else {"validation_split": float(self.validation_split)}
        return {"class_weight": of_classes, "label_smoothing": float(self.label_smoothing)} | split


class Group(NamedTuple):
    """The checked arguments `communicator` and `sharded` of `Network.fit`."""

    communicator: Communicator
    sharded: bool


def learning_rate_of(value: float | None, optimizer: Optimizer, model: Model) -> float:
    """Checks and returns the learning rate; if `value` is None, returns the optimizer's default learning rate."""
    return checks.positive("learning_rate", optimizer.learning_rate if value is None else value, model.topology.dtype)


def fit(
    model: Model,
    settings: Settings,
    samples: Samples,
    checkpoint: str | os.PathLike[str] | Checkpoint | None,
    communicator: Communicator | None,
    sharded: bool | Literal[0, 1],
) -> History:
    """Trains a model and returns the history. `Network.fit` describes the arguments and the errors."""
    with _columns_restored(model):
        group, file, y = (
            Group(communicator_of(communicator), checks.flag("sharded", sharded)),
            checkpoint_of(checkpoint),
            samples.y,
        )
        smoothing, split = samples.fractions()
        add_up, loss = group.communicator.sum if group.sharded else None, model.topology.loss
        settings.optimizer.check(model.topology.dtype)
        if y is None:
            data = _batches(model, settings, samples, smoothing)
            validation = _validation(model, samples.validation_data)
            _scale(None, validation, add_up)
        elif settings.steps_per_epoch is not None:
            raise ValueError(
                "steps_per_epoch can be used only if x yields batches: leave it out, and each epoch uses all samples"
            )
        else:
            with np.errstate(all="ignore"):
                data = model.checked_for_training(samples.x, y).weighted(samples.sample_weight)
                validation = _validation(model, samples.validation_data)
                if split:
                    data, validation = data.split(split)
                    validation = validation.as_given()
                data = data.weighted_by_class(samples.class_weight, loss, add_up)
                data = data.scaled(_scale(data, validation, add_up)).smoothed(smoothing, loss)
        for part, of in ((data, ""), (validation, " of the validation samples")):
            if settings.metrics and isinstance(part, Data):
                check_targets(settings.metrics, inputs.on_host(part.y), of)
        options = samples.options(model.topology.sizes[-1], group.sharded)
        return _training(model, settings, options, data, validation, group, file).run()


@contextlib.contextmanager
def _columns_restored(model: Model) -> Iterator[None]:
    """Returns a context manager that restores the model's column names if an exception occurs before the first update."""
    columns, step = (model.columns, model.target_columns), model.step
    try:
        yield
    except Exception:
        if model.step == step:
            model.columns, model.target_columns = columns
        raise


def train_pass(
    model: Model,
    x: ArrayLike,
    y: ArrayLike,
    sample_weight: ArrayLike | None,
    *,
    batch_size: int | None,
    learning_rate: float | None,
    optimizer: str | Optimizer,
) -> dict[str, float]:
    """Trains for one pass over the samples, without shuffling them, and returns the loss and the accuracy.

    If batch_size is None, all samples form one batch. Unlike in `fit`, the sample weights are not scaled to a mean of 1,
    because the weights that later calls pass are unknown.
    """
    optimizer = optimizer_of(optimizer)
    if optimizer is not model.optimizer:
        optimizer.check(model.topology.dtype)
    eta = learning_rate_of(learning_rate, optimizer, model)
    # An error must not change the network. The engine finds inf and nan in the first batch before any parameter changes, but
    # after a new optimizer is set and the key for dropout is drawn. Therefore x is searched here if there are several batches,
    # a new optimizer, or dropout.
    unchanged = batch_size is None and optimizer is model.optimizer and not model.topology.dropout
    search = not (unchanged and model.engine.finds_not_finite)
    data = model.checked(x, y, search=search).uploaded(model.engine)
    if sample_weight is not None:
        data = data.weighted(sample_weight).as_given()
    size = min(batch_size or data.n, data.n)
    model.use(optimizer)
    totals = inputs.searched(lambda: train_in_order(model, data, size, eta), data.x, x)
    model.keep_columns(x, y)
    if not math.isfinite(totals.loss):
        _refuse_loss(model, totals.loss, eta)
    return loss_and_accuracy(totals, model.topology)  # the loss is 1/n times the sum of (weight * loss)


def _refuse_loss(model: Model, loss: float, eta: float) -> NoReturn:
    """Raises FloatingPointError for a batch whose loss is infinite or NaN."""
    if wrong := inputs.first_wrong_parameter(model.engine.read(), model.topology):
        reason = f"{wrong}: this update, with learning rate {eta:g}, or an earlier update failed; {RESTORE}"
    else:
        reason = f"all parameters are finite, so that the loss exceeds the range of {model.topology.dtype}; {SCALE}"
    raise FloatingPointError(f"the loss of a batch is {loss:g}, and {reason}")


def _batches(model: Model, settings: Settings, samples: Samples, smoothing: float) -> Batches:
    """Returns the object that checks and yields the batches of `samples.x`, an iterable or a function that returns one."""
    if samples.validation_split or samples.sample_weight is not None:
        raise ValueError(
            "validation_split and sample_weight cannot be used if x yields batches: pass validation_data in place of "
            "validation_split, and yield (x, y, sample_weight) in place of (x, y)"
        )
    loss = model.topology.loss
    weights.countable_beforehand(samples.class_weight, loss, model.topology.sizes[-1])

    def check(x: Any, y: Any, weight: Any, of: str) -> Data:
        with np.errstate(all="ignore"):
            data = model.checked_for_training(x, y, of)
            return data.weighted(weight, of).weighted_by_class(samples.class_weight, loss).as_given().smoothed(smoothing, loss)

    return inputs.Batches(samples.x, settings.epochs, check, settings.steps_per_epoch)


def _validation(model: Model, validation_data: Any) -> Data | None:
    if validation_data is None:
        return None
    try:
        x, y, *others = inputs.unpacked(validation_data)
        (weight,) = others or (None,)
    except (TypeError, ValueError):
        raise ValueError("validation_data must be a pair (x, y), or (x, y, sample_weight)") from None
    of = " of validation_data"
    return model.checked_for_training(x, y, of).weighted(weight, of).as_given()


def _scale(data: Data | None, validation: Data | None, add_up: weights.AddUp | None) -> float | None:
    """Returns the factor by which the sample weights must be multiplied so that their mean over the training samples is 1.

    The result is None if there are no sample weights. If each process has its own samples, the mean is computed over the
    samples of all processes: the function `add_up` replaces an array with the sum of the arrays of all processes. Every process
    then calls `add_up` exactly once, even if its data have no sample weights, because each call of `add_up` waits for the calls
    in all other processes. In all other cases, `add_up` is None.

    Raises
    ------
    ValueError
        All sample weights of the training samples, or of the validation samples, are 0.
    """
    if add_up is None and all(part is None or part.weights is None for part in (data, validation)):
        return None
    parts = [
        (0, 0, 0) if part is None else (part.n, part.total_weight, part.weights is not None) for part in (data, validation)
    ]
    sums = np.array(parts, np.float64).reshape(-1)
    if add_up is not None:
        add_up(sums)
    n, total, weighted, n_validation, total_validation, _ = sums.tolist()
    for count, weight, of in ((n, total, ""), (n_validation, total_validation, " of the validation samples")):
        if count:
            weights.refuse_zeros(weight, of)
    return n / total if weighted else None


def _training(
    model: Model,
    settings: Settings,
    options: dict[str, Any],
    data: Data | Batches,
    validation: Data | None,
    group: Group,
    checkpoint: Checkpoint | None,
) -> Training:
    """Returns a `Training` object, which continues from the state in the checkpoint file if this file exists."""
    several = group.communicator.size > 1
    known = conditions(settings, options, data, validation, group.sharded) if checkpoint or several else {}
    processes = _several(model, settings, group, isinstance(data, Data), known) if several else Processes()
    if group.communicator.rank:  # only rank 0 calls the callbacks, prints, and writes the checkpoint
        settings, checkpoint = replace(settings, callbacks=[], verbose=False), None
    record = CheckpointFile(checkpoint, {"seed": model.seed} | known) if checkpoint else None
    training = Training(model, settings, data, validation, processes, record)
    if record:
        record.resume(training)
    model.use(settings.optimizer)
    return training


def _several(model: Model, settings: Settings, group: Group, arrays: bool, known: dict[str, Any]) -> Processes:
    """Returns the partitions and the consensus of distributed training; arguments in `known` must agree in all processes."""
    shared, shards = Shared(group.communicator), Shards(group.communicator, model.topology)
    known = known | {
        "network": [repr(model.topology), model.device, model.kernels],
        "optimizer": repr(settings.optimizer),
        "epochs": settings.epochs,
        "sharded": group.sharded,
    }
    partition = shared if arrays and not group.sharded else shards
    return Processes(partition, shards if group.sharded else shared, Agreement(group.communicator, known))

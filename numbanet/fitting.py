"""The way from the arguments of a network's training calls to samples, processes and a `Training`."""

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from numpy.typing import ArrayLike

from numbanet import checks, inputs
from numbanet.distributed.communicators import Communicator, communicator_of
from numbanet.distributed.consensus import Agreement
from numbanet.distributed.partition import Shards, Shared
from numbanet.inputs import Data
from numbanet.persist.checkpoint import Checkpoint, CheckpointFile, checkpoint_of, conditions
from numbanet.training.history import History
from numbanet.training.loop import Settings, Training
from numbanet.training.model import Model
from numbanet.training.optimizers import Optimizer, optimizer_of
from numbanet.training.processes import Batches, Processes


class Samples(NamedTuple):
    """The arguments of `Network.fit` that say what to train on and what to validate with, unchecked."""

    x: Any
    y: ArrayLike | None
    sample_weight: ArrayLike | None = None
    class_weight: Mapping[int, float] | str | None = None
    label_smoothing: float = 0.0
    validation_data: Any = None
    validation_split: float = 0.0

    def fractions(self) -> tuple[float, float]:
        """Returns label_smoothing and validation_split, checked."""
        split = checks.fraction("validation_split", self.validation_split)
        if split and self.validation_data is not None:
            raise ValueError("pass either validation_data or validation_split, not both")
        return checks.fraction("label_smoothing", self.label_smoothing), split


class Group(NamedTuple):
    """The checked arguments communicator and sharded of `Network.fit`."""

    communicator: Communicator
    sharded: bool


def learning_rate_of(value: float | None, optimizer: Optimizer, model: Model) -> float:
    """Returns the checked learning rate; by default the optimizer's."""
    return checks.positive("learning_rate", optimizer.learning_rate if value is None else value, model.topology.dtype)


def fit(
    model: Model,
    settings: Settings,
    samples: Samples,
    checkpoint: str | os.PathLike[str] | Checkpoint | None,
    communicator: Communicator | None,
    sharded: bool | Literal[0, 1],
) -> History:
    """Trains a model; `Network.fit` describes the arguments, the result and the errors."""
    group, file, y = Group(communicator_of(communicator), checks.flag("sharded", sharded)), checkpoint_of(checkpoint), samples.y
    smoothing, split = samples.fractions()
    if y is None:
        data, validation = _batches(model, settings, samples, smoothing), _validation(model, samples.validation_data)
    else:
        data = Data.checked(samples.x, y, model.topology, model.device)
        add_up = group.communicator.sum if group.sharded else None
        data = data.weighted(samples.sample_weight, samples.class_weight, model.topology.loss, add_up)
        validation = _validation(model, samples.validation_data)
        if split:
            data, validation = data.split(split)
        data = data.smoothed(smoothing, model.topology.loss)
    return _training(model, settings, data, validation, group, file).run()


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
    """Trains on samples once, in their order, in one batch if no size is given; returns their loss and accuracy."""
    optimizer = optimizer_of(optimizer)
    eta = learning_rate_of(learning_rate, optimizer, model)
    data = Data.checked(x, y, model.topology, model.device).weighted(sample_weight, None, model.topology.loss)
    model.use(optimizer)
    settings = Settings(batch_size=batch_size or data.n, learning_rate=eta, optimizer=optimizer)
    return Training(model, settings, data).run_pass()


def _batches(model: Model, settings: Settings, samples: Samples, smoothing: float) -> Batches:
    """Returns a function that yields the checked batches of an epoch."""
    if samples.validation_split or samples.sample_weight is not None:
        raise ValueError(
            "validation_split and sample_weight cannot be used when x yields batches: pass validation_data, "
            "and yield (x, y, sample_weight)"
        )
    loss = model.topology.loss

    def check(x: Any, y: Any, weight: Any) -> Data:
        data = Data.checked(x, y, model.topology, model.device)
        return data.weighted(weight, samples.class_weight, loss).smoothed(smoothing, loss)

    return inputs.batches(samples.x, settings.epochs, check)


def _validation(model: Model, validation_data: Any) -> Data | None:
    if validation_data is None:
        return None
    try:
        x, y = validation_data
    except (TypeError, ValueError):
        raise ValueError("validation_data must be a pair (x, y)") from None
    return Data.checked(x, y, model.topology, model.device, " of validation_data")


def _training(
    model: Model,
    settings: Settings,
    data: Data | Batches,
    validation: Data | None,
    group: Group,
    checkpoint: Checkpoint | None,
) -> Training:
    """Returns the training, resumed from its checkpoint if there is a file."""
    several = group.communicator.size > 1
    known = conditions(settings, data, validation, group.sharded) if checkpoint or several else {}
    processes = _several(model, settings, group, isinstance(data, Data), known) if several else Processes()
    if group.communicator.rank:  # rank 0 calls the callbacks, prints, and has the checkpoint
        settings, checkpoint = replace(settings, callbacks=[], verbose=False), None
    record = CheckpointFile(checkpoint, known) if checkpoint else None
    training = Training(model, settings, data, validation, processes, record)
    if record:
        record.resume(training)
    model.use(settings.optimizer)
    return training


def _several(model: Model, settings: Settings, group: Group, arrays: bool, known: dict[str, Any]) -> Processes:
    """Returns the processes of a training with several of them; `known` holds its conditions."""
    shared, shards = Shared(group.communicator), Shards(group.communicator, model.topology)
    known = known | {
        "network": [repr(model.topology), model.device, model.kernels],
        "optimizer": repr(settings.optimizer),
        "epochs": settings.epochs,
        "sharded": group.sharded,
    }
    partition = shared if arrays and not group.sharded else shards
    return Processes(partition, shards if group.sharded else shared, Agreement(group.communicator, known))

"""Checkpoints: files that contain the training state after an epoch, and from which an interrupted training run resumes."""

import math
import os
import re
import zlib
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from numbanet import checks, persist
from numbanet.files import refuse_unwritable
from numbanet.inputs import Data
from numbanet.persist import models
from numbanet.training.loop import Settings, Training
from numbanet.training.schedules import OfEpoch

# The checksum of an array covers its first rows, which have CHECKSUM_BYTES bytes or slightly less.
CHECKSUM_BYTES = 1 << 24


@checks.none_is_default
@dataclass(frozen=True)
class Checkpoint:
    """Names the file to which `Network.fit` writes the training state, and says after how many epochs it does.

    The file is also a saved model: `Network.load` reads the network as it was when the file was written.

    Parameters
    ----------
    path : path
        The checkpoint file. Each write replaces the file atomically, so that a crash during the write leaves the old file
        intact.
    every : int
        Number of epochs from one write to the next. The state after the last epoch is always written.

    Raises
    ------
    TypeError, ValueError
        `path` is not a path, or `every` is not a positive integer.
    """

    path: str | os.PathLike[str]
    every: int = 1

    def __post_init__(self) -> None:
        os.fspath(self.path)
        checks.integer("every", self.every)


def checkpoint_of(value: str | os.PathLike[str] | Checkpoint | None) -> Checkpoint | None:
    """Converts the argument `checkpoint` of `Network.fit` to a `Checkpoint`, or returns None if the argument is None."""
    if value is None or isinstance(value, Checkpoint):
        return value
    if not isinstance(value, str | os.PathLike):
        raise TypeError(f"checkpoint must be a path or a Checkpoint, not {checks.shown(value)}")
    return Checkpoint(value)


class CheckpointFile:
    """Writes the training state to a checkpoint file after epochs, and resumes a training run from this file.

    Parameters
    ----------
    checkpoint : Checkpoint
    conditions : dict
        The arguments and data on which the results of training depend, as the function `conditions` returns them.

    Raises
    ------
    OSError, ValueError, ModuleNotFoundError
        The file cannot be written, or its format needs a package that is not installed.
    """

    def __init__(self, checkpoint: Checkpoint, conditions: dict[str, Any]):
        self.path, self.every, self.conditions = os.fspath(checkpoint.path), checkpoint.every, conditions
        persist.container(self.path)
        refuse_unwritable(self.path)
        if Path(self.path).exists() and not Path(self.path).is_file():
            raise ValueError(f"checkpoint {self.path} is a device or a pipe: name a file, from which training can resume")

    def after_epoch(self, training: Training, is_last: bool) -> None:
        """Writes the training state if the epoch is the last one or its number is a multiple of `every`."""
        history = training.history
        if not is_last and history.epoch[-1] % self.every:
            return
        progress = {
            "conditions": self.conditions,
            "epoch": history.epoch,
            "history": history.history,
            "best_epoch": history.best_epoch,
        }
        if training.stopped:
            progress["stopped"] = True
        vectors = models.vectors_of(training.finite)
        if training.best is not None:
            vectors["best"] = training.best
        persist.save(self.path, models.description_of(training.model, progress), vectors)

    def resume(self, training: Training) -> None:
        """Loads the training state from the file; does nothing if the file does not exist.

        Raises
        ------
        ValueError
            The file is damaged or is not a checkpoint, or the checkpoint was written by a training run with another network,
            another optimizer, other arguments or other data.
        """
        if not Path(self.path).exists():
            return
        description, vectors = persist.load(self.path)
        self._check(training, description)
        progress = description.training or {}
        history = training.history
        history.epoch, history.history, history.best_epoch = (progress[name] for name in ("epoch", "history", "best_epoch"))
        training.best = vectors.get("best")
        # If a callback ended the training run, a caller who passes no callbacks wants to continue it.
        training.ended = bool(progress.get("stopped")) and bool(training.settings.callbacks)
        models.restore(training.model, description, vectors)

    def _check(self, training: Training, description: persist.Description) -> None:
        """Raises ValueError if the description in the file does not match this training run."""
        if description.topology != training.model.topology or description.optimizer != training.settings.optimizer:
            other = "network" if description.topology != training.model.topology else "optimizer"
            raise ValueError(f"{self.path} is the checkpoint of another {other}: use another path")
        if description.training is None:
            raise ValueError(f"{self.path} is a model but not a checkpoint: use another path, or load it and continue training")
        for name, value in self.conditions.items():
            if description.training["conditions"].get(name) != value:
                raise ValueError(f"{self.path} is the checkpoint of a training run that differs in {name}: use another path")
        schedule = training.settings.schedule
        if isinstance(schedule, OfEpoch):
            for epoch, used in enumerate(description.training["history"].get("learning_rate", ()), start=1):
                rate = schedule.function(epoch)
                if not math.isclose(rate, used, rel_tol=1e-9):
                    raise ValueError(
                        f"{self.path} is the checkpoint of a training run with another schedule, whose learning rate in epoch "
                        f"{epoch} is {used:g}, not {checks.shown(rate)}: use another path"
                    )


def conditions(settings: Settings, data: Any, validation: Data | None, sharded: bool = False) -> dict[str, Any]:
    """Returns the arguments and data that must not change if a training run is to resume with bit-identical results.

    The result maps argument names of `Network.fit` to JSON values. Each array is represented by its shape and a checksum.

    Parameters
    ----------
    settings : Settings
        The validated arguments of `Network.fit`, except the samples.
    data : Data or callable
        The training samples, or a function that yields batches.
    validation : Data, optional
        The validation samples.
    sharded : bool
        True if each process has its own samples. Each array is then represented only by the shape of a row, which is the same
        in all processes.
    """
    look = _columns if sharded else _shape_and_checksum
    samples = {"data": data, "validation_data": validation}
    return {
        "batch_size": settings.batch_size,
        "learning_rate": settings.learning_rate,
        "schedule": "a function" if isinstance(settings.schedule, OfEpoch) else _without_addresses(settings.schedule),
        "steps_per_epoch": settings.steps_per_epoch,
        "shuffle": settings.shuffle,
        "metrics": list(settings.metrics),
        "early_stopping": _without_addresses(settings.early_stopping),
    } | {name: [look(array) for array in given] if isinstance(given, Data) else None for name, given in samples.items()}


def _without_addresses(value: Any) -> str:
    """Returns repr(value) and the value's attributes as text, without memory addresses, which differ between processes."""
    text = repr(value) if value is None or is_dataclass(value) else f"{value!r} {vars(value)}"
    return re.sub(" at 0x[0-9a-f]+", "", text)


def _shape_and_checksum(array: Any) -> list | None:
    """Returns an array's shape and a checksum of its first rows; for an array on the GPU, the checksum is 0."""
    if array is None:
        return None
    rows = max(1, CHECKSUM_BYTES // max(1, array[:1].nbytes)) if isinstance(array, np.ndarray) else 0
    return [list(array.shape), zlib.crc32(np.ascontiguousarray(array[:rows]).data) if rows else 0]


def _columns(array: Any) -> list | None:
    return None if array is None else list(array.shape[1:])

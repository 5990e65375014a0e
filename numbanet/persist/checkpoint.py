"""Checkpoints: files that contain the training state after an epoch, and from which an interrupted training run resumes."""

import math
import os
import re
import zlib
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from numbanet import checks, inputs, persist
from numbanet.files import refuse_unwritable
from numbanet.inputs import Data
from numbanet.persist import models
from numbanet.training.loop import Settings, Training
from numbanet.training.metrics import own
from numbanet.training.processes import ARRAYS
from numbanet.training.schedules import OfEpoch

# The checksum of an array covers the whole array if the array has at most CHECKSUM_BYTES bytes. The checksum of a larger array
# covers BLOCKS blocks of rows, which are evenly spaced from the first row to the last, and which together have about
# CHECKSUM_BYTES bytes.
CHECKSUM_BYTES = 1 << 24
BLOCKS = 16


@checks.none_is_default
@dataclass(frozen=True)
class Checkpoint:
    """Names the file to which `Network.fit` writes the training state, and the number of epochs between two writes.

    A checkpoint file is also a saved model: `Network.load` reads the network as it was when the file was written.

    Parameters
    ----------
    path : path
        The checkpoint file. Each write replaces the file atomically, so that a crash during the write leaves the previous file
        unchanged.
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
    """Writes the training state to a checkpoint file after an epoch, and resumes a training run from the file.

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
        """Writes the training state after the last epoch, and after each epoch whose number is a multiple of `every`."""
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
            The file is damaged or is not a checkpoint; or the checkpoint was written by a training run with another network,
            another seed, another optimizer, other arguments, other data, other column names or more epochs.
        """
        if not Path(self.path).exists():
            return
        description, vectors = persist.load(self.path, training.model.topology.formulas)
        self._check(training, description)
        progress = description.training or {}
        history, table = training.history, training.model.table
        history.epoch, history.history, history.best_epoch = (progress[name] for name in ("epoch", "history", "best_epoch"))
        training.best = vectors.get("best")
        # If a callback ended the training run, a caller who passes no callbacks wants to continue training.
        training.ended = bool(progress.get("stopped")) and bool(training.settings.callbacks)
        models.restore(training.model, description, vectors)
        training.model.table = table or description.table
        self.conditions = self.conditions | {"seed": progress["conditions"]["seed"]}

    def _check(self, training: Training, description: persist.Description) -> None:
        """Raises ValueError if `description`, which the file contains, does not match the run `training`."""
        model, settings = training.model, training.settings
        before, now = description.topology, model.topology
        for name in (each.name for each in fields(now) if getattr(before, each.name) != getattr(now, each.name)):
            self._refuse("network", f" ({name} {getattr(before, name)}, not {getattr(now, name)})")
        if description.training is None:
            raise ValueError(f"{self.path} is a model but not a checkpoint: use another path, or load it and continue training")
        known = description.training["conditions"] | {"optimizer": description.optimizer}
        for name, value in {"optimizer": settings.optimizer, **self.conditions}.items():
            if name not in known:
                raise ValueError(f"{self.path} does not record {name}: another version of numbanet wrote it. Use another path")
            # A network without a seed may resume the training run of a network with any seed.
            if known[name] != value and not (name == "seed" and value is None):
                self._refuse(name, "" if name in ARRAYS else f" ({_shown(known[name])}, not {_shown(value)})")
        for name, before, now in (
            ("columns", description.columns, model.columns),
            ("target columns", description.target_columns, model.target_columns),
        ):
            if before and now and before != now:
                self._refuse(name, f" ({checks.listed(before)}, not {checks.listed(now)})")
        if model.table and description.table and model.table.to_dict() != description.table.to_dict():
            self._refuse("table")
        self._check_epochs(settings, description.training["history"], len(description.training["epoch"]))

    def _check_epochs(self, settings: Settings, history: dict[str, list[float]], finished: int) -> None:
        """Raises ValueError if `finished` exceeds `settings.epochs`, or a schedule function's rates differ from `history`."""
        if finished > settings.epochs:
            raise ValueError(
                f"{self.path} contains {checks.count(finished, 'epoch')}, but epochs={settings.epochs}: pass "
                f"epochs={finished} or more, or use another path"
            )
        if not isinstance(settings.schedule, OfEpoch):
            return
        for epoch, used in enumerate(history.get("learning_rate", ()), start=1):
            rate = settings.schedule.function(epoch)
            if not math.isclose(rate, used, rel_tol=1e-9):
                self._refuse("schedule", f", whose learning rate in epoch {epoch} is {used:g}, not {checks.shown(rate)}")

    def _refuse(self, name: str, difference: str = "") -> NoReturn:
        another = "other" if name in ("metrics", "columns", "target columns") else "another"
        raise ValueError(
            f"{self.path} is the checkpoint of a training run with {another} {name}{difference}: to resume this run, pass "
            f"the same {name}; to begin a new run, use another path"
        )


def conditions(
    settings: Settings, options: dict[str, Any], data: Any, validation: Data | None, sharded: bool = False
) -> dict[str, Any]:
    """Returns the arguments and data that must not change if a training run is to resume with bit-identical results.

    The result maps argument names of `Network.fit` to JSON values. In place of an array, the result contains its shape and a
    checksum. Functions are not compared: the result contains the names of metrics and schedules that are functions, but not
    their code.

    Parameters
    ----------
    settings : Settings
        The validated arguments of `Network.fit`, except the samples.
    options : dict
        The arguments `class_weight`, `label_smoothing` and, unless `sharded` is True, `validation_split`, as JSON values.
    data : Data or callable
        The training samples, or a function that yields batches.
    validation : Data, optional
        The validation samples.
    sharded : bool
        True if each process has its own samples. If `sharded` is True, the result contains only the shape of one row of each
        array, because this shape is the same in all processes.
    """
    look = _columns if sharded else _shape_and_checksum
    arrays = data if isinstance(data, Data) else (None, None, None)
    samples = {name: look(array) for name, array in zip(ARRAYS, arrays, strict=False)}
    metrics = {name: getattr(own(metric), "__name__", "a function") for name, metric in settings.metrics.items()}
    return {
        "batch_size": settings.batch_size,
        "learning_rate": settings.learning_rate,
        "schedule": "a function" if isinstance(settings.schedule, OfEpoch) else _without_addresses(settings.schedule),
        "steps_per_epoch": settings.steps_per_epoch,
        "shuffle": settings.shuffle,
        "metrics": metrics,
        "early_stopping": _without_addresses(settings.early_stopping),
        **options,
        **samples,
        "validation_data": None if validation is None else [look(array) for array in validation],
    }


def _shown(value: Any) -> str:
    """Returns an argument's value as text for an error message; a string, such as the repr of a schedule, is not changed."""
    return value if isinstance(value, str) else checks.shown(value)


def _without_addresses(value: Any) -> str:
    """Returns repr(value) and the value's attributes as a string, without memory addresses, which differ between processes."""
    text = repr(value) if value is None or is_dataclass(value) else f"{value!r} {vars(value)}"
    return re.sub(" at 0x[0-9a-f]+", "", text)


def _shape_and_checksum(array: Any) -> list | None:
    """Returns the array's shape and a checksum of all its rows or, if the array is large, of rows spread over the array."""
    if array is None:
        return None
    n = array.shape[0]
    block = max(1, CHECKSUM_BYTES // (BLOCKS * array.dtype.itemsize * math.prod(array.shape[1:])))
    starts = range(0, n, block) if n <= BLOCKS * block else [k * (n - block) // (BLOCKS - 1) for k in range(BLOCKS)]
    checksum = 0
    for start in starts:
        rows = np.ascontiguousarray(inputs.on_host(array[start : start + block]))
        checksum = zlib.crc32(rows.data, checksum)
    return [list(array.shape), checksum]


def _columns(array: Any) -> list | None:
    return None if array is None else list(array.shape[1:])

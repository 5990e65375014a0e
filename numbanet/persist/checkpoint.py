"""Training that can be killed at any moment: all of its state in a file after an epoch, and going on from there."""

import os
import re
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from numbanet import checks, persist
from numbanet.training.history import History
from numbanet.training.loop import Data, Settings, State

# Of an array so much is looked at, to tell other data from these.
LOOKED_AT = 1 << 24


@dataclass(frozen=True)
class Checkpoint:
    """Where `Network.fit` keeps its state, and how often it writes it.

    The file is a model, too: `Network.load` reads the network as it was after that epoch.

    Parameters
    ----------
    path : path
        The file is replaced in one move each time: a crash leaves the old one whole.
    every : int
        Epochs. It is written after the last one in any case.
    """

    path: str | os.PathLike
    every: int = 1

    def __post_init__(self):
        os.fspath(self.path)
        checks.integer("every", self.every)


def checkpoint_of(value) -> Checkpoint | None:
    """The checkpoint that a path or an object means."""
    return value if value is None or isinstance(value, Checkpoint) else Checkpoint(value)


def conditions(settings: Settings, data: Data | Any, validation: Data | None, sharded: bool = False) -> dict[str, Any]:
    """What has to be the same for a training to go on to the same bits, by the names that `fit` has for it.

    Of sharded data only what is the same in every process, however many there are.
    """
    found = {
        "batch_size": settings.batch_size,
        "learning_rate": settings.learning_rate,
        "schedule": _words(settings.schedule),
        "shuffle": settings.shuffle,
        "metrics": list(settings.metrics),
        "early_stopping": _words(settings.early_stopping),
    }
    for name, given in (("data", data), ("validation_data", validation)):
        look = _look_at_columns if sharded else _look
        found[name] = [look(array) for array in given] if isinstance(given, Data) else None
    return found


def _words(value) -> str:
    """What it says of itself, but for places in memory, which are others in every process."""
    return re.sub(" at 0x[0-9a-f]+", "", repr(value))


def _look(array) -> list | None:
    """Shape of an array and, of one on the host, a checksum of its beginning."""
    if array is None:
        return None
    rows = max(1, LOOKED_AT // max(1, array[:1].nbytes)) if isinstance(array, np.ndarray) else 0
    return [list(array.shape), zlib.crc32(np.ascontiguousarray(array[:rows])) if rows else 0]


def _look_at_columns(array) -> list | None:
    return None if array is None else list(array.shape[1:])


def progress(state: State, found: dict[str, Any]) -> dict[str, Any]:
    """What a file says of a training, in JSON."""
    history = state.history
    return {
        "conditions": found,
        "epoch": history.epoch,
        "history": history.history,
        "best_epoch": history.best_epoch,
    }


def resumed(
    state: State, path, description: persist.Description, vectors: dict[str, np.ndarray], found: dict[str, Any]
) -> None:
    """Takes up the state that a file has; ValueError where it is one of another training."""
    if description.training is None:
        raise ValueError(f"{os.fspath(path)} is a model but no checkpoint: give another path, or load it and train on")
    before = description.training["conditions"]
    for name, value in found.items():
        if before.get(name) != value:
            raise ValueError(f"{os.fspath(path)} is the checkpoint of a training with another {name}: give another path")
    state.generator.bit_generator.state = description.generator
    state.step, state.best = description.step, vectors.get("best")
    state.history = History()
    state.history.epoch, state.history.history = description.training["epoch"], description.training["history"]
    state.history.best_epoch = description.training["best_epoch"]


def exists(checkpoint: Checkpoint) -> bool:
    """Whether there is a file to go on from."""
    return Path(checkpoint.path).exists()

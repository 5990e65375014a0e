"""The description of a network in a file: JSON with the same content in NPZ, safetensors and ONNX files."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from numbanet import checks, inputs
from numbanet.engines.topology import Topology
from numbanet.tables.encoding import Encoding
from numbanet.training import optimizers
from numbanet.training.optimizers import GradientDescent, Optimizer

FORMAT, VERSION = "numbanet", 1
# Largest size of a description in bytes. A description takes a few hundred bytes, and about a hundred for each table column.
LIMIT = 1 << 24

_TOPOLOGY = ("sizes", "activations", "loss", "dtype", "epsilon")
_ENTRIES = {"format", "version", *_TOPOLOGY, "generator"}
_OPTIONAL = {"dropout", "optimizer", "step", "training", "table"}


@dataclass(frozen=True)
class Description:
    """All properties of a saved network except its flat vectors, such as the parameters.

    To save a new property, add a field with a default, an entry in `to_dict` (written only if the value is not the default),
    and a check in `from_dict`; older files then stay readable. The property `vectors` names the flat vectors of the file, each
    of which has as many numbers as the network has parameters.

    Attributes
    ----------
    topology : Topology
        The sizes, activations, loss and dtype of the network.
    generator : dict
        State of the `numpy.random.PCG64` that shuffles the samples.
    optimizer : Optimizer
        The optimizer of the last training.
    step : int
        Number of parameter updates that this optimizer has made.
    training : dict, optional
        State of a checkpoint, see `numbanet.persist.checkpoint`: the conditions of the training, its history and its best
        epoch.
    table : Encoding, optional
        Encoding of the table that the network was trained on.
    """

    topology: Topology
    generator: Mapping[str, Any]
    optimizer: Optimizer = field(default_factory=GradientDescent)
    step: int = 0
    training: dict[str, Any] | None = None
    table: Encoding | None = None

    @property
    def vectors(self) -> tuple[str, ...]:
        """The names of the flat vectors in the file of this description; the first is "parameters"."""
        moments = ("moment_1", "moment_2")[: self.optimizer.rule().moments if self.step else 0]
        best = ("best",) if self.training and self.training["best_epoch"] is not None else ()
        return ("parameters", *moments, *best)

    def to_dict(self) -> dict[str, Any]:
        """Returns the description as a dict of values that can be written as JSON."""
        topology = self.topology
        optional: dict[str, Any] = {}
        if topology.dropout:
            optional["dropout"] = list(topology.dropout)
        if self.step:
            optional |= {"optimizer": optimizers.description(self.optimizer), "step": self.step}
        if self.training:
            optional["training"] = self.training
        if self.table:
            optional["table"] = self.table.to_dict()
        return {
            "format": FORMAT,
            "version": VERSION,
            "sizes": list(topology.sizes),
            "activations": list(topology.activations),
            "loss": topology.loss,
            "dtype": topology.dtype.name,
            "epsilon": topology.epsilon,
            "generator": self.generator,
            **optional,
        }

    @classmethod
    def from_dict(cls, entries: Any) -> "Description":
        """Converts a dict that `to_dict` returned to a description; raises ValueError, TypeError or LookupError if invalid."""
        if not isinstance(entries, dict) or entries.get("format") != FORMAT:
            raise ValueError("its description of the network does not have numbanet's format")
        if entries.get("version") != VERSION:
            raise ValueError(f"its format has version {entries.get('version')!r}, but this numbanet reads version {VERSION}")
        if unknown := sorted(entries.keys() - _ENTRIES - _OPTIONAL):
            raise ValueError(f"its description has unknown entries {unknown}: a newer version of numbanet wrote it")
        if missing := sorted(_ENTRIES - entries.keys()):
            raise ValueError(f"its description of the network lacks the entries {missing}")
        arguments: dict[str, Any] = {name: entries[name] for name in _TOPOLOGY}
        topology = inputs.make_topology(**arguments, dropout=entries.get("dropout", 0.0))
        np.random.PCG64().state = entries["generator"]  # raises an exception if it is not a state
        optimizer = optimizers.described(entries["optimizer"]) if "optimizer" in entries else GradientDescent()
        training = entries.get("training")
        if training is not None:
            _check_training(training)
        table = Encoding.from_dict(entries["table"]) if "table" in entries else None
        if table:
            table.check(topology)
        step = checks.integer("step", entries.get("step", 0), 0)
        return cls(topology, entries["generator"], optimizer, step, training, table)

    @classmethod
    def from_json(cls, text: str | bytes) -> "Description":
        """Converts a JSON text to a description; raises the exceptions of `from_dict` and `json.loads`."""
        return cls.from_dict(json.loads(text))


def _check_training(training: Any) -> None:
    """Raises ValueError, TypeError or LookupError if the entry "training" is not one that a checkpoint can contain."""
    epochs, figures, best = training["epoch"], training["history"], training["best_epoch"]
    dict(training["conditions"])
    if epochs != list(range(1, len(epochs) + 1)) or any(len(values) != len(epochs) for values in figures.values()):
        raise ValueError("its training history does not have one value of each metric for the epochs 1, 2, 3, ...")
    if any(not isinstance(value, int | float) for values in figures.values() for value in values):
        raise ValueError("its training history contains values that are not numbers")
    if best is not None and best not in epochs:
        raise ValueError(f"its best epoch {best!r} is not in its training history")

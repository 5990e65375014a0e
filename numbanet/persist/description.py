"""What a file says of its network in JSON, whatever the format of the file."""

import json
from dataclasses import dataclass, field

import numpy as np

from numbanet import checks, inputs
from numbanet.engines.topology import Topology
from numbanet.tables.encoding import Encoding
from numbanet.training import optimizers
from numbanet.training.optimizers import GradientDescent, Optimizer

FORMAT, VERSION = "numbanet", 1
# A description is a few hundred bytes; one of a table has some hundred for each column.
LIMIT = 1 << 24

_TOPOLOGY = ("sizes", "activations", "loss", "dtype", "epsilon")
_ENTRIES = {"format", "version", *_TOPOLOGY, "generator"}
_OPTIONAL = {"dropout", "optimizer", "step", "training", "table"}


@dataclass(frozen=True)
class Description:
    """All of a network but its flat vectors.

    Something new to keep gets a field here with a default, an entry in `to_dict`, written only where it is not the default,
    and its check in `from_dict`; older files then stay readable. Further flat vectors, as long as the parameters, are named
    by `vectors`.

    Attributes
    ----------
    topology : Topology
    generator : dict
        State of the `numpy.random.PCG64` that shuffles.
    optimizer : Optimizer
        By which the parameters descended last.
    step : int
        How many updates it made.
    training : dict, optional
        Of a checkpoint, see `numbanet.persist.checkpoint`: the conditions of the training, its history and its best epoch.
    table : Encoding, optional
        How the rows of a table become x and y.
    """

    topology: Topology
    generator: dict
    optimizer: Optimizer = field(default_factory=GradientDescent)
    step: int = 0
    training: dict | None = None
    table: Encoding | None = None

    @property
    def vectors(self) -> tuple[str, ...]:
        """Names of the flat vectors that lie beside this description, the parameters first."""
        moments = ("moment_1", "moment_2")[: self.optimizer.rule().moments if self.step else 0]
        best = ("best",) if self.training and self.training["best_epoch"] is not None else ()
        return ("parameters", *moments, *best)

    def to_dict(self) -> dict:
        """As JSON has it."""
        topology, optional = self.topology, {}
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
    def from_dict(cls, entries) -> "Description":
        """Checked in full; ValueError, TypeError or LookupError where it is not one this numbanet can take up."""
        if not isinstance(entries, dict) or entries.get("format") != FORMAT:
            raise ValueError("its description is that of another format")
        if entries.get("version") != VERSION:
            raise ValueError(f"its version is {entries.get('version')!r}; this numbanet reads version {VERSION}")
        if unknown := sorted(entries.keys() - _ENTRIES - _OPTIONAL):
            raise ValueError(f"its description has {unknown}, of which this numbanet does not know: a newer one wrote it")
        if missing := sorted(_ENTRIES - entries.keys()):
            raise ValueError(f"its description lacks {missing}")
        topology = inputs.make_topology(*(entries[name] for name in _TOPOLOGY), entries.get("dropout", 0.0))
        np.random.PCG64().state = entries["generator"]  # raises where it is not a state
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
        """As `from_dict`, from a text."""
        return cls.from_dict(json.loads(text))


def _check_training(training) -> None:
    """ValueError, TypeError or LookupError where it is not what `numbanet.persist.checkpoint` keeps of a training."""
    epochs, figures, best = training["epoch"], training["history"], training["best_epoch"]
    dict(training["conditions"])
    if epochs != list(range(1, len(epochs) + 1)) or any(len(values) != len(epochs) for values in figures.values()):
        raise ValueError("its history is not one of successive epochs")
    if any(not isinstance(value, int | float) for values in figures.values() for value in values):
        raise ValueError("its history does not hold numbers")
    if best is not None and best not in epochs:
        raise ValueError(f"its best epoch {best!r} is not in its history")

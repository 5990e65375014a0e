"""Describes a network as JSON, which is the same in NPZ, safetensors and ONNX files."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbanet import checks, inputs
from numbanet.engines.topology import Topology
from numbanet.formulas import Activation, Loss
from numbanet.persist import formulas
from numbanet.tables.encoding import Encoding
from numbanet.training import optimizers
from numbanet.training.optimizers import GradientDescent, Optimizer

FORMAT, VERSION = "numbanet", 1
HISTORY = "history"  # the name of the array that contains the training history of a checkpoint

Formulas = Iterable[Activation | Loss]  # the formulas that users wrote

_TOPOLOGY = ("sizes", "activations", "loss", "dtype", "epsilon")
_ENTRIES = {"format", "version", *_TOPOLOGY, "generator"}
_OPTIONAL = {"dropout", "formulas", "optimizer", "step", "training", "table", "columns", "target_columns"}


@dataclass(frozen=True)
class Description:
    """All properties of a saved network except its flat vectors (the parameters and the optimizer's moments).

    To save a new property, add a field with a default, an entry in `to_dict` (written only if the value is not the default),
    and a check in `from_dict`; older files then stay readable. Each flat vector contains one number per parameter of
    the network.

    Attributes
    ----------
    topology : Topology
        The sizes, activations, loss and dtype of the network.
    generator : dict
        State of the random generator, a `numpy.random.PCG64`, that shuffles the samples.
    optimizer : Optimizer
        The optimizer of the last training run.
    step : int
        Number of steps (updates of the parameters) that the optimizer has made.
    training : dict, optional
        State of a checkpoint (see `numbanet.persist.checkpoint`): the conditions (arguments and data that must not change), the
        history and the best epoch of the training run. The file contains the numbers of the history as an array, because as
        JSON they would take more space.
    table : Encoding, optional
        Encoding of the table on which the network was trained.
    columns : tuple of str, optional
        Column names of the DataFrame x on which the network was trained, in the order of the inputs.
    target_columns : tuple of str, optional
        Column names of the DataFrame y on which the network was trained, in the order of the outputs.
    """

    topology: Topology
    generator: Mapping[str, Any]
    optimizer: Optimizer = field(default_factory=GradientDescent)
    step: int = 0
    training: dict[str, Any] | None = None
    table: Encoding | None = None
    columns: tuple[str, ...] | None = None
    target_columns: tuple[str, ...] | None = None

    @property
    def vectors(self) -> tuple[str, ...]:
        """The names of the flat vectors in a file with this description; the first name is always "parameters"."""
        moments = ("moment_1", "moment_2")[: self.optimizer.rule().moments if self.step else 0]
        best = ("best",) if self.training and self.training["best_epoch"] is not None else ()
        return ("parameters", *moments, *best)

    @property
    def history(self) -> NDArray[np.float64] | None:
        """The training history as a flat array of all values of epoch 1, epoch 2, ...; None if the file is not a checkpoint."""
        return None if self.training is None else np.array([*self.training["history"].values()], "<f8").T.ravel()

    def to_dict(self) -> dict[str, Any]:
        """Returns the description as a JSON-serializable dict, without the numbers of the history."""
        topology = self.topology
        optional: dict[str, Any] = {}
        if topology.dropout:
            optional["dropout"] = list(topology.dropout)
        if entries := formulas.entries(topology.formulas):
            optional["formulas"] = entries
        if self.step:
            optional |= {"optimizer": optimizers.description(self.optimizer), "step": self.step}
        if self.training:
            state = {name: value for name, value in self.training.items() if name not in ("epoch", "history")}
            counted = {"epochs": len(self.training["epoch"]), "figures": list(self.training["history"])}
            optional["training"] = state | counted
        if self.table:
            optional["table"] = self.table.to_dict()
        for name in ("columns", "target_columns"):
            if names := getattr(self, name):
                optional[name] = list(names)
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
    def from_dict(cls, entries: Any, history: NDArray[Any] | None = None, own: Formulas = ()) -> "Description":
        """Creates a description from `entries`, a result of `to_dict`, and `history`, the array of the property `history`.

        `own` contains the formulas that users wrote and that the network may use.

        Raises
        ------
        ValueError, TypeError, LookupError, AttributeError
            `entries` or `history` is invalid.
        NeedsMoreError
            The network uses a formula that `own` does not contain.
        """
        if not isinstance(entries, dict) or entries.get("format") != FORMAT:
            raise ValueError("the description of the network does not have numbanet's format")
        if entries.get("version") != VERSION:
            raise ValueError(
                f"the file has version {entries.get('version')!r} of the format, but this version of numbanet reads version "
                f"{VERSION}"
            )
        if unknown := sorted(entries.keys() - _ENTRIES - _OPTIONAL):
            raise ValueError(
                f"the description of the network has unknown entries {unknown}: a newer version of numbanet wrote the file"
            )
        if missing := sorted(_ENTRIES - entries.keys()):
            raise ValueError(f"the description of the network lacks the entries {missing}")
        arguments: dict[str, Any] = {name: entries[name] for name in _TOPOLOGY}
        arguments |= formulas.in_place_of_names(entries, own)
        topology = inputs.make_topology(**arguments, dropout=entries.get("dropout", 0.0))
        np.random.PCG64().state = entries["generator"]  # raises an exception if the entry is not a valid state
        optimizer = optimizers.described(entries["optimizer"]) if "optimizer" in entries else GradientDescent()
        training = None if "training" not in entries else _checked_training(entries["training"], history)
        table = Encoding.from_dict(entries["table"]) if "table" in entries else None
        if table:
            table.check(topology)
        step = checks.integer("step", entries.get("step", 0), 0)
        columns = _columns(entries, "columns", topology.sizes[0])
        targets = _columns(entries, "target_columns", topology.sizes[-1])
        return cls(topology, entries["generator"], optimizer, step, training, table, columns, targets)


def _columns(entries: Mapping[str, Any], name: str, width: int) -> tuple[str, ...] | None:
    """Returns an entry of column names as a tuple, or None if there is no such entry; raises ValueError if it is invalid."""
    names = entries.get(name)
    if name in entries and not (isinstance(names, list) and len(names) == width and all(isinstance(n, str) for n in names)):
        raise ValueError(
            f"the {name.replace('_', ' ').removesuffix('s')} names are not a list of {checks.count(width, 'string')}"
        )
    return None if names is None else tuple(names)


def _checked_training(training: Any, history: NDArray[Any] | None) -> dict[str, Any]:
    """Returns the state of a checkpoint, with the history as lists; raises an exception if the state is invalid."""
    state = dict(training)
    if history is not None:
        count, names = checks.integer("epochs", state.pop("epochs"), 0), tuple(state.pop("figures"))
        if history.shape != (count * len(names),) or len(set(names)) != len(names):
            raise ValueError(f"the training history has {history.size} numbers, which do not fit {count} epochs of {names}")
        columns = history.reshape(count, len(names)).T.tolist()
        state |= {"epoch": list(range(1, count + 1)), "history": dict(zip(names, columns, strict=True))}
    epochs, metrics, best = state["epoch"], state["history"], state["best_epoch"]
    dict(state["conditions"])
    if epochs != list(range(1, len(epochs) + 1)) or any(len(values) != len(epochs) for values in metrics.values()):
        raise ValueError("the training history does not have one value of each metric for the epochs 1, 2, 3, ...")
    if any(not isinstance(value, int | float) for values in metrics.values() for value in values):
        raise ValueError("the training history contains values that are not numbers")
    if best is not None and best not in epochs:
        raise ValueError(f"the best epoch {best!r} is not in the training history")
    return state

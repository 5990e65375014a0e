"""What a file says of its network in JSON, whatever the format of the file."""

import json
from dataclasses import dataclass

import numpy as np

from numbanet import inputs
from numbanet.engines.topology import Topology

FORMAT, VERSION = "numbanet", 1
# A description is a few hundred bytes.
LIMIT = 1 << 20

_TOPOLOGY = ("sizes", "activations", "loss", "dtype", "epsilon")
_ENTRIES = {"format", "version", *_TOPOLOGY, "generator"}


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
    """

    topology: Topology
    generator: dict

    @property
    def vectors(self) -> tuple[str, ...]:
        """Names of the flat vectors that lie beside this description, the parameters first."""
        return ("parameters",)

    def to_dict(self) -> dict:
        """As JSON has it."""
        topology = self.topology
        return {
            "format": FORMAT,
            "version": VERSION,
            "sizes": list(topology.sizes),
            "activations": list(topology.activations),
            "loss": topology.loss,
            "dtype": topology.dtype.name,
            "epsilon": topology.epsilon,
            "generator": self.generator,
        }

    @classmethod
    def from_dict(cls, entries) -> "Description":
        """Checked in full; ValueError, TypeError or LookupError where it is not one this numbanet can take up."""
        if not isinstance(entries, dict) or entries.get("format") != FORMAT:
            raise ValueError("its description is that of another format")
        if entries.get("version") != VERSION:
            raise ValueError(f"its version is {entries.get('version')!r}; this numbanet reads version {VERSION}")
        if unknown := sorted(entries.keys() - _ENTRIES):
            raise ValueError(f"its description has {unknown}, of which this numbanet does not know: a newer one wrote it")
        if missing := sorted(_ENTRIES - entries.keys()):
            raise ValueError(f"its description lacks {missing}")
        topology = inputs.topology(*(entries[name] for name in _TOPOLOGY))
        np.random.PCG64().state = entries["generator"]  # raises where it is not a state
        return cls(topology, entries["generator"])

    @classmethod
    def from_json(cls, text: str | bytes) -> "Description":
        """As `from_dict`, from a text."""
        return cls.from_dict(json.loads(text))

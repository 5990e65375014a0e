"""The state of a network that training changes and a file holds."""

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from numbanet.engines import make_engine
from numbanet.engines.interface import Engine
from numbanet.engines.topology import Topology
from numbanet.inputs import usable_device
from numbanet.training.optimizers import GradientDescent, Optimizer


class Snapshot(NamedTuple):
    """Copies of the parameters and of the optimizer's moments, and the number of updates so far."""

    parameters: np.ndarray
    moments: list[np.ndarray]
    step: int


@dataclass(eq=False)
class Model:
    """A network as training sees it: parameters and moments, held by an engine, and what decides the next update.

    Parameters
    ----------
    topology : Topology
    device : {"cpu", "cuda"}
    kernels : {"fast", "reference"}
    generator : numpy.random.Generator
        Draws the initial weights, the order of samples and the neurons that drop out.
    optimizer : Optimizer
        The optimizer of the last update.
    step : int
        Number of updates by this optimizer.
    table : Encoding or None
        The encoding of the rows of a table, which a file holds, too.

    Attributes
    ----------
    engine : Engine
    """

    topology: Topology
    device: str
    kernels: str
    generator: np.random.Generator
    optimizer: Optimizer = field(default_factory=GradientDescent)
    step: int = 0
    table: Any = None
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        self.engine = make_engine(self.topology, self.device, self.kernels)

    def initialize(self) -> None:
        """Draws the weights, uniform within +-limit; biases are 0.

        limit = sqrt(6 / n_in) before relu and leaky_relu, sqrt(6 / (n_in + n_out)) before the other activations.
        """
        flat = np.zeros(self.topology.parameter_count, self.topology.dtype)
        for (w, _), name in zip(self.topology.views(flat), self.topology.activations, strict=True):
            n_in, n_out = w.shape
            limit = math.sqrt(6 / n_in) if name in ("relu", "leaky_relu") else math.sqrt(6 / (n_in + n_out))
            w[...] = self.generator.uniform(-limit, limit, w.shape)
        self.engine.write(flat)

    def snapshot(self) -> Snapshot:
        """Returns copies of parameters and moments, on the host."""
        return Snapshot(self.engine.read(), self.engine.read_moments(self.optimizer.moments), self.step)

    def restore(self, snapshot: Snapshot) -> None:
        """Restores parameters, moments and the number of updates from a snapshot."""
        self.engine.write(snapshot.parameters)
        self.engine.write_moments(snapshot.moments)
        self.step = snapshot.step

    def use(self, optimizer: Optimizer) -> None:
        """Sets the optimizer of the next updates; an optimizer of another class starts with moments of 0."""
        if type(optimizer) is not type(self.optimizer):
            self.reset(optimizer)
        self.optimizer = optimizer

    def reset(self, optimizer: Optimizer) -> None:
        """Sets the optimizer, its moments to 0 and the number of its updates to 0."""
        zeros = np.zeros(self.topology.parameter_count, self.topology.dtype)
        self.engine.write_moments([zeros] * optimizer.moments)
        self.optimizer, self.step = optimizer, 0

    def move(self, device: str) -> None:
        """Moves parameters and moments to another usable device."""
        engine = make_engine(self.topology, device, self.kernels)
        engine.write(self.engine.read())
        engine.write_moments(self.engine.read_moments(self.optimizer.moments))
        self.engine, self.device = engine, device

    def __getstate__(self) -> dict[str, Any]:
        """Returns plain data in place of the engine, for pickle and copy."""
        state = vars(self).copy()
        del state["engine"]
        return state | {"snapshot": self.snapshot()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restores the model; on the CPU, with a warning, if it was on a GPU and this process can use none."""
        snapshot = state.pop("snapshot")
        vars(self).update(state)
        self.device = usable_device("cpu" if self.device == "cpu" else "auto")
        self.engine = make_engine(self.topology, self.device, self.kernels)
        self.restore(snapshot)

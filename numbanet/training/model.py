"""The class Model: the state of a network, which training changes and model files store."""

import math
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from numbanet import checks, inputs
from numbanet.engines import make_engine
from numbanet.engines.interface import Engine
from numbanet.engines.topology import Topology
from numbanet.inputs import Data, usable_device
from numbanet.training.optimizers import GradientDescent, Optimizer
from numbanet.training.portable import packed, unpacked

# The end of messages about a network whose parameters are infinite or NaN: advice on what to do.
RESTORE = "call set_parameters or Network.load to go back to earlier parameters, and train with a smaller learning rate"


class Snapshot(NamedTuple):
    """Copies of the parameters and of the optimizer's moments, and the number of updates that led to these values."""

    parameters: np.ndarray
    moments: list[np.ndarray]
    step: int


@dataclass(eq=False)
class Model:
    """The state of a network: its parameters, optimizer, random generator and number of updates.

    Parameters
    ----------
    topology : Topology
    device : {"cpu", "cuda"}
    kernels : {"fast", "reference"}
    generator : numpy.random.Generator
        Draws the initial weights, the order of the samples, and the neurons that drop out.
    optimizer : Optimizer
        The optimizer with which the last update was made.
    step : int
        The number of updates that the optimizer has made.
    table : Encoding or None
        If the network was trained on a table, the encoding of the table's rows. Model files also store the encoding.
    seed : int or None
        The seed that the user passed to `Network`; None if the user passed no seed, or if the network was loaded from a file.
    columns : tuple of str or None
        If the network was trained on DataFrames x, the names of their columns. Model files also store the column names.
    target_columns : tuple of str or None
        As `columns`, for DataFrames y.

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
    seed: int | None = None
    columns: tuple[str, ...] | None = None
    target_columns: tuple[str, ...] | None = None
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        self.engine = make_engine(self.topology, self.device, self.kernels)

    def initialize(self) -> None:
        """Draws each weight uniformly between -limit and limit, and sets all biases to 0.

        In a layer with n_in inputs and n_out neurons, limit is sqrt(6 / n_in) for relu and leaky_relu (He), and
        sqrt(6 / (n_in + n_out)) for all other activations (Glorot).
        """
        flat = np.zeros(self.topology.parameter_count, self.topology.dtype)
        for (w, _), name in zip(self.topology.views(flat), self.topology.activations, strict=True):
            n_in, n_out = w.shape
            limit = math.sqrt(6 / n_in) if name in ("relu", "leaky_relu") else math.sqrt(6 / (n_in + n_out))
            w[...] = self.generator.uniform(-limit, limit, w.shape)
        self.engine.write(flat)

    def refuse_other_columns(self, x: Any, y: Any = None, of: str = "") -> None:
        """Raises ValueError if x or y is a DataFrame whose columns are not, in this order, the network's inputs or outputs.

        `of`, such as " of validation_data", is the text that error messages append to the names "x" and "y".
        """
        if self.table is not None:
            for name, value in (("x", x), ("y", y)):
                if inputs.is_frame(value):
                    raise ValueError(
                        f"{name}{of} is a {type(value).__name__}, but the network takes columns that are encoded as net.table "
                        "describes: pass net.table.x(x) instead of x and, if y is needed, net.table.y(x)"
                    )
        inputs.refuse_other_columns(f"x{of}", x, self.columns)
        known = self.target_columns
        if known is not None and len(inputs.names_of(y) or ()) == len(known):  # a single column can contain labels
            inputs.refuse_other_columns(f"y{of}", y, known, "target_columns")

    def checked(self, x: Any, y: Any, of: str = "", search: bool = True) -> Data:
        """Checks the samples x and their targets y, and returns them as `Data`; `Data.checked` documents `of` and `search`."""
        self.refuse_other_columns(x, y, of)
        return Data.checked(x, y, self.topology, self.device, of, search)

    def checked_for_training(self, x: Any, y: Any, of: str = "") -> Data:
        """Checks samples as the method `checked` does, and stores the column names of DataFrames (see `keep_columns`)."""
        data = self.checked(x, y, of)
        self.keep_columns(x, y)
        return data

    def keep_columns(self, x: Any, y: Any) -> None:
        """Stores the column names of the DataFrames x and y, unless column names are already stored."""
        if type(x) is type(y) is np.ndarray:  # `names_of` takes time in each training step
            return
        self.columns = self.columns or inputs.names_of(x)
        names = inputs.names_of(y)
        if names is not None and len(names) == self.topology.sizes[-1]:  # a single column can contain labels
            self.target_columns = self.target_columns or names

    def snapshot(self) -> Snapshot:
        """Returns copies of the parameters and moments in host memory."""
        return Snapshot(self.engine.read(), self.engine.read_moments(self.optimizer.moments), self.step)

    def warn_if_lost(self, name: str, value: float) -> None:
        """Warns if a result of the network, with the name `name`, is not finite because a parameter is infinite or NaN."""
        if math.isfinite(value):
            return
        if wrong := inputs.first_wrong_parameter(self.engine.read(), self.topology):
            checks.warn(f"{name} is {value}, because {wrong}: an earlier training step failed; {RESTORE}")

    def restore(self, snapshot: Snapshot) -> None:
        """Restores parameters, moments and the number of updates from a snapshot."""
        self.engine.write(snapshot.parameters)
        self.engine.write_moments(snapshot.moments)
        self.step = snapshot.step

    def dropout_key(self) -> int:
        """Draws the key (seed) of the random numbers for dropout in one pass over the samples; returns 0 without dropout."""
        return int(self.generator.integers(1 << 63)) if self.topology.dropout else 0

    def use(self, optimizer: Optimizer) -> None:
        """Sets the optimizer of the next updates.

        If the class of the optimizer changes, the method also sets all moments and the number of updates to 0.
        """
        if type(optimizer) is not type(self.optimizer):
            self.reset(optimizer)
        self.optimizer = optimizer

    def reset(self, optimizer: Optimizer) -> None:
        """Sets the optimizer of the next updates, and sets the moments and the number of updates to 0."""
        zeros = np.zeros(self.topology.parameter_count, self.topology.dtype)
        self.engine.write_moments([zeros] * optimizer.moments)
        self.optimizer, self.step = optimizer, 0

    def move(self, device: str) -> None:
        """Moves the parameters and moments to the device `device`, which this process must be able to use."""
        engine = make_engine(self.topology, device, self.kernels)
        engine.write(self.engine.read())
        engine.write_moments(self.engine.read_moments(self.optimizer.moments))
        self.engine, self.device = engine, device

    def __getstate__(self) -> dict[str, Any]:
        """Returns the attributes for pickle and copy, without NumPy objects (see `packed`); a snapshot replaces `engine`."""
        state = vars(self).copy()
        del state["engine"]
        return state | {"generator": packed(self.generator), "snapshot": packed(tuple(self.snapshot()))}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restores the model.

        If the model was on a GPU but this process cannot use a GPU, warns and puts the model on the CPU.
        """
        snapshot = Snapshot(*unpacked(state["snapshot"]))
        vars(self).update({name: value for name, value in state.items() if name != "snapshot"})
        self.generator = unpacked(self.generator)
        self.device = usable_device("cpu" if self.device == "cpu" else "auto", self.kernels)
        self.engine = make_engine(self.topology, self.device, self.kernels)
        self.restore(snapshot)

"""Workspaces: the arrays on the GPU that hold activations, errors and other values while samples pass through a network."""

import numpy as np
from numpy.typing import NDArray

from numbanet._cuda import cuda
from numbanet.engines.cuda.memory import ensure_free
from numbanet.engines.cuda.notes import Notes
from numbanet.engines.cuda.products.batch import Batch
from numbanet.engines.topology import Topology
from numbanet.equations.activations import SOFTMAX

# Number of workspaces that are kept: an epoch has batches of two sizes, and a validation has chunks of two more sizes.
MOST_WORKSPACES = 4


class Workspace:
    """The arrays on the GPU that hold the values of n samples while these pass through a network.

    Parameters
    ----------
    topology : Topology
        Sizes, activations and dtype of the network.
    n : int
        Number of samples that the arrays hold.

    Attributes
    ----------
    a, delta : list of device array (n, n_out), one per layer
        The activations and the errors of each layer.
    z, dl : dict of device array (n, n_out)
        z and dL/da of each layer that needs a kernel of its own for the activation, by layer index, see `separate_layers`.
    u : device array (n, n_out)
        Scratch array of the output layer.
    z_max, others : device array (n,)
        Scratch arrays for the largest z of each sample, and for the sum of e^(z - z_max) without its largest term.
    x : dict of device array (n, n_out)
        The activations after dropout of each layer with dropout, by layer index.
    order : device array (n,) int64
        The row indices 0 to n - 1.
    ones, rates : device array (n,), (4,)
        The sample weights 1, and the values (n, 0, 0, 0) in place of n, eta, eta_t and epsilon_t, for a batch of these samples.
    """

    def __init__(self, topology: Topology, n: int):
        def empty(*shape):
            return cuda.device_array(shape, topology.dtype)

        separate = separate_layers(topology)
        self.a, self.delta = ([empty(n, width) for width in topology.sizes[1:]] for _ in range(2))
        self.z, self.dl = ({l: empty(n, width) for l, width in separate.items()} for _ in range(2))
        self.u, self.z_max, self.others = empty(n, topology.sizes[-1]), empty(n), empty(n)
        self.x = {l: empty(n, topology.sizes[l + 1]) for l, rate in enumerate(topology.dropout_rates) if rate}
        self.order, self.ones = cuda.to_device(np.arange(n)), cuda.to_device(np.ones(n, topology.dtype))
        self.rates = cuda.to_device(np.array([n, 0, 0, 0], topology.dtype))

    def batch(self, notes: Notes | None = None, weights: NDArray[np.floating] | None = None) -> Batch:
        """Returns a batch of the n samples in the order of their rows, without dropout; None means that all weights are 1."""
        return Batch(self.order, self.rates, self.ones if weights is None else cuda.to_device(weights), None, notes)


def separate_layers(topology: Topology) -> dict[int, int]:
    """Returns the widths, by layer index, of the layers that need a kernel of their own for the activation or the error.

    In these layers, a separate kernel runs after the product. A separate kernel is needed for the last layer and softmax
    layers, which use whole rows, for layers that keep z, and for layers with dropout.
    """
    last = len(topology.kinds) - 1
    whole_rows = [l == last or kind == SOFTMAX for l, kind in enumerate(topology.kinds)]
    separate = zip(whole_rows, topology.keeps_z, topology.dropout_rates, strict=True)
    return {l: topology.sizes[l + 1] for l, reasons in enumerate(separate) if any(reasons)}


def workspace_bytes(topology: Topology, n: int) -> int:
    """Returns the number of bytes of GPU memory that a workspace for n samples takes."""
    dropped = sum(width for width, rate in zip(topology.sizes[1:], topology.dropout_rates, strict=True) if rate)
    numbers = 2 * sum(topology.sizes[1:]) + 2 * sum(separate_layers(topology).values()) + dropped + topology.sizes[-1] + 3
    return n * (numbers * topology.dtype.itemsize + 8)


class Workspaces:
    """The workspaces (arrays on the GPU for intermediate results) of a network, one for each number of samples that occurs.

    Parameters
    ----------
    topology : Topology
        Sizes, activations and dtype of the network.
    """

    def __init__(self, topology: Topology):
        self.topology = topology
        self.kept: dict[int, Workspace] = {}

    def of(self, n: int) -> Workspace:
        """Returns the arrays for the intermediate results of n samples, and keeps them for later calls.

        Raises MemoryError if a new workspace does not fit into the GPU's free memory.
        """
        if n not in self.kept:
            if len(self.kept) >= MOST_WORKSPACES:
                self.kept.clear()
            ensure_free(workspace_bytes(self.topology, n), n, "computing with")
            self.kept[n] = Workspace(self.topology, n)
        return self.kept[n]

"""Workspaces: the GPU arrays that hold activations, errors and other values while samples pass through a network."""

import numpy as np
from numpy.typing import NDArray

from numbanet._cuda import cuda
from numbanet.engines.cuda.limits import ensure_free
from numbanet.engines.cuda.notes import Notes
from numbanet.engines.cuda.products.batch import Batch
from numbanet.engines.topology import Topology
from numbanet.equations.activations import SOFTMAX

# The largest number of workspaces that are kept: two for the sizes of the batches of an epoch, because the last batch may be
# smaller, and two for the sizes of the chunks in which validation data are evaluated.
MOST_WORKSPACES = 4


class Workspace:
    """The GPU arrays that hold the values of n samples while the samples pass through a network.

    Parameters
    ----------
    topology : Topology
        The network's layer sizes, activation functions and dtype.
    n : int
        Number of samples for which the arrays have room.

    Attributes
    ----------
    a, delta : list of device array (n, n_out)
        The activations a and the errors delta of each layer.
    z, dl : dict of device array (n, n_out)
        The pre-activations z and the errors dL/da of the layers that `separate_layers` returns, by layer index.
    u : device array (n, n_out)
        A scratch array for the output layer.
    z_max, others : device array (n,)
        Scratch arrays for softmax: `z_max` holds the largest z of each sample, and `others` holds the sum of e^(z - z_max)
        without its largest term.
    x : dict of device array (n, n_out)
        For each layer with dropout, the activations after dropout, by layer index.
    order : device array (n,) int64
        The row indices 0 to n - 1.
    ones : device array (n,)
        The sample weights of a batch without sample weights: 1 for every sample.
    rates : device array (4,)
        The four rates of `Batch`, with the values (n, 0, 0, 0), because only the first rate, the loss divisor n, is read.
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
        """Returns a `Batch` that consists of the workspace's n samples, in the order of their rows, without dropout.

        If `weights` is None, all samples have the weight 1.
        """
        return Batch(self.order, self.rates, self.ones if weights is None else cuda.to_device(weights), None, notes)


def separate_layers(topology: Topology) -> dict[int, int]:
    """Returns a dict from layer index to layer width, for the layers in which a separate kernel follows the matrix product.

    The separate kernel of a layer computes the layer's activation or error delta after the matrix product. A separate kernel is
    needed in the last layer and in softmax layers, which use whole rows; in layers whose derivative is computed from z; and in
    layers with dropout.
    """
    last = len(topology.kinds) - 1
    whole_rows = [l == last or kind == SOFTMAX for l, kind in enumerate(topology.kinds)]
    separate = zip(whole_rows, topology.keeps_z, topology.dropout_rates, strict=True)
    return {l: topology.sizes[l + 1] for l, reasons in enumerate(separate) if any(reasons)}


def workspace_bytes(topology: Topology, n: int) -> int:
    """Returns the number of bytes of GPU memory that a workspace for n samples needs."""
    dropped = sum(width for width, rate in zip(topology.sizes[1:], topology.dropout_rates, strict=True) if rate)
    numbers = 2 * sum(topology.sizes[1:]) + 2 * sum(separate_layers(topology).values()) + dropped + topology.sizes[-1] + 3
    return n * (numbers * topology.dtype.itemsize + 8)


class Workspaces:
    """The workspaces of a network, which are GPU arrays for intermediate results: one workspace for each number of samples.

    Parameters
    ----------
    topology : Topology
        The network's layer sizes, activation functions and dtype.
    """

    def __init__(self, topology: Topology):
        self.topology = topology
        self.kept: dict[int, Workspace] = {}

    def of(self, n: int) -> Workspace:
        """Returns the workspace for n samples, and keeps the workspace for later calls.

        Raises MemoryError if a new workspace does not fit into the GPU's free memory.
        """
        if n not in self.kept:
            if len(self.kept) >= MOST_WORKSPACES:
                self.kept.clear()
            ensure_free(workspace_bytes(self.topology, n), n, "computing with")
            self.kept[n] = Workspace(self.topology, n)
        return self.kept[n]

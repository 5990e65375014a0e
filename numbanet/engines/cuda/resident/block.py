"""The host side of training in one thread block, which launches the kernel that `resident/kernel.py` defines."""

import numpy as np

from numbanet._cuda import configured, cuda
from numbanet.engines.binding import binding_of
from numbanet.engines.cuda.arrays import EpochArrays
from numbanet.engines.cuda.limits import allow_shared_memory
from numbanet.engines.cuda.resident.kernel import training_kernel
from numbanet.engines.cuda.resident.layout import THREADS, shared_bytes, tables
from numbanet.engines.topology import Topology


class Block:
    """The single thread block that trains a network, and the tables of sizes and offsets that the block's kernel reads.

    Parameters
    ----------
    topology : Topology
        The network's layer sizes, activation functions, loss and dtype.
    batch_size : int
        Number of samples in a batch.
    """

    def __init__(self, topology: Topology, batch_size: int):
        layout = tables(topology, batch_size)
        self.layers, self.output = cuda.to_device(layout.layers.reshape(-1)), cuda.to_device(layout.output)
        self.loss_kind, self.batch_size = topology.loss_kind, batch_size
        self.kernel = binding_of(topology)(training_kernel(topology.dtype))
        self.shared_bytes = shared_bytes(topology, batch_size)

    def train(self, arrays: EpochArrays, epsilon: np.floating, eta: np.floating, first: int, stop: int) -> None:
        """Trains on the samples with the row indices arrays.order[first:stop], batch by batch, in one kernel launch.

        Parameters
        ----------
        arrays : EpochArrays
            Arrays on the GPU: all samples, the row indices to train on, the parameters, and the loss and the number of correct
            outputs of each sample.
        epsilon, eta : floating
            `epsilon` is the slope of leaky_relu for negative z, and `eta` is the learning rate, both in the network's dtype.
        first, stop : int
            The range of `arrays.order` to train on. `first` and `stop` are multiples of the batch size; `stop` may also be the
            length of `arrays.order`.
        """
        arguments = (
            self.layers,
            self.output,
            self.loss_kind,
            epsilon,
            eta,
            self.batch_size,
            arrays.x,
            arrays.y,
            arrays.order,
            first,
            stop,
            arrays.parameters,
            arrays.notes.loss,
            arrays.notes.hits,
        )
        allow_shared_memory(self.kernel, arguments, self.shared_bytes)
        configured(self.kernel, 1, THREADS, self.shared_bytes)(*arguments)

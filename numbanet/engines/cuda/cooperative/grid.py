"""The host side of cooperative training, which launches the kernel and owns the GPU arrays that the thread blocks share."""

import itertools

import numpy as np

from numbanet._cuda import SIMULATED, configured, cuda
from numbanet.engines.binding import binding_of
from numbanet.engines.cuda.arrays import EpochArrays
from numbanet.engines.cuda.cooperative import kernel as cooperative
from numbanet.engines.cuda.cooperative.layout import TABLE_LENGTH, THREADS, Common, GridPlan, tables
from numbanet.engines.cuda.limits import allow_shared_memory, ensure_free
from numbanet.engines.topology import Topology


class Grid:
    """A grid of thread blocks that train a network together, and the global memory through which the blocks exchange values.

    Parameters
    ----------
    topology : Topology
        The network's layer sizes, activation functions, loss and dtype.
    batch_size : int
        Number of samples in a batch.
    plan : GridPlan
        The division of the network among the thread blocks: the tiles of each weight matrix, and the number of blocks.
    """

    def __init__(self, topology: Topology, batch_size: int, plan: GridPlan):
        layout = tables(topology, batch_size, plan)
        ensure_free(layout.far_numbers * topology.dtype.itemsize, batch_size, "training with batches of")
        self.batch_size, self.plan, self.phases = batch_size, plan, int(layout.common[Common.PHASES])
        near_numbers = int(layout.common[Common.NEAR_NUMBERS])
        self.shared_bytes = near_numbers * topology.dtype.itemsize
        self.tables, self.far = cuda.to_device(layout.flat()), cuda.device_array(layout.far_numbers, topology.dtype)
        self.counter = cuda.device_array(1, np.int32)
        # In the simulator, each phase is a new launch. The array `kept` replaces the shared memory, which would be lost between
        # launches.
        self.kept = cuda.device_array(plan.blocks * near_numbers if SIMULATED else 1, topology.dtype)
        self.kernel = binding_of(topology)(cooperative.training_kernel(topology.dtype))

    def train(self, arrays: EpochArrays, epsilon: np.floating, eta: np.floating, first: int, stop: int) -> None:
        """Trains on the samples with the row indices arrays.order[first:stop], batch by batch, in one kernel launch.

        In the kernel, the blocks wait for each other at barriers. Numba's simulator runs the blocks one after another, so that
        no block can wait. In the simulator, if the grid has several blocks, `train` therefore replaces each barrier by a new
        launch of the kernel.

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
        self.counter.copy_to_device(np.zeros(1, np.int32))
        first, stop = (-(-position // self.batch_size) * self.phases for position in (first, stop))
        apart = SIMULATED and self.plan.blocks > 1
        turns = [first, *(turn for turn in range(first + 1, stop) if apart and turn % self.phases), stop]
        x = arrays.x.reshape(-1)
        for turn, end in itertools.pairwise(turns):
            arguments = (
                self.tables,
                epsilon,
                eta,
                x,
                arrays.y,
                arrays.order,
                turn,
                end,
                arrays.parameters,
                self.far,
                self.counter,
                turn == first,
                self.kept,
                arrays.notes.loss,
                arrays.notes.hits,
            )
            allow_shared_memory(self.kernel, arguments, self.shared_bytes, 4 * TABLE_LENGTH)
            configured(self.kernel, self.plan.blocks, THREADS, self.shared_bytes)(*arguments)

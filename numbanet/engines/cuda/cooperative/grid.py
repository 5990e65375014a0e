"""The blocks that train a network together by `cooperative`, with all that they work in."""

import itertools

import numpy as np

from numbanet._cuda import SIMULATED, configured, cuda
from numbanet.engines.cuda.cooperative import kernel as cooperative
from numbanet.engines.cuda.cooperative.layout import COUNT, PHASES, TABLES, THREADS, Shares, places
from numbanet.engines.cuda.memory import allow_shared_memory, ensure_free
from numbanet.engines.topology import Topology


class Grid:
    """The blocks that train a network on batches of a size, with what they share.

    Parameters
    ----------
    topology : Topology
    batch_size : int
    shares : Shares
    """

    def __init__(self, topology: Topology, batch_size: int, shares: Shares):
        layers, rest, exchanged = places(topology, batch_size, shares)
        ensure_free(exchanged * topology.dtype.itemsize, batch_size, "training with batches of")
        tables = np.zeros(TABLES, np.int32)
        tables[: layers.size], tables[-rest.size :] = layers.reshape(-1), rest
        self.batch_size, self.shares, self.phases = batch_size, shares, int(rest[PHASES])
        self.shared_bytes = int(rest[COUNT]) * topology.dtype.itemsize
        self.tables, self.far = cuda.to_device(tables), cuda.device_array(exchanged, topology.dtype)
        self.counter = cuda.device_array(1, np.int32)
        # the shared memory of simulated blocks, which are launched for each phase anew
        self.kept = cuda.device_array(shares.blocks * int(rest[COUNT]) if SIMULATED else 1, topology.dtype)
        self.kernel = cooperative.training_kernel(topology.dtype)

    def train(self, epsilon, eta, x, y, order, first: int, stop: int, parameters, losses, hits) -> None:
        """The batches from position first to stop of an order, by one launch.

        Simulated blocks run one after another and cannot meet: what lies between two meetings is a launch of its own there,
        unless there is one block only.
        """
        self.counter.copy_to_device(np.zeros(1, np.int32))
        first, stop = (-(-position // self.batch_size) * self.phases for position in (first, stop))
        apart = SIMULATED and self.shares.blocks > 1
        turns = [first, *(turn for turn in range(first + 1, stop) if apart and turn % self.phases), stop]
        for turn, end in itertools.pairwise(turns):
            arguments = (
                *(self.tables, epsilon, eta, x.reshape(-1), y, order, turn, end, parameters, self.far, self.counter),
                *(turn == first, self.kept, losses, hits),
            )
            allow_shared_memory(self.kernel, arguments, self.shared_bytes, 4 * TABLES)
            configured(self.kernel, self.shares.blocks, THREADS, self.shared_bytes)(*arguments)

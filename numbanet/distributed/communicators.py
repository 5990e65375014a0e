"""How processes that train one network together talk: five methods, and what has them.

Nothing else in this package knows of MPI. Whatever has a rank, a size, `sum`, `broadcast` and `barrier` trains as well.
"""

import os
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from numbanet import _cuda
from numbanet._extras import imported
from numbanet.engines import get_num_threads, set_num_threads

# By which of them launchers tell a process how many they started: MPICH and Intel MPI, Open MPI, PALS, PMIx, Slurm.
SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "PALS_NRANKS", "PMIX_SIZE", "SLURM_STEP_NUM_TASKS")
# How long a process waits with its error for rank 0 to say the same.
PATIENCE_SECONDS = 0.5


class Communicator(Protocol):
    """What `Network.fit` needs of processes that train together. Every process calls every method, in the same order."""

    @property
    def rank(self) -> int:
        """Which process this is, from 0."""

    @property
    def size(self) -> int:
        """How many there are."""

    def sum(self, flat) -> None:
        """Replaces a flat vector, NumPy's or on the GPU, by the sum of those of all processes.

        The result has the same bits in every process and, with as many processes, in every run.
        """

    def broadcast(self, flat) -> None:
        """Replaces a flat vector by that of rank 0."""

    def barrier(self) -> None:
        """Returns when all processes have come here."""


class SerialCommunicator:
    """One process alone."""

    rank, size = 0, 1

    def sum(self, flat) -> None:
        """Nothing to add."""

    def broadcast(self, flat) -> None:
        """Nobody to tell."""

    def barrier(self) -> None:
        """Nobody to wait for."""


class MPICommunicator:
    """The processes that `mpiexec` started, by MPI.

    An error that nobody catches in one of them ends them all, with its message. Each computes with its part of the cores of
    its machine, and on the GPU whose number it has among the processes there: make this before any network.

    Parameters
    ----------
    communicator : mpi4py.MPI.Comm, optional
        All processes, unless told.
    cuda_aware : bool
        Whether this MPI reads and writes the memory of GPUs. If not, gradients go by pinned memory of the host.

    Attributes
    ----------
    rank, size : int
        Which process this is, from 0, and how many there are.
    first_of_node : bool
        Whether it is the first one on its machine: that one compiles, the others then find it in the cache.

    Raises
    ------
    ModuleNotFoundError
        The package mpi4py is not installed; the message says what to install.
    RuntimeError
        mpi4py finds no MPI, or another one than that whose mpiexec started this process.
    """

    def __init__(self, communicator=None, *, cuda_aware: bool = False):
        self._mpi = _mpi()
        self._all = self._mpi.COMM_WORLD if communicator is None else communicator
        self.rank, self.size, self._cuda_aware = self._all.Get_rank(), self._all.Get_size(), cuda_aware
        self._pinned: Any = None
        if communicator is None and self.size == 1 < launched():
            raise RuntimeError(
                f"mpiexec started {launched()} processes, but each finds itself alone: mpi4py uses another MPI than the one "
                "this mpiexec belongs to. Take the mpiexec of the environment that mpi4py is installed in"
            )
        node = self._all.Split_type(self._mpi.COMM_TYPE_SHARED)
        self.first_of_node = node.Get_rank() == 0
        set_num_threads(min(get_num_threads(), _threads(node)))
        _cuda.select(node.Get_rank())
        node.Free()
        if self.size > 1:
            _end_together(self)

    def sum(self, flat) -> None:
        """Replaces a flat vector, NumPy's or on the GPU, by the sum of those of all processes."""
        self._exchange(flat, lambda array: self._all.Allreduce(self._mpi.IN_PLACE, array))

    def broadcast(self, flat) -> None:
        """Replaces a flat vector by that of rank 0."""
        self._exchange(flat, self._all.Bcast)

    def barrier(self) -> None:
        """Returns when all processes have come here."""
        self._all.Barrier()

    def abort(self, status: int) -> None:
        """Ends all processes at once."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._all.Abort(status)

    def _exchange(self, flat, call) -> None:
        if isinstance(flat, np.ndarray):
            call(flat)
            return
        _cuda.cuda.synchronize()
        if self._cuda_aware:
            call(flat)
            return
        if self._pinned is None or (self._pinned.shape, self._pinned.dtype) != (flat.shape, flat.dtype):
            self._pinned = _cuda.cuda.pinned_array(flat.shape, flat.dtype)
        flat.copy_to_host(self._pinned)
        call(self._pinned)
        flat.copy_to_device(self._pinned)


def communicator_of(value) -> Communicator:
    """The communicator that fit's argument means."""
    if value is None:
        return SerialCommunicator()
    if missing := [name for name in ("rank", "size", "sum", "broadcast", "barrier") if not hasattr(value, name)]:
        raise TypeError(f"communicator must have rank, size, sum, broadcast and barrier; {value!r} lacks {', '.join(missing)}")
    return value


def launched() -> int:
    """How many processes an mpiexec started, of which this is one; 1 where none did."""
    return next((int(os.environ[name]) for name in SIZES if os.environ.get(name, "").isdecimal()), 1)


def of_launch() -> Communicator:
    """That of the mpiexec that started this process; a process alone where none did."""
    return MPICommunicator() if launched() > 1 else SerialCommunicator()


def _mpi():
    try:
        return imported("mpi4py.MPI", "numbanet[mpi]")
    except RuntimeError as error:
        raise RuntimeError(f"mpi4py finds no MPI: pip install mpich, or load your cluster's. The error was: {error}") from error


def _threads(node) -> int:
    """How many threads this process has, so that the processes of a machine together have as many as cores."""
    mine = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    of_all = node.allgather(sorted(mine))
    shares = sum(1 / sum(core in cores for cores in of_all) for core in mine)
    return max(1, int(shares + 1e-9))


# The processes that an error in this one is to end, too.
_together: MPICommunicator | None = None


def end_all(report: Callable[[], None], status: int = 1) -> None:
    """Reports an error and ends all processes, which would else wait for this one for ever; a process alone only reports it."""
    if _together is None:
        report()
        return
    if _together.rank:
        time.sleep(PATIENCE_SECONDS)  # rank 0 may have the same to say, and then says it for all
    print(f"rank {_together.rank} of {_together.size} ends the others:", file=sys.stderr)
    report()
    _together.abort(status)


def _end_together(communicator: MPICommunicator) -> None:
    """From here on an error that nobody catches ends all processes."""
    global _together
    if _together is None:
        before = sys.excepthook
        sys.excepthook = lambda *error: end_all(lambda: before(*error))
    _together = communicator

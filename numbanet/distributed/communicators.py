"""Communication between processes that train one network: an interface of five members, and its implementations.

Only this module uses MPI. Any object with `rank`, `size`, `sum`, `broadcast` and `barrier` can replace it.
"""

import contextlib
import io
import os
import sys
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from numbanet import _cuda
from numbanet._extras import imported
from numbanet.engines import get_num_threads, set_num_threads

# Environment variables in which launchers pass the number of processes: MPICH and Intel MPI, Open MPI, PALS, PMIx, Slurm.
SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "PALS_NRANKS", "PMIX_SIZE", "SLURM_STEP_NUM_TASKS")
# How long a process delays its error message, so that rank 0 can report the same error first.
PATIENCE_SECONDS = 0.5
# How long a process waits between its error message and the end of all: mpiexec drops output that it has not forwarded by then.
FORWARD_SECONDS = 0.2


class Communicator(Protocol):
    """The communication that `Network.fit` needs. Every process calls every method, in the same order."""

    @property
    def rank(self) -> int:
        """The number of this process, from 0."""
        ...

    @property
    def size(self) -> int:
        """The number of processes."""
        ...

    def sum(self, flat: Any) -> None:
        """Replaces a flat vector, a NumPy array or on the GPU, by the sum of the vectors of all processes.

        The result has the same bits in every process and, for the same number of processes, in every run.
        """
        ...

    def broadcast(self, flat: Any) -> None:
        """Replaces a flat vector by that of rank 0."""
        ...

    def barrier(self) -> None:
        """Returns when all processes have called it."""
        ...


class SerialCommunicator:
    """The communicator of a single process; its methods do nothing.

    Attributes
    ----------
    rank, size : int
        0 and 1.
    """

    rank, size = 0, 1

    def sum(self, flat: Any) -> None:
        """Does nothing: the vector is the sum."""

    def broadcast(self, flat: Any) -> None:
        """Does nothing: the vector is that of rank 0."""

    def barrier(self) -> None:
        """Does nothing."""


class MPICommunicator:
    """The processes that `mpiexec` started, connected by MPI.

    An uncaught error in one process ends all of them, with its message. Each process computes with its part of the cores of its
    machine, and on the GPU that has its number among the processes there: create the communicator before any network.

    Parameters
    ----------
    communicator : mpi4py.MPI.Comm, optional
        By default all processes.
    cuda_aware : bool
        Whether this MPI reads and writes GPU memory. If not, gradients pass through pinned host memory.

    Attributes
    ----------
    rank, size : int
        The number of this process, from 0, and the number of processes.
    first_of_node : bool
        Whether this process is the first on its machine: it compiles, and the others find its machine code in the cache.

    Raises
    ------
    ModuleNotFoundError
        The package mpi4py is not installed; the message says what to install.
    RuntimeError
        mpi4py finds no MPI, or not the MPI whose mpiexec started this process.
    """

    def __init__(self, communicator: Any = None, *, cuda_aware: bool = False):
        self._mpi = _mpi()
        self._all = self._mpi.COMM_WORLD if communicator is None else communicator
        self.rank, self.size, self._cuda_aware = self._all.Get_rank(), self._all.Get_size(), cuda_aware
        self._pinned: Any = None
        if communicator is None and self.size == 1 < launched():
            raise RuntimeError(
                f"mpiexec started {launched()} processes, but mpi4py finds only one: it uses another MPI than this mpiexec. "
                "Use the mpiexec of the environment in which mpi4py is installed"
            )
        node = self._all.Split_type(self._mpi.COMM_TYPE_SHARED)
        self.first_of_node = node.Get_rank() == 0
        set_num_threads(min(get_num_threads(), _threads(node)))
        _cuda.select(node.Get_rank())
        node.Free()
        if self.size > 1:
            _end_together(self)

    def sum(self, flat: Any) -> None:
        """Replaces a flat vector, a NumPy array or on the GPU, by the sum of the vectors of all processes."""
        self._exchange(flat, lambda array: self._all.Allreduce(self._mpi.IN_PLACE, array))

    def broadcast(self, flat: Any) -> None:
        """Replaces a flat vector by that of rank 0."""
        self._exchange(flat, self._all.Bcast)

    def barrier(self) -> None:
        """Returns when all processes have called it."""
        self._all.Barrier()

    def abort(self, status: int) -> None:
        """Ends all processes at once, with this exit status."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._all.Abort(status)

    def _exchange(self, flat: Any, call: Callable[[Any], Any]) -> None:
        """Calls MPI with a vector or, for GPU memory that this MPI cannot access, with a copy in pinned host memory."""
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


def communicator_of(value: Communicator | None) -> Communicator:
    """Returns the communicator that `Network.fit` takes; None means a single process.

    Raises
    ------
    TypeError
        The value lacks a member of `Communicator`; the message names it.
    """
    if value is None:
        return SerialCommunicator()
    if missing := [name for name in ("rank", "size", "sum", "broadcast", "barrier") if not hasattr(value, name)]:
        raise TypeError(f"communicator must have rank, size, sum, broadcast and barrier; {value!r} lacks {', '.join(missing)}")
    return value


def launched() -> int:
    """Returns the number of processes that the mpiexec of this process started; 1 without mpiexec."""
    return next((int(os.environ[name]) for name in SIZES if os.environ.get(name, "").isdecimal()), 1)


def of_launch() -> Communicator:
    """Returns the communicator of the mpiexec that started this process; a `SerialCommunicator` without mpiexec."""
    return MPICommunicator() if launched() > 1 else SerialCommunicator()


def _mpi() -> Any:
    try:
        return imported("mpi4py.MPI", "numbanet[mpi]")
    except RuntimeError as error:
        raise RuntimeError(f"mpi4py finds no MPI: pip install mpich, or load your cluster's. The error was: {error}") from error


def _threads(node: Any) -> int:
    """Returns the number of threads of this process, such that the processes of a machine have one thread per core in all."""
    own = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    of_all = node.allgather(sorted(own))
    cores = sum(1 / sum(core in others for others in of_all) for core in own)
    return max(1, int(cores + 1e-9))


# The communicator of the processes that an error in this process ends.
_together: MPICommunicator | None = None


def end_all(report: Callable[[], None], status: int = 1) -> None:
    """Reports an error and ends all processes, which would otherwise wait forever; a single process only reports it."""
    if _together is None:
        report()
        return
    if _together.rank:
        time.sleep(PATIENCE_SECONDS)  # if rank 0 has the same error, it reports for all
    with contextlib.redirect_stderr(io.StringIO()) as reported:
        report()
    print(
        f"rank {_together.rank} of {_together.size} ends the others:\n{reported.getvalue()}",
        end="",
        file=sys.stderr,
        flush=True,
    )
    time.sleep(FORWARD_SECONDS)
    _together.abort(status)


def _end_together(communicator: MPICommunicator) -> None:
    """From now on an uncaught error ends all processes."""
    global _together
    if _together is None:
        before = sys.excepthook
        sys.excepthook = lambda *error: end_all(lambda: before(*error))
    _together = communicator

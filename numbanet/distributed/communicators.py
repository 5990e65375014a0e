"""Communication between processes that train one network: the interface `Communicator` and its implementations.

numbanet uses MPI in this module only. The argument `communicator` of `Network.fit` may be any object with the members of
`Communicator`.
"""

import contextlib
import io
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np

from numbanet import _cuda, checks
from numbanet._extras import imported, installing
from numbanet.engines import get_num_threads, set_num_threads
from numbanet.engines.cpu.quota import cpu_quota

# The environment variables in which MPI launchers pass the number of processes. The variables belong to MPICH and Intel MPI,
# Open MPI, PALS, PMIx and Slurm, in this order.
SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "PALS_NRANKS", "PMIX_SIZE", "SLURM_STEP_NUM_TASKS")
# The time, in seconds, that a process waits before it prints an error message, so that rank 0 can report the same error first.
PATIENCE_SECONDS = 0.5
# The time, in seconds, that a process waits between its error message and the end of all processes, because mpiexec would drop
# an error message that it has not yet forwarded.
FORWARD_SECONDS = 0.2
# At a barrier, a process first polls without a pause. After AWAKE_SECONDS, it sleeps for ASLEEP_SECONDS between two polls.
AWAKE_SECONDS, ASLEEP_SECONDS = 0.1, 1e-3


class Communicator(Protocol):
    """The interface through which `Network.fit` communicates. All processes must call the methods in the same order."""

    @property
    def rank(self) -> int:
        """The index of this process, from 0 to size - 1."""
        ...

    @property
    def size(self) -> int:
        """The number of processes that train together."""
        ...

    def sum(self, flat: Any) -> None:
        """Replaces `flat` with the sum of the arrays that all processes pass. `flat` is a one-dimensional NumPy or GPU array.

        The sum is bit-identical in all processes, and in every run with the same number of processes.
        """
        ...

    def broadcast(self, flat: Any) -> None:
        """Replaces `flat` with the array that rank 0 passes."""
        ...

    def barrier(self) -> None:
        """Waits until all processes have called this method."""
        ...


class SerialCommunicator:
    """The communicator for training in a single process; its methods do nothing.

    Attributes
    ----------
    rank, size : int
        The rank is always 0, and the size is always 1.
    """

    rank, size = 0, 1

    def sum(self, flat: Any) -> None:
        """Does nothing, because the sum over a single process is `flat` itself."""

    def broadcast(self, flat: Any) -> None:
        """Does nothing, because the only process already has the array."""

    def barrier(self) -> None:
        """Does nothing, because there is no other process to wait for."""


class MPICommunicator:
    """The communicator for processes that `mpiexec` started and that communicate through MPI.

    An uncaught error in one process ends all processes, after the error message is printed. The processes on a machine divide
    its cores among themselves, and process k of a machine uses GPU k. Create the communicator before any network, because the
    communicator selects the GPU.

    Parameters
    ----------
    communicator : mpi4py.MPI.Comm, optional
        The MPI communicator to use; by default, COMM_WORLD, which contains all processes.
    cuda_aware : bool
        Whether the MPI library can read and write GPU memory. If cuda_aware is False, the gradients are copied to pinned host
        memory before MPI adds them up.

    Attributes
    ----------
    rank, size : int
        The index of this process (from 0 to size - 1), and the number of processes.
    first_of_node : bool
        Whether this process is the first on its machine. The first process compiles numbanet's Numba functions; the other
        processes load the machine code from the cache.

    Raises
    ------
    ModuleNotFoundError
        The package mpi4py is not installed; the error message says what to install.
    RuntimeError
        mpi4py finds no MPI library, or finds a library that does not belong to the mpiexec that started this process.
    """

    def __init__(self, communicator: Any = None, *, cuda_aware: bool = False):
        self._mpi = _mpi()
        self._all = self._mpi.COMM_WORLD if communicator is None else communicator
        self.rank, self.size, self._cuda_aware = self._all.Get_rank(), self._all.Get_size(), cuda_aware
        self._pinned: Any = None
        if communicator is None and self.size == 1 < launched():
            raise RuntimeError(
                f"mpiexec started {launched()} processes, but mpi4py finds only one: mpi4py uses another MPI library than this "
                "mpiexec. Use the mpiexec of the environment in which mpi4py is installed"
            )
        node = self._all.Split_type(self._mpi.COMM_TYPE_SHARED)
        self.first_of_node = node.Get_rank() == 0
        share = Share.of(node)
        set_num_threads(min(get_num_threads(), share.threads))
        if self.first_of_node and share.is_crowded:
            checks.warn(share.advice)
        _cuda.select(node.Get_rank())
        node.Free()
        if self.size > 1:
            _end_together(self)

    def sum(self, flat: Any) -> None:
        """Replaces `flat`, a one-dimensional NumPy or GPU array, with the sum of the arrays that all processes pass."""
        self._exchange(flat, lambda array: self._all.Allreduce(self._mpi.IN_PLACE, array))

    def broadcast(self, flat: Any) -> None:
        """Replaces `flat` with the array that rank 0 passes."""
        self._exchange(flat, self._all.Bcast)

    def barrier(self) -> None:
        """Waits until all processes have called this method.

        The process polls MPI until the others have arrived. After AWAKE_SECONDS (0.1 s), it sleeps between two polls, so that
        other processes can use its CPU core.
        """
        request, start = self._all.Ibarrier(), time.monotonic()  # MPI's `Barrier` would occupy a core however long it waits
        while not request.Test():
            if time.monotonic() - start > AWAKE_SECONDS:
                time.sleep(ASLEEP_SECONDS)

    def abort(self, status: int) -> None:
        """Ends all processes immediately, with the given exit status."""
        sys.stdout.flush()
        sys.stderr.flush()
        self._all.Abort(status)

    def _exchange(self, flat: Any, call: Callable[[Any], Any]) -> None:
        """Calls `call`, an MPI function, with `flat`.

        If `flat` is in GPU memory that MPI cannot access, `call` gets a copy in host memory, which is then copied back.
        """
        if isinstance(flat, np.ndarray):
            call(flat)
            return
        _cuda.wait()
        if self._cuda_aware:
            call(flat)
            return
        if self._pinned is None or (self._pinned.shape, self._pinned.dtype) != (flat.shape, flat.dtype):
            self._pinned = _cuda.cuda.pinned_array(flat.shape, flat.dtype)
        flat.copy_to_host(self._pinned)
        call(self._pinned)
        flat.copy_to_device(self._pinned)


def communicator_of(value: Communicator | None) -> Communicator:
    """Checks the argument `communicator` of `Network.fit`, and returns it. For None, returns a `SerialCommunicator`.

    Raises
    ------
    TypeError
        The value lacks members of `Communicator`.
    """
    if value is None:
        return SerialCommunicator()
    if missing := [name for name in ("rank", "size", "sum", "broadcast", "barrier") if not hasattr(value, name)]:
        members = "rank, size, sum, broadcast and barrier"
        raise TypeError(f"communicator must have the members {members}; {value!r} lacks {', '.join(missing)}")
    return value


def launched() -> int:
    """Returns the number of processes that mpiexec started, including this process, or 1 without mpiexec."""
    return next((int(os.environ[name]) for name in SIZES if os.environ.get(name, "").isdecimal()), 1)


def of_launch() -> Communicator:
    """Returns an `MPICommunicator` if mpiexec started several processes, otherwise a `SerialCommunicator`."""
    return MPICommunicator() if launched() > 1 else SerialCommunicator()


def _mpi() -> Any:
    try:
        return imported("mpi4py.MPI", "mpi")
    except RuntimeError as error:
        raise RuntimeError(
            f"mpi4py finds no MPI library: {installing('mpich')}, or load the MPI module of your cluster. "
            f"The error was: {error}"
        ) from error


class Share(NamedTuple):
    """The part of a machine's CPUs that one of several processes uses.

    Parameters
    ----------
    threads : int
        Number of threads for this process, so that all processes on the machine together have one thread per CPU.
    processes : int
        Number of processes on the machine.
    cpus : float
        Number of CPUs that the processes on the machine use together; in a container, this number may be a fraction, such as
        1.5.
    """

    threads: int
    processes: int
    cpus: float

    @classmethod
    def of(cls, node: Any) -> "Share":
        """Computes this process's share of the CPUs.

        Every process in `node`, the MPI communicator of one machine, must call this method.
        """
        own = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
        of_all = node.allgather(sorted(own))
        cores, quota = sum(1 / sum(core in others for others in of_all) for core in own), cpu_quota()
        threads = max(1, int(min(cores, quota / len(of_all)) + 1e-9))
        return cls(threads, len(of_all), min(len(set().union(*of_all)), quota))

    @property
    def is_crowded(self) -> bool:
        """True if there are more processes on this machine than CPUs."""
        return self.processes > self.cpus

    @property
    def advice(self) -> str:
        """The text of the warning that a machine runs more processes than it has CPUs."""
        return (
            f"{self.processes} processes share {self.cpus:g} CPU{'' if self.cpus == 1 else 's'} of this machine, and slow each "
            f"other down: start at most {max(1, int(self.cpus))} on this machine, with the option -n of mpiexec, or a single "
            "process without mpiexec, whose threads use all CPUs"
        )


# The communicator of the processes that must end if this process has an error.
_together: MPICommunicator | None = None


def end_all(report: Callable[[], None], status: int = 1) -> None:
    """Calls `report` to print an error; then ends all processes, with the exit status `status`.

    Otherwise, the other processes would wait forever for this process. If there is only one process, the function only calls
    `report`.
    """
    if _together is None:
        report()
        return
    if _together.rank:
        time.sleep(PATIENCE_SECONDS)  # if rank 0 has the same error, rank 0 prints it for all processes and ends them
    with contextlib.redirect_stderr(io.StringIO()) as reported:
        report()
    print(
        f"rank {_together.rank} of {_together.size} ends all processes:\n{reported.getvalue()}",
        end="",
        file=sys.stderr,
        flush=True,
    )
    time.sleep(FORWARD_SECONDS)
    _together.abort(status)


def _end_together(communicator: MPICommunicator) -> None:
    """Sets `sys.excepthook` so that an uncaught error in this process ends all processes of the communicator."""
    global _together
    if _together is None:
        before = sys.excepthook
        sys.excepthook = lambda *error: end_all(lambda: before(*error))
    _together = communicator

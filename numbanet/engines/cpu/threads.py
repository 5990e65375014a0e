"""Sets the number of threads that compute, and manages the Python threads that help a caller in a compiled call.

Compiled calls run without Python's global lock, so that Python threads can compute in parallel. Numba's threading layers, which
limit forking and calls from several threads at once, are not used. A helping thread uses no processor time while it is idle.
"""

import math
import os
import queue
import threading
import weakref
from collections.abc import Callable
from typing import Any

from numbanet._compile import config
from numbanet.engines.cpu.quota import cpu_quota
from numbanet.engines.cpu.team import CLOSED, MOST_THREADS, POSITION, ROUND, new_team


class Lock:
    """A reentrant lock that can be copied and pickled: a copy is a new lock, and so is the lock itself in a forked process."""

    def __init__(self):
        self._renew()

    def _renew(self):
        self._lock, self._process = threading.RLock(), os.getpid()

    @property
    def here(self) -> Any:
        """The lock of this process, for a with statement.

        Python locks and unlocks it without running a signal handler in between. If this class had an `__enter__` of its own, an
        exception raised by a handler just before `__enter__` returns would leave the lock locked for all other threads.
        """
        if self._process != os.getpid():  # the thread that held the lock does not exist in this process
            self._renew()
        return self._lock

    def __reduce__(self) -> tuple:
        return Lock, ()


class Call:
    """A compiled call in progress, with the number of threads that help the caller."""

    helpers = 0


class Crew:
    """The Python threads that help callers in compiled calls, and the list of calls in progress.

    Parameters
    ----------
    size : int
        Largest number of threads that compute at once, callers included.

    Notes
    -----
    `calls` holds weak references. If Ctrl-C ends a call at any point, its cores are free again as soon as its `Call` object is
    deleted.
    """

    def __init__(self, size: int):
        self.size = size
        self.lock = threading.Lock()
        self.jobs: queue.SimpleQueue = queue.SimpleQueue()
        self.calls: weakref.WeakSet[Call] = weakref.WeakSet()
        self.threads = 0

    @property
    def helping(self) -> int:
        """The number of threads that help in calls at present."""
        return sum(call.helpers for call in self.calls)

    def call(self, run: Callable, arguments: tuple, most: int, reached: list[int] | None = None) -> Any:
        """Calls `run` in the calling thread and in helping threads on free cores, at most `most` threads in all.

        Returns the result of run(*arguments, team, False) in the calling thread; helping threads pass True in place of False.
        If a signal handler raises an exception, Python raises it after `run`, and the result is lost. Therefore `reached`
        receives the position that `run` has reached, also in this case; it is unchanged if `run` has not begun.
        """
        call = Call()
        with self.lock:
            self.calls.add(call)
            if most > 1:
                self._recruit(call, most)
        team = new_team(call.helpers)
        try:
            for _ in range(call.helpers):
                self.jobs.put((run, arguments, team))
            return run(*arguments, team, False)
        finally:
            if reached is not None and team[ROUND] == CLOSED:
                reached[:] = [int(team[POSITION])]
            team[ROUND] = CLOSED  # the helping threads see this value and leave the call
            with self.lock:
                self.calls.discard(call)

    def _recruit(self, call: Call, most: int) -> None:
        helping = self.helping
        call.helpers = max(0, min(self.size - len(self.calls) - helping, most - 1))
        while self.threads < helping + call.helpers:
            threading.Thread(target=self._help, daemon=True, name=f"numbanet {self.threads + 1}").start()
            self.threads += 1

    def _help(self):
        while True:
            run, arguments, team = self.jobs.get()
            run(*arguments, team, True)
            del run, arguments, team  # otherwise the arrays of a job would stay alive until the next job


def _cores() -> int:
    """Returns the number of cores that this process may use; a CPU quota or NUMBA_NUM_THREADS may make it smaller.

    A quota of 1.5 CPUs makes two threads, which compute more than one, although both then wait for a part of the time.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, math.ceil(min(cpu_quota(), available)), config.NUMBA_NUM_THREADS)


# Each call reads it as `threads.crew`, because a forked process replaces it.
crew = Crew(_cores())


def _renew_crew():
    """Replaces the crew in a forked process, because the threads of the parent process do not exist there."""
    global crew
    crew = Crew(crew.size)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_crew)


def get_num_threads() -> int:
    """Returns the largest number of threads that compute together.

    Returns
    -------
    int
        The count passed to `set_num_threads`. By default, the smallest of three numbers: the cores that this process may use,
        the CPU quota of its container or control group (rounded up), and the environment variable NUMBA_NUM_THREADS.
    """
    return crew.size


def set_num_threads(count: int) -> None:
    """Sets the largest number of threads that compute together on the CPU, in the whole process.

    Networks that are trained at the same time, each from its own Python thread, share this number of threads. Results are
    bit-identical for any number of threads.

    Parameters
    ----------
    count : int
        The number of threads, at least 1; it includes the calling thread.

    Raises
    ------
    TypeError
        If count is not an integer.
    ValueError
        If count is less than 1, or is 65536 or more.
    """
    if isinstance(count, bool) or not hasattr(count, "__index__"):
        raise TypeError(f"the number of threads must be an integer, not {count!r}")
    if not 1 <= count < MOST_THREADS:
        raise ValueError(f"the number of threads must be at least 1 and less than {MOST_THREADS}, not {count}")
    crew.size = int(count)

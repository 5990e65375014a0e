"""Sets the number of threads that compute, and manages the Python threads that share the work of a compiled call.

Compiled calls release Python's global interpreter lock, so that Python threads can compute in parallel. The package does not
use Numba's threading layers, because they restrict forking and calls from several threads at once. A helping thread that waits
for work uses no CPU time.
"""

import math
import os
import queue
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from numbanet._compile import config
from numbanet.engines.cpu.quota import cpu_quota
from numbanet.engines.cpu.team import CLOSED, MOST_THREADS, ROUND, new_team


class Lock:
    """A reentrant lock that can be copied and pickled. A copy is a new, unlocked lock.

    In a forked process, a new, unlocked lock replaces the lock of the parent process.
    """

    def __init__(self):
        self._renew()

    def _renew(self):
        self._lock, self._process = threading.RLock(), os.getpid()

    @property
    def here(self) -> Any:
        """The lock that belongs to this process, for use in a with statement.

        The property returns a `threading.RLock`, because signal handlers do not interrupt the methods `__enter__` and
        `__exit__` of an `RLock`. If the class `Lock` defined `__enter__` in Python, a signal handler could raise an exception
        just before `__enter__` returns, and the lock would stay locked.
        """
        if self._process != os.getpid():  # a forked process: the thread that held the lock may not exist here
            self._renew()
        return self._lock

    def __reduce__(self) -> tuple:
        return Lock, ()


# The value of the argument `most` of `Crew.call` for calls that take only some microseconds. Recording a call takes about one.
UNCOUNTED = 0


class Call:
    """A compiled call in progress; `helpers` is the number of threads that help the calling thread."""

    helpers = 0


class Crew:
    """The Python threads that help calling threads in compiled calls, and the set of calls in progress.

    Parameters
    ----------
    size : int
        Largest number of threads that compute at the same time, including the calling threads.

    Notes
    -----
    The set `calls` holds a weak reference to the `Call` object of every call in progress. When a `Call` object is deleted, its
    reference in `calls` is removed. Other calls can therefore use the cores of a call that has ended, even if Ctrl-C has ended
    the call.
    """

    def __init__(self, size: int):
        self.size = size
        self.lock = threading.Lock()
        self.jobs: queue.SimpleQueue = queue.SimpleQueue()
        self.calls: set[weakref.ref[Call]] = set()
        self.threads = 0

    @property
    def helping(self) -> int:
        """The number of helping threads in all calls in progress."""
        return sum(call.helpers for reference in list(self.calls) if (call := reference()))

    def call(self, run: Callable, arguments: tuple, most: int, reached: list[np.ndarray] | None = None) -> Any:
        """Calls `run` in the calling thread and in helping threads on free cores: at most `most` threads altogether.

        If `most` is UNCOUNTED (0), only the calling thread computes, and the set `calls` does not record the call.

        The threads communicate through the array `team`. The calling thread calls run(*arguments, team, False), and each
        helping thread calls run(*arguments, team, True). `call` returns the calling thread's result. If a signal handler raises
        an exception during `run`, Python raises the exception after `run` has returned, and the result is lost. The list
        `reached` lets the caller find out how much `run` has done: `call` appends `team` to the list before `run` begins, and
        team[POSITION] is the position that `run` has reached (0 if `run` has not begun).
        """
        if most == UNCOUNTED:
            team = new_team(0)
            if reached is not None:
                reached.append(team)
            return run(*arguments, team, False)
        call = Call()
        with self.lock:
            self.calls.add(weakref.ref(call, self.calls.discard))
            if most > 1:
                self._recruit(call, most)
        team = new_team(call.helpers)
        if reached is not None:
            reached.append(team)
        try:
            for _ in range(call.helpers):
                self.jobs.put((run, arguments, team))
            return run(*arguments, team, False)
        finally:
            team[ROUND] = CLOSED  # helping threads that read this value return from `run`
            del call  # explicitly, because a traceback may keep this frame and its variables alive

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
            del run, arguments, team  # otherwise, the arrays of a call would be kept in memory until the next call


def _cores() -> int:
    """Returns the smallest of three numbers: the cores that this process may use, its CPU quota, and NUMBA_NUM_THREADS.

    For a quota of 1.5 CPUs, the function returns 2: two threads are faster than one, although each of them sometimes waits.
    """
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, math.ceil(min(cpu_quota(), available)), config.NUMBA_NUM_THREADS)


# Other modules must refer to this variable as `threads.crew`, because a forked process replaces it.
crew = Crew(_cores())


def _renew_crew():
    """Creates a new `Crew` in a forked process, because the threads of the parent process do not exist in the new process."""
    global crew
    crew = Crew(crew.size)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_crew)


def get_num_threads() -> int:
    """Returns the largest number of threads that compute together on the CPU.

    Returns
    -------
    int
        The number passed to `set_num_threads`. The default is the smallest of three numbers: the cores that this process may
        use, the CPU quota of its container or control group (rounded up), and the environment variable NUMBA_NUM_THREADS.
    """
    return crew.size


def set_num_threads(count: int) -> None:
    """Sets the largest number of threads that compute together on the CPU, for the whole process.

    If several Python threads train networks at the same time, these trainings share the `count` threads. Results are
    bit-identical for any number of threads.

    Parameters
    ----------
    count : int
        The number of threads, including the calling thread; at least 1.

    Raises
    ------
    TypeError
        If `count` is not an integer.
    ValueError
        If `count` is less than 1, or is 65536 or more.
    """
    if isinstance(count, bool) or not hasattr(count, "__index__"):
        raise TypeError(f"count, the number of threads, must be an integer, not {count!r}")
    if not 1 <= count < MOST_THREADS:
        raise ValueError(f"count, the number of threads, must be at least 1 and less than {MOST_THREADS}, not {count}")
    crew.size = int(count)

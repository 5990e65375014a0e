"""The number of threads that compute, and the Python threads that help a caller in its compiled call.

Compiled calls run without Python's global lock, so that Python threads are enough: no threading layer is involved, nor its
limits on several callers at once or on forking. A thread that helps costs nothing while there is nothing to do.
"""

import os
import queue
import threading
import weakref
from collections.abc import Callable
from typing import Any

from numbanet._compile import config
from numbanet.engines.cpu.team import CLOSED, MOST_THREADS, ROUND, new_team


class Lock:
    """A reentrant lock; its copies, and the lock itself in a forked process, are new locks."""

    def __init__(self):
        self._renew()

    def _renew(self):
        self._lock, self._process = threading.RLock(), os.getpid()

    def __enter__(self) -> None:
        if self._process != os.getpid():  # the thread that held it does not exist in this process
            self._renew()
        self._lock.acquire()

    def __exit__(self, *exception: Any) -> None:
        self._lock.release()

    def __reduce__(self) -> tuple:
        return Lock, ()


class Call:
    """A call in progress, and the number of threads that help in it."""

    helpers = 0


class Crew:
    """The threads that help, and the calls in progress.

    Parameters
    ----------
    size : int
        Number of threads that compute at once at most, callers included.

    Notes
    -----
    `calls` holds weak references: if Ctrl-C ends a call at any point, its cores are free again as soon as its `Call` is gone.
    """

    def __init__(self, size: int):
        self.size = size
        self.lock = threading.Lock()
        self.jobs: queue.SimpleQueue = queue.SimpleQueue()
        self.calls: weakref.WeakSet[Call] = weakref.WeakSet()
        self.threads = 0

    @property
    def helping(self) -> int:
        """The number of threads that help at present."""
        return sum(call.helpers for call in self.calls)

    def call(self, run: Callable, arguments: tuple, most: int) -> Any:
        """Returns run(*arguments, team, False), and runs run(*arguments, team, True) on free cores: `most` threads in all."""
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
            team[ROUND] = CLOSED  # the threads that help see it and leave
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
            del run, arguments, team  # or the arrays of the last job would live until the next


def _cores() -> int:
    """Returns the number of cores this process may use, or NUMBA_NUM_THREADS if that is less."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, config.NUMBA_NUM_THREADS)


# Read as `threads.crew` at each call: a forked process has another one.
crew = Crew(_cores())


def _renew_crew():
    """Replaces the crew in a forked process, which has none of its parent's threads."""
    global crew
    crew = Crew(crew.size)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_crew)


def get_num_threads() -> int:
    """Returns the largest number of threads that compute together.

    Returns
    -------
    int
        The count passed to `set_num_threads`; by default the number of cores this process may use, or NUMBA_NUM_THREADS if that
        is less.
    """
    return crew.size


def set_num_threads(count: int) -> None:
    """Sets the largest number of threads that compute together on the CPU, in the whole process.

    Networks that are trained at the same time, each from its own thread, share these threads. Results are bit-identical for any
    number of threads.

    Parameters
    ----------
    count : int
        At least 1, which is the caller itself.

    Raises
    ------
    TypeError
        If count is not an integer.
    ValueError
        If count is less than 1, or too large.
    """
    if isinstance(count, bool) or not hasattr(count, "__index__"):
        raise TypeError(f"the number of threads must be an integer, not {count!r}")
    if not 1 <= count < MOST_THREADS:
        raise ValueError(f"the number of threads must be at least 1 and less than {MOST_THREADS}, not {count}")
    crew.size = int(count)

"""How many threads compute, and the threads of Python that help a caller in its compiled call.

Compiled calls run without Python's global lock, so threads of Python are enough: no threading layer is involved, and none of
their limits on several callers at once, or on forking. A thread that helps costs nothing while there is nothing to do.
"""

import os
import queue
import threading
import weakref

from numbanet._compile import config
from numbanet.engines.cpu.team import CLOSED, MOST_THREADS, ROUND, new_team


class Lock:
    """A reentrant lock that is copied, pickled, and found after a fork, as a new one."""

    def __init__(self):
        self._renew()

    def _renew(self):
        self._lock, self._process = threading.RLock(), os.getpid()

    def __enter__(self):
        if self._process != os.getpid():  # whoever held it stayed behind in the parent
            self._renew()
        self._lock.acquire()

    def __exit__(self, *exception):
        self._lock.release()

    def __reduce__(self):
        return Lock, ()


class Call:
    """A call that is going on, and how many threads help in it."""

    helpers = 0


class Crew:
    """The threads that help, and the calls that are going on.

    A call that Ctrl-C ends at any point is forgotten with its `Call`: what it had of the cores is never lost.
    """

    def __init__(self, size: int):
        self.size = size
        self.lock = threading.Lock()
        self.jobs: queue.SimpleQueue = queue.SimpleQueue()
        self.calls: weakref.WeakSet[Call] = weakref.WeakSet()
        self.threads = 0

    @property
    def helping(self) -> int:
        """How many threads help."""
        return sum(call.helpers for call in self.calls)

    def call(self, run, arguments, most: int):
        """run(*arguments, team, False), and run(*arguments, team, True) on free cores, `most` threads in all."""
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
            team[ROUND] = CLOSED  # whoever helps sees it and leaves
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
    """How many cores this process may use; fewer where NUMBA_NUM_THREADS says so."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(available, config.NUMBA_NUM_THREADS)


_crew = Crew(_cores())


def _renew_crew():
    """A forked process has none of its parent's threads."""
    global _crew
    _crew = Crew(_crew.size)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_renew_crew)


def call(run, arguments, most: int):
    """See `Crew.call`."""
    return _crew.call(run, arguments, most)


def get_num_threads() -> int:
    """How many threads compute together at most.

    Returns
    -------
    int
        What `set_num_threads` set; else the number of cores this process may use, or NUMBA_NUM_THREADS where that is less.
    """
    return _crew.size


def set_num_threads(count: int) -> None:
    """Sets how many threads compute together at most, on the CPU, in the whole process.

    Several networks that are trained at once, each from a thread of its own, share them. No bit of a result depends on it.

    Parameters
    ----------
    count : int
        At least 1: the caller itself.

    Raises
    ------
    ValueError, TypeError
        Where count is not such a number.
    """
    if isinstance(count, bool) or not hasattr(count, "__index__"):
        raise TypeError(f"the number of threads must be an integer, not {count!r}")
    if not 1 <= count < MOST_THREADS:
        raise ValueError(f"the number of threads must be at least 1 and less than {MOST_THREADS}, not {count}")
    _crew.size = int(count)

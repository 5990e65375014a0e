"""Communicators between threads, with which tests imitate training by several processes in a single process.

Only one of the threads runs at any time, because the CUDA simulator can run only one kernel at a time. While the running thread
waits for other threads, one of these runs.
"""

import functools
import threading

import numpy as np

from numbanet import _cuda


class ThreadCommunicator:
    """The communicator of one of several threads that train a network together."""

    def __init__(self, rank: int, size: int, shared: dict):
        self.rank, self.size, self.shared = rank, size, shared

    def sum(self, flat) -> None:
        """Replaces the array `flat` of each thread by the sum of all threads' arrays, added in the order of the ranks."""
        with np.errstate(all="ignore"):
            total = functools.reduce(np.add, self._of_all(flat))
        self._set(flat, total)

    def broadcast(self, flat) -> None:
        """Replaces the array `flat` of each thread by the array `flat` of the thread with rank 0."""
        self._set(flat, self._of_all(flat)[0])

    def barrier(self) -> None:
        """Waits until all threads have called `barrier`."""
        self.shared["turn"].release()
        try:
            self.shared["barrier"].wait(600)  # a busy machine is no failure
        finally:
            self.shared["turn"].acquire()

    def _of_all(self, flat) -> list:
        self.shared["arrays"][self.rank] = flat.copy() if isinstance(flat, np.ndarray) else flat.copy_to_host()
        self.barrier()
        arrays = list(self.shared["arrays"])
        self.barrier()
        return arrays

    @staticmethod
    def _set(flat, value) -> None:
        if isinstance(flat, np.ndarray):
            flat[...] = value
        else:
            flat.copy_to_device(value)


def together(size: int, work) -> list:
    """Calls work(communicator) in each of `size` threads, and returns a list of the results in the order of the ranks.

    If `work` raises an exception in a thread, all threads end, and `together` raises the first exception.
    """
    shared = {"barrier": threading.Barrier(size), "arrays": [None] * size, "turn": threading.Lock()}
    results, errors, broken = [None] * size, [], []

    def run(rank):
        shared["turn"].acquire()
        try:
            _cuda.select(0)  # the garbage collector may free arrays on the GPU in this thread, before `work` uses the GPU
            results[rank] = work(ThreadCommunicator(rank, size, shared))
        except threading.BrokenBarrierError as error:
            broken.append(error)
        except BaseException as error:
            errors.append(error)
            shared["barrier"].abort()
        finally:
            shared["turn"].release()

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in (*errors, *broken):
        raise error
    return results

"""Communicators between threads of one process, for tests that need no processes.

One thread runs at a time, until it waits for the others: the CUDA simulator runs one kernel at a time.
"""

import functools
import threading

import numpy as np


class ThreadCommunicator:
    """The communicator of one of several threads that train together."""

    def __init__(self, rank: int, size: int, shared: dict):
        self.rank, self.size, self.shared = rank, size, shared

    def sum(self, flat) -> None:
        """Adds up the arrays of all threads as MPI would: on the host, in the order of the ranks."""
        with np.errstate(all="ignore"):
            total = functools.reduce(np.add, self._of_all(flat))
        self._set(flat, total)

    def broadcast(self, flat) -> None:
        """Copies the array of rank 0 to all threads."""
        self._set(flat, self._of_all(flat)[0])

    def barrier(self) -> None:
        """Waits until all threads have arrived."""
        self.shared["turn"].release()
        try:
            self.shared["barrier"].wait(60)
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
    """The result of work(communicator) in each of `size` threads; raises the first error, which ends all threads."""
    shared = {"barrier": threading.Barrier(size), "arrays": [None] * size, "turn": threading.Lock()}
    results, errors = [None] * size, []

    def run(rank):
        shared["turn"].acquire()
        try:
            results[rank] = work(ThreadCommunicator(rank, size, shared))
        except threading.BrokenBarrierError:
            pass
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
    if errors:
        raise errors[0]
    return results

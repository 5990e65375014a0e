"""Checks and times training steps and allreduces (sums over processes) in each process that `benchmarks.scaling` starts."""

import json
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import seconds_of
from benchmarks.peers import Numbanet, Order
from benchmarks.rungs import Rung, problem
from numbanet.distributed.communicators import MPICommunicator
from numbanet.distributed.partition import part_of_whole
from numbanet.engines import set_num_threads
from numbanet.engines.epoch import BatchShare, Epoch, epoch_of, rates_of
from numbanet.engines.rule import PLAIN

# The largest allowed relative difference between the mean loss of a step in several processes and in a single process.
AGREEMENT = {"float32": 1e-5, "float64": 1e-10}
CHECKED_STEPS = 5
# Smallest and largest number of steps in a measurement.
FEWEST_STEPS, MOST_STEPS = 4, 1_000
# Smallest and largest number of allreduces in a measurement, and the total number of bytes for which their number is chosen.
FEWEST_SUMS, MOST_SUMS, BYTES_OF_SUMS = 3, 100, 2**26


class TimedCommunicator:
    """Adds up the arrays of all processes with a communicator, and measures the times of waiting and of adding.

    Attributes
    ----------
    wait, allreduce : float
        `wait` is the total time, in seconds, during which this process has waited for other processes. `allreduce` is the total
        time, in seconds, during which this process has added up arrays with other processes.
    """

    def __init__(self, communicator: Any):
        self.communicator = communicator
        self.wait = self.allreduce = 0.0

    def sum(self, flat: NDArray[np.floating]) -> None:
        """Replaces the vector `flat` of each process by the sum of all processes' vectors."""
        start = time.perf_counter()
        self.communicator.barrier()
        ready = time.perf_counter()
        self.communicator.sum(flat)
        self.wait += ready - start
        self.allreduce += time.perf_counter() - ready


class Rank:
    """Trains a benchmark network in this process, which is one of several processes (ranks).

    Parameters
    ----------
    rung : Rung
        The benchmark network.
    communicator : numbanet.distributed.communicators.Communicator
        Connects the processes.
    operations : float
        The approximate number of operations in a measurement.
    """

    def __init__(self, rung: Rung, communicator: Any, operations: float):
        self.rung, self.communicator, self.operations = rung, communicator, operations
        self.contestant = Numbanet(rung, problem(rung))
        self.engine = self.contestant.engine

    def steps(self, batch: int, processes: int) -> int:
        """Returns the number of steps in a measurement, if each batch is divided among `processes` processes."""
        steps = round(self.operations * processes / (self.rung.operations / self.rung.samples * batch))
        return min(max(FEWEST_STEPS, steps), MOST_STEPS)

    def order(self, steps: int, batch: int) -> Order:
        """Returns the row indices of the samples for `steps` steps.

        If the data has too few samples, the row indices are repeated.
        """
        return np.resize(np.random.default_rng(0).permutation(self.rung.samples), steps * batch)

    def train(self, order: Order, batch: int, add_up: Callable[[Any], None], rank: int, size: int) -> list[float]:
        """Trains on this process's part of each batch. Returns, for each step, the sum of this process's losses from
        the first step to this step.

        Parameters
        ----------
        order : (steps * batch,) int
            The row indices of the samples, one batch after another.
        batch : int
            Number of samples in a batch.
        add_up : callable
            A function that replaces a vector with its sum over all processes.
        rank, size : int
            `rank` is the index of this process, and `size` is the number of processes.
        """
        part = part_of_whole(order, batch, rank, size)
        share = BatchShare(part.ends, part.firsts, add_up)
        epoch = Epoch(part.order, batch, PLAIN, rates_of(part.sizes, self.rung.eta, PLAIN, 1), None, 0, share)
        return [totals.loss for totals in self.engine.train_epoch(*self.contestant.data, epoch)]

    def check(self, batch: int) -> None:
        """Raises AssertionError unless the losses equal those of a single process, and all processes have the same parameters.

        The method trains, and then restores the parameters from before the call.
        """
        order, start, communicator = self.order(CHECKED_STEPS, batch), self.engine.read(), self.communicator
        losses = np.diff(self.train(order, batch, communicator.sum, communicator.rank, communicator.size), prepend=0)
        communicator.sum(losses)
        parameters = self.engine.read()
        parameters_of_rank_0 = parameters.copy()
        communicator.broadcast(parameters_of_rank_0)
        assert np.array_equal(parameters, parameters_of_rank_0), "ranks have different parameters"
        self.engine.write(start)
        if communicator.rank == 0:
            alone = [self.loss_alone(order[first : first + batch]) for first in range(0, order.size, batch)]
            rtol, message = AGREEMENT[self.rung.dtype], f"{self.rung.title}: the losses differ from one process's losses"
            np.testing.assert_allclose(losses / batch, alone, rtol=rtol, err_msg=message)
        self.engine.write(start)

    def loss_alone(self, rows: Order) -> float:
        """Trains one step in this process alone, and returns the mean loss."""
        *_, totals = self.engine.train_epoch(*self.contestant.data, epoch_of(rows, rows.size, self.rung.eta))
        return totals.loss / rows.size

    def step(self, batch: int) -> dict[str, float]:
        """Returns durations, in seconds, of a training step on a batch that is divided among all processes.

        The result is a dict: "step" is the whole duration, and "compute", "wait" and "allreduce" are its parts. All durations
        are means over several steps and over all processes. If there is only one process, it trains as `Network.fit` does.
        """
        if self.communicator.size == 1:
            seconds = self.step_by_threads(1)
            return {"compute": seconds, "wait": 0.0, "allreduce": 0.0, "step": seconds}
        communicator, timed = self.communicator, TimedCommunicator(self.communicator)
        steps = self.steps(batch, 1)
        order, rank, size = self.order(steps, batch), communicator.rank, communicator.size
        communicator.barrier()
        step = seconds_of(lambda: self.train(order, batch, timed.sum, rank, size)) / steps
        wait, allreduce = timed.wait / steps, timed.allreduce / steps
        figures = np.array([step - wait - allreduce, wait, allreduce, step]) / size
        communicator.sum(figures)
        return dict(zip(("compute", "wait", "allreduce", "step"), figures.tolist(), strict=True))

    def step_of_part(self, processes: int) -> float:
        """Returns the duration, in seconds, of a training step that this process performs alone, on a part of a batch.

        The part of the batch is as large as if `processes` processes divided the batch among them.
        """
        batch = self.rung.batch
        steps = self.steps(batch, processes)
        order = self.order(steps, batch)
        return seconds_of(lambda: self.train(order, batch, lambda flat: None, 0, processes)) / steps

    def step_by_threads(self, count: int) -> float:
        """Returns the duration, in seconds, of a training step that this process performs alone, with `count` threads."""
        batch = self.rung.batch
        steps = self.steps(batch, 1)
        epoch = epoch_of(self.order(steps, batch), batch, self.rung.eta)
        set_num_threads(count)

        def train() -> None:
            for _ in self.engine.train_epoch(*self.contestant.data, epoch):
                pass

        train()
        seconds = seconds_of(train) / steps
        set_num_threads(1)
        return seconds

    def message(self) -> int:
        """Returns the size, in bytes, of the gradient vector that the processes add up in a step."""
        sizes = []
        self.train(self.order(1, self.rung.batch), self.rung.batch, lambda flat: sizes.append(flat.nbytes), 0, 1)
        return sizes[0]


def measure(job: dict[str, Any], communicator: Any) -> dict[str, Any]:
    """Measures one round of the scaling benchmark. All durations are in seconds.

    `job` contains the settings of the benchmark, and `communicator` connects the processes.

    Returns
    -------
    dict
        "allreduce" contains the duration of an allreduce (a sum of arrays over all processes) for each message size. "strong"
        (the batch is divided among the processes) and "weak" (each process has a whole batch) contain, for each benchmark
        network, the result of `Rank.step`.

        If there is a single process, the dict also contains, for each network, "threads" (the duration of a step on all cores),
        "bytes" (the size of the gradients), and "parts", a dict: the duration of a step on part of a batch, by the number of
        samples in the part.
    """
    set_num_threads(1)
    results = {"strong": {}, "weak": {}, "allreduce": {str(size): allreduce(communicator, size) for size in job["messages"]}}
    if communicator.size == 1:
        results |= {"threads": {}, "parts": {}, "bytes": {}}
    for fields in job["rungs"]:
        rung = Rung(**fields | {"sizes": tuple(fields["sizes"])})
        rank = Rank(rung, communicator, job["operations"])
        for kind, batch in {"strong": rung.batch, "weak": rung.batch * communicator.size}.items():
            rank.check(batch)
            results[kind][rung.title] = rank.step(batch)
        if communicator.size == 1:
            results["threads"][rung.title] = rank.step_by_threads(job["cores"])
            parts = [n for n in job["parts"] if n <= rung.batch]
            results["parts"][rung.title] = {str(rung.batch // n): rank.step_of_part(n) for n in parts}
            results["bytes"][rung.title] = rank.message()
    return results


def allreduce(communicator: Any, size: int) -> float:
    """Returns the time, in seconds, in which all processes add up a vector of `size` bytes."""
    vector = np.zeros(size // 4, np.float32)
    times = min(max(FEWEST_SUMS, BYTES_OF_SUMS // size), MOST_SUMS)
    communicator.sum(vector)
    communicator.barrier()
    return seconds_of(lambda: communicator.sum(vector), times)


if __name__ == "__main__":
    world = MPICommunicator()
    figures = measure(json.loads(sys.argv[1]), world)
    if world.rank == 0:
        print(json.dumps(figures))

"""What runs in each of the processes that `benchmarks.distributed` starts: steps, allreduces, and times of one turn."""

import json
import sys
import time

import numpy as np

from numbanet.distributed.communicators import MPICommunicator
from numbanet.distributed.training import part_of_whole
from numbanet.engines import set_num_threads
from numbanet.engines.epoch import BatchShare, Epoch, epoch_of, rates_of
from numbanet.engines.rule import PLAIN

from .measuring import seconds_of
from .peers import Numbanet
from .rungs import Rung, problem

# How far mean losses of a step may lie apart, relatively, however many processes share its batch.
AGREEMENT = {"float32": 1e-5, "float64": 1e-10}
CHECKED_STEPS = 5
# A turn has so many steps.
FEWEST_STEPS, MOST_STEPS = 4, 1_000
# A message is added up so many times in a row.
FEWEST_SUMS, MOST_SUMS, BYTES_OF_SUMS = 3, 100, 2**26


class Timed:
    """A communicator that notes how long its process waits for others, and how long they add up."""

    def __init__(self, communicator):
        self.communicator, self.rank, self.size = communicator, communicator.rank, communicator.size
        self.wait = self.allreduce = 0.0

    def sum(self, flat):
        start = time.perf_counter()
        self.communicator.barrier()
        ready = time.perf_counter()
        self.communicator.sum(flat)
        self.wait += ready - start
        self.allreduce += time.perf_counter() - ready


class Rank:
    """A rung in this process.

    Parameters
    ----------
    rung : Rung
    communicator : Communicator
    operations : float
        How much work a turn has, about.
    """

    def __init__(self, rung, communicator, operations):
        self.rung, self.communicator, self.operations = rung, communicator, operations
        self.peer = Numbanet(rung, problem(rung))
        self.engine = self.peer.engine

    def steps(self, batch, processes) -> int:
        """How many make a turn."""
        steps = round(self.operations * processes / (self.rung.operations / self.rung.samples * batch))
        return min(max(FEWEST_STEPS, steps), MOST_STEPS)

    def order(self, steps, batch):
        """So many samples, those of the rung again and again."""
        return np.resize(np.random.default_rng(0).permutation(self.rung.samples), steps * batch)

    def train(self, order, batch, add_up, rank, size) -> list[float]:
        """The part of a rank in these batches; the sum of its losses after each step."""
        part = part_of_whole(order, batch, rank, size)
        share = BatchShare(part.ends, part.firsts, add_up)
        this = Epoch(part.order, batch, PLAIN, rates_of(part.sizes, self.rung.eta, PLAIN, 1), None, 0, share)
        return [totals.loss for totals in self.engine.train_epoch(*self.peer.data, this)]

    def check(self, batch) -> None:
        """The mean losses of some steps are those of a process alone, and all have the same parameters after them."""
        order, start, communicator = self.order(CHECKED_STEPS, batch), self.engine.read(), self.communicator
        losses = np.diff(self.train(order, batch, communicator.sum, communicator.rank, communicator.size), prepend=0)
        communicator.sum(losses)
        after = self.engine.read()
        of_rank_0 = after.copy()
        communicator.broadcast(of_rank_0)
        assert np.array_equal(after, of_rank_0), "ranks have different parameters"
        self.engine.write(start)
        if communicator.rank == 0:
            alone = [self.alone(order[first : first + batch]) for first in range(0, order.size, batch)]
            rtol, message = AGREEMENT[self.rung.dtype], f"{self.rung.title}: other losses than those of one process"
            np.testing.assert_allclose(losses / batch, alone, rtol=rtol, err_msg=message)
        self.engine.write(start)

    def alone(self, rows) -> float:
        """The mean loss of a step that nobody shares."""
        *_, totals = self.engine.train_epoch(*self.peer.data, epoch_of(rows, rows.size, self.rung.eta))
        return totals.loss / rows.size

    def step(self, batch) -> dict[str, float]:
        """Seconds of a step whose batch all share, on the average of a turn and of all ranks: the parts add up to the step.

        A process alone has nothing to share, and does what `fit` does there.
        """
        if self.communicator.size == 1:
            seconds = self.threads(1)
            return {"compute": seconds, "wait": 0.0, "allreduce": 0.0, "step": seconds}
        communicator, timed = self.communicator, Timed(self.communicator)
        steps = self.steps(batch, 1)
        order, rank, size = self.order(steps, batch), communicator.rank, communicator.size
        communicator.barrier()
        step = seconds_of(lambda: self.train(order, batch, timed.sum, rank, size)) / steps
        wait, allreduce = timed.wait / steps, timed.allreduce / steps
        figures = np.array([step - wait - allreduce, wait, allreduce, step]) / size
        communicator.sum(figures)
        return dict(zip(("compute", "wait", "allreduce", "step"), figures.tolist(), strict=True))

    def share(self, processes) -> float:
        """Seconds of a step of one process alone that has the share of the first of so many."""
        batch = self.rung.batch
        steps = self.steps(batch, processes)
        order = self.order(steps, batch)
        return seconds_of(lambda: self.train(order, batch, lambda flat: None, 0, processes)) / steps

    def threads(self, count) -> float:
        """Seconds of a step of one process alone that has so many threads."""
        batch = self.rung.batch
        steps = self.steps(batch, 1)
        this = epoch_of(self.order(steps, batch), batch, self.rung.eta)
        set_num_threads(count)

        def train():
            for _ in self.engine.train_epoch(*self.peer.data, this):
                pass

        train()
        seconds = seconds_of(train) / steps
        set_num_threads(1)
        return seconds


def measure(job, communicator) -> dict:
    """One turn of all that a job asks for."""
    set_num_threads(1)
    results = {"strong": {}, "weak": {}, "allreduce": {str(size): allreduce(communicator, size) for size in job["messages"]}}
    for fields in job["rungs"]:
        rung = Rung(**{**fields, "sizes": tuple(fields["sizes"])})
        rank = Rank(rung, communicator, job["operations"])
        for kind, batch in {"strong": rung.batch, "weak": rung.batch * communicator.size}.items():
            rank.check(batch)
            results[kind][rung.title] = rank.step(batch)
        if communicator.size == 1:
            results.setdefault("threads", {})[rung.title] = rank.threads(job["cores"])
            shares = {str(rung.batch // n): rank.share(n) for n in job["shares"] if n <= rung.batch}
            results.setdefault("shares", {})[rung.title] = shares
            results.setdefault("bytes", {})[rung.title] = message(rank)
    if communicator.size == 1:
        results["adding"] = adding(max(job["messages"]))
    return results


def message(rank) -> int:
    """The size of what is added up in a step."""
    sizes = []
    rank.train(rank.order(1, rank.rung.batch), rank.rung.batch, lambda flat: sizes.append(flat.nbytes), 0, 1)
    return sizes[0]


def allreduce(communicator, size) -> float:
    """Seconds in which all add up so many bytes."""
    vector = np.zeros(size // 4, np.float32)
    times = min(max(FEWEST_SUMS, BYTES_OF_SUMS // size), MOST_SUMS)
    communicator.sum(vector)
    communicator.barrier()
    return seconds_of(lambda: communicator.sum(vector), times)


def adding(size) -> float:
    """Seconds per byte of adding a vector to another."""
    one, other = np.zeros((2, size // 4), np.float32)
    np.add(one, other, out=one)
    return seconds_of(lambda: np.add(one, other, out=one), FEWEST_SUMS) / size


if __name__ == "__main__":
    everybody = MPICommunicator()
    found = measure(json.loads(sys.argv[1]), everybody)
    if everybody.rank == 0:
        print(json.dumps(found))

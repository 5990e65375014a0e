"""The table of optimizers: the time of an epoch with each optimizer, relative to an epoch of plain gradient descent."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from benchmarks.measuring import Settings, Table, figure, medians, seconds_of, take_turns
from benchmarks.peers import Order, flat, read_only_data, topology
from benchmarks.rungs import RUNGS, Rung, problem

RUNGS_BY_DEFAULT = (RUNGS["R2"], RUNGS["R3"], RUNGS["R4"])
NAMES = ("gradient_descent", "momentum", "nesterov", "adam", "adamw")
# Number of batches on which the results of the fast kernels are compared with the results of the reference loops.
CHECKED_BATCHES = 4
ETA = 1e-4


def measure(rungs: Iterable[Rung], settings: Settings) -> list[dict[str, Any]]:
    """Measures and prints the table of optimizers, and returns the values of each line."""
    table = Table("Optimizers: an epoch, in epochs of plain gradient descent", ("rung", *NAMES[1:]), settings.markdown)
    results = []
    for rung in rungs:
        trainers = {name: Trainer(rung, name) for name in NAMES}
        runs = {name: lambda turn, trainer=trainer: seconds_of(trainer.epoch) for name, trainer in trainers.items()}
        turns = take_turns(runs, 3 * settings.rounds)
        seconds = medians(turns)
        ratios = {name: seconds[name] / seconds["gradient_descent"] for name in NAMES}
        results.append({"rung": rung.title, "ratios": ratios, "seconds": turns})
        table.line(rung.title, *(figure(ratios[name]) for name in NAMES[1:]))
    return results


class Trainer:
    """Trains a benchmark network with one optimizer.

    The constructor trains a few batches with the fast engine and with the reference engine, and raises AssertionError unless
    their parameters agree. Then it trains one epoch, to fill the caches of the CPU.

    Parameters
    ----------
    rung : Rung
        The benchmark network.
    name : str
        The name of the optimizer.
    """

    def __init__(self, rung: Rung, name: str):
        from numbanet.engines import make_engine
        from numbanet.training.optimizers import OPTIMIZERS

        start = problem(rung)
        self.rung, self.rule, self.step = rung, OPTIMIZERS[name]().rule(), 1
        self.data = read_only_data(rung, start)
        self.engine, reference = (make_engine(topology(rung), "cpu", kernels) for kernels in ("fast", "reference"))
        first_batches = np.arange(min(CHECKED_BATCHES * rung.batch, rung.samples))
        for engine in (self.engine, reference):
            engine.write(flat(start.parameters))
            self.train(engine, first_batches)
        np.testing.assert_allclose(self.engine.read(), reference.read(), rtol=1e-3, atol=1e-4, err_msg=name)
        self.random = np.random.default_rng(0)
        self.epoch()

    def train(self, engine: Any, order: Order) -> None:
        """Trains an engine on the samples with the row indices `order`; the first optimizer step has the number `self.step`."""
        from numbanet.engines.epoch import epoch_of

        for _ in engine.train_epoch(*self.data, epoch_of(order, self.rung.batch, ETA, self.rule, first_step=self.step)):
            pass

    def epoch(self) -> None:
        """Trains one epoch, in a random order of the samples."""
        self.train(self.engine, self.random.permutation(self.rung.samples))
        self.step += self.rung.steps

"""Optimizers: how much longer an epoch takes than by plain gradient descent."""

import numpy as np

from .measuring import Table, figure, medians, seconds_of, take_turns
from .rungs import RUNGS, problem

COMPARED = (RUNGS["R2"], RUNGS["R3"], RUNGS["R4"])
NAMES = ("gradient_descent", "momentum", "nesterov", "adam", "adamw")
# Batches that are trained on to see whether the fast rung does what the reference loops do.
CHECKED = 4


def measure(rungs, settings) -> list[dict]:
    """The table of optimizers and its figures."""
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
    """Epochs of a rung by one optimizer, once its first steps are those of the reference loops."""

    def __init__(self, rung, name):
        from numbanet.engines import Topology, make_engine
        from numbanet.training.optimizers import OPTIMIZERS

        start = problem(rung)
        activations = (rung.activation,) * (len(rung.sizes) - 2) + ("softmax",)
        topology = Topology(rung.sizes, activations, "cce", np.dtype(rung.dtype))
        self.rung, self.rule, self.step = rung, OPTIMIZERS[name]().rule(), 1
        self.data = start.x.view(), np.eye(rung.sizes[-1], dtype=rung.dtype)[start.labels]
        for array in self.data:
            array.flags.writeable = False
        self.engine, reference = (make_engine(topology, "cpu", kernels) for kernels in ("fast", "reference"))
        few = np.arange(min(CHECKED * rung.batch, rung.samples))
        for engine in (self.engine, reference):
            engine.write(np.concatenate([array.ravel() for pair in start.parameters for array in pair]))
            self.train(engine, few)
        np.testing.assert_allclose(self.engine.read(), reference.read(), rtol=1e-3, atol=1e-4, err_msg=name)
        self.random = np.random.default_rng(0)
        self.epoch()

    def train(self, engine, order):
        """An epoch of these samples, whose first step is the one that is next."""
        from numbanet.engines.epoch import epoch_of

        for _ in engine.train_epoch(*self.data, epoch_of(order, self.rung.batch, 1e-4, self.rule, first_step=self.step)):
            pass

    def epoch(self):
        """A shuffled epoch."""
        self.train(self.engine, self.random.permutation(self.rung.samples))
        self.step += self.rung.steps

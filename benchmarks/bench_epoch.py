"""Epochs of the ladder, everybody's, and what numbanet learns in thirty epochs of the bundled digits."""

from dataclasses import replace

import numpy as np

from numbanet import Network, load_digits

from .common import contestant, need_gpu
from .peers import CONTESTANTS, Numpy
from .rungs import RUNGS, problem

# Fewer steps than the ladder's, where those take seconds.
SAMPLES = {"R3": 1_280, "R4": 1_024, "R5": 1_024, "R6": 512}
REFERENCE_RUNGS = ("R1", "R2", "R3")


class Epoch:
    """An epoch of each rung by each contestant, see `benchmarks.peers`."""

    params = (tuple(CONTESTANTS), tuple(RUNGS))
    param_names = ("contestant", "rung")
    contestant = None

    def setup(self, name, rung_name):
        if self.contestant is not None:  # asv sets up again before every call
            return
        if name == "reference" and rung_name not in REFERENCE_RUNGS:
            raise NotImplementedError("takes seconds")
        rung = RUNGS[rung_name]
        rung = replace(rung, samples=SAMPLES.get(rung_name, rung.samples))
        start = problem(rung)
        trainer, oracle = contestant(name, rung, start), Numpy(replace(rung, dtype="float64"), start)
        order = np.random.default_rng(0).permutation(rung.samples)
        self.order = trainer.prepare(order)
        for _ in range(2):  # the loss of the second epoch tells whether the first one learnt the same
            np.testing.assert_allclose(trainer.train(self.order), oracle.train(oracle.prepare(order)), rtol=1e-5)
        self.contestant = trainer

    def time_epoch(self, name, rung_name):
        self.contestant.train(self.order)


class Accuracy:
    """Share of the held-out digits read right after thirty epochs: a speed-up that breaks training shows here."""

    params = ("fast", "reference", "cuda")
    param_names = ("impl",)
    unit = "share"

    def setup(self, impl):
        self.data = load_digits()
        if impl == "cuda":
            need_gpu()
            self.settings = {"device": "cuda"}
        else:
            self.settings = {"kernels": impl}

    def track_test_accuracy(self, impl):
        x, labels, x_test, labels_test = self.data
        network = Network([64, 32, 10], "relu", "cce", seed=0, **self.settings)
        network.fit(x, labels, epochs=30, batch_size=32, learning_rate=0.1, verbose=0)
        return network.evaluate(x_test, labels_test)["accuracy"]

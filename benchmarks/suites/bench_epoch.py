"""Benchmarks of epochs in all libraries that are compared, and numbanet's test accuracy after thirty epochs on the digits."""

from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.peers import CONTESTANTS, Numpy
from benchmarks.rungs import RUNGS, orders, problem
from numbanet import Network, load_digits

from .equation import contestant, need_gpu

# Fewer samples than in `benchmarks.ladder`, in which an epoch takes seconds.
SAMPLES = {"R3": 1_280, "R4": 512, "R5": 512}
REFERENCE_RUNGS = ("R1", "R2", "R3")


class Epoch:
    """Benchmark of an epoch of each of the networks R1 to R5, in every library that is compared.

    The network R6 is left out, because it runs the same code as the network R5. NumPy is left out, because its results are the
    reference for the results of the other libraries.
    """

    params = (tuple(name for name in CONTESTANTS if name != "NumPy"), ("R1", "R2", "R3", "R4", "R5"))
    param_names = ("contestant", "rung")
    contestant: Any = None
    order: Any

    def setup(self, name: str, rung_name: str) -> None:
        """Sets up the library `name` to train the network `rung_name`, and checks its losses over two epochs.

        The loss of the second epoch shows whether the first epoch has updated the parameters correctly. asv calls `setup`
        before each timed call; only the first call to `setup` does anything.
        """
        if self.contestant is not None:
            return
        if name == "reference" and rung_name not in REFERENCE_RUNGS:
            raise NotImplementedError("skipped, because the reference loops would take seconds")
        rung = RUNGS[rung_name]
        rung = replace(rung, samples=SAMPLES.get(rung_name, rung.samples))
        start = problem(rung)
        trainer, oracle = contestant(name, rung, start), Numpy(replace(rung, dtype="float64"), start)
        [order] = orders(rung, 1)
        self.order = trainer.prepare(order)
        for _ in range(2):
            np.testing.assert_allclose(trainer.train(self.order), oracle.train(oracle.prepare(order)), rtol=1e-5)
        self.contestant = trainer

    def time_epoch(self, name: str, rung_name: str) -> None:
        """Times an epoch, including the time to read its loss."""
        self.contestant.train(self.order)


class Accuracy:
    """The test accuracy after thirty epochs on the digits, which shows whether code that was made faster still trains well."""

    params = ("fast", "reference", "cuda")
    param_names = ("impl",)
    unit = "fraction"

    def setup(self, impl: str) -> None:
        """Loads the digits, and skips the benchmark if it needs a GPU and there is none."""
        self.data = load_digits()
        if impl == "cuda":
            need_gpu()
        self.settings: dict[str, Any] = {"device": "cuda"} if impl == "cuda" else {"kernels": impl}

    def track_test_accuracy(self, impl: str) -> float:
        """Trains a network, and returns the fraction of the test images that it classifies correctly."""
        x, labels, x_test, labels_test = self.data
        network = Network([64, 32, 10], "relu", "cce", seed=0, **self.settings)
        network.fit(x, labels, epochs=30, batch_size=32, learning_rate=0.1, verbose=0)
        return network.evaluate(x_test, labels_test)["accuracy"]

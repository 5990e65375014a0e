"""Benchmarks of predictions, through the public interface of each library: for 1, 100 and 10,000 samples."""

from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.peers import CONTESTANTS, Numpy
from benchmarks.rungs import RUNGS, problem

from .equation import contestant, seconds_per_call

COUNT = 10_000


class Predict:
    """Benchmark of the prediction of class probabilities with the networks R2 and R3, in every library that is compared.

    NumPy is left out, because its results are the reference for the results of the other libraries.
    """

    params = (tuple(name for name in CONTESTANTS if name != "NumPy"), ("R2", "R3"))
    param_names = ("contestant", "rung")
    unit = "seconds"
    contestant: Any = None
    one: Any
    hundred: Any
    many: Any

    def setup(self, name: str, rung_name: str) -> None:
        """Sets up the library `name` and checks its predictions.

        asv calls `setup` before each timed call; only the first call to `setup` does anything.
        """
        if self.contestant is not None:
            return
        if name == "reference" and rung_name != "R2":
            raise NotImplementedError("skipped, because the reference loops would take seconds")
        rung = replace(RUNGS[rung_name], samples=COUNT)
        start = problem(rung)
        predictor = contestant(name, rung, start)
        self.one, self.hundred, self.many = (predictor.ready(start.x[:count]) for count in (1, 100, COUNT))
        expected = Numpy(replace(rung, dtype="float64"), start).predict(start.x)
        for x in (self.one, self.hundred, self.many):
            y_hat = np.asarray(predictor.predict(x))
            np.testing.assert_allclose(y_hat, expected[: len(y_hat)], rtol=1e-4, atol=1e-6)
        self.contestant = predictor

    def track_one_sample(self, name: str, rung_name: str) -> float:
        """Returns the duration, in seconds, of a prediction for one sample."""
        return seconds_per_call(lambda: self.contestant.predict(self.one))

    def track_100_samples(self, name: str, rung_name: str) -> float:
        """Returns the duration, in seconds, of a prediction for 100 samples."""
        return seconds_per_call(lambda: self.contestant.predict(self.hundred))

    def time_10000_samples(self, name: str, rung_name: str) -> None:
        """Times a prediction for 10,000 samples."""
        self.contestant.predict(self.many)

"""Predictions by everybody's front door: how long one sample takes, and ten thousand."""

from dataclasses import replace

import numpy as np

from .common import contestant, seconds_per_call
from .peers import CONTESTANTS, Numpy
from .rungs import RUNGS, problem

COUNT = 10_000


class Predict:
    """The probabilities of the classes, with the networks of two rungs."""

    params = (tuple(CONTESTANTS), ("R2", "R3"))
    param_names = ("contestant", "rung")
    unit = "seconds"
    contestant = None

    def setup(self, name, rung_name):
        if self.contestant is not None:  # asv sets up again before every call
            return
        rung = replace(RUNGS[rung_name], samples=COUNT)
        start = problem(rung)
        predictor = contestant(name, rung, start)
        self.one, self.many = predictor.ready(start.x[:1]), predictor.ready(start.x)
        expected = Numpy(replace(rung, dtype="float64"), start).predict(start.x)
        for x in (self.one, self.many):
            y_hat = np.asarray(predictor.predict(x))
            np.testing.assert_allclose(y_hat, expected[: len(y_hat)], rtol=1e-4, atol=1e-6)
        self.contestant = predictor

    def track_one_sample(self, name, rung_name):
        return seconds_per_call(lambda: self.contestant.predict(self.one))

    def time_10000_samples(self, name, rung_name):
        self.contestant.predict(self.many)

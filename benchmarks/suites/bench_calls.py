"""Benchmarks of short training calls with the network R2 (64-32-10): one step, one pass over ten batches, and one epoch."""

from typing import Any

import numpy as np

from benchmarks.ladder.calls import TIMES, calls_of
from benchmarks.peers import CONTESTANTS, Numbanet
from benchmarks.rungs import RUNGS, problem

from .equation import contestant


class Calls:
    """Benchmark of training calls that take NumPy arrays and return the loss, in every library that is compared."""

    params = (tuple(name for name in CONTESTANTS if name not in ("NumPy", "reference", "CUDA")), tuple(TIMES))
    param_names = ("contestant", "call")
    call: Any = None

    def setup(self, name: str, call_name: str) -> None:
        """Sets up the library `name`, and checks the losses of two calls against the losses of numbanet.

        asv calls `setup` before each timed call; only the first call to `setup` does anything.
        """
        if self.call is not None:
            return
        rung = RUNGS["R2"]
        start = problem(rung)
        call = calls_of(contestant(name, rung, start), rung)[call_name]
        expected = calls_of(Numbanet(rung, start), rung)[call_name]
        np.testing.assert_allclose([call(), call()], [expected(), expected()], rtol=1e-4)
        self.call = call

    def time_call(self, name: str, call_name: str) -> None:
        """Times a call, including the time to read its loss."""
        self.call()

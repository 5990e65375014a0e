"""The table of calls: for each library, the duration of short training calls, which take NumPy arrays and return the loss."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import numpy as np

from benchmarks import peers
from benchmarks.ladder.epochs import AGREEMENT
from benchmarks.measuring import Settings, Table, figure, medians, seconds_of, take_turns
from benchmarks.rungs import RUNGS, Rung, problem

CONTESTANTS = ("numbanet", *peers.PEERS)
COLUMNS = ("rung", "call", *CONTESTANTS, "best peer / numbanet")
RUNGS_BY_DEFAULT = (RUNGS["R1"], RUNGS["R2"])
# Number of batches in a call to partial_fit. JAX and PyTorch have no call like partial_fit, and perform the same number of
# single steps.
BATCHES = 10
# Number of calls in a measurement, by the name of the call, because a single call is too short to be timed.
TIMES = {"train_step": 200, "partial_fit": 20, "fit, 1 epoch": 5}

# The type of a function that makes one call and returns the loss.
Call = Callable[[], float]


def measure(rungs: Iterable[Rung], settings: Settings) -> list[dict[str, Any]]:
    """Measures and prints the table of training calls, and returns the values of each line."""
    table = Table("Training calls: microseconds per call", COLUMNS, settings.markdown)
    results = []
    for rung in rungs:
        for name, times in TIMES.items():
            contestants = peers.installed(CONTESTANTS, rung, problem(rung))
            calls = {library: calls_of(contestant, rung)[name] for library, contestant in contestants.items()}
            check(calls)
            runs = {library: partial(_seconds, call, times) for library, call in calls.items()}
            turns = take_turns(runs, settings.rounds)
            seconds = medians(turns)
            cells = [figure(seconds[each] * 1e6 if each in seconds else None) for each in CONTESTANTS]
            results.append({"rung": rung.title, "call": name, "best peer / numbanet": peers.lead(seconds), "seconds": turns})
            table.line(rung.title, name, *cells, figure(results[-1]["best peer / numbanet"]))
    return results


def _seconds(call: Call, times: int, turn: int) -> float:
    return seconds_of(call, times)


def calls_of(contestant: Any, rung: Rung) -> dict[str, Call]:
    """Returns the training calls of a contestant (a library) as a dict, with keys such as "train_step".

    All contestants train on the samples in the same order, without shuffling.
    """
    data = problem(rung)
    size, order = rung.batch, np.arange(rung.samples)
    batches = [(data.x[first : first + size], data.labels[first : first + size]) for first in order[: BATCHES * size : size]]
    x, labels = data.x[: BATCHES * size], data.labels[: BATCHES * size]
    calls: dict[str, Call] = {"train_step": lambda: contestant.step(*batches[0])}
    if isinstance(contestant, peers.Numbanet):
        network, options = contestant.network, {"batch_size": size, "learning_rate": rung.eta}
        calls["partial_fit"] = lambda: network.partial_fit(x, labels, **options)["loss"]
        calls["fit, 1 epoch"] = lambda: network.fit(data.x, data.labels, epochs=1, shuffle=False, verbose=0, **options).history[
            "loss"
        ][0]
        return calls
    whole = isinstance(contestant, peers.ScikitLearn)  # scikit-learn's `step` divides the samples into batches itself
    prepared = contestant.prepare(order)
    calls["partial_fit"] = lambda: float(np.mean([contestant.step(*each) for each in ([(x, labels)] if whole else batches)]))
    calls["fit, 1 epoch"] = lambda: contestant.train(prepared)
    return calls


def check(calls: Mapping[str, Call]) -> None:
    """Makes each library's call twice. Raises AssertionError unless the losses of all calls agree with numbanet's losses.

    In the first call, each library also compiles its code.
    """
    losses = {library: [call(), call()] for library, call in calls.items()}
    for library, values in losses.items():
        np.testing.assert_allclose(values, losses["numbanet"], rtol=AGREEMENT, err_msg=f"{library} computes something else")

"""The table of predictions: for each library, the duration of a prediction for one sample and for many samples."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks import peers
from benchmarks.measuring import Settings, Table, figure, medians, seconds_of, take_turns
from benchmarks.rungs import RUNGS, Rung, problem

CONTESTANTS = ("numbanet", *peers.PEERS)
COLUMNS = ("rung", "samples", *CONTESTANTS, "best peer / numbanet")
RUNGS_BY_DEFAULT = (RUNGS["R2"], RUNGS["R3"])
COUNTS = (1, 100, 10_000)
# Smallest number of samples that are predicted in a measurement, because a single prediction is too short to be timed.
TURN_SAMPLES = 500


def measure(rungs: Iterable[Rung], settings: Settings) -> list[dict[str, Any]]:
    """Measures and prints the table of predictions, and returns the values of each line."""
    table = Table("Predictions: microseconds per call", COLUMNS, settings.markdown)
    results = []
    for rung in rungs:
        for count in COUNTS:
            results.append(measure_calls(rung, count, settings.rounds))
            times = results[-1]["microseconds"]
            cells = [figure(times.get(name)) for name in CONTESTANTS]
            table.line(rung.title, f"{count:,}", *cells, figure(results[-1]["best peer / numbanet"]))
    return results


def measure_calls(rung: Rung, count: int, rounds: int) -> dict[str, Any]:
    """Returns the values of one line of the table: the durations of predictions for `count` samples."""
    start = problem(replace(rung, samples=max(count, rung.batch)))
    contestants = peers.installed(CONTESTANTS, rung, start)
    samples = {name: peer.ready(start.x[:count]) for name, peer in contestants.items()}
    check(contestants, samples)
    times = max(1, TURN_SAMPLES // count)
    runs = {
        name: lambda turn, peer=peer, x=samples[name]: seconds_of(lambda: peer.predict(x), times)
        for name, peer in contestants.items()
    }
    turns = take_turns(runs, rounds)
    seconds = medians(turns)
    return {
        "rung": rung.title,
        "samples": count,
        "microseconds": {name: time * 1e6 for name, time in seconds.items()},
        "best peer / numbanet": peers.lead(seconds),
        "seconds": turns,
    }


def check(contestants: Mapping[str, Any], samples: Mapping[str, Any]) -> None:
    """Raises AssertionError unless the predictions of all libraries agree with numbanet's.

    In the first prediction, each library also compiles its code.

    Parameters
    ----------
    contestants : dict of str to Contestant
        The objects that predict, by the names of their libraries.
    samples : dict of str to array
        For each library, the samples that its method `ready` has returned.
    """
    answers = {name: np.asarray(peer.predict(samples[name])) for name, peer in contestants.items()}
    for name, y_hat in answers.items():
        np.testing.assert_allclose(y_hat, answers["numbanet"], rtol=1e-3, atol=1e-6, err_msg=f"{name} predicts something else")

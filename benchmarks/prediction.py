"""Predictions: how long one sample takes, and many, each through its own front door."""

from dataclasses import replace

import numpy as np

from . import peers
from .measuring import Table, figure, medians, seconds_of, take_turns
from .rungs import RUNGS, problem

CONTESTANTS = ("numbanet", *peers.PEERS)
COLUMNS = ("rung", "samples", *CONTESTANTS, "best peer / numbanet")
PREDICTED = (RUNGS["R2"], RUNGS["R3"])
COUNTS = (1, 10_000)
# So many samples in a turn, at least: a call for a single one is over in less than a clock measures well.
TURN_SAMPLES = 500


def measure(rungs, settings) -> list[dict]:
    """The table of predictions and its figures."""
    table = Table("Predictions: microseconds per call", COLUMNS, settings.markdown)
    results = []
    for rung in rungs:
        for count in COUNTS:
            results.append(measure_calls(rung, count, settings.rounds))
            times = results[-1]["microseconds"]
            cells = [figure(times.get(name)) for name in CONTESTANTS]
            table.line(rung.title, f"{count:,}", *cells, figure(results[-1]["best peer / numbanet"]))
    return results


def measure_calls(rung, count, rounds) -> dict:
    """One line: the seconds of a call for so many samples."""
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


def check(contestants, samples):
    """Everybody predicts the same. The first call of each compiles."""
    answers = {name: np.asarray(peer.predict(samples[name])) for name, peer in contestants.items()}
    for name, y_hat in answers.items():
        np.testing.assert_allclose(y_hat, answers["numbanet"], rtol=1e-3, atol=1e-6, err_msg=f"{name} predicts something else")

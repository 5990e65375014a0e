"""Whole epochs of the ladder: everybody's losses agree, then everybody trains in turn."""

import statistics
from dataclasses import replace

import numpy as np

from . import peers
from .ceiling import Ceiling
from .measuring import Table, figure, medians, seconds_of, take_turns
from .rungs import RUNGS, problem

CONTESTANTS = ("numbanet", *peers.PEERS, "reference")
# The plain loops of the reference take minutes beyond; and who takes longer than so many seconds takes one turn only.
REFERENCE_OPERATIONS = 1e10
SLOW_SECONDS = 2
# A turn lasts this long at least: epochs of small networks are over in less than a clock measures well.
TURN_SECONDS = 0.05
# How far mean losses may lie apart, relatively, when everybody computes the same in float32.
AGREEMENT = 1e-4

# R1 to R6, and what hidden layers and float64 cost.
LADDER = (
    *RUNGS.values(),
    *(replace(RUNGS[name], activation=activation) for activation in ("sigmoid", "tanh") for name in ("R3", "R4")),
    replace(RUNGS["R3"], dtype="float64"),
)


def measure(rungs, settings) -> list[dict]:
    """The table of the ladder, line by line, and its figures."""
    columns = ("rung", "batch", *CONTESTANTS, "best peer / numbanet", "of the ceiling")
    table = Table("Epochs: microseconds per step (GFLOP/s)", columns, settings.markdown)
    results = []
    for rung in rungs:
        results.append(measure_rung(rung, settings))
        table.line(*_cells(rung, results[-1]))
    return results


def measure_rung(rung, settings) -> dict:
    """One line: the seconds of an epoch of everybody, and the machine's ceiling in the same rounds."""
    names = [name for name in CONTESTANTS if name != "reference" or rung.operations < REFERENCE_OPERATIONS]
    start = problem(rung)
    contestants = peers.installed(names, rung, start)
    orders = [np.random.default_rng(seed).permutation(rung.samples) for seed in range(settings.rounds + 2)]
    check(contestants, orders[:2])
    ceiling = Ceiling(rung.dtype, settings.cores)
    runs = {}
    for name, contestant in contestants.items():
        runs[name] = turns_of(contestant, orders[1:])
        runs.setdefault("ceiling", lambda turn: ceiling.measure())  # second, where nobody's threads go on spinning
    turns = take_turns(runs, settings.rounds)
    operations_per_second = statistics.median(turns.pop("ceiling"))
    seconds = medians(turns)
    return {
        "rung": rung.title,
        "microseconds per step": {name: time / rung.steps * 1e6 for name, time in seconds.items()},
        "GFLOP/s": {name: rung.operations / time / 1e9 for name, time in seconds.items()},
        "best peer / numbanet": peers.lead(seconds),
        "ceiling GFLOP/s": operations_per_second / 1e9,
        "of the ceiling": rung.operations / seconds["numbanet"] / operations_per_second,
        "seconds of an epoch": turns,
    }


def check(contestants, orders):
    """Everybody's mean losses over these epochs agree: they compute the same. The first call of each compiles."""
    losses = {name: [peer.train(peer.prepare(order)) for order in orders] for name, peer in contestants.items()}
    for name, values in losses.items():
        np.testing.assert_allclose(values, losses["numbanet"], rtol=AGREEMENT, err_msg=f"{name} computes something else")


def turns_of(contestant, orders):
    """A function of the turn: the seconds of an epoch, after one in the first order, which tells how many make a turn."""
    prepared = [contestant.prepare(order) for order in orders]
    seconds = seconds_of(lambda: contestant.train(prepared[0]))
    times = max(1, round(TURN_SECONDS / seconds))

    def run(turn):
        if turn == 0 or seconds < SLOW_SECONDS:
            return seconds_of(lambda: contestant.train(prepared[turn + 1]), times)

    return run


def _cells(rung, result):
    times, rates = result["microseconds per step"], result["GFLOP/s"]
    cells = [f"{figure(times[name])} ({figure(rates[name])})" if name in times else figure(None) for name in CONTESTANTS]
    return rung.title, str(rung.batch), *cells, figure(result["best peer / numbanet"]), figure(result["of the ceiling"])

"""The table of whole epochs: the losses of all contestants agree, then they train in turn."""

import statistics
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks import peers
from benchmarks.ladder.ceiling import Ceiling
from benchmarks.measuring import Settings, Table, figure, medians, seconds_of, take_turns
from benchmarks.rungs import RUNGS, Rung, orders, problem

CONTESTANTS = ("numbanet", *peers.PEERS, "reference")
# The reference loops take minutes beyond this many operations per epoch.
REFERENCE_OPERATIONS = 1e10
# A contestant whose epoch takes longer than this is timed once, not in every round.
SLOW_SECONDS = 2
# Epochs of small networks are too short for the clock: they are repeated until a turn lasts this long.
TURN_SECONDS = 0.05
# Relative tolerance of mean losses, of contestants that compute the same in float32.
AGREEMENT = 1e-4

# R1 to R6, then other hidden activations and float64.
RUNGS_BY_DEFAULT = (
    *RUNGS.values(),
    *(replace(RUNGS[name], activation=activation) for activation in ("sigmoid", "tanh") for name in ("R3", "R4")),
    replace(RUNGS["R3"], dtype="float64"),
)


def measure(rungs: Iterable[Rung], settings: Settings) -> list[dict[str, Any]]:
    """Prints the table of epochs, a line per rung, and returns the figures of each line."""
    columns = ("rung", "batch", *CONTESTANTS, "best peer / numbanet", "of the ceiling")
    table = Table("Epochs: microseconds per step (GFLOP/s)", columns, settings.markdown)
    results = []
    for rung in rungs:
        results.append(measure_rung(rung, settings))
        table.line(*_cells(rung, results[-1]))
    return results


def measure_rung(rung: Rung, settings: Settings) -> dict[str, Any]:
    """Returns the figures of one line: the epochs of all contestants, and the ceiling in the same rounds."""
    names = [name for name in CONTESTANTS if name != "reference" or rung.operations < REFERENCE_OPERATIONS]
    contestants = peers.installed(names, rung, problem(rung))
    sample_orders = orders(rung, settings.rounds + 2)
    check(contestants, sample_orders[:2])
    ceiling = Ceiling(rung.dtype, settings.cores)
    runs: dict[str, Callable[[int], float | None]] = {}
    for name, contestant in contestants.items():
        runs[name] = timed_epochs(contestant, sample_orders[1:])
        # Second, after numbanet: its threads do not keep spinning after their work.
        runs.setdefault("ceiling", lambda turn: ceiling.measure())
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


def check(contestants: Mapping[str, Any], sample_orders: list[peers.Order]) -> None:
    """Raises AssertionError unless all mean losses over epochs in these orders agree with numbanet's.

    The first epoch of each contestant also compiles and warms up.
    """
    losses = {name: [peer.train(peer.prepare(order)) for order in sample_orders] for name, peer in contestants.items()}
    for name, values in losses.items():
        np.testing.assert_allclose(values, losses["numbanet"], rtol=AGREEMENT, err_msg=f"{name} computes something else")


def timed_epochs(contestant: Any, sample_orders: list[peers.Order]) -> Callable[[int], float | None]:
    """Returns a function of the round that trains in the next order and returns the seconds of an epoch.

    An epoch in the first order decides how many epochs make a turn. A slow contestant returns None after the first round.
    """
    prepared = [contestant.prepare(order) for order in sample_orders]
    seconds = seconds_of(lambda: contestant.train(prepared[0]))
    times = max(1, round(TURN_SECONDS / seconds))

    def run(turn: int) -> float | None:
        if turn == 0 or seconds < SLOW_SECONDS:
            return seconds_of(lambda: contestant.train(prepared[turn + 1]), times)
        return None

    return run


def _cells(rung: Rung, result: dict[str, Any]) -> tuple[str, ...]:
    times, rates = result["microseconds per step"], result["GFLOP/s"]
    cells = [f"{figure(times[name])} ({figure(rates[name])})" if name in times else figure(None) for name in CONTESTANTS]
    return rung.title, str(rung.batch), *cells, figure(result["best peer / numbanet"]), figure(result["of the ceiling"])

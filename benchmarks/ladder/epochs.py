"""The table of the times of whole epochs, measured in turn after a check that the losses of all libraries agree."""

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
# The reference loops are left out if an epoch has more operations than this, because they would take minutes.
REFERENCE_OPERATIONS = 1e10
# If an epoch takes longer than this number of seconds, the library is timed once instead of once per round.
SLOW_SECONDS = 2
# The epochs of small networks are too short to be timed. A measurement therefore repeats an epoch until this number of seconds
# has passed.
TURN_SECONDS = 0.05
# The largest relative difference of mean losses that libraries computing the same in float32 may have.
AGREEMENT = 1e-4

# The networks R1 to R6, then variants with other activation functions in the hidden layers, and a variant in float64.
RUNGS_BY_DEFAULT = (
    *RUNGS.values(),
    *(replace(RUNGS[name], activation=activation) for activation in ("sigmoid", "tanh") for name in ("R3", "R4")),
    replace(RUNGS["R3"], dtype="float64"),
)


def measure(rungs: Iterable[Rung], settings: Settings) -> list[dict[str, Any]]:
    """Measures and prints the table of epochs, which has one line per benchmark network; returns the values of each line."""
    columns = ("rung", "batch", *CONTESTANTS, "best peer / numbanet", "of the ceiling")
    table = Table("Epochs: microseconds per step (GFLOP/s)", columns, settings.markdown)
    results = []
    for rung in rungs:
        results.append(measure_rung(rung, settings))
        table.line(*_cells(rung, results[-1]))
    return results


def measure_rung(rung: Rung, settings: Settings) -> dict[str, Any]:
    """Returns the values of one line of the table: each library's time, and the CPU's ceiling (its rate of multiply-adds)."""
    names = [name for name in CONTESTANTS if name != "reference" or rung.operations < REFERENCE_OPERATIONS]
    contestants = peers.installed(names, rung, problem(rung))
    sample_orders = orders(rung, settings.rounds + 2)
    check(contestants, sample_orders[:2])
    ceiling = Ceiling(rung.dtype, settings.cores)
    runs: dict[str, Callable[[int], float | None]] = {}
    for name, contestant in contestants.items():
        runs[name] = timed_epochs(contestant, sample_orders[1:])
        # The ceiling is measured after numbanet, because numbanet's threads stop immediately after their work and do not
        # disturb the measurement.
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
    """Trains one epoch per sample order with each library. Raises AssertionError unless all mean losses agree with numbanet's.

    In its first epoch, each library also compiles its code and fills the caches of the CPU.
    """
    losses = {name: [peer.train(peer.prepare(order)) for order in sample_orders] for name, peer in contestants.items()}
    for name, values in losses.items():
        np.testing.assert_allclose(values, losses["numbanet"], rtol=AGREEMENT, err_msg=f"{name} computes something else")


def timed_epochs(contestant: Any, sample_orders: list[peers.Order]) -> Callable[[int], float | None]:
    """Returns a function that measures the duration of an epoch, in seconds, in a round (one turn of each library).

    The function takes the index k of the round, counted from 0, and trains in the order sample_orders[k + 1]. Before the first
    round, `timed_epochs` trains one epoch in the order sample_orders[0]; from its duration, it chooses how many epochs each
    round measures. If the library is slow, the function measures only in round 0, and returns None in all later rounds.
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

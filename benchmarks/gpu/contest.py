"""The times of a case: the losses of all contestants agree, then they train in turn."""

import statistics
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from benchmarks import peers
from benchmarks.gpu import contestants
from benchmarks.gpu.cases import SQUARE
from benchmarks.gpu.limits import Ceiling, Product, in_words
from benchmarks.ladder import epochs
from benchmarks.measuring import medians, seconds_of, take_turns
from benchmarks.rungs import Rung, orders, problem

# Names of what is timed in the same rounds as the contestants.
CEILING, MATRIX_PRODUCT = "ceiling", "matrix product"


class Contest:
    """The calls of all contestants; a contestant whose call fails takes no further part.

    Parameters
    ----------
    absent : dict of str
        By name, why a contestant does not take part from the start.

    Attributes
    ----------
    absent : dict of str
        By name, why a contestant does not, or no longer, take part.
    """

    def __init__(self, absent: Mapping[str, str] | None = None):
        self.absent = dict(absent or {})

    def attempt(self, name: str, call: Callable[..., Any], *arguments: Any) -> Any:
        """Returns the result of the call, or None if it fails or the contestant has failed before."""
        if name in self.absent:
            return None
        try:
            return call(*arguments)
        except Exception as error:  # of any library: the other contestants continue
            self.absent[name] = in_words(error)
            print(f"    {name}: {self.absent[name]}", flush=True)

    def attempt_all(self, calls: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
        """Makes the calls, by name, and returns the results of those that succeed, by name."""
        results = {name: self.attempt(name, call) for name, call in calls.items()}
        return {name: result for name, result in results.items() if name not in self.absent}


def measure(rung: Rung, makers: Mapping[str, peers.Maker], absent: Mapping[str, str], rounds: int, dry: bool) -> dict[str, Any]:
    """Times the epochs of all contestants that compute the same, with the ceiling in the same rounds.

    Parameters
    ----------
    rung : Rung
    makers : dict
        By name, a function of a rung and a problem that makes the contestant.
    absent : dict of str
        By name, why a contestant cannot take part.
    rounds : int
    dry : bool

    Returns
    -------
    dict
        As `summary`, with "absent", "losses" and "seconds of an epoch" by name.
    """
    contest, start = Contest(absent), problem(rung)
    sample_orders = orders(rung, rounds + 2)
    made = contest.attempt_all({name: partial(make, rung, start) for name, make in makers.items()})
    losses = contest.attempt_all({name: partial(_losses, contestant, sample_orders[:2]) for name, contestant in made.items()})
    contest.absent |= disagreeing(losses)
    timed = contest.attempt_all({name: partial(epochs.timed_epochs, made[name], sample_orders[1:]) for name in losses})
    runs: dict[str, Callable[[int], Any]] = {name: partial(contest.attempt, name, run) for name, run in timed.items()}
    turns = take_turns(runs, rounds, rest=0) if dry else take_turns(runs | _limits(rung, contest), rounds)
    figures = {name: statistics.median(turns.pop(name)) for name in (CEILING, MATRIX_PRODUCT) if turns.get(name)}
    seconds = medians({name: values for name, values in turns.items() if values and name not in contest.absent})
    return summary(rung, seconds, figures) | {"absent": contest.absent, "losses": losses, "seconds of an epoch": turns}


def _losses(contestant: Any, sample_orders: list[peers.Order]) -> list[float]:
    """Returns the mean losses of epochs in these orders; the first epoch compiles and warms up."""
    return [contestant.train(contestant.prepare(order)) for order in sample_orders]


def disagreeing(losses: Mapping[str, list[float]]) -> dict[str, str]:
    """Returns, by name, the reason for each contestant whose losses differ from the median of all.

    No contestant is right by definition, but the further ways of numbanet have no vote in the median.
    """
    if not losses:
        return {}
    voters = [values for name, values in losses.items() if name in contestants.CONTESTANTS]
    usual = np.nanmedian(voters or list(losses.values()), axis=0)
    return {
        name: f"computes something else: its losses are {values}, the median is {usual.tolist()}"
        for name, values in losses.items()
        if not np.allclose(values, usual, rtol=epochs.AGREEMENT, atol=0)
    }


def _limits(rung: Rung, contest: Contest) -> dict[str, Callable[[int], Any]]:
    """Returns the ceiling, and in one case a bare matrix product, as functions that take their turns like contestants."""
    makers = {CEILING: Ceiling} | ({MATRIX_PRODUCT: partial(Product, rung.batch)} if rung.name == SQUARE else {})
    made = contest.attempt_all(makers)
    return {name: lambda turn, name=name, limit=limit: contest.attempt(name, limit.measure) for name, limit in made.items()}


def summary(rung: Rung, seconds: Mapping[str, float], figures: Mapping[str, float]) -> dict[str, Any]:
    """Returns the figures of a line of the table.

    Parameters
    ----------
    rung : Rung
    seconds : dict of float
        By name, the median seconds of an epoch.
    figures : dict of float
        Median operations per second of the ceiling and of the matrix product, as far as they were measured.
    """
    rates = {name: rung.operations / time / 1e9 for name, time in seconds.items()}
    ceiling = figures[CEILING] / 1e9 if CEILING in figures else None
    return {
        "case": rung.title,
        "batch": rung.batch,
        "microseconds per step": {name: time / rung.steps * 1e6 for name, time in seconds.items()},
        "GFLOP/s": rates,
        "best peer / numbanet": peers.lead(seconds, contestants.PEERS),
        "ceiling GFLOP/s": ceiling,
        "of the ceiling": rates["numbanet"] / ceiling if ceiling and "numbanet" in rates else None,
        "matrix product GFLOP/s": figures[MATRIX_PRODUCT] / 1e9 if MATRIX_PRODUCT in figures else None,
    }


def compile_ahead(rung: Rung) -> float:
    """Lets `torch.compile` fill its caches, so that the case itself starts sooner; returns the seconds."""
    contestant = contestants.TorchCompiled(rung, problem(rung))
    order = np.arange(rung.samples)
    return seconds_of(lambda: contestant.train(contestant.prepare(order)))

"""Checks that the compared implementations compute the same losses for one benchmark network, and times them in turn.

A contestant is one of the implementations that are compared: variants of numbanet, of PyTorch and of JAX.
"""

import statistics
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from benchmarks import peers
from benchmarks.gpu import contestants
from benchmarks.gpu.cases import SQUARE
from benchmarks.gpu.limits import Ceiling, Product, in_words, on_gpu
from benchmarks.ladder import epochs
from benchmarks.measuring import medians, seconds_of, take_turns
from benchmarks.rungs import Rung, orders, problem

# Names of two further measurements, which are made in the same rounds: the largest possible rate of multiply-adds, and a matrix
# product.
CEILING, MATRIX_PRODUCT = "ceiling", "matrix product"


class Contest:
    """Calls functions of the contestants (the implementations to compare); excludes each contestant whose call fails.

    Parameters
    ----------
    absent : dict of str
        For each contestant that is excluded from the beginning, the reason.

    Attributes
    ----------
    absent : dict of str
        For each contestant that is excluded, the reason.
    """

    def __init__(self, absent: Mapping[str, str] | None = None):
        self.absent = dict(absent or {})

    def attempt(self, name: str, call: Callable[..., Any], *arguments: Any) -> Any:
        """Returns call(*arguments).

        Returns None if the call raises an exception, or if the contestant `name` is already excluded.
        """
        if name in self.absent:
            return None
        try:
            return call(*arguments)
        except Exception as error:  # any exception of any library, so that the other contestants are still measured
            self.absent[name] = in_words(error)
            print(f"    {name}: {self.absent[name]}", flush=True)

    def attempt_all(self, calls: Mapping[str, Callable[[], Any]]) -> dict[str, Any]:
        """Calls the function of each contestant; returns the results of the calls that succeed, as a dict by contestant."""
        results = {name: self.attempt(name, call) for name, call in calls.items()}
        return {name: result for name, result in results.items() if name not in self.absent}


def measure(rung: Rung, makers: Mapping[str, peers.Maker], absent: Mapping[str, str], rounds: int, dry: bool) -> dict[str, Any]:
    """Times epochs of all contestants whose losses agree, and measures the ceiling: the GPU's largest rate of multiply-adds.

    In each round, every contestant is timed once, and the ceiling is measured once.

    Parameters
    ----------
    rung : Rung
        The benchmark network.
    makers : dict of str to callable
        For each contestant, a function that takes a `Rung` and a `Problem` and creates the contestant.
    absent : dict of str
        For each contestant that is excluded, the reason.
    rounds : int
        Number of rounds.
    dry : bool
        Whether this is a dry run. A dry run in Numba's simulator does not measure the rate of multiply-adds.

    Returns
    -------
    dict
        The result of `summary`, with three more dicts by contestant: "absent" (reasons of exclusion), "losses", and "seconds of
        an epoch" (all measured times).
    """
    contest, start = Contest(absent), problem(rung)
    sample_orders = orders(rung, rounds + 2)
    made = contest.attempt_all({name: partial(make, rung, start) for name, make in makers.items()})
    losses = contest.attempt_all({name: partial(_losses, contestant, sample_orders[:2]) for name, contestant in made.items()})
    contest.absent |= disagreeing(losses)
    timed = contest.attempt_all({name: partial(epochs.timed_epochs, made[name], sample_orders[1:]) for name in losses})
    runs: dict[str, Callable[[int], Any]] = {name: partial(contest.attempt, name, run) for name, run in timed.items()}
    beside = _limits(rung, contest, dry) if not dry or on_gpu() else {}
    turns = take_turns(runs | beside, rounds, **({"rest": 0} if dry else {}))
    figures = {name: statistics.median(turns.pop(name)) for name in (CEILING, MATRIX_PRODUCT) if turns.get(name)}
    seconds = medians({name: values for name, values in turns.items() if values and name not in contest.absent})
    return summary(rung, seconds, figures) | {"absent": contest.absent, "losses": losses, "seconds of an epoch": turns}


def _losses(contestant: Any, sample_orders: list[peers.Order]) -> list[float]:
    """Trains one epoch per sample order, and returns the mean loss of each epoch.

    In the first epoch, the contestant also compiles its code.
    """
    return [contestant.train(contestant.prepare(order)) for order in sample_orders]


def disagreeing(losses: Mapping[str, list[float]]) -> dict[str, str]:
    """Returns an explanation for each contestant whose losses differ from the median of all losses.

    The median of all losses serves as the reference, because no contestant is correct by definition. numbanet's fast engine
    may be several contestants: one with the training plan that the engine chooses, and others with prescribed training plans.
    The median includes contestants with prescribed plans only if there are no other contestants.
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


def _limits(rung: Rung, contest: Contest, dry: bool) -> dict[str, Callable[[int], Any]]:
    """Returns a function that measures the GPU's rate of multiply-adds; for the network SQUARE, also one for a matrix product.

    The caller runs the returned functions in the same rounds as the contestants.
    """
    makers = {CEILING: partial(Ceiling, dry)} | ({MATRIX_PRODUCT: partial(Product, rung.batch)} if rung.name == SQUARE else {})
    made = contest.attempt_all(makers)
    return {name: lambda turn, name=name, limit=limit: contest.attempt(name, limit.measure) for name, limit in made.items()}


def summary(rung: Rung, seconds: Mapping[str, float], figures: Mapping[str, float]) -> dict[str, Any]:
    """Returns the values in a network's line of the result table.

    Parameters
    ----------
    rung : Rung
        The benchmark network.
    seconds : dict of float
        For each contestant, the median duration of an epoch in seconds.
    figures : dict of float
        The median number of operations per second of each measurement that was made: "ceiling", "matrix product".
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
    """Trains one epoch with `torch.compile`, which fills its caches for the later measurement.

    Returns the duration in seconds.
    """
    contestant = contestants.TorchCompiled(rung, problem(rung))
    order = np.arange(rung.samples)
    return seconds_of(lambda: contestant.train(contestant.prepare(order)))

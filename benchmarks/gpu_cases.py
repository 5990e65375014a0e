"""What is trained on a GPU: the cases, whether numbanet's steps are the oracle's, and everybody's times."""

import statistics
from dataclasses import replace
from functools import partial

import numpy as np

from . import epochs, gpu_peers, peers
from .gpu_limits import Ceiling, Product, in_words
from .measuring import medians, take_turns
from .rungs import Rung, problem

CASES = (
    Rung("G1", (64, 32, 10), 32, 1_792),
    Rung("G2", (784, 128, 10), 64, 12_800),
    Rung("G3", (784, 128, 10), 256, 25_600),
    Rung("G4", (784, 1024, 1024, 10), 1024, 20_480),
    Rung("G5", (4096, 4096, 4096, 10), 4096, 8_192),
    Rung("G6", (64,) * 13, 2**17, 2**18),
)
# The case beside which a bare matrix product of the same size is timed.
SQUARE = "G5"

# The oracle's sums, in extended precision and without BLAS, take too long beyond so many operations per step; what stands in
# for it is whole-array NumPy in float64.
ORACLE_OPERATIONS = 1e9
ORACLE_STEPS = 3
# Relative errors. An update's is that of its Euclidean norm: rounding moves a z across 0 here and there, which lets ReLU's
# derivative of one sample jump, and a single sample that is missing from a batch of 2^17 weighs 1 / 2^8.5 = 0.003.
LOSS_TOLERANCE = 1e-5
UPDATE_TOLERANCE = 2e-3


def tiny(rung: Rung) -> Rung:
    """The rung with as many layers, but so small that Numba's simulator gets through two steps."""
    return replace(rung, sizes=tuple(min(size, 3) for size in rung.sizes), batch=2, samples=4)


# Agreement with the oracle


def compare(rung: Rung, make) -> dict:
    """Losses and updates of a few steps of the contestant that is made, beside those in float64."""
    rung = replace(rung, samples=ORACLE_STEPS * rung.batch)
    start = problem(rung)
    contestant = make(rung, start)
    losses = [contestant.train(contestant.prepare(rows)) for rows in _batches(rung)]
    parameters = contestant.topology.views(contestant.engine.read())
    oracle, descend = ("numbanet.proof.oracle", _descend) if _quick(rung) else ("NumPy, float64", _descend_with_blas)
    exact_losses, exact = descend(rung, start)
    worst_loss = np.abs(np.array(losses) / exact_losses - 1).max()
    errors = map(update_error, _arrays(parameters), _arrays(exact), _arrays(start.parameters))
    worst_update = np.max(list(errors))  # which is NaN if one is
    return {
        "oracle": oracle,
        "loss error": float(worst_loss),
        "update error": float(worst_update),
        "agrees": bool(worst_loss <= LOSS_TOLERANCE and worst_update <= UPDATE_TOLERANCE),
    }


def update_error(found, exact, start) -> float:
    """How far the update of an array is from the exact one, relatively, less what float32 cannot hold of its numbers."""
    distance = np.linalg.norm(found - exact) - np.finfo(np.float32).eps * np.linalg.norm(exact)
    if distance <= 0:
        return 0.0
    update = np.linalg.norm(exact - start)
    return float(distance / update) if update > 0 else float("inf")


def _arrays(parameters):
    return [array for pair in parameters for array in pair]


def _quick(rung):
    return rung.operations / rung.steps <= ORACLE_OPERATIONS


def _batches(rung):
    return np.random.default_rng(2).permutation(rung.samples).reshape(-1, rung.batch)


def _descend(rung, start):
    """The losses of the steps and the parameters after them, by `numbanet.proof.oracle`."""
    from numbanet.proof import oracle

    activations = (rung.activation,) * (len(rung.sizes) - 2) + ("softmax",)
    parameters, y = start.parameters, np.eye(rung.sizes[-1])[start.labels]
    losses = []
    for rows in _batches(rung):
        step = oracle.step(parameters, activations, "cce", start.x[rows], y[rows])
        losses.append(step["loss"])
        parameters = [
            (w - rung.eta * dw, b - rung.eta * db)
            for w, b, dw, db in zip(step["w"], step["b"], step["dw"], step["db"], strict=True)
        ]
    return losses, [(w.astype(np.float64), b.astype(np.float64)) for w, b in parameters]


def _descend_with_blas(rung, start):
    """The same by the NumPy contestant of the ladder, in float64."""
    contestant = peers.Numpy(replace(rung, dtype="float64"), start)
    losses = [contestant.train(rows[None]) for rows in _batches(rung)]
    return losses, contestant.parameters


# Times


class Contest:
    """Those who take part in a case; and why others do not, or do so no longer.

    Parameters
    ----------
    absent : dict of str
        Reasons, by name.
    """

    def __init__(self, absent=()):
        self.absent = dict(absent)

    def attempt(self, name, call, *arguments):
        """What the call returns; None where it fails, and for who has failed before."""
        if name in self.absent:
            return None
        try:
            return call(*arguments)
        except Exception as error:  # of anybody: others go on
            self.absent[name] = in_words(error)
            print(f"    {name}: {self.absent[name]}", flush=True)

    def of_all(self, calls) -> dict:
        """{name: what its call returns}, of those that succeed."""
        results = {name: self.attempt(name, call) for name, call in calls.items()}
        return {name: result for name, result in results.items() if name not in self.absent}


def measure(rung: Rung, makers, absent, rounds, dry) -> dict:
    """The seconds of an epoch of everybody who computes the same, and what else is timed in the same rounds.

    Parameters
    ----------
    makers : dict
        What makes each contestant of a rung and a problem, by name.
    absent : dict of str
        Who cannot take part, and why, by name.
    """
    contest, start = Contest(absent), problem(rung)
    orders = [np.random.default_rng(seed).permutation(rung.samples) for seed in range(rounds + 2)]
    made = contest.of_all({name: partial(make, rung, start) for name, make in makers.items()})
    losses = contest.of_all({name: partial(_losses, peer, orders[:2]) for name, peer in made.items()})
    contest.absent |= disagreeing(losses)
    turns_of = contest.of_all({name: partial(epochs.turns_of, made[name], orders[1:]) for name in losses})
    runs = {name: partial(contest.attempt, name, run) for name, run in turns_of.items()}
    turns = take_turns(runs | _beside(rung, contest, dry), rounds)
    figures = {name: statistics.median(turns.pop(name)) for name in ("ceiling", "matrix product") if turns.get(name)}
    seconds = medians({name: values for name, values in turns.items() if values and name not in contest.absent})
    return summary(rung, seconds, figures) | {"absent": contest.absent, "losses": losses, "seconds of an epoch": turns}


def _losses(contestant, orders):
    """Of these epochs; the first compiles."""
    return [contestant.train(contestant.prepare(order)) for order in orders]


def disagreeing(losses) -> dict[str, str]:
    """{name: reason} of those whose losses are not those of most others: nobody is right beforehand."""
    if not losses:
        return {}
    others = [values for name, values in losses.items() if name in gpu_peers.CONTESTANTS]  # numbanet's other ways have no vote
    usual = np.nanmedian(others or list(losses.values()), axis=0)
    return {
        name: f"computes something else: losses {values}, where most have {usual.tolist()}"
        for name, values in losses.items()
        if not np.allclose(values, usual, rtol=epochs.AGREEMENT, atol=0)
    }


def _beside(rung, contest, dry):
    """The ceiling, and in one case a bare product, which take their turns like contestants."""
    if dry:
        return {}
    makers = {"ceiling": Ceiling} | ({"matrix product": partial(Product, rung.batch)} if rung.name == SQUARE else {})
    made = contest.of_all(makers)
    return {name: lambda turn, name=name, limit=limit: contest.attempt(name, limit.measure) for name, limit in made.items()}


def summary(rung, seconds, figures) -> dict:
    """What a line of the table is made of, from medians."""
    rates = {name: rung.operations / time / 1e9 for name, time in seconds.items()}
    ceiling = figures["ceiling"] / 1e9 if "ceiling" in figures else None
    return {
        "case": rung.title,
        "batch": rung.batch,
        "microseconds per step": {name: time / rung.steps * 1e6 for name, time in seconds.items()},
        "GFLOP/s": rates,
        "best peer / numbanet": peers.lead(seconds, gpu_peers.PEERS),
        "ceiling GFLOP/s": ceiling,
        "of the ceiling": rates["numbanet"] / ceiling if ceiling and "numbanet" in rates else None,
        "matrix product GFLOP/s": figures["matrix product"] / 1e9 if "matrix product" in figures else None,
    }


def compile_ahead(rung: Rung) -> float:
    """Lets `torch.compile` fill its caches, so that a case takes a fraction of the time; seconds."""
    contestant = gpu_peers.TorchCompiled(rung, problem(rung))
    order = np.arange(rung.samples)
    return epochs.seconds_of(lambda: contestant.train(contestant.prepare(order)))

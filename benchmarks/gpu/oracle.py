"""The comparison with the oracle: losses and updates of a few steps, against float64."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import peers
from benchmarks.rungs import Problem, Rung, one_hot, problem

STEPS = 3
# The sums of `numbanet.proof.oracle`, in extended precision and without BLAS, take too long beyond this many operations per
# step: whole-array NumPy in float64 takes its place.
ORACLE_OPERATIONS = 1e9
# Relative errors. An update's error is that of its Euclidean norm: rounding moves some z across 0, which changes ReLU's
# derivative of that sample. A single sample missing from a batch of 2^17 weighs 1 / 2^8.5 = 0.003.
LOSS_TOLERANCE = 1e-5
UPDATE_TOLERANCE = 2e-3

# [(w, b), ...] of the layers.
Parameters = list[tuple[NDArray[np.floating], NDArray[np.floating]]]


def compare(rung: Rung, make: peers.Maker) -> dict[str, Any]:
    """Compares the losses and updates of a few steps by one of numbanet's contestants with those in float64.

    Returns
    -------
    dict
        "oracle", its name; "loss error" and "update error", the largest relative errors; "agrees", whether both are small.
    """
    rung = replace(rung, samples=STEPS * rung.batch)
    start = problem(rung)
    contestant = make(rung, start)
    losses = [contestant.train(contestant.prepare(rows)) for rows in _batches(rung)]
    parameters = contestant.topology.views(contestant.engine.read())
    exact = rung.operations / rung.steps <= ORACLE_OPERATIONS
    oracle, train = ("numbanet.proof.oracle", _train_exactly) if exact else ("NumPy, float64", _train_with_blas)
    exact_losses, exact_parameters = train(rung, start)
    loss_error = np.abs(np.array(losses) / exact_losses - 1).max()
    errors = map(update_error, _arrays(parameters), _arrays(exact_parameters), _arrays(start.parameters))
    worst_update = np.max(list(errors))  # NaN if any error is NaN
    return {
        "oracle": oracle,
        "loss error": float(loss_error),
        "update error": float(worst_update),
        "agrees": bool(loss_error <= LOSS_TOLERANCE and worst_update <= UPDATE_TOLERANCE),
    }


def update_error(values: NDArray[np.floating], exact: NDArray[np.floating], start: NDArray[np.floating]) -> float:
    """Returns the relative error of the update of an array, less the rounding of the exact values to float32.

    Parameters
    ----------
    values, exact : ndarray
        The array after the update, and its exact values.
    start : ndarray
        The array before the update.
    """
    distance = np.linalg.norm(values - exact) - np.finfo(np.float32).eps * np.linalg.norm(exact)
    if distance <= 0:
        return 0.0
    update = np.linalg.norm(exact - start)
    return float(distance / update) if update > 0 else float("inf")


def _arrays(parameters: Iterable[tuple[NDArray[np.floating], NDArray[np.floating]]]) -> list[NDArray[np.floating]]:
    return [array for pair in parameters for array in pair]


def _batches(rung: Rung) -> NDArray[np.integer]:
    return np.random.default_rng(2).permutation(rung.samples).reshape(-1, rung.batch)


def _train_exactly(rung: Rung, start: Problem) -> tuple[list[float], Parameters]:
    """Returns the losses of the steps and the parameters after them, by `numbanet.proof.oracle`."""
    from numbanet.proof import oracle

    parameters, y = start.parameters, one_hot(start.labels, rung.sizes[-1], np.float64)
    losses = []
    for rows in _batches(rung):
        step = oracle.step(parameters, rung.activations, "cce", start.x[rows], y[rows])
        losses.append(step["loss"])
        parameters = [
            (w - rung.eta * dw, b - rung.eta * db)
            for w, b, dw, db in zip(step["w"], step["b"], step["dw"], step["db"], strict=True)
        ]
    return losses, [(w.astype(np.float64), b.astype(np.float64)) for w, b in parameters]


def _train_with_blas(rung: Rung, start: Problem) -> tuple[list[float], Parameters]:
    """Returns the same by the ladder's NumPy contestant, in float64."""
    contestant = peers.Numpy(replace(rung, dtype="float64"), start)
    losses = [contestant.train(rows[None]) for rows in _batches(rung)]
    return losses, contestant.parameters

"""Compares numbanet's losses and parameter updates in a few training steps with an independent computation in float64."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks import peers
from benchmarks.rungs import Problem, Rung, one_hot, problem

STEPS = 3
# If a step has more than ORACLE_OPERATIONS operations, `numbanet.proof.oracle`, which computes in extended precision and
# without BLAS, would take too long. For steps with more operations, NumPy in float64 replaces the oracle.
ORACLE_OPERATIONS = 1e9
# The largest allowed relative errors. The error of an update is measured in the Euclidean norm of the whole array, because
# rounding can change the sign of some z, and with it the derivative of relu for one sample. If a single sample were missing
# from a batch of 2^17, the error would be about 1 / 2^8.5 = 0.003.
LOSS_TOLERANCE = 1e-5
UPDATE_TOLERANCE = 2e-3

# The type of a list with one pair (w, b) per layer.
Parameters = list[tuple[NDArray[np.floating], NDArray[np.floating]]]


def compare(rung: Rung, make: peers.Maker) -> dict[str, Any]:
    """Trains a few steps with numbanet, and compares the losses and the parameter updates with an independent computation.

    The independent computation uses `numbanet.proof.oracle` or, if a step has more than ORACLE_OPERATIONS operations, NumPy in
    float64. `make` creates the contestant that trains: numbanet's reference engine, or its fast engine with a given plan.

    Returns
    -------
    dict
        "oracle" is the name of the independent computation: "numbanet.proof.oracle" or "NumPy, float64". "loss error" and
        "update error" are the largest relative errors. "agrees" is True if the loss error and the update error are within
        their tolerances.
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
    """Returns the relative error of an array's update, minus the error that rounding to float32 can cause.

    Parameters
    ----------
    values : ndarray
        The array after the update.
    exact : ndarray
        The exact values of the array after the update.
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
    """Trains with `numbanet.proof.oracle`, and returns the loss of each step and the parameters after the last step."""
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
    """Trains with NumPy in float64, and returns the loss of each step and the parameters after the last step."""
    contestant = peers.Numpy(replace(rung, dtype="float64"), start)
    losses = [contestant.train(rows[None]) for rows in _batches(rung)]
    return losses, contestant.parameters

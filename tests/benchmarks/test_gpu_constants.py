"""The report of a GPU benchmark lists constants with which the planner's estimates of times equal the measured times."""

import json

import pytest

from benchmarks import peers
from benchmarks.gpu import constants
from benchmarks.gpu.cases import CASES
from benchmarks.gpu.report import Report
from benchmarks.rungs import Rung
from numbanet.engines.cuda import planning
from tests.benchmarks.test_gpu import FACTS, FINE

H100 = planning.KNOWN_LIMITS["sm_90"]
# Enough networks of different sizes to determine every cost.
RUNGS = [*CASES, Rung("a", (30, 20, 10), 100, 1), Rung("b", (784, 512, 256, 10), 128, 1), Rung("c", (2, 2, 2, 2), 4, 1)]
FACTORS = dict(zip(constants.CONSTANTS, (0.5, 2, 0.7, 1.5, 0.8, 1.3, 2, 0.6, 1.4), strict=True))


def sizes_and_plans():
    """For each network, yields its name, the planner's arguments, and a dict of plans whose keys are the ways to train."""
    for rung in RUNGS:
        size = peers.topology(rung), rung.batch, H100
        yield rung.name, size, {plan.way: plan for plan in planning.possible_plans(*size)}


def test_an_estimate_is_the_sum_of_its_costs():
    for _, size, plans in sizes_and_plans():
        for plan in plans.values():
            counts = constants.counts(*size, plan)
            costs = {name: constants.value_of(name, constants.present(name)) for name in counts}
            assert sum(counts[name] * costs[name] for name in counts) == pytest.approx(plan.estimate)


@pytest.fixture
def results():
    """Returns benchmark results of an imaginary GPU whose costs are FACTORS times the costs that the planner assumes."""
    true = {name: factor * constants.present(name) for name, factor in FACTORS.items()}
    alone = {
        constant.measurement: true[name] * constant.times
        for name, constant in constants.CONSTANTS.items()
        if constant.measurement
    }
    cases = {}
    for name, size, plans in sizes_and_plans():
        rows = {way: {"way": way, "estimate": 0.0, "counts": constants.counts(*size, plan)} for way, plan in plans.items()}
        times = {
            way: sum(count * constants.value_of(cost, true[cost]) for cost, count in row["counts"].items())
            for way, row in rows.items()
        }
        cases[name] = {"microseconds per step": times, "plans": rows}
    return true, alone | {"graph": "ImportError"}, cases


@pytest.mark.parametrize("alone", [True, False])
def test_the_constants_of_a_gpu_are_found(results, alone):
    """With the constants computed from a benchmark's results, the planner's estimates equal the measured times.

    If `alone` is False, no cost is measured separately, and the times of training steps determine some constants imprecisely.
    """
    true, limits, cases = results
    found = constants.measured(limits if alone else {"launch": "needs a GPU"}, cases.values())
    assert found == pytest.approx(true, rel=0.15 if alone else 2)
    for case in cases.values():
        for way, time in case["microseconds per step"].items():
            counts = case["plans"][way]["counts"]
            estimate = sum(count * constants.value_of(name, found[name]) for name, count in counts.items())
            assert estimate == pytest.approx(time, rel=0.01)


def test_the_report_names_every_constant(results, tmp_path):
    _, limits, _ = results
    report = Report(tmp_path, FACTS, FINE)
    report.add("limits", FINE, json.loads(json.dumps(limits)))
    text = report.text()
    assert "| `MEETING` | `numbanet/engines/cuda/cooperative/tiling.py` | 1.50 | 3.00 |" in text
    assert "| `SPEED` | `numbanet/engines/cuda/cooperative/tiling.py` | 90,000 | — |" in text
    assert constants.measured({}, []) == {}

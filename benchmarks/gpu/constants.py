"""Computes the constants of numbanet's planner from measured times, so that the planner's estimates agree with the times.

The planner estimates the time of a training step as a sum of costs. Each cost is multiplied by a count: the duration of a
barrier, for instance, by the number of barriers. The module `benchmarks.gpu.limits` measures some costs of the planner, such as
a barrier, separately. The costs that are not measured separately are computed from the training times of the benchmark
networks.
"""

import contextlib
import math
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np

from benchmarks.gpu.limits import BLOCK_BARRIER, GRAPH, GRAPH_NODES, MEETING
from numbanet.engines.cuda import planning
from numbanet.engines.cuda.cooperative import tiling
from numbanet.engines.cuda.limits import Limits
from numbanet.engines.cuda.planning import COOPERATIVE, PRODUCTS, RESIDENT, TrainingPlan
from numbanet.engines.topology import Topology

# The weight with which a cost stays near the planner's present value, relative to the weight of a measured time. This weight
# decides the costs that the times of the few benchmark networks leave undetermined.
INERTIA = 0.01


class Constant(NamedTuple):
    """A constant of the planner.

    Parameters
    ----------
    module : module
        The module that defines the constant.
    way : str
        The way to train, such as "products", whose estimated time depends on the constant.
    is_rate : bool
        True if the constant is a number of operations or values per microsecond, False if it is a number of microseconds.
    measurement : str
        The name of the measurement in `benchmarks.gpu.limits` that measures the constant separately; "" if there is none.
    times : int
        How often the measured time contains the cost; the cost is the measured time divided by this number.
    """

    module: ModuleType
    way: str
    is_rate: bool
    measurement: str = ""
    times: int = 1


CONSTANTS = {
    "RESIDENT_SPEED": Constant(planning, RESIDENT, True),
    "RESIDENT_BARRIER": Constant(planning, RESIDENT, False, BLOCK_BARRIER),
    "PRODUCT_SPEED": Constant(planning, PRODUCTS, True),
    "LAUNCH": Constant(planning, PRODUCTS, False, GRAPH, GRAPH_NODES),
    "SPEED": Constant(tiling, COOPERATIVE, True),
    "TRAFFIC": Constant(tiling, COOPERATIVE, True),
    "MEETING": Constant(tiling, COOPERATIVE, False, MEETING),
    "PHASE": Constant(tiling, COOPERATIVE, False),
    "HEAD": Constant(tiling, COOPERATIVE, False),
}


def present(name: str) -> float:
    """Returns the value that the planner's constant `name` has now."""
    return getattr(CONSTANTS[name].module, name)


def counts(topology: Topology, batch_size: int, limits: Limits, plan: TrainingPlan) -> dict[str, float]:
    """Returns, for each planner constant that the estimate for `plan` uses, how often the constant's cost occurs in a step.

    To count a cost, the planner estimates the time of the step with this cost set to 1 and all other costs set to 0.
    """
    result = {}
    for counted in _names_of(plan.way):
        with contextlib.ExitStack() as stack:
            for name in _names_of(plan.way):
                value = value_of(name, float(name == counted))
                stack.enter_context(patch.object(CONSTANTS[name].module, name, value))
            result[counted] = _estimate(topology, batch_size, limits, plan)
    return result


def _estimate(topology: Topology, batch_size: int, limits: Limits, plan: TrainingPlan) -> float:
    if plan.grid is not None:
        return tiling.estimate(topology, batch_size, plan.grid)
    if plan.way == RESIDENT:
        return planning.resident_time(topology, batch_size)
    return planning.products_time(topology, batch_size, limits)


def _names_of(way: str) -> list[str]:
    return [name for name, constant in CONSTANTS.items() if constant.way == way]


def value_of(name: str, cost: float) -> float:
    """Converts a cost to the value of the constant `name`, or back: a rate is 1 / cost, any other constant is the cost."""
    return (1 / cost if cost else math.inf) if CONSTANTS[name].is_rate else cost


def measured(limits: Mapping[str, Any], cases: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Returns, by name, the values of the planner's constants that the results of the GPU benchmark determine.

    Parameters
    ----------
    limits : dict
        The results of the benchmark part "limits".
    cases : iterable of dict
        The results of the benchmark part "cases", one dict per network.
    """
    found = {name: limits.get(constant.measurement) for name, constant in CONSTANTS.items()}
    alone = {name: value / CONSTANTS[name].times for name, value in found.items() if isinstance(value, float)}
    steps: dict[str, list[tuple[dict[str, float], float]]] = {RESIDENT: [], COOPERATIVE: [], PRODUCTS: []}
    for case in cases:
        for name, plan in case.get("plans", {}).items():
            if (time := case["microseconds per step"].get(name)) and "counts" in plan:
                steps[plan["way"]].append((plan["counts"], time))
    costs = alone | {name: cost for way in steps for name, cost in _fitted(_names_of(way), steps[way], alone).items()}
    return {name: value_of(name, costs[name]) for name in CONSTANTS if costs.get(name, 0) > 0}


def _fitted(names: list[str], steps: list[tuple[dict[str, float], float]], alone: Mapping[str, float]) -> dict[str, float]:
    """Returns the costs that are not measured separately (not in `alone`), fitted by least squares of relative errors."""
    names_left = [name for name in names if name not in alone]
    if not steps or not names_left:
        return {}
    now = np.array([value_of(name, present(name)) for name in names_left])
    weights = np.array([[count[name] / time for name in names_left] for count, time in steps]) * now
    rest = [1 - sum(count[name] * alone[name] for name in names if name in alone) / time for count, time in steps]
    inertia = INERTIA * np.eye(len(now))
    factors, *_ = np.linalg.lstsq(np.vstack([weights, inertia]), np.hstack([rest, np.diag(inertia)]), rcond=None)
    return dict(zip(names_left, (now * factors).tolist(), strict=True))

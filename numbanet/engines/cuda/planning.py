"""The choice of how a network is trained on a GPU: a function of its topology, the batch and the GPU's limits.

Times are estimates, good enough to tell which way is much faster; the GPU benchmarks measure the ways themselves.
"""

from typing import NamedTuple

from numbanet.engines.cuda.cooperative import layout as cooperative
from numbanet.engines.cuda.cooperative import tiling
from numbanet.engines.cuda.cooperative.layout import GridPlan
from numbanet.engines.cuda.memory import Limits
from numbanet.engines.cuda.resident import layout as resident
from numbanet.engines.topology import Topology

RESIDENT, COOPERATIVE, PRODUCTS = "resident", "cooperative", "products"
# Multiply-adds of a block of `resident` in a microsecond, and the microseconds between its barriers.
RESIDENT_SPEED, RESIDENT_BARRIER = 30_000, 0.1
# Multiply-adds of a multiprocessor in a microsecond, in tiles, and the microseconds from one recorded kernel to the next.
PRODUCT_SPEED, LAUNCH = 100_000, 3.0
# One block is chosen even if it is estimated to be somewhat slower: it leaves the other multiprocessors free. Its time counts
# times this.
FAVOUR = 0.75


# The limits of one GPU of each compute capability (CUDA C++ Programming Guide, technical specifications): T4, A100, RTX 3090,
# RTX 4090, H100. `cooperative` copies in the background, which takes compute capability 8.0.
KNOWN_LIMITS = {
    "sm_75": Limits(40, 64 << 10, 0),
    "sm_80": Limits(108, 163 << 10, 108),
    "sm_86": Limits(82, 99 << 10, 82),
    "sm_89": Limits(128, 99 << 10, 128),
    "sm_90": Limits(132, 227 << 10, 132),
}


class TrainingPlan(NamedTuple):
    """A way to train.

    Parameters
    ----------
    way : str
        "resident": whole slices of an epoch in one block, see `resident`; "cooperative": in many blocks that wait for each
        other, see `cooperative`; "products": some kernels for each step.
    shared_bytes : int
        Shared memory of a block; 0 for "products".
    estimate : float
        Microseconds of a step.
    grid : GridPlan or None
        How the network is divided among the blocks, for "cooperative".
    """

    way: str
    shared_bytes: int
    estimate: float
    grid: GridPlan | None = None


def plan(topology: Topology, batch_size: int, limits: Limits, plain: bool = True) -> TrainingPlan:
    """Returns the plan with the lowest estimate.

    Parameters
    ----------
    topology : Topology
    batch_size : int
    limits : Limits
    plain : bool
        True for plain gradient descent on all neurons, without weights of samples; all else is trained by products.
    """
    if not plain:
        return TrainingPlan(PRODUCTS, 0, products_time(topology, batch_size, limits))

    def cost(plan):
        return plan.estimate * (FAVOUR if plan.way == RESIDENT else 1)

    return min(possible_plans(topology, batch_size, limits), key=cost)


def possible_plans(topology: Topology, batch_size: int, limits: Limits) -> list[TrainingPlan]:
    """Returns a plan for each way that the GPU has memory for."""
    plans = [TrainingPlan(PRODUCTS, 0, products_time(topology, batch_size, limits))]
    alone = resident.shared_bytes(topology, batch_size)
    if alone <= limits.shared_bytes and not any(topology.keeps_z[:-1]):  # one block has no room for z beside a
        plans.append(TrainingPlan(RESIDENT, alone, resident_time(topology, batch_size)))
    if grid := tiling.best_plan(topology, batch_size, limits):
        each, estimate = cooperative.shared_bytes(topology, batch_size, grid), tiling.estimate(topology, batch_size, grid)
        plans.append(TrainingPlan(COOPERATIVE, each, estimate, grid))
    return plans


def reason(topology: Topology, batch_size: int, limits: Limits) -> str:
    """Returns the reason for the choice of `plan`, in words."""
    plans = {plan.way: plan for plan in possible_plans(topology, batch_size, limits)}
    wanted = resident.shared_bytes(topology, batch_size)
    room = f"the {limits.shared_bytes:,} of a block's shared memory"
    lines = [f"parameters and a batch of {batch_size} take {wanted:,} bytes"]
    if RESIDENT in plans:
        lines.append(f" of {room}, some {plans[RESIDENT].estimate:.0f} us a step in one block")
    elif wanted <= limits.shared_bytes:
        lines.append(f" of {room}, but one block does not keep z, which a hidden layer needs")
    else:
        lines.append(f", more than {room}")
    if (plan := plans.get(COOPERATIVE)) and plan.grid:
        spread = f"{plan.grid.spread} layer{'s' * (plan.grid.spread > 1)} spread"
        lines.append(f"; {plan.shared_bytes:,} in each of {plan.grid.blocks} blocks, {spread}, some {plan.estimate:.0f} us")
    else:
        lines.append("; no way to share them out over blocks that wait for each other")
    lines.append(f"; kernels for each product take some {plans[PRODUCTS].estimate:.0f} us")
    return "".join(lines)


def multiply_adds(topology: Topology, batch_size: int) -> int:
    """Returns the multiply-adds of the three products of a step: forward, recurrence and gradient."""
    return 3 * batch_size * topology.parameter_count


def resident_time(topology: Topology, batch_size: int) -> float:
    """Returns the estimated microseconds of a step in one block."""
    barriers = 3 * len(topology.kinds) + 2
    return multiply_adds(topology, batch_size) / RESIDENT_SPEED + barriers * RESIDENT_BARRIER


def products_time(topology: Topology, batch_size: int, limits: Limits) -> float:
    """Returns the estimated microseconds of a step by products."""
    kernels = 3 * len(topology.kinds) - 1 + 3  # forward, backward and update, but no first backward; begin, output and end
    return kernels * LAUNCH + multiply_adds(topology, batch_size) / (PRODUCT_SPEED * limits.multiprocessors)

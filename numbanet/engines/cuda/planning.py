"""Chooses the way to train a network on a GPU, from the network's topology, the batch size and the limits of the GPU.

The three ways to train are called "resident", "cooperative" and "products"; the class `TrainingPlan` describes the three ways.
The choice depends on the estimated time of a training step in each of the three ways. The estimates are accurate enough to tell
whether one way to train is much faster than the other ways. The project's GPU benchmarks measure the actual times.
"""

from typing import NamedTuple

from numbanet.engines.cuda.cooperative import layout as cooperative
from numbanet.engines.cuda.cooperative import tiling
from numbanet.engines.cuda.cooperative.layout import GridPlan
from numbanet.engines.cuda.limits import Limits
from numbanet.engines.cuda.resident import layout as resident
from numbanet.engines.topology import Topology

RESIDENT, COOPERATIVE, PRODUCTS = "resident", "cooperative", "products"
# Estimates for training in one block: the number of multiply-adds per microsecond, and the duration of a barrier in
# microseconds.
RESIDENT_SPEED, RESIDENT_BARRIER = 30_000, 0.1
# Estimates for training by products: the number of multiply-adds per microsecond on each multiprocessor, and the overhead of
# each kernel in a recorded CUDA graph, in microseconds.
PRODUCT_SPEED, LAUNCH = 100_000, 3.0
# Before times are compared, the estimated time of training in one block is multiplied by this factor. Training in one block
# leaves the other multiprocessors free, and is therefore chosen even if another way is somewhat faster.
FAVOUR = 0.75


# The limits of one GPU for each compute capability (from the technical specifications in the CUDA C++ Programming Guide): T4,
# A100, RTX 3090, RTX 4090 and H100. The cooperative kernel copies samples asynchronously, which requires compute capability
# 8.0.
KNOWN_LIMITS = {
    "sm_75": Limits(40, 64 << 10, 0),
    "sm_80": Limits(108, 163 << 10, 108),
    "sm_86": Limits(82, 99 << 10, 82),
    "sm_89": Limits(128, 99 << 10, 128),
    "sm_90": Limits(132, 227 << 10, 132),
}


class TrainingPlan(NamedTuple):
    """A way to train a network on a GPU, and the estimated time of a training step.

    Parameters
    ----------
    way : str
        "resident": one thread block performs many steps per kernel launch (`engines/cuda/resident`). "cooperative": many
        blocks, which wait for each other at barriers, perform many steps per kernel launch (`engines/cuda/cooperative`).
        "products": several kernels are launched for each step (`engines/cuda/products`).
    shared_bytes : int
        Number of bytes of shared memory that a block needs; 0 for "products".
    estimate : float
        Estimated time of a training step, in microseconds.
    grid : GridPlan or None
        For "cooperative", the division of the network among the blocks; otherwise None.
    """

    way: str
    shared_bytes: int
    estimate: float
    grid: GridPlan | None = None


def plan(topology: Topology, batch_size: int, limits: Limits, plain: bool = True) -> TrainingPlan:
    """Returns the plan for training with the shortest estimated time per training step.

    Before the comparison, the estimated time of training in one thread block is multiplied by the constant FAVOUR = 0.75.

    Parameters
    ----------
    topology : Topology
        The network's layer sizes, activation functions, loss and dtype.
    batch_size : int
        Number of samples in a batch.
    limits : Limits
        The hardware limits of the GPU.
    plain : bool
        True for plain gradient descent without dropout and without sample weights. If `plain` is False, the plan is always
        "products", because the ways "resident" and "cooperative" support only plain gradient descent.
    """
    if not plain:
        return TrainingPlan(PRODUCTS, 0, products_time(topology, batch_size, limits))

    def cost(plan):
        return plan.estimate * (FAVOUR if plan.way == RESIDENT else 1)

    return min(possible_plans(topology, batch_size, limits), key=cost)


def possible_plans(topology: Topology, batch_size: int, limits: Limits) -> list[TrainingPlan]:
    """Returns one plan for each way to train that supports the network and for which the GPU has enough shared memory."""
    plans = [TrainingPlan(PRODUCTS, 0, products_time(topology, batch_size, limits))]
    alone = resident.shared_bytes(topology, batch_size)
    if alone <= limits.shared_bytes and not any(topology.keeps_z[:-1]):  # training in one block does not keep z
        plans.append(TrainingPlan(RESIDENT, alone, resident_time(topology, batch_size)))
    if grid := tiling.best_plan(topology, batch_size, limits):
        each, estimate = cooperative.shared_bytes(topology, batch_size, grid), tiling.estimate(topology, batch_size, grid)
        plans.append(TrainingPlan(COOPERATIVE, each, estimate, grid))
    return plans


def reason(topology: Topology, batch_size: int, limits: Limits) -> str:
    """Returns a sentence that explains the choice of the way to train: the shared memory and the time that each way needs."""
    plans = {plan.way: plan for plan in possible_plans(topology, batch_size, limits)}
    wanted = resident.shared_bytes(topology, batch_size)
    lines = [
        f"the parameters and a batch of {batch_size} samples take {wanted:,} bytes, and a thread block has "
        f"{limits.shared_bytes:,} bytes of shared memory"
    ]
    if RESIDENT in plans:
        lines.append(f"in one thread block, a step takes about {plans[RESIDENT].estimate:.0f} us")
    elif wanted <= limits.shared_bytes:
        lines.append("a hidden layer's derivative is computed from z, but training in one thread block does not keep z")
    else:
        lines.append("the network does not fit into one thread block's shared memory")
    if (plan := plans.get(COOPERATIVE)) and plan.grid:
        spread = f"{plan.grid.spread} layer{'s' * (plan.grid.spread > 1)} spread over all"
        lines.append(
            f"in {plan.grid.blocks} thread blocks, {spread}, each with {plan.shared_bytes:,} bytes of shared memory, "
            f"a step takes about {plan.estimate:.0f} us"
        )
    else:
        lines.append("the parameters cannot be divided among thread blocks that wait for each other")
    lines.append(f"with a kernel for each matrix product, a step takes about {plans[PRODUCTS].estimate:.0f} us")
    return "; ".join(lines)


def multiply_adds(topology: Topology, batch_size: int) -> int:
    """Returns the number of multiply-adds (a multiplication and an addition) in a training step.

    In each layer, a step computes three matrix products: forward sum, delta recurrence and weight gradient.
    """
    return 3 * batch_size * topology.parameter_count


def resident_time(topology: Topology, batch_size: int) -> float:
    """Returns the estimated time, in microseconds, of a training step that a single thread block computes."""
    barriers = 3 * len(topology.kinds) + 2
    return multiply_adds(topology, batch_size) / RESIDENT_SPEED + barriers * RESIDENT_BARRIER


def products_time(topology: Topology, batch_size: int, limits: Limits) -> float:
    """Returns the estimated time, in microseconds, of a training step that launches a kernel for each matrix product."""
    # 3 products per layer, but 2 in the first layer; and the kernels begin_step, output_rows and end_step
    kernels = 3 * len(topology.kinds) - 1 + 3
    return kernels * LAUNCH + multiply_adds(topology, batch_size) / (PRODUCT_SPEED * limits.multiprocessors)

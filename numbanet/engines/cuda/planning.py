"""How a network is trained on a GPU: a plain function of its topology, the batch and the GPU's limits.

The times are estimates, good enough to tell which way is faster by much; `benchmarks/gpu.py` measures the ways themselves.
"""

from typing import NamedTuple

from numbanet.engines.cuda.cooperative import layout as shares
from numbanet.engines.cuda.cooperative.layout import Shares
from numbanet.engines.cuda.memory import Limits
from numbanet.engines.cuda.resident import kernel as resident
from numbanet.engines.topology import Topology

RESIDENT, COOPERATIVE, PRODUCTS = "resident", "cooperative", "products"
# Multiply-adds a block of `resident` does in a microsecond, and the microseconds between its barriers.
RESIDENT_SPEED, RESIDENT_BARRIER = 30_000, 0.1
# Multiply-adds a multiprocessor does in a microsecond in tiles, and the microseconds from one recorded kernel to the next.
PRODUCT_SPEED, LAUNCH = 100_000, 3.0
# One block is taken where it should be nearly as fast as others: it leaves the other multiprocessors free.
FAVOUR = 0.75


# By compute capability, the multiprocessors of a GPU that has it, and its limit (CUDA C++ Programming Guide, technical
# specifications): T4, A100, RTX 3090, RTX 4090, H100. `cooperative` copies in the background, which begins with 8.0.
KNOWN_LIMITS = {
    "sm_75": Limits(40, 64 << 10, 0),
    "sm_80": Limits(108, 163 << 10, 108),
    "sm_86": Limits(82, 99 << 10, 82),
    "sm_89": Limits(128, 99 << 10, 128),
    "sm_90": Limits(132, 227 << 10, 132),
}


class Plan(NamedTuple):
    """A way to train.

    Parameters
    ----------
    way : str
        "resident": whole slices of an epoch in one thread block, see `resident`; "cooperative": in many that wait for each
        other, see `cooperative`; "products": a few kernels per step.
    shared_bytes : int
        Shared memory that a block takes; 0 for "products".
    time : float
        Microseconds of a step, as estimated.
    shares : Shares or None
        What each block gets, of "cooperative".
    """

    way: str
    shared_bytes: int
    time: float
    shares: Shares | None = None


def plan(topology: Topology, batch_size: int, limits: Limits, plain: bool = True) -> Plan:
    """The way that should be the fastest; where training is not plain gradient descent on all neurons there is but one."""
    if not plain:
        return Plan(PRODUCTS, 0, products_time(topology, batch_size, limits))

    def cost(plan):
        return plan.time * (FAVOUR if plan.way == RESIDENT else 1)

    return min(possible_plans(topology, batch_size, limits), key=cost)


def possible_plans(topology: Topology, batch_size: int, limits: Limits) -> list[Plan]:
    """One for each way that the GPU has room for."""
    plans = [Plan(PRODUCTS, 0, products_time(topology, batch_size, limits))]
    if (alone := resident.shared_bytes(topology, batch_size)) <= limits.shared_bytes:
        plans.append(Plan(RESIDENT, alone, resident_time(topology, batch_size)))
    if shared_out := shares.share_out(topology, batch_size, limits):
        each, time = shares.shared_bytes(topology, batch_size, shared_out), shares.time(topology, batch_size, shared_out)
        plans.append(Plan(COOPERATIVE, each, time, shared_out))
    return plans


def reason(topology: Topology, batch_size: int, limits: Limits) -> str:
    """Why `plan` chooses as it does, in words."""
    plans = {plan.way: plan for plan in possible_plans(topology, batch_size, limits)}
    wanted = resident.shared_bytes(topology, batch_size)
    room = f"the {limits.shared_bytes:,} of a block's shared memory"
    lines = [f"parameters and a batch of {batch_size} take {wanted:,} bytes"]
    if RESIDENT in plans:
        lines.append(f" of {room}, some {plans[RESIDENT].time:.0f} us a step in one block")
    else:
        lines.append(f", more than {room}")
    if COOPERATIVE in plans:
        _, each, time, shared_out = plans[COOPERATIVE]
        spread = f"{shared_out.spread} layer{'s' * (shared_out.spread > 1)} spread"
        lines.append(f"; {each:,} in each of {shared_out.blocks} blocks, {spread}, some {time:.0f} us")
    else:
        lines.append("; no way to share them out over blocks that wait for each other")
    lines.append(f"; kernels for each product take some {plans[PRODUCTS].time:.0f} us")
    return "".join(lines)


def multiply_adds(topology: Topology, batch_size: int) -> int:
    """Of the three products of a step: forward, recurrence and gradient."""
    return 3 * batch_size * topology.parameter_count


def resident_time(topology: Topology, batch_size: int) -> float:
    """Microseconds of a step in one block."""
    barriers = 3 * len(topology.kinds) + 2
    return multiply_adds(topology, batch_size) / RESIDENT_SPEED + barriers * RESIDENT_BARRIER


def products_time(topology: Topology, batch_size: int, limits: Limits) -> float:
    """Microseconds of a step in kernels of their own."""
    kernels = 3 * len(topology.kinds) - 1 + 3  # forward, backward and update, but no first backward; begin, output and end
    return kernels * LAUNCH + multiply_adds(topology, batch_size) / (PRODUCT_SPEED * limits.multiprocessors)

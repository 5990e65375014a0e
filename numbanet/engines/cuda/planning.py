"""How a network is trained on a GPU: a plain function of its topology, the batch and the GPU's limits.

The times are estimates, good enough to tell which way is faster by much; `benchmarks/gpu.py` measures the ways themselves.
"""

from typing import NamedTuple

from numbanet.engines.cuda import resident
from numbanet.engines.cuda.memory import Limits
from numbanet.engines.topology import Topology

RESIDENT, PRODUCTS = "resident", "products"
# Multiply-adds a block of `resident` does in a microsecond, and the microseconds between its barriers.
RESIDENT_SPEED, RESIDENT_BARRIER = 30_000, 0.1
# Multiply-adds a multiprocessor does in a microsecond in tiles, and the microseconds from one recorded kernel to the next.
PRODUCT_SPEED, LAUNCH = 100_000, 3.0


# By compute capability, the multiprocessors of a GPU that has it, and its limit (CUDA C++ Programming Guide, technical
# specifications): T4, A100, RTX 3090, RTX 4090, H100.
KNOWN_LIMITS = {
    "sm_75": Limits(40, 64 << 10),
    "sm_80": Limits(108, 163 << 10),
    "sm_86": Limits(82, 99 << 10),
    "sm_89": Limits(128, 99 << 10),
    "sm_90": Limits(132, 227 << 10),
}


class Plan(NamedTuple):
    """A way to train.

    Parameters
    ----------
    way : str
        "resident": whole slices of an epoch in one thread block, see `resident`. "products": a few kernels per step.
    shared_bytes : int
        Shared memory that the block takes; 0 for "products".
    reason : str
        Why this way, in words.
    """

    way: str
    shared_bytes: int
    reason: str


def plan(topology: Topology, batch_size: int, limits: Limits) -> Plan:
    """The way that should be the fastest."""
    wanted = resident.shared_bytes(topology, batch_size)
    sizes = f"parameters and a batch of {batch_size} take {wanted:,} bytes"
    if wanted > limits.shared_bytes:
        return Plan(PRODUCTS, 0, f"{sizes}, more than the {limits.shared_bytes:,} of a block's shared memory")
    alone, together = resident_time(topology, batch_size), products_time(topology, batch_size, limits)
    times = f"one block takes some {alone:.0f} us a step, kernels for each product some {together:.0f} us"
    if alone > together:
        return Plan(PRODUCTS, 0, f"{sizes}, which fits, but {times}")
    return Plan(RESIDENT, wanted, f"{sizes} of the {limits.shared_bytes:,} of a block's shared memory, and {times}")


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

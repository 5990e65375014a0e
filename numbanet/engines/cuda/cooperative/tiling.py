"""The division of a network into tiles for the blocks of a grid: the plan that fits the GPU and should take the least time."""

import functools
from collections.abc import Callable
from typing import Any

from numbanet.engines.cuda.cooperative.layout import MOST_LAYERS, GridPlan, LayerTiles, padded, shared_bytes
from numbanet.engines.cuda.memory import Limits
from numbanet.engines.topology import Topology
from numbanet.equations.activations import SOFTMAX

# What a step costs, by which plans are compared. These are estimates: no GPU has measured them.
SPEED = 90_000  # multiply-adds that a multiprocessor does in a microsecond
TRAFFIC = 8_000  # numbers of 4 bytes that it exchanges with global memory in a microsecond
MEETING = 1.5  # microseconds of a barrier of all blocks
PHASE = 1.0  # microseconds of a phase beside its products and its traffic: it waits for global memory two or three times
HEAD = 2.5  # microseconds of the head beside those: it waits more often

ROUNDS = 2  # in each of which every layer's tiles are chosen anew


def cut(n_in: int, n_out: int, down: int, blocks: int) -> LayerTiles:
    """Returns w and b of a layer in at most `down` tiles below each other, and as many side by side as blocks allow."""
    rows = padded(-(-(n_in + 1) // down))
    down = -(-(n_in + 1) // rows)
    columns = padded(-(-n_out // max(1, blocks // down)))
    return LayerTiles(rows, columns, down, -(-n_out // columns))


def estimate(topology: Topology, batch_size: int, plan: GridPlan) -> float:
    """Returns the microseconds of a step, as estimated.

    Parameters
    ----------
    topology : Topology
    batch_size : int
    plan : GridPlan

    Returns
    -------
    float
    """
    rows, spread, samples = padded(batch_size), plan.spread, plan.head_samples(batch_size)
    products = numbers = 0  # multiply-adds and exchanged numbers of a block
    for l, tiles in enumerate(plan.layers):
        n_in, n_out = topology.layers[l]
        area = rows * tiles.rows * tiles.columns
        if l >= spread:
            products += area + 2 * padded(samples) * (n_in + 1) * n_out
            numbers += rows * (tiles.rows + tiles.columns) + (n_in + 1) * n_out
            continue
        products += area * (3 if l else 2)
        z_sums = plan.layers[l - 1].down if l else 1
        dl_da_sums = plan.layers[l + 1].across if l < spread - 1 else 1
        numbers += batch_size * (tiles.rows * (z_sums + (l > 0)) + tiles.columns * (1 + dl_da_sums))
    numbers += samples * topology.sizes[spread] * (plan.layers[spread - 1].down + 2)
    scale, phases = topology.dtype.itemsize / 4, 2 * spread
    return phases * (MEETING + PHASE) + HEAD + scale * (products / SPEED + numbers / TRAFFIC)


@functools.cache
def best_plan(topology: Topology, batch_size: int, limits: Limits) -> GridPlan | None:
    """Returns the plan that fits the GPU and should take the least time.

    Parameters
    ----------
    topology : Topology
    batch_size : int
    limits : Limits
        Of the GPU.

    Returns
    -------
    GridPlan or None
        None if no plan fits, or if the network has too many layers or a hidden layer that needs whole rows of z (softmax) or
        keeps z.
    """
    needs_z = SOFTMAX in topology.kinds[:-1] or any(topology.keeps_z[:-1])
    if limits.grid_blocks == 0 or len(topology.kinds) > MOST_LAYERS or needs_z:
        return None

    def cost(plan: GridPlan) -> tuple[int, float]:
        excess = shared_bytes(topology, batch_size, plan) - limits.shared_bytes
        return max(0, excess), estimate(topology, batch_size, plan)

    plans = (_plan_of(topology, spread, limits.grid_blocks, cost) for spread in range(1, len(topology.kinds) + 1))
    best = min(plans, key=cost)
    return None if cost(best)[0] else best


def _plan_of(topology: Topology, spread: int, blocks: int, cost: Callable[[GridPlan], Any]) -> GridPlan:
    """Returns a plan with a number of spread layers: each layer in turn takes the tiles that cost least beside the others'."""
    choices = [
        list(dict.fromkeys(cut(n_in, n_out, down, blocks) for down in range(1, min(blocks, n_in + 1) + 1)))
        for n_in, n_out in topology.layers
    ]
    layers = [min(choice, key=lambda tiles: tiles.rows * tiles.columns * (tiles.rows + tiles.columns)) for choice in choices]
    plan = GridPlan(tuple(layers), spread, blocks)
    for _ in range(ROUNDS):
        for l, choice in enumerate(choices):
            candidates = (plan._replace(layers=(*plan.layers[:l], tiles, *plan.layers[l + 1 :])) for tiles in choice)
            plan = min(candidates, key=cost)
    return plan

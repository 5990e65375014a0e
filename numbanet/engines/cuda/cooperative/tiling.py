"""Chooses the tiles into which the w of each layer is cut for the thread blocks of a grid, by the estimated time of a step."""

import functools
from collections.abc import Callable
from typing import Any

from numbanet.engines.cuda.cooperative.layout import MOST_LAYERS, GridPlan, LayerTiles, padded, shared_bytes
from numbanet.engines.cuda.memory import Limits
from numbanet.engines.topology import Topology
from numbanet.equations.activations import SOFTMAX

# The costs of a training step, by which plans are compared. These values are estimates; they have not been measured on a GPU.
SPEED = 90_000  # multiply-adds that a multiprocessor performs per microsecond
TRAFFIC = 8_000  # values of 4 bytes that a multiprocessor exchanges with global memory per microsecond
MEETING = 1.5  # microseconds that a barrier of all blocks takes
PHASE = 1.0  # microseconds of a phase in addition to its products and traffic: it waits for global memory two or three times
HEAD = 2.5  # microseconds of the head phase in addition to its products and traffic: it waits for global memory more often

ROUNDS = 2  # number of rounds; in each round, the tiles of every layer are chosen anew


def cut(n_in: int, n_out: int, down: int, blocks: int) -> LayerTiles:
    """Cuts w (n_in + 1, n_out) of a layer, with b as its last row, into tiles: at most one for each of `blocks` thread blocks.

    There are at most `down` tiles in vertical direction, and as many in horizontal direction as the number of blocks allows.
    """
    rows = padded(-(-(n_in + 1) // down))
    down = -(-(n_in + 1) // rows)
    columns = padded(-(-n_out // max(1, blocks // down)))
    return LayerTiles(rows, columns, down, -(-n_out // columns))


def estimate(topology: Topology, batch_size: int, plan: GridPlan) -> float:
    """Returns the estimated time of a training step, in microseconds.

    Parameters
    ----------
    topology : Topology
        Sizes, activations, loss and dtype of the network.
    batch_size : int
        Number of samples of a batch.
    plan : GridPlan
        The division of the network among the thread blocks: the tiles of each w, and the number of blocks.

    Returns
    -------
    float
        Microseconds.
    """
    rows, spread, samples = padded(batch_size), plan.spread, plan.head_samples(batch_size)
    products = numbers = 0  # number of multiply-adds, and number of exchanged values, of a block
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
    """Returns the plan with the shortest estimated time of a step, among the plans that fit the GPU.

    Parameters
    ----------
    topology : Topology
        Sizes, activations, loss and dtype of the network.
    batch_size : int
        Number of samples of a batch.
    limits : Limits
        The limits of the GPU.

    Returns
    -------
    GridPlan or None
        None if no plan fits the GPU, if blocks cannot wait for each other on the GPU, or if the network has more than
        MOST_LAYERS layers. Also None if a hidden layer has the activation softmax, which needs all z of a sample, or an
        activation whose derivative needs z.
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
    """Returns the plan with the lowest cost that was found for a given number of spread layers.

    `spread` is the number of first layers whose sums all blocks compute together. The function chooses the tiles of one layer
    at a time: the tiles that give the plan the lowest cost, with all other layers unchanged.
    """
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

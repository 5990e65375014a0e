"""Chooses the tiles into which each layer's w is cut for the blocks of a grid, so that a step's estimated time is short."""

import functools
from collections.abc import Callable
from typing import Any

from numbanet.engines.cuda.cooperative.layout import MOST_LAYERS, GridPlan, LayerTiles, padded, shared_bytes
from numbanet.engines.cuda.limits import Limits
from numbanet.engines.topology import Topology
from numbanet.equations.activations import SOFTMAX

# The costs with which `estimate` compares plans. These values are estimates; they have not been measured on a GPU. A phase is
# the part of a training step between two barriers of all thread blocks; in the head phase, each block computes the last layers.
SPEED = 90_000  # multiply-adds that a multiprocessor performs per microsecond
TRAFFIC = 8_000  # 4-byte values that a multiprocessor exchanges with global memory per microsecond
MEETING = 1.5  # duration of a barrier of all blocks, in microseconds
PHASE = 1.0  # time, in microseconds, of a phase's two or three waits for global memory
HEAD = 2.5  # time, in microseconds, of the waits for global memory in the head phase

ROUNDS = 2  # number of rounds in which `_plan_of` chooses the tiles of every layer again


def cut(n_in: int, n_out: int, down: int, blocks: int) -> LayerTiles:
    """Cuts a layer's weight matrix w into at most `blocks` tiles, so that each thread block gets at most one tile.

    w, with b as its last row, has the shape (n_in + 1, n_out). w is cut into at most `down` tiles along its rows, and into as
    many tiles along its columns as the number of blocks allows.
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
        The network's layer sizes, activation functions, loss and dtype.
    batch_size : int
        Number of samples in a batch.
    plan : GridPlan
        The division of the network among the thread blocks: the tiles of each weight matrix, and the number of blocks.
    """
    rows, spread, samples = padded(batch_size), plan.spread, plan.head_samples(batch_size)
    products = numbers = 0  # the multiply-adds of a block, and the values that it exchanges with global memory
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
    """Returns the `GridPlan` that fits into shared memory and has the shortest estimated time per training step.

    Parameters
    ----------
    topology : Topology
        The network's layer sizes, activation functions, loss and dtype.
    batch_size : int
        Number of samples in a batch.
    limits : Limits
        The hardware limits of the GPU.

    Returns
    -------
    GridPlan or None
        None if no plan fits into shared memory, if blocks cannot wait for each other on the GPU, or if the network has more
        than MOST_LAYERS = 16 layers. Also None for two kinds of hidden layers: softmax layers, which need all z of a sample,
        and layers whose derivative da/dz must be computed from z.
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
    """Searches for the plan of lowest cost in which all blocks together compute each of the first `spread` layers.

    The function improves the plan one layer at a time: it tries every way in which `cut` cuts this layer's w, and takes the
    tiles with which the plan has the lowest cost. The tiles of all other layers stay unchanged meanwhile.
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

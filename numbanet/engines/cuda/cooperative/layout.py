"""How a network is shared out over the blocks of a grid that train it together: see `cooperative`, whose tables these are.

w of every layer, with b as one more row, is cut into tiles, one for a block. The first layers are spread: their sums, too, are
shared out by tiles. The layers behind them are the head: they are so small that every block has a copy of them, and takes some
samples of a batch through them.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from numbanet._cuda import SIMULATED
from numbanet.engines.cuda.memory import QUAD, Limits
from numbanet.engines.topology import Topology
from numbanet.equations.activations import SOFTMAX

# Columns of the table of layers: sizes and activation; rows and columns of a tile of w, how many lie below each other, side by
# side, and in all; where a block's tile of w, its part of x and of delta begin in shared memory, each with its pitch; in the
# memory of all blocks, where sums for the next layer and for the layer before, a and delta lie; where w begins among the
# parameters; in the head, where w, and x and delta of a block's samples begin.
N_IN, N_OUT, KIND, ROWS, COLUMNS, DOWN, ACROSS, TILES, W, W_PITCH, X, X_PITCH, DELTA, DELTA_PITCH = range(14)
NEXT_SUMS, PREVIOUS_SUMS, ALL_A, ALL_DELTA, FLAT = range(14, 19)
HEAD_W, HEAD_W_PITCH, HEAD_X, HEAD_X_PITCH, HEAD_DELTA, HEAD_DELTA_PITCH = range(19, 25)
FIELDS, MOST_LAYERS = 25, 16
# The table of all else: how many layers and phases there are, the loss, the batch size; how many layers are spread, how many
# samples of the head a block takes; a second x of the first layer; where threads put their sums; of the last layer's samples in
# the head, z, a and what `output_row` works with; how many numbers of shared memory all that takes.
LAYERS, PHASES, LOSS, BATCH, SPREAD, SAMPLES, SECOND_X, SUMS, Z, Z_PITCH, A, U, DL, Z_MAX, OTHERS, COUNT = range(16)
# Both tables, one behind the other, end in shared memory where 16 bytes do.
TABLES = FIELDS * MOST_LAYERS + COUNT + 1

# Threads of a block, each with a square of QUAD x QUAD sums. A simulated one costs a thread of Python.
THREADS = 4 if SIMULATED else 256
SQUARE = QUAD * QUAD

# Estimates for the choice of tiles, no GPU has measured them: multiply-adds a multiprocessor does in a microsecond, numbers of
# 4 bytes it exchanges meanwhile; microseconds of a meeting of all blocks, of a phase besides what can be counted, which waits
# for global memory two or three times, and of the head, which does so more often.
SPEED, TRAFFIC, MEETING, PHASE, HEAD = 90_000, 8_000, 1.5, 1.0, 2.5
ROUNDS = 2  # in which every layer's tiles are chosen anew


class Share(NamedTuple):
    """How w of a layer is cut into tiles.

    Parameters
    ----------
    rows, columns : int
        Of a tile, multiples of QUAD; row n_in of w is b.
    down, across : int
        Tiles below each other, and side by side.
    """

    rows: int
    columns: int
    down: int
    across: int


class Shares(NamedTuple):
    """How a network is shared out.

    Parameters
    ----------
    layers : tuple of Share
    spread : int
        How many layers, from the first on, are spread; the others are the head.
    blocks : int
        Of the grid.
    """

    layers: tuple[Share, ...]
    spread: int
    blocks: int

    def samples(self, batch_size: int) -> int:
        """That a block takes through the head."""
        return -(-batch_size // self.blocks)


def padded(count: int) -> int:
    """The smallest multiple of QUAD that is not less than count."""
    return -(-count // QUAD) * QUAD


def pitch(width: int) -> int:
    """The step from row to row: an odd number of quads, so that quads below each other lie in different banks."""
    return QUAD * (-(-width // QUAD) | 1)


def cut(n_in: int, n_out: int, down: int, blocks: int) -> Share:
    """w with b in so many tiles below each other, and as many side by side as there are blocks for."""
    rows = padded(-(-(n_in + 1) // down))
    down = -(-(n_in + 1) // rows)
    columns = padded(-(-n_out // max(1, blocks // down)))
    return Share(rows, columns, down, -(-n_out // columns))


def places(topology: Topology, batch_size: int, shares: Shares) -> tuple[np.ndarray, np.ndarray, int]:
    """Where everything lies.

    Parameters
    ----------
    topology : Topology
    batch_size : int
    shares : Shares

    Returns
    -------
    layers : (L, FIELDS) int32
    rest : (COUNT + 1,) int32
        The last is the numbers of a block's shared memory.
    exchanged : int
        Numbers in global memory that blocks exchange.
    """
    near, far = _Places(), _Places()
    spread, samples, rows = shares.spread, padded(shares.samples(batch_size)), padded(batch_size)
    layers, rest = np.zeros((len(shares.layers), FIELDS), np.int32), np.zeros(COUNT + 1, np.int32)
    flat = 0
    for l, (layer, share, (n_in, n_out)) in enumerate(zip(layers, shares.layers, topology.layers, strict=True)):
        layer[[N_IN, N_OUT, KIND, FLAT]] = n_in, n_out, topology.kinds[l], flat
        layer[[ROWS, COLUMNS, DOWN, ACROSS, TILES]] = *share, share.down * share.across
        layer[[W_PITCH, X_PITCH, DELTA_PITCH]] = pitch(share.columns), pitch(share.rows), pitch(share.columns)
        layer[W], layer[X] = near.take(share.rows * layer[W_PITCH]), near.take(rows * layer[X_PITCH])
        layer[DELTA] = near.take(rows * layer[DELTA_PITCH])
        layer[[ALL_A, ALL_DELTA]] = far.take(batch_size * n_out), far.take(batch_size * n_out)
        if l < spread:
            layer[NEXT_SUMS] = far.take(share.down * batch_size * n_out)
        if 0 < l < spread:
            layer[PREVIOUS_SUMS] = far.take(share.across * batch_size * n_in)
        if l >= spread:
            layer[[HEAD_W_PITCH, HEAD_X_PITCH]] = pitch(n_out), pitch(n_in + 1)
            layer[HEAD_W] = near.take(padded(n_in + 1) * layer[HEAD_W_PITCH])
            layer[HEAD_X] = near.take(samples * layer[HEAD_X_PITCH])
        if l >= spread - 1:
            layer[HEAD_DELTA_PITCH] = pitch(n_out)
            layer[HEAD_DELTA] = near.take(samples * layer[HEAD_DELTA_PITCH])
        flat += (n_in + 1) * n_out
    n_out = topology.sizes[-1]
    rest[[LAYERS, PHASES, LOSS, BATCH]] = len(layers), 2 * spread + 1, topology.loss_kind, batch_size
    rest[[SPREAD, SAMPLES, Z_PITCH]] = spread, shares.samples(batch_size), pitch(n_out)
    rest[[SECOND_X, SUMS]] = near.take(rows * layers[0][X_PITCH]), near.take(THREADS * SQUARE)
    rest[[Z, A, U, DL]] = [near.take(samples * pitch(n_out)) for _ in range(4)]
    rest[[Z_MAX, OTHERS]] = near.take(samples), near.take(samples)
    rest[COUNT] = near.end
    return layers, rest, far.end


class _Places:
    """Hands out places in a flat array, one behind another."""

    def __init__(self):
        self.end = 0

    def take(self, count: int) -> int:
        start, self.end = self.end, self.end + int(count)
        return start


def shared_bytes(topology: Topology, batch_size: int, shares: Shares) -> int:
    """Bytes of shared memory that a block takes."""
    return int(places(topology, batch_size, shares)[1][COUNT]) * topology.dtype.itemsize + 4 * TABLES


def time(topology: Topology, batch_size: int, shares: Shares) -> float:
    """Microseconds of a step, as estimated."""
    scale = topology.dtype.itemsize / 4
    rows, spread, samples = padded(batch_size), shares.spread, shares.samples(batch_size)
    products = numbers = 0
    for l, share in enumerate(shares.layers):
        n_in, n_out = topology.layers[l]
        area = rows * share.rows * share.columns
        if l >= spread:
            products += area + 2 * padded(samples) * (n_in + 1) * n_out
            numbers += rows * (share.rows + share.columns) + (n_in + 1) * n_out
            continue
        products += area * (3 if l else 2)
        in_parts = shares.layers[l - 1].down if l else 1
        error_parts = shares.layers[l + 1].across if l < spread - 1 else 1
        numbers += batch_size * (share.rows * (in_parts + (l > 0)) + share.columns * (1 + error_parts))
    numbers += samples * topology.sizes[spread] * (shares.layers[spread - 1].down + 2)
    phases = 2 * spread
    return phases * (MEETING + PHASE) + HEAD + scale * (products / SPEED + numbers / TRAFFIC)


@functools.cache
def share_out(topology: Topology, batch_size: int, limits: Limits) -> Shares | None:
    """The shares that fit and should take the least time; None where nothing fits, or not every layer can be shared out."""
    if limits.grid_blocks == 0 or len(topology.kinds) > MOST_LAYERS or SOFTMAX in topology.kinds[:-1]:
        return None

    def cost(shares):
        too_many = shared_bytes(topology, batch_size, shares) - limits.shared_bytes
        return max(0, too_many), time(topology, batch_size, shares)

    best = min((_shares(topology, spread, limits.grid_blocks, cost) for spread in range(1, len(topology.kinds) + 1)), key=cost)
    return None if cost(best)[0] else best


def _shares(topology: Topology, spread: int, blocks: int, cost: Callable) -> Shares:
    """Shares with so many spread layers: one layer after another takes the tiles that are best together with the others'."""
    cuts = [
        list(dict.fromkeys(cut(n_in, n_out, down, blocks) for down in range(1, min(blocks, n_in + 1) + 1)))
        for n_in, n_out in topology.layers
    ]
    layers = [min(choice, key=lambda share: share.rows * share.columns * (share.rows + share.columns)) for choice in cuts]
    for _ in range(ROUNDS):
        for l, choice in enumerate(cuts):
            best = min((Shares((*layers[:l], share, *layers[l + 1 :]), spread, blocks) for share in choice), key=cost)
            layers = list(best.layers)
    return best

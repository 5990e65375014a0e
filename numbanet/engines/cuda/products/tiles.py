"""The division of a product into tiles, one for each block of threads, and the choice among tiles of different sizes."""

import functools
import math
from typing import NamedTuple

import numpy as np

from numbanet._cuda import SIMULATED
from numbanet.engines.cuda.memory import QUAD

UNROLL = 8  # k's of a panel whose code is written out one after another; the depth of a panel is a multiple of it

# Estimates by which `plan_tiles` compares plans, in multiply-adds of a multiprocessor, which does 128 in a cycle.
LEAST_CHUNK = 32  # the fewest k's that are worth a part
MOST_PARTS = 4  # parts for each multiprocessor
BUSY_THREADS = 256  # threads with which a multiprocessor reaches the rate of its tiles
SECOND_KERNEL = 300_000  # its launch, 1.4 microseconds
PART_TRAFFIC = 40  # to write and read one sum of a part


class Tile(NamedTuple):
    """The part of a product that one block of threads computes.

    Parameters
    ----------
    rows, columns : int
        Size of the tile.
    depth : int
        Terms of each sum between two barriers: UNROLL or twice as many.
    quads : int
        Each thread adds up (4 quads) x (4 quads) sums.
    registers : int
        The most registers that a thread may use.
    residents : int
        The least number of blocks that a multiprocessor has registers for.
    rate : float
        The least fraction of multiply-adds in the machine code of the main loop; tiles are compared by it.
    """

    rows: int
    columns: int
    depth: int
    quads: int
    registers: int
    residents: int
    rate: float

    @property
    def side(self) -> int:
        """Number of rows, and of columns, of a thread's sums."""
        return QUAD * self.quads

    @property
    def splits(self) -> bool:
        """True if k may be split into parts: only with the smaller tiles, of which a product has more."""
        return self.quads == 1

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return self.rows // self.side * (self.columns // self.side)

    # Rows of a panel are aligned to 16 bytes, and begin in different banks, because a deep operand is stored column by column.

    @property
    def left_pitch(self) -> int:
        """Numbers from one k of a panel of left to the next."""
        return self.rows + QUAD

    @property
    def right_pitch(self) -> int:
        """Numbers from one k of a panel of right to the next."""
        return self.columns + QUAD

    @property
    def buffer(self) -> int:
        """Numbers in a panel of left and one of right."""
        return self.depth * (self.left_pitch + self.right_pitch)

    def shared_bytes(self, dtype: np.dtype) -> int:
        """Returns the shared memory of a block: two pairs of panels, one being read while the other is written."""
        return 2 * self.buffer * dtype.itemsize


TILES = {
    np.dtype(np.float32): (
        Tile(128, 128, 8, 2, 128, 2, 0.80),
        Tile(64, 64, 16, 1, 128, 2, 0.66),
        Tile(32, 32, 16, 1, 128, 8, 0.56),
    ),
    np.dtype(np.float64): (
        Tile(128, 128, 8, 2, 255, 1, 0.74),
        Tile(64, 64, 16, 1, 128, 2, 0.61),
        Tile(32, 32, 16, 1, 168, 6, 0.52),
    ),
}

# The smallest tile there can be, because a simulated thread is a Python thread.
SIMULATED_TILE = Tile(16, 16, 8, 1, 128, 2, 1.0)


def tiles_for(dtype: np.dtype) -> tuple[Tile, ...]:
    """Returns the tiles that products of a dtype choose from."""
    return (SIMULATED_TILE,) if SIMULATED else TILES[dtype]


class TilePlan(NamedTuple):
    """The division of a product among blocks.

    Parameters
    ----------
    tile : Tile
        The tile of a block.
    parts : int
        Number of parts that k is split into.
    chunk : int
        k's of each part; the last part may have fewer.
    """

    tile: Tile
    parts: int
    chunk: int

    def grid(self, rows: int, columns: int) -> tuple[int, int, int]:
        """Returns the numbers of blocks along r, c and k."""
        return -(-rows // self.tile.rows), -(-columns // self.tile.columns), self.parts


@functools.cache
def plan_tiles(rows: int, columns: int, depth: int, multiprocessors: int, tiles: tuple[Tile, ...]) -> TilePlan:
    """Returns the plan with the lowest estimate for a product of that shape."""
    plans = []
    for tile in tiles:
        most_parts = max(1, min(depth // LEAST_CHUNK, MOST_PARTS * multiprocessors)) if tile.splits else 1
        for parts in range(1, most_parts + 1):
            chunk = -(-depth // (parts * tile.depth)) * tile.depth
            plans.append(TilePlan(tile, -(-depth // chunk), chunk))
    return min(plans, key=lambda plan: estimate(plan, rows, columns, multiprocessors))


def estimate(plan: TilePlan, rows: int, columns: int, multiprocessors: int) -> float:
    """Returns the estimated time of a product, in multiply-adds that a multiprocessor could do meanwhile."""
    tile, parts, chunk = plan
    blocks = math.prod(plan.grid(rows, columns))
    # While the threads of one small block do not keep a multiprocessor busy, several blocks take as long as one.
    turns = max(-(-blocks // multiprocessors), -(-BUSY_THREADS // tile.threads))
    product = turns * tile.rows * tile.columns * chunk / tile.rate
    return product if parts == 1 else product + SECOND_KERNEL + PART_TRAFFIC * parts * rows * columns / multiprocessors

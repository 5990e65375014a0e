"""Divides a matrix product into tiles, one for each block of threads, and chooses among tiles of different sizes."""

import functools
import math
from typing import NamedTuple

import numpy as np

from numbanet._cuda import SIMULATED
from numbanet.engines.cuda.memory import QUAD

UNROLL = 8  # number of k's for which the code is written out (unrolled); the depth of a panel is a multiple of UNROLL

# Constants of the estimates by which `plan_tiles` compares plans. The unit of time is a multiply-add of a multiprocessor, which
# does 128 of them in a cycle. A part is a range of the terms k of a sum; the parts of a sum are computed by different blocks.
LEAST_CHUNK = 32  # smallest number of terms k for which a part is worthwhile
MOST_PARTS = 4  # largest number of parts for each multiprocessor
BUSY_THREADS = 256  # number of threads with which a multiprocessor reaches the `rate` of its tiles
SECOND_KERNEL = 300_000  # time to launch the kernel that adds up parts: 1.4 microseconds
PART_TRAFFIC = 40  # time to write and read one sum of a part


class Tile(NamedTuple):
    """The size of the part of a product that one block of threads computes, and the resources that the block needs.

    Parameters
    ----------
    rows, columns : int
        Number of rows and number of columns of the tile.
    depth : int
        Number of terms that are added to each sum between two barriers: UNROLL, or twice as many.
    quads : int
        Determines the number of sums that each thread computes: (4 quads) x (4 quads).
    registers : int
        The largest number of registers that a thread may use.
    residents : int
        Lower bound of the number of blocks for which a multiprocessor has enough registers at the same time.
    rate : float
        Lower bound of the fraction of multiply-adds among the machine instructions of the main loop. Estimates of time compare
        tiles by their `rate`.
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
        """Number of rows, and also of columns, of the square of sums that a thread computes."""
        return QUAD * self.quads

    @property
    def splits(self) -> bool:
        """True if sums with this tile may be split into parts (ranges of terms k) that different thread blocks compute.

        Only sums of the smaller tiles are split, of which a product has more than of large tiles.
        """
        return self.quads == 1

    @property
    def threads(self) -> int:
        """Number of threads of a block."""
        return self.rows // self.side * (self.columns // self.side)

    # With the pitches, the rows of a panel are aligned to 16 bytes, and begin in different banks of shared memory: an operand
    # whose k's are neighbours in global memory is stored column by column.

    @property
    def left_pitch(self) -> int:
        """Number of elements from one term k to the next in a panel, the part of the left matrix that is in shared memory."""
        return self.rows + QUAD

    @property
    def right_pitch(self) -> int:
        """Number of elements from one term k to the next in a panel, the part of the right matrix that is in shared memory."""
        return self.columns + QUAD

    @property
    def buffer(self) -> int:
        """Number of elements in a pair of panels, the parts of the left and right matrix that shared memory holds at a time."""
        return self.depth * (self.left_pitch + self.right_pitch)

    def shared_bytes(self, dtype: np.dtype) -> int:
        """Returns the bytes of shared memory that a thread block needs.

        Shared memory holds two pairs of panels (parts of the left and right matrix): one pair is read while the other pair is
        written.
        """
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

# The smallest possible tile, because in the simulator a thread is a Python thread.
SIMULATED_TILE = Tile(16, 16, 8, 1, 128, 2, 1.0)


def tiles_for(dtype: np.dtype) -> tuple[Tile, ...]:
    """Returns the tiles that are available for products of a dtype."""
    return (SIMULATED_TILE,) if SIMULATED else TILES[dtype]


class TilePlan(NamedTuple):
    """The division of a product among the blocks of a kernel.

    Parameters
    ----------
    tile : Tile
        The size of the tile that each block computes.
    parts : int
        Number of parts into which the terms k of each sum are split; 1 if sums are not split.
    chunk : int
        Number of terms k in each part; the last part may have fewer.
    """

    tile: Tile
    parts: int
    chunk: int

    def grid(self, rows: int, columns: int) -> tuple[int, int, int]:
        """Returns the numbers of thread blocks along the rows, along the columns, and along the parts of a sum."""
        return -(-rows // self.tile.rows), -(-columns // self.tile.columns), self.parts


@functools.cache
def plan_tiles(rows: int, columns: int, depth: int, multiprocessors: int, tiles: tuple[Tile, ...]) -> TilePlan:
    """Returns the tile size and number of parts per sum with the shortest estimated time for a matrix product.

    The product has `rows` x `columns` sums of `depth` terms each. `tiles` are the tile sizes to choose from.
    """
    plans = []
    for tile in tiles:
        most_parts = max(1, min(depth // LEAST_CHUNK, MOST_PARTS * multiprocessors)) if tile.splits else 1
        for parts in range(1, most_parts + 1):
            chunk = -(-depth // (parts * tile.depth)) * tile.depth
            plans.append(TilePlan(tile, -(-depth // chunk), chunk))
    return min(plans, key=lambda plan: estimate(plan, rows, columns, multiprocessors))


def estimate(plan: TilePlan, rows: int, columns: int, multiprocessors: int) -> float:
    """Returns the estimated time of a product, as the number of multiply-adds that one multiprocessor could do in this time."""
    tile, parts, chunk = plan
    blocks = math.prod(plan.grid(rows, columns))
    # As long as the threads of one small block do not keep a multiprocessor busy, several blocks take as long as one block.
    turns = max(-(-blocks // multiprocessors), -(-BUSY_THREADS // tile.threads))
    product = turns * tile.rows * tile.columns * chunk / tile.rate
    return product if parts == 1 else product + SECOND_KERNEL + PART_TRAFFIC * parts * rows * columns / multiprocessors

"""Divides a matrix product into tiles, one for each thread block, and chooses the size of the tiles."""

import functools
import math
from typing import NamedTuple

import numpy as np

from numbanet._cuda import SIMULATED
from numbanet.engines.cuda.memory import QUAD

UNROLL = 8  # number of successive terms k for which the code is unrolled; the depth of a panel is a multiple of UNROLL

# Constants with which `plan_tiles` compares plans by their estimated times. The unit of time is 1/128 of a multiprocessor's
# clock cycle, because a multiprocessor performs 128 multiply-adds per cycle. A sum can be split into parts, which are ranges of
# its terms k; different thread blocks compute the parts of a sum.
LEAST_CHUNK = 32  # smallest number of terms k in a part
MOST_PARTS = 4  # largest number of parts per multiprocessor
BUSY_THREADS = 256  # number of threads that a multiprocessor needs to reach the `rate` of its tiles
SECOND_KERNEL = 300_000  # time to launch the kernel that adds up the parts: 1.4 microseconds
PART_TRAFFIC = 40  # time to write and read one partial sum


class Tile(NamedTuple):
    """The size of a tile, which is the part of a product that one thread block computes, and the resources that a block needs.

    Parameters
    ----------
    rows, columns : int
        The numbers of rows and columns of the tile.
    depth : int
        The number of terms k that a thread adds to each sum between two barriers: 8 or 16, a multiple of UNROLL.
    quads : int
        Each thread computes a square of (4 * quads) x (4 * quads) sums.
    registers : int
        The largest number of registers that a thread may use.
    residents : int
        The number of thread blocks for which a multiprocessor has enough registers at the same time, or a lower bound of this
        number.
    rate : float
        The fraction of multiply-adds among the machine instructions of the main loop, or a lower bound of this fraction. The
        estimated time of a product is inversely proportional to `rate`.
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
        """True if the sums in this tile may be split into parts (ranges of terms k) that different thread blocks compute.

        The purpose of splitting is to give a product more thread blocks. Large tiles are not split, because smaller tiles also
        give the product more blocks.
        """
        return self.quads == 1

    @property
    def threads(self) -> int:
        """Number of threads in a block."""
        return self.rows // self.side * (self.columns // self.side)

    # `left_pitch` and `right_pitch` align the rows of a panel to 16 bytes, and make the rows begin in different banks of shared
    # memory. Different banks matter because an operand whose terms k are neighbours in global memory is stored in shared memory
    # column by column.

    @property
    def left_pitch(self) -> int:
        """Distance, in elements, from a term k to term k + 1 in a panel (a part of the left matrix in shared memory)."""
        return self.rows + QUAD

    @property
    def right_pitch(self) -> int:
        """Distance, in elements, from a term k to term k + 1 in a panel (a part of the right matrix in shared memory)."""
        return self.columns + QUAD

    @property
    def buffer(self) -> int:
        """Number of elements in a pair of panels: a part of the left matrix and a part of the right matrix in shared memory."""
        return self.depth * (self.left_pitch + self.right_pitch)

    def shared_bytes(self, dtype: np.dtype) -> int:
        """Returns the number of bytes of shared memory that a thread block needs.

        Shared memory holds two pairs of panels, which are parts of the left and right matrix: the block reads one pair while it
        writes the other pair.
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

# The smallest possible tile, because the simulator runs each CUDA thread as a Python thread.
SIMULATED_TILE = Tile(16, 16, 8, 1, 128, 2, 1.0)


def tiles_for(dtype: np.dtype) -> tuple[Tile, ...]:
    """Returns the tile sizes that are available for products in `dtype`."""
    return (SIMULATED_TILE,) if SIMULATED else TILES[dtype]


class TilePlan(NamedTuple):
    """The division of a matrix product among the blocks of a kernel.

    Parameters
    ----------
    tile : Tile
        The size of the tile that each block computes.
    parts : int
        Number of parts into which the terms k of each sum are split; 1 if the sums are not split.
    chunk : int
        Number of terms k in each part; the last part may have fewer.
    """

    tile: Tile
    parts: int
    chunk: int

    def grid(self, rows: int, columns: int) -> tuple[int, int, int]:
        """Returns the number of thread blocks along the rows, the number along the columns, and the number of parts per sum."""
        return -(-rows // self.tile.rows), -(-columns // self.tile.columns), self.parts


@functools.cache
def plan_tiles(rows: int, columns: int, depth: int, multiprocessors: int, tiles: tuple[Tile, ...]) -> TilePlan:
    """Returns the tile size and the number of parts per sum for which the estimated time of a matrix product is shortest.

    The product has `rows` x `columns` sums of `depth` terms each. `tiles` contains the tile sizes to choose from.
    """
    plans = []
    for tile in tiles:
        most_parts = max(1, min(depth // LEAST_CHUNK, MOST_PARTS * multiprocessors)) if tile.splits else 1
        for parts in range(1, most_parts + 1):
            chunk = -(-depth // (parts * tile.depth)) * tile.depth
            plans.append(TilePlan(tile, -(-depth // chunk), chunk))
    return min(plans, key=lambda plan: estimate(plan, rows, columns, multiprocessors))


def estimate(plan: TilePlan, rows: int, columns: int, multiprocessors: int) -> float:
    """Returns the estimated time of a product, in units of 1/128 clock cycle, the time of one multiply-add."""
    tile, parts, chunk = plan
    blocks = math.prod(plan.grid(rows, columns))
    # If the threads of one small block cannot keep a multiprocessor busy, several such blocks take no longer than one block.
    turns = max(-(-blocks // multiprocessors), -(-BUSY_THREADS // tile.threads))
    product = turns * tile.rows * tile.columns * chunk / tile.rate
    return product if parts == 1 else product + SECOND_KERNEL + PART_TRAFFIC * parts * rows * columns / multiprocessors

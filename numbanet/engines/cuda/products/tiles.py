"""How a product is cut up: the tiles that a block of threads makes of it, each with its budget, and which one to take."""

import functools
import math
from typing import NamedTuple

import numpy as np

from numbanet._cuda import SIMULATED
from numbanet.engines.cuda.memory import QUAD

STEPS = 8  # k's of a panel that are written out one after another; a panel is a multiple of them deep

# By which `plan` compares plans, in multiply-adds of a multiprocessor: estimates, at 128 in a cycle.
LEAST_CHUNK = 32  # k's that are worth a part
MOST_PARTS = 4  # for each multiprocessor
BUSY_THREADS = 256  # of a multiprocessor that reaches the rate of its tiles
SECOND_KERNEL = 300_000  # 1.4 microseconds
PART_TRAFFIC = 40  # to write and read one sum of a part


class Tile(NamedTuple):
    """What a block of threads makes of a product at once.

    Parameters
    ----------
    rows, columns : int
        Of the tile.
    depth : int
        Terms of each sum between two barriers: STEPS or twice as many.
    quads : int
        Each thread adds up 4 quads x 4 quads sums.
    registers : int
        The most that a thread may take.
    residents : int
        Blocks that a multiprocessor has registers for, at least.
    rate : float
        The share of multiply-adds in the machine code of the loop, at least; tiles are compared by it.
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
        """Rows, and columns, of a thread's sums."""
        return QUAD * self.quads

    @property
    def splits(self) -> bool:
        """Whether k may be split: where there are too few large tiles, small ones do as well."""
        return self.quads == 1

    @property
    def threads(self) -> int:
        """Of a block."""
        return self.rows // self.side * (self.columns // self.side)

    # Rows of a panel begin where 16 bytes do, and in another bank each: a deep operand is written down the columns.

    @property
    def left_pitch(self) -> int:
        """From one k of a panel of left to the next."""
        return self.rows + QUAD

    @property
    def right_pitch(self) -> int:
        """From one k of a panel of right to the next."""
        return self.columns + QUAD

    @property
    def buffer(self) -> int:
        """Numbers in a panel of left and one of right."""
        return self.depth * (self.left_pitch + self.right_pitch)

    def shared_bytes(self, dtype: np.dtype) -> int:
        """Of shared memory that a block takes: one pair of panels is read while the next is written."""
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

# A simulated thread costs one of Python's: this is the smallest tile there can be.
SIMULATED_TILE = Tile(16, 16, 8, 1, 128, 2, 1.0)


def tiles_for(dtype: np.dtype) -> tuple[Tile, ...]:
    """The tiles that products of a dtype choose from."""
    return (SIMULATED_TILE,) if SIMULATED else TILES[dtype]


class Plan(NamedTuple):
    """How a product is shared out.

    Parameters
    ----------
    tile : Tile
    parts : int
        Into how many parts k is split.
    chunk : int
        k's of each part but the last, which has what is left.
    """

    tile: Tile
    parts: int
    chunk: int

    def grid(self, rows: int, columns: int) -> tuple[int, int, int]:
        """Blocks along r, c and k."""
        return -(-rows // self.tile.rows), -(-columns // self.tile.columns), self.parts


@functools.cache
def plan(rows: int, columns: int, depth: int, multiprocessors: int, tiles: tuple[Tile, ...]) -> Plan:
    """The plan that should take the least time for a product of that shape."""
    plans = []
    for tile in tiles:
        most_parts = max(1, min(depth // LEAST_CHUNK, MOST_PARTS * multiprocessors)) if tile.splits else 1
        for parts in range(1, most_parts + 1):
            chunk = -(-depth // (parts * tile.depth)) * tile.depth
            plans.append(Plan(tile, -(-depth // chunk), chunk))
    return min(plans, key=lambda plan: time(plan, rows, columns, multiprocessors))


def time(plan: Plan, rows: int, columns: int, multiprocessors: int) -> float:
    """How long a product should take, in multiply-adds that a multiprocessor could do meanwhile."""
    tile, parts, chunk = plan
    blocks = math.prod(plan.grid(rows, columns))
    # A multiprocessor is as fast with one small block as with several at once, so long as its threads do not keep it busy.
    turns = max(-(-blocks // multiprocessors), -(-BUSY_THREADS // tile.threads))
    product = turns * tile.rows * tile.columns * chunk / tile.rate
    return product if parts == 1 else product + SECOND_KERNEL + PART_TRAFFIC * parts * rows * columns / multiprocessors

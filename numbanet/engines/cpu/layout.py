"""Where the numbers of a network lie: in one flat array, cut into panels of PANEL columns.

A panel is two vectors wide, and its rows follow each other in memory, so that the tile loop of `product` reads it in order.
Column j of a table with `rows` rows is column j % PANEL of panel j // PANEL; columns beyond the last are there, and unused.

    w, b    of a layer: a row per input i, then the row of b, then rows of 0 up to a whole number of tiles
    a       of a layer, and x: a row per sample s of a block
    delta   likewise
"""

from typing import NamedTuple

import numpy as np

from numbanet.engines.cpu.vector import REGISTER_BYTES
from numbanet.engines.topology import Topology
from numbanet.equations.activations import SOFTMAX

ROWS = 6  # of a tile: 6 x 2 vectors of sums; with 2 of the panel and 1 of x they fill the 16 registers of AVX2
DEPTH = 128  # terms that the tile loop adds at a time: that many rows of a panel are 8 KB with AVX2, a quarter of L1
TABLES = 5  # how many tables `output` works with
CACHE_LINE = 64  # bytes


class Plan(NamedTuple):
    """A topology as the compiled functions read it. Layer 1 has index 0 everywhere but in sizes and a.

    Parameters
    ----------
    sizes : (L + 1,) int64
    kinds : (L,) int64
        Activation constants.
    loss_kind : int
    epsilon : float
        Leaky slope, a scalar of the network's dtype.
    rows : int
        Samples a block may have; a multiple of ROWS.
    w, w_rows : (L,) int64
        Where the panels of w and b begin, and how many rows they have.
    a : (L + 1,) int64
        Where the panels of x, and of the activations of each layer, begin.
    delta : (L,) int64
    gradients : int
        How far behind a parameter its gradient lies.
    zeros : int
        Where a panel's row of zeros lies.
    ones : int
        Where a panel begins whose first column is 1 and whose others are 0: the input of b.
    tables : int
        Where the tables of `output` begin, (rows, n_out) each.
    table_size : int
    packed : int
        Where room for DEPTH rows of a panel begins, for one thread after another.
    """

    sizes: np.ndarray
    kinds: np.ndarray
    loss_kind: int
    epsilon: np.floating
    rows: int
    w: np.ndarray
    w_rows: np.ndarray
    a: np.ndarray
    delta: np.ndarray
    gradients: int
    zeros: int
    ones: int
    tables: int
    table_size: int
    packed: int


def panel_width(dtype: np.dtype) -> int:
    """Columns of a panel."""
    return 2 * REGISTER_BYTES // dtype.itemsize


def up_to(multiple: int, count: int) -> int:
    """The smallest multiple that is not less than count."""
    return -(-count // multiple) * multiple


class Layout:
    """A plan, and the array it describes.

    Parameters
    ----------
    topology : Topology
    samples : int
        How many a block may have.
    gradients : bool
        Whether there is room for gradients beside the parameters.
    threads : int
        How many may work at once.
    """

    def __init__(self, topology: Topology, samples: int, gradients: bool, threads: int):
        self.topology, self.has_gradients, self.threads = topology, gradients, threads
        width, rows, end = panel_width(topology.dtype), up_to(ROWS, samples), 0

        def place(count):
            nonlocal end
            start, end = end, end + up_to(width, count)
            return start

        w_rows = [up_to(ROWS, n_in + 1) for n_in in topology.sizes[:-1]]
        w = [place(count * up_to(width, n_out)) for count, n_out in zip(w_rows, topology.sizes[1:], strict=True)]
        self.parameter_numbers = end
        distance = place(end) if gradients else 0
        in_tables = [size for size, kind in zip(topology.sizes[1:], topology.kinds, strict=True) if kind == SOFTMAX]
        table_size = rows * max([*in_tables, topology.sizes[-1]])
        self.plan = Plan(
            sizes=np.array(topology.sizes, np.int64),
            kinds=np.array(topology.kinds, np.int64),
            loss_kind=topology.loss_kind,
            epsilon=topology.dtype.type(topology.epsilon),
            rows=rows,
            w=np.array(w, np.int64),
            w_rows=np.array(w_rows, np.int64),
            a=np.array([place(rows * up_to(width, size)) for size in topology.sizes], np.int64),
            delta=np.array([place(rows * up_to(width, size)) for size in topology.sizes[1:]], np.int64),
            gradients=distance,
            zeros=place(width),
            ones=place(rows * width),
            tables=place(TABLES * table_size),
            table_size=table_size,
            packed=place(threads * DEPTH * width),
        )
        self.memory = _aligned_zeros(end, topology.dtype)
        self.memory[self.plan.ones : self.plan.ones + rows * width : width] = 1

    def write(self, flat: np.ndarray) -> None:
        """The parameters from their canonical form, see `Topology`."""
        for (w, b), panels in zip(self.topology.views(flat), self._panels(0), strict=True):
            for first in range(0, w.shape[1], panels.shape[2]):
                panel, columns = panels[first // panels.shape[2]], slice(first, first + panels.shape[2])
                panel[: w.shape[0], : b[columns].size] = w[:, columns]
                panel[w.shape[0], : b[columns].size] = b[columns]

    def read(self, offset: int = 0) -> np.ndarray:
        """The parameters, or the gradients that lie `offset` behind them, in their canonical form."""
        flat = np.empty(self.topology.parameter_count, self.topology.dtype)
        for (w, b), panels in zip(self.topology.views(flat), self._panels(offset), strict=True):
            for first in range(0, w.shape[1], panels.shape[2]):
                panel, columns = panels[first // panels.shape[2]], slice(first, first + panels.shape[2])
                w[:, columns] = panel[: w.shape[0], : b[columns].size]
                b[columns] = panel[w.shape[0], : b[columns].size]
        return flat

    def rows_of(self, start: int, n: int, n_out: int) -> np.ndarray:
        """A copy (n, n_out) of the activations or deltas whose panels begin at `start`."""
        width = panel_width(self.topology.dtype)
        panels = self.memory[start : start + self.plan.rows * up_to(width, n_out)].reshape(-1, self.plan.rows, width)
        return panels[:, :n].swapaxes(0, 1).reshape(n, -1)[:, :n_out].copy()

    def _panels(self, offset: int) -> list[np.ndarray]:
        """The panels of each layer's w and b, (panels, rows, width)."""
        width = panel_width(self.topology.dtype)
        return [
            self.memory[offset + start : offset + start + rows * up_to(width, n_out)].reshape(-1, rows, width)
            for start, rows, n_out in zip(self.plan.w, self.plan.w_rows, self.topology.sizes[1:], strict=True)
        ]


def _aligned_zeros(count: int, dtype: np.dtype) -> np.ndarray:
    """Zeros that begin where a line of the cache begins: else every other vector would straddle two."""
    raw = np.zeros(count * dtype.itemsize + CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    return raw[start : start + count * dtype.itemsize].view(dtype)

"""Where the numbers of a network lie: in one flat array, cut into panels as wide as two vectors.

The rows of a panel follow each other in memory, so that the tile loop of `product` reads them in order. Column j of what is cut
is column j % width of panel j // width. Columns beyond the last are there; what they hold reaches no other column.

    w, b    of a layer: a row per input i, then the row of b, then rows of 0 up to a whole number of tiles
    a       of a layer, and x: a row per sample s of a block
    delta   likewise
"""

import os
from collections.abc import Iterator

import numpy as np

from numbanet.engines.cpu.kernels.vector import REGISTER_BYTES
from numbanet.engines.topology import Topology, limit_and_scale
from numbanet.equations.activations import SOFTMAX
from numbanet.equations.losses import CCE

ROWS = 6  # of a tile: 6 x 2 vectors of sums; with 2 of the panel and 1 of x they fill the 16 registers of AVX2
DEPTH = 128  # terms that the tile loop adds at a time: that many rows of a panel are 8 KB with AVX2, a quarter of L1
TABLES, NOTES, JACOBIAN_ROWS = ("z", "a", "delta", "y"), ("z_max", "others", "loss", "weight"), 4  # what `output` works with
CACHE_LINE = 64  # bytes
NUMBERS = 1024  # random ones that a thread makes at a time
THREADS = 64  # that have room to work in; more where there are more cores


# A network as the compiled functions read it: one record for itself, and one for each layer. A place is an index into memory.
_NET = [
    ("loss_kind", np.int64),
    ("rows", np.int64),  # samples a block may have; a multiple of ROWS
    ("gradients", np.int64),  # how far behind a parameter its gradient lies
    ("moment_1", np.int64),  # how far behind it what it remembers lies: its velocity, or m
    ("moment_2", np.int64),  # and v
    ("squares", np.int64),  # place of the sums of the gradients' squares, panel by panel
    ("zeros", np.int64),  # place of a panel's row of zeros
    ("ones", np.int64),  # place of a panel whose first column is 1 and whose others are 0: the input of b
    *((f"table_{name}", np.int64) for name in TABLES),  # places of the tables of `output`, (n_out, rows) each
    *((name, np.int64) for name in NOTES),  # places of its notes of the samples, (rows,) each
    ("jacobian_rows", np.int64),  # place of its rows, (rows, n_out) each, where the full Jacobian of softmax is needed
    ("table_size", np.int64),
    ("packed", np.int64),  # place of room for DEPTH rows of a panel, for one thread after another
]
_LAYER = [
    ("n_in", np.int64),
    ("n_out", np.int64),
    ("kind", np.int64),  # activation constant
    ("w", np.int64),  # place of the panels of w and b
    ("w_rows", np.int64),  # how many rows they have
    ("x", np.int64),  # place of the panels of its input, which is a of the layer before
    ("a", np.int64),
    ("delta", np.int64),
    ("limit", np.uint64),  # p 2^32, where its neurons drop out with probability p
]


def panel_width(dtype: np.dtype) -> int:
    """Columns of a panel."""
    return 2 * REGISTER_BYTES // dtype.itemsize


def up_to(multiple: int, count: int) -> int:
    """The smallest multiple that is not less than count."""
    return -(-count // multiple) * multiple


def needs_jacobian(topology: Topology) -> bool:
    """Whether derivatives go through the full Jacobian of softmax: in a hidden layer, and with any loss but CCE."""
    *hidden, output = topology.kinds
    return SOFTMAX in hidden or (output == SOFTMAX and topology.loss_kind != CCE)


class Layout:
    """The memory of a network: room for the largest block, of which the system gives only what is used.

    Parameters
    ----------
    topology : Topology
    most_rows : int
        How many samples a block may have.
    """

    def __init__(self, topology: Topology, most_rows: int):
        self.topology, self.most_rows = topology, up_to(ROWS, most_rows)
        self.threads = max(THREADS, os.cpu_count() or 1)
        self._records: dict[tuple[int, bool], tuple[np.ndarray, np.ndarray, int]] = {}
        (net,), self.layers, size = self.records(self.most_rows, drops=True)
        self.gradients, self.moments = net["gradients"], (net["moment_1"], net["moment_2"])
        self.places = list(zip(self.layers["w"].tolist(), self.layers["w_rows"].tolist(), strict=True))
        self.memory = _aligned_zeros(size, topology.dtype)
        self.memory[net["ones"] : net["ones"] + self.most_rows * panel_width(topology.dtype) : panel_width(topology.dtype)] = 1
        self.numbers = np.empty(3 * self.most_rows, np.int32)
        self.random = np.empty(self.threads * NUMBERS if topology.dropout else 0, np.uint64)

    def records(self, rows: int, drops: bool = False) -> tuple[np.ndarray, np.ndarray, int]:
        """The network (1,), its layers (L,), and the end of its memory, for blocks of so many rows whose neurons may drop out.

        What belongs to a block lies close together whatever its size: so it shares the caches best.
        """
        rows = up_to(ROWS, rows)
        if (rows, drops) not in self._records:
            self._records[rows, drops] = self._placed(rows, drops)
        return self._records[rows, drops]

    def _placed(self, rows: int, drops: bool) -> tuple[np.ndarray, np.ndarray, int]:
        topology, width, end = self.topology, panel_width(self.topology.dtype), 0

        def place(count):
            nonlocal end
            start, end = end, end + up_to(width, count)
            return start

        nets = np.zeros(1, [*_NET, ("epsilon", topology.dtype)])
        layers = np.zeros(len(topology.kinds), [*_LAYER, ("scale", topology.dtype)])
        net = nets[0]
        net["loss_kind"], net["epsilon"], net["rows"] = topology.loss_kind, topology.epsilon, rows
        for layer, kind, (n_in, n_out) in zip(layers, topology.kinds, topology.layers, strict=True):
            w_rows = up_to(ROWS, n_in + 1)
            layer["n_in"], layer["n_out"], layer["kind"], layer["w_rows"] = n_in, n_out, kind, w_rows
            layer["w"] = place(w_rows * up_to(width, n_out))
        parameters = end
        net["gradients"], net["moment_1"], net["moment_2"] = (place(parameters) for _ in range(3))
        net["zeros"], net["ones"] = place(width), place(self.most_rows * width)
        net["packed"] = place(self.threads * DEPTH * width)
        x = place(rows * up_to(width, topology.sizes[0]))
        for layer, p in zip(layers, topology.dropout_rates, strict=True):
            layer["x"] = x
            layer["a"] = x = place(rows * up_to(width, layer["n_out"]))
            layer["delta"] = place(rows * up_to(width, layer["n_out"]))
            layer["scale"] = 1.0
            if drops and p > 0:
                layer["limit"], layer["scale"] = limit_and_scale(p, topology.dtype)
                x = place(rows * up_to(width, layer["n_out"]))
        net["table_size"] = rows * max(layers["n_out"])
        for name in TABLES:
            net[f"table_{name}"] = place(net["table_size"])
        for name in NOTES:
            net[name] = place(rows)
        net["squares"] = place(sum(up_to(width, n_out) for n_out in topology.sizes[1:]))
        net["jacobian_rows"] = place(JACOBIAN_ROWS * net["table_size"] if needs_jacobian(topology) else 0)
        return nets, layers, end

    def write(self, flat: np.ndarray, offset: int = 0) -> None:
        """The parameters, or what lies `offset` behind them, from their canonical form, see `Topology`."""
        for canonical, in_panel in self._pieces(flat, offset):
            in_panel[...] = canonical

    def read(self, offset: int = 0) -> np.ndarray:
        """The parameters, or what lies `offset` behind them, in their canonical form."""
        flat = np.empty(self.topology.parameter_count, self.topology.dtype)
        for canonical, in_panel in self._pieces(flat, offset):
            canonical[...] = in_panel
        return flat

    def all_gradients(self) -> np.ndarray:
        """A view of the gradients of all panels, what lies beside the columns and rows of w and b included."""
        return self.memory[self.gradients : 2 * self.gradients]

    def rows_of(self, start: int, n: int, n_out: int) -> np.ndarray:
        """A copy (n, n_out) of the activations or deltas of a block of n rows, whose panels begin at `start`."""
        width, rows = panel_width(self.topology.dtype), up_to(ROWS, n)
        panels = self.memory[start : start + rows * up_to(width, n_out)].reshape(-1, rows, width)
        return panels[:, :n].swapaxes(0, 1).reshape(n, -1)[:, :n_out].copy()

    def _pieces(self, flat: np.ndarray, offset: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Views of what whole panels, then the last one, have of a layer's w and b: in the flat vector, and in memory."""
        width = panel_width(self.topology.dtype)
        for (w, b), (start, rows) in zip(self.topology.views(flat), self.places, strict=True):
            (n_in, n_out), start = w.shape, start + offset
            memory = self.memory[start : start + rows * up_to(width, n_out)].reshape(-1, rows, width)
            whole = n_out // width
            columns = whole * width
            if whole:
                yield w[:, :columns].reshape(n_in, whole, width), memory[:whole, :n_in].swapaxes(0, 1)
                yield b[:columns].reshape(whole, width), memory[:whole, n_in]
            if columns < n_out:
                yield w[:, columns:], memory[whole, :n_in, : n_out - columns]
                yield b[columns:], memory[whole, n_in, : n_out - columns]


def _aligned_zeros(count: int, dtype: np.dtype) -> np.ndarray:
    """Zeros that begin where a line of the cache begins: else every other vector would straddle two."""
    raw = np.zeros(count * dtype.itemsize + CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    return raw[start : start + count * dtype.itemsize].view(dtype)

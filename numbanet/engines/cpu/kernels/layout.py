"""The memory layout of a network: one flat array, in which matrices are cut into panels of NR columns (two SIMD vectors).

The rows of a panel follow each other in memory, so that the innermost loop of the matrix products reads memory in order. Column
j of a matrix is column j % NR of panel j // NR. The last panel (block of NR columns) may have unused columns beyond the last
column of the matrix; their values affect no result. MR is the number of rows that the innermost loop multiplies at a time.

    w, b        of a layer: one row per input i, then the row of b, then rows of zeros up to a multiple of MR rows
    x, a, delta of a layer: one row per sample s in a block of samples

               panel 0      panel 1            Offsets such as layer.w are indices into the flat array:
             j = 0 .. NR-1  NR .. 2*NR-1
    i = 0    +-----------+ +-----------+      w[i, j] is at layer.w + (j // NR * w_rows + i) * NR + j % NR
        1    | 0 1 2 ... | | w_rows*NR |      a[s, j] is at layer.a + (j // NR * rows + s) * NR + j % NR
      ...    | NR ...    | |  + ...    |
    n_in     | b         | | b         |
             | 0         | | 0         |
    w_rows   +-----------+ +-----------+
"""

import os
from collections.abc import Iterator

import numpy as np

from numbanet.engines.cpu.blocks import CACHE_LINE, KC, MR, NR_VECTORS, RANDOM_NUMBERS, STRIP, THREADS, UNUSED
from numbanet.engines.cpu.registers import REGISTERS
from numbanet.engines.dropout import limit_and_scale
from numbanet.engines.topology import Topology
from numbanet.equations.activations import SOFTMAX
from numbanet.equations.losses import CCE

# Memory that the module `output` uses: the names of its tables, the names of its arrays with one value per sample, and the
# number of scratch rows per sample for the full Jacobian of softmax.
TABLES, OF_SAMPLES, JACOBIAN_ROWS = ("z", "a", "delta", "y"), ("z_max", "others", "loss", "weight"), 4

# Compiled functions receive a network's description as records: one header for the whole network, and one record per layer. An
# offset is an index into the flat array `memory`. The address of a routine (see the module `routine`) is 0 until the routine is
# needed.
_HEADER = [
    ("loss_kind", np.int64),
    ("rows", np.int64),  # largest number of samples in a block, rounded up to a multiple of MR
    ("gradients", np.int64),  # distance in memory from a parameter to its gradient
    ("moment_1", np.int64),  # distance from a parameter to its first moment (its velocity, or Adam's m)
    ("moment_2", np.int64),  # distance from a parameter to its second moment (Adam's v)
    ("squares", np.int64),  # offset of the sums of the squared gradients, panel by panel
    ("zeros", np.int64),  # offset of NR zeros, which form a row of a panel
    ("ones", np.int64),  # offset of a panel with 1 in its first column and 0 elsewhere; the 1 is the input of b
    *((f"table_{name}", np.int64) for name in TABLES),  # offsets of the tables that `output` uses, each (n_out, rows)
    *((name, np.int64) for name in OF_SAMPLES),  # offsets of the arrays with one value per sample, each (rows,)
    ("jacobian_rows", np.int64),  # offset of scratch matrices (rows, n_out), if the full Jacobian of softmax is needed
    ("table_size", np.int64),  # number of values in a table
    ("packed", np.int64),  # offset of each thread's buffer of STRIP x KC panel rows, for the transpose of a part of w
    ("forward", np.int64),  # address of the routine that computes the activations of a layer
    ("backward", np.int64),  # address of the routine that computes delta of the previous layer
    ("update", np.int64),  # address of the routine that computes the gradients of a layer, and updates w and b
    ("softmax", np.int64),  # address of the routine that computes softmax of the output layer
    ("score", np.int64),  # address of the routine that computes the loss and the correct outputs of each sample
    ("error", np.int64),  # address of the routine that computes delta of the output layer
    ("drop", np.int64),  # address of the routine that applies dropout
    ("descend", np.int64),  # address of the routine that updates all parameters from gradients in memory
]
_LAYER = [
    ("n_in", np.int64),
    ("n_out", np.int64),
    ("kind", np.int64),  # integer constant of the activation function
    ("phi", np.int64),  # address of the routine that computes the activations; for identity, 0
    ("d_phi", np.int64),  # address of the routine that computes delta from dL/da; for identity, 0
    ("w", np.int64),  # offset of the panels of w and b
    ("w_rows", np.int64),  # number of rows in each panel of w and b; a multiple of MR
    ("x", np.int64),  # offset of the panels of the layer's inputs, which are the outputs of the previous layer
    ("a", np.int64),  # offset of the panels of a
    ("z", np.int64),  # offset of the panels of z: equal to `a`, unless the derivative of the activation function needs z
    ("delta", np.int64),  # offset of the panels of delta
    ("limit", np.uint64),  # p * 2^32, where p is the probability that a neuron drops out
]


def header_dtype(dtype: np.dtype) -> np.dtype:
    """Returns the dtype of the header, the record that describes a whole network; `dtype` is the network's dtype."""
    return np.dtype([*_HEADER, ("epsilon", dtype)])


def layer_dtype(dtype: np.dtype) -> np.dtype:
    """Returns the dtype of the record that describes a layer (sizes and offsets); `dtype` is the network's dtype."""
    return np.dtype([*_LAYER, ("scale", dtype)])


def panel_width(dtype: np.dtype) -> int:
    """Returns NR, the number of matrix columns in a panel, for values of type `dtype`."""
    return NR_VECTORS * REGISTERS.width // dtype.itemsize


def up_to(multiple: int, count: int) -> int:
    """Returns the smallest multiple of `multiple` that is at least `count`."""
    return -(-count // multiple) * multiple


def wastes_memory(topology: Topology) -> bool:
    """Returns True if a network's panels (blocks of NR columns) would have far more unused elements than parameters.

    A layer with one output has one panel of NR columns (up to 32), of which only one column contains weights. If a layer with
    one output has a million inputs, the unused columns take much memory.
    """
    width = panel_width(topology.dtype)
    unused = sum((n_in + 1) * (up_to(width, n_out) - n_out) for n_in, n_out in topology.layers)
    return unused > max(UNUSED, 4 * topology.parameter_count)


def needs_jacobian(topology: Topology) -> bool:
    """Returns True if training the network needs the full Jacobian of softmax.

    The Jacobian is needed if a hidden layer has softmax, or if the output layer has softmax and the loss is not cce.
    """
    *hidden, output = topology.kinds
    return SOFTMAX in hidden or (output == SOFTMAX and topology.loss_kind != CCE)


class Layout:
    """The memory of a network, with room for the largest block of samples.

    Memory that is never used costs nothing: the operating system provides physical memory only for pages that are used.

    Parameters
    ----------
    topology : Topology
        The network's layer sizes, activation functions, loss and dtype.
    most_rows : int
        Largest number of samples that training processes together, as one block.
    forward_rows : int
        Largest number of samples that all threads together predict at the same time.

    Attributes
    ----------
    gradients, spare : int
        Offsets of two arrays for gradients: `gradients` is for training; `spare` is for other calls that compute gradients
        while a training run is in progress.
    """

    def __init__(self, topology: Topology, most_rows: int, forward_rows: int):
        self.topology, self.most_rows = topology, up_to(MR, most_rows)
        self.width = panel_width(topology.dtype)
        self.threads = max(THREADS, os.cpu_count() or 1)
        self._records: dict[tuple[int, bool, bool], tuple[np.ndarray, np.ndarray, int]] = {}
        rows = max(self.most_rows, up_to(MR, forward_rows))
        (header,), self.layers, self.spare = self.records(rows, drops=True)
        self.gradients, self.moments = int(header["gradients"]), (header["moment_1"], header["moment_2"])
        self.places = list(zip(self.layers["w"].tolist(), self.layers["w_rows"].tolist(), strict=True))
        self.memory = _aligned_zeros(self.spare + self.gradients, topology.dtype)
        self.memory[header["ones"] : header["ones"] + self.most_rows * self.width : self.width] = 1
        self.integers = np.empty(3 * rows, np.int32)
        self.random = np.empty(self.threads * RANDOM_NUMBERS if topology.dropout else 0, np.uint64)

    def records(self, rows: int, drops: bool = False, spare: bool = False) -> tuple[np.ndarray, np.ndarray, int]:
        """Returns the memory layout for blocks of `rows` samples: the header, the layers' records, and the layout's length.

        The header is an array of shape (1,). The records of the L layers form an array of shape (L,). The length is the number
        of elements of `memory` that the layout takes. Each value of `rows` has its own layout, in which the arrays of a block
        lie close together, to make good use of the CPU's caches. `drops` is true if dropout is applied. If `spare` is true,
        gradients are added up in the second array for gradients, which begins at the offset `self.spare`.
        """
        rows = up_to(MR, rows)
        key = rows, drops, spare
        if key not in self._records:
            records = self._placed(rows, drops)
            if spare:
                records[0]["gradients"] = self.spare
            self._records[key] = records
        return self._records[key]

    def _placed(self, rows: int, drops: bool) -> tuple[np.ndarray, np.ndarray, int]:
        """Computes the layout that `records` stores and returns: the header, one record per layer, and the layout's length."""
        topology, width, end = self.topology, self.width, 0

        def place(count):
            nonlocal end
            start, end = end, end + up_to(width, count)
            return start

        headers = np.zeros(1, header_dtype(topology.dtype))
        layers = np.zeros(len(topology.kinds), layer_dtype(topology.dtype))
        header = headers[0]
        header["loss_kind"], header["epsilon"], header["rows"] = topology.loss_kind, topology.epsilon, rows
        for layer, kind, (n_in, n_out) in zip(layers, topology.kinds, topology.layers, strict=True):
            w_rows = up_to(MR, n_in + 1)
            layer["n_in"], layer["n_out"], layer["kind"], layer["w_rows"] = n_in, n_out, kind, w_rows
            layer["w"] = place(w_rows * up_to(width, n_out))
        parameters = end
        header["gradients"], header["moment_1"], header["moment_2"] = (place(parameters) for _ in range(3))
        header["zeros"], header["ones"] = place(width), place(self.most_rows * width)
        header["packed"] = place(self.threads * STRIP * KC * width)
        x = place(rows * up_to(width, topology.sizes[0]))
        for layer, keeps_z, p in zip(layers, topology.keeps_z, topology.dropout_rates, strict=True):
            layer["x"] = x
            layer["a"] = layer["z"] = x = place(rows * up_to(width, layer["n_out"]))
            if keeps_z:
                layer["z"] = place(rows * up_to(width, layer["n_out"]))
            layer["delta"] = place(rows * up_to(width, layer["n_out"]))
            layer["scale"] = 1.0
            if drops and p > 0:
                layer["limit"], layer["scale"] = limit_and_scale(p, topology.dtype)
                x = place(rows * up_to(width, layer["n_out"]))
        header["table_size"] = rows * max(layers["n_out"])
        for name in TABLES:
            header[f"table_{name}"] = place(header["table_size"])
        for name in OF_SAMPLES:
            header[name] = place(rows)
        header["squares"] = place(sum(up_to(width, n_out) for n_out in topology.sizes[1:]))
        header["jacobian_rows"] = place(JACOBIAN_ROWS * header["table_size"] if needs_jacobian(topology) else 0)
        return headers, layers, end

    def write(self, flat: np.ndarray, offset: int = 0) -> None:
        """Copies a flat vector with w and b of all layers into the panels (blocks of NR columns) that store the parameters.

        For gradients or moments, `offset` is the index in `memory` at which they begin.
        """
        for canonical, in_panel in self._pieces(flat, offset):
            in_panel[...] = canonical

    def read(self, offset: int = 0) -> np.ndarray:
        """Returns the parameters as a flat vector with w and b of all layers.

        For gradients or moments, `offset` is the index in `memory` at which they begin.
        """
        flat = np.empty(self.topology.parameter_count, self.topology.dtype)
        for canonical, in_panel in self._pieces(flat, offset):
            canonical[...] = in_panel
        return flat

    def all_gradients(self, offset: int) -> np.ndarray:
        """Returns a view of all gradients, which begin at memory[offset], including unused rows and columns of their panels."""
        # The parameters begin at offset 0 and end at `self.gradients`, which is therefore also the number of values.
        return self.memory[offset : offset + self.gradients]

    def rows_of(self, start: int, rows: int, n: int, n_out: int) -> np.ndarray:
        """Returns the first n rows of a matrix that is stored in panels (blocks of NR columns), as a new (n, n_out) array.

        The panels begin at memory[start] and have `rows` rows each.
        """
        panels = self.memory[start : start + rows * up_to(self.width, n_out)].reshape(-1, rows, self.width)
        return panels[:, :n].swapaxes(0, 1).reshape(n, -1)[:, :n_out].copy()

    def _pieces(self, flat: np.ndarray, offset: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields pairs of views of the same part of w and b: the part in the vector `flat`, and the part in `self.memory`.

        `offset` is 0 for the parameters, or the index in `memory` at which the gradients or moments begin. Each layer has up to
        two parts: the columns in full panels (blocks of NR columns), and the remaining columns.
        """
        width = self.width
        for wb, (start, w_rows) in zip(self.topology.matrices(flat), self.places, strict=True):
            (rows, n_out), start = wb.shape, start + offset
            panels = self.memory[start : start + w_rows * up_to(width, n_out)].reshape(-1, w_rows, width)
            whole = n_out // width
            columns = whole * width
            if whole:
                yield wb[:, :columns].reshape(rows, whole, width), panels[:whole, :rows].swapaxes(0, 1)
            if columns < n_out:
                yield wb[:, columns:], panels[whole, :rows, : n_out - columns]


def _aligned_zeros(count: int, dtype: np.dtype) -> np.ndarray:
    """Returns an array of zeros that begins at the start of a cache line.

    In an array that begins in the middle of a cache line, many SIMD vectors would straddle two cache lines.
    """
    raw = np.zeros(count * dtype.itemsize + CACHE_LINE, np.uint8)
    start = -raw.ctypes.data % CACHE_LINE
    return raw[start : start + count * dtype.itemsize].view(dtype)

"""The places of a network's numbers while all blocks of a grid train it together; `kernel` says what the blocks do.

w of every layer, with b as its last row, is cut into tiles, at most one per block (`LayerTiles`). The first layers are spread:
their sums are computed tile by tile, too. The layers after them are the head: they are so small that every block keeps a copy
of them, and takes some samples of each batch through it (`GridPlan`).

The numbers lie in two flat arrays: `near` is the shared memory of a block, `far` is global memory that all blocks read and
write. A place is an index into one of them, a pitch the step from row to row of a matrix. Kernels find places and pitches in
two tables of integers, which every block copies into its shared memory: `Layer` and `Matrix` name the columns of the table of
layers, `Common` names the entries of the table that follows it.
"""

from enum import auto
from typing import NamedTuple

import numpy as np

from numbanet._cuda import SIMULATED
from numbanet.engines.cuda.columns import Columns
from numbanet.engines.cuda.memory import QUAD
from numbanet.engines.topology import Topology

THREADS = 4 if SIMULATED else 256  # of a block; a simulated thread costs a thread of Python
SQUARE = QUAD * QUAD  # sums that a thread computes at a time


class Layer(Columns):
    """The first columns of the table of layers."""

    N_IN = auto()  # neurons of the layer before
    N_OUT = auto()  # neurons of this layer
    KIND = auto()  # activation constant
    ROWS = auto()  # rows of a tile of w; row n_in of w is b
    COLUMNS = auto()  # columns of a tile
    DOWN = auto()  # tiles below each other
    ACROSS = auto()  # tiles side by side
    TILES = auto()  # tiles in all, DOWN x ACROSS
    FLAT = auto()  # where w begins in the flat vector of parameters
    Z_SUMS = auto()  # far: sums of z over the rows of a tile, (DOWN, batch, n_out); spread layers
    DL_DA_SUMS = auto()  # far: sums of dL/da over the columns of a tile, (ACROSS, batch, n_in); spread layers but the first
    FAR_A = auto()  # far: a, (batch, n_out)
    FAR_DELTA = auto()  # far: delta, (batch, n_out)


class Matrix(Columns):
    """The matrices of a layer in near memory. Each has a place and a pitch in the table of layers: see `PLACES`, `PITCHES`."""

    W = auto()  # the block's tile of w, (ROWS, COLUMNS)
    X = auto()  # x of a batch in the rows of the tile, (batch, ROWS)
    DELTA = auto()  # delta of a batch in the columns of the tile, (batch, COLUMNS)
    HEAD_W = auto()  # w and b, (n_in + 1, n_out); layers of the head
    HEAD_X = auto()  # x of the block's samples, (samples, n_in + 1); layers of the head
    HEAD_DELTA = auto()  # delta of the block's samples, (samples, n_out); layers of the head and the last spread one


class Common(Columns):
    """The entries of the table that all layers have in common."""

    LAYERS = auto()  # layers of the network
    PHASES = auto()  # phases of a step
    LOSS = auto()  # loss constant
    BATCH = auto()  # samples of a batch
    SPREAD = auto()  # layers that are spread
    SAMPLES = auto()  # samples of a batch that a block takes through the head
    SECOND_X = auto()  # near: a second X of the first layer, for the next batch
    SUMS = auto()  # near: the sums of all threads, (SQUARE, THREADS)
    Z = auto()  # near: z of the last layer, (samples, n_out)
    A = auto()  # near: a of the last layer, (samples, n_out)
    U = auto()  # near: work space of `output_row`, (samples, n_out)
    DL = auto()  # near: dL/da of the last layer, (samples, n_out)
    OUTPUT_PITCH = auto()  # pitch of Z, A, U and DL
    Z_MAX = auto()  # near: the largest z of each sample, (samples,)
    OTHERS = auto()  # near: the sum of e^(z - z_max) without its largest term, (samples,)
    NEAR_NUMBERS = auto()  # numbers of near memory


MOST_LAYERS = 16  # that the table of layers has room for
PLACES = len(Layer)  # the column of the place of the first `Matrix`; the places of the others follow
PITCHES = PLACES + len(Matrix)  # the column of the pitch of the first `Matrix`, likewise
LAYER_COLUMNS = PITCHES + len(Matrix)
COMMON = MOST_LAYERS * LAYER_COLUMNS  # where the entries of `Common` begin, behind the table of layers
TABLE_LENGTH = COMMON + len(Common)  # both tables; a multiple of 4, so that near memory begins at a multiple of 16 bytes


class LayerTiles(NamedTuple):
    """The tiles that w of a layer is cut into.

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


class GridPlan(NamedTuple):
    """The division of a network among the blocks of a grid.

    Parameters
    ----------
    layers : tuple of LayerTiles
        The tiles of each layer.
    spread : int
        The number of spread layers, at least 1; the layers after them are the head.
    blocks : int
        Blocks of the grid.
    """

    layers: tuple[LayerTiles, ...]
    spread: int
    blocks: int

    def head_samples(self, batch_size: int) -> int:
        """Returns how many samples of a batch a block takes through the head."""
        return -(-batch_size // self.blocks)


class Tables(NamedTuple):
    """The places of all numbers; see `tables`.

    Parameters
    ----------
    layers : (L, LAYER_COLUMNS) int32
        `Layer` and `Matrix` name its columns.
    common : (len(Common),) int32
    far_numbers : int
        Numbers of far memory.
    """

    layers: np.ndarray
    common: np.ndarray
    far_numbers: int

    def flat(self) -> np.ndarray:
        """Returns both tables as one array (TABLE_LENGTH,), as kernels read it."""
        flat = np.zeros(TABLE_LENGTH, np.int32)
        flat[: self.layers.size], flat[COMMON:] = self.layers.reshape(-1), self.common
        return flat


def padded(count: int) -> int:
    """Returns the smallest multiple of QUAD that is at least count."""
    return -(-count // QUAD) * QUAD


def pitch(width: int) -> int:
    """Returns the pitch of a matrix: an odd number of quads, so that quads below each other lie in different banks."""
    return QUAD * (-(-width // QUAD) | 1)


class _Allocator:
    """Hands out consecutive ranges of a flat array."""

    def __init__(self):
        self.end = 0

    def take(self, count: int) -> int:
        """Returns the place of the next count numbers."""
        start, self.end = self.end, self.end + count
        return start

    def take_matrix(self, layer: np.ndarray, matrix: Matrix, rows: int, width: int) -> None:
        """Writes the place and the pitch of a matrix (rows, width) into a row of the table of layers."""
        layer[PLACES + matrix], layer[PITCHES + matrix] = self.take(rows * pitch(width)), pitch(width)


def tables(topology: Topology, batch_size: int, plan: GridPlan) -> Tables:
    """Returns the tables of a network that is trained on batches of a size as planned.

    Parameters
    ----------
    topology : Topology
    batch_size : int
    plan : GridPlan

    Returns
    -------
    Tables
    """
    near, far = _Allocator(), _Allocator()
    spread, samples, rows = plan.spread, padded(plan.head_samples(batch_size)), padded(batch_size)
    layers, common = np.zeros((len(plan.layers), LAYER_COLUMNS), np.int32), np.zeros(len(Common), np.int32)
    flat = 0
    for l, (layer, tiles, (n_in, n_out)) in enumerate(zip(layers, plan.layers, topology.layers, strict=True)):
        layer[[Layer.N_IN, Layer.N_OUT, Layer.KIND, Layer.FLAT]] = n_in, n_out, topology.kinds[l], flat
        layer[[Layer.ROWS, Layer.COLUMNS, Layer.DOWN, Layer.ACROSS]] = tiles
        layer[Layer.TILES] = tiles.down * tiles.across
        near.take_matrix(layer, Matrix.W, tiles.rows, tiles.columns)
        near.take_matrix(layer, Matrix.X, rows, tiles.rows)
        near.take_matrix(layer, Matrix.DELTA, rows, tiles.columns)
        layer[Layer.FAR_A], layer[Layer.FAR_DELTA] = far.take(batch_size * n_out), far.take(batch_size * n_out)
        if l < spread:
            layer[Layer.Z_SUMS] = far.take(tiles.down * batch_size * n_out)
        if 0 < l < spread:
            layer[Layer.DL_DA_SUMS] = far.take(tiles.across * batch_size * n_in)
        if l >= spread:
            near.take_matrix(layer, Matrix.HEAD_W, padded(n_in + 1), n_out)
            near.take_matrix(layer, Matrix.HEAD_X, samples, n_in + 1)
        if l >= spread - 1:
            near.take_matrix(layer, Matrix.HEAD_DELTA, samples, n_out)
        flat += (n_in + 1) * n_out
    common[[Common.LAYERS, Common.PHASES, Common.LOSS]] = len(layers), 2 * spread + 1, topology.loss_kind
    common[[Common.BATCH, Common.SPREAD, Common.SAMPLES]] = batch_size, spread, plan.head_samples(batch_size)
    common[Common.SECOND_X] = near.take(rows * pitch(plan.layers[0].rows))
    common[Common.SUMS] = near.take(THREADS * SQUARE)
    common[Common.OUTPUT_PITCH] = pitch(topology.sizes[-1])
    for entry in (Common.Z, Common.A, Common.U, Common.DL):
        common[entry] = near.take(samples * pitch(topology.sizes[-1]))
    common[Common.Z_MAX], common[Common.OTHERS] = near.take(samples), near.take(samples)
    common[Common.NEAR_NUMBERS] = near.end
    return Tables(layers, common, far.end)


def shared_bytes(topology: Topology, batch_size: int, plan: GridPlan) -> int:
    """Returns the bytes of shared memory that a block takes, tables included."""
    near_numbers = tables(topology, batch_size, plan).common[Common.NEAR_NUMBERS]
    return int(near_numbers) * topology.dtype.itemsize + 4 * TABLE_LENGTH

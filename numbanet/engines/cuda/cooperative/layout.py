"""The memory layout of a network that all thread blocks of a grid train together: the offset of every matrix.

The weight matrix w of every layer, with the biases b as its last row, is cut into tiles. In each layer, a block has at most one
tile (`LayerTiles`). The first layers of the network are called spread layers: all blocks together compute the sums of a spread
layer, each block with its own tile. The last layers, after the spread layers, are called the head. The head's layers are so
small that every block has a copy of all their weights. Each block computes the head for some samples of each batch
(`GridPlan`).

All values of the network lie in the two flat arrays `near` and `far`. The array `near` is the shared memory of a block. The
array `far` is global memory that all blocks read and write. The offset at which a matrix begins in `near` or `far` is called
the matrix's place. The distance between two successive rows of a matrix is called the matrix's pitch. Kernels look up the
offsets and the pitches in two tables of integers: the table of layers, with one row per layer, and the table of common values,
which describe the whole network. Every block copies the two tables of integers into its shared memory. The enumerations `Layer`
and `Matrix` name the columns of the table of layers. The enumeration `Common` names the entries of the table of common values,
such as the batch size.
"""

from enum import auto
from typing import NamedTuple

import numpy as np

from numbanet._cuda import SIMULATED
from numbanet.engines.cuda.columns import Columns
from numbanet.engines.cuda.memory import QUAD
from numbanet.engines.topology import Topology

THREADS = 4 if SIMULATED else 256  # number of threads in a block; the simulator runs each CUDA thread as a Python thread
SQUARE = QUAD * QUAD  # number of sums of a matrix product that a thread computes at a time: 4 rows x 4 columns


class Layer(Columns):
    """Names of the first columns of the table of layers, an integer table with one row per layer of the network.

    The named columns hold a layer's sizes and activation function, the tiles into which its w is cut, and the offsets of its
    arrays in `far`, the global memory through which thread blocks exchange values.
    """

    N_IN = auto()  # number of inputs of the layer
    N_OUT = auto()  # number of neurons of the layer
    KIND = auto()  # integer constant of the activation function
    ROWS = auto()  # number of rows of a tile of w; row n_in of w is b
    COLUMNS = auto()  # number of columns of a tile of w
    DOWN = auto()  # number of tiles along the rows of w
    ACROSS = auto()  # number of tiles along the columns of w
    TILES = auto()  # number of all tiles of w: DOWN * ACROSS
    FLAT = auto()  # index at which w of the layer begins in the flat vector of parameters
    # In spread layers (which all blocks compute together): the offset in `far` of the partial sums of z, an array of shape
    # (DOWN, batch, n_out).
    Z_SUMS = auto()
    # In spread layers (which all blocks compute together) except the first: the offset in `far` of the partial sums of dL/da,
    # an array of shape (ACROSS, batch, n_in).
    DL_DA_SUMS = auto()
    FAR_A = auto()  # offset in `far` (global memory) of the activations a, a matrix of shape (batch, n_out)
    FAR_DELTA = auto()  # offset in `far` (global memory) of delta, a matrix of shape (batch, n_out)


class Matrix(Columns):
    """The matrices of a layer that a block has in its shared memory.

    In the table of layers, column `PLACES + m` holds the offset of matrix m in shared memory. Column `PITCHES + m` holds the
    matrix's pitch, which is the distance between two successive rows.
    """

    W = auto()  # the block's tile of w, of shape (ROWS, COLUMNS)
    X = auto()  # the inputs x of a batch that are multiplied by the tile, of shape (batch, ROWS)
    DELTA = auto()  # delta of a batch for the columns of the tile, of shape (batch, COLUMNS)
    HEAD_W = auto()  # in the head (the small last layers): w and b, of shape (n_in + 1, n_out)
    HEAD_X = auto()  # in the head (the small last layers): the inputs x of the block's samples, of shape (samples, n_in + 1)
    HEAD_DELTA = auto()  # in the head and the layer before: delta of the block's samples, of shape (samples, n_out)


class Common(Columns):
    """Names of the entries of the table of common values: sizes, and offsets in `near`, which is the block's shared memory."""

    LAYERS = auto()  # number of layers in the network
    PHASES = auto()  # number of phases in a training step; all blocks wait at a barrier between two phases of a step
    LOSS = auto()  # integer constant of the loss
    BATCH = auto()  # number of samples in a batch
    SPREAD = auto()  # number of spread layers (layers whose sums all blocks compute together)
    SAMPLES = auto()  # largest number of samples per batch for which one block computes the head (the small last layers)
    SECOND_X = auto()  # offset in `near` of a second matrix X of the first layer, for the next batch
    SUMS = auto()  # offset in `near` of the sums of all threads, an array of shape (SQUARE, THREADS)
    Z = auto()  # offset in `near` of the pre-activations z of the last layer, of shape (samples, n_out)
    A = auto()  # offset in `near` of the activations a of the last layer, of shape (samples, n_out)
    U = auto()  # offset in `near` of the scratch matrix that `output_row` uses, of shape (samples, n_out)
    DL = auto()  # offset in `near` of the errors dL/da of the last layer, of shape (samples, n_out)
    OUTPUT_PITCH = auto()  # distance between two successive rows of the matrices Z, A, U and DL
    Z_MAX = auto()  # offset in `near` of the largest z of each sample, a vector of shape (samples,)
    OTHERS = auto()  # offset in `near` of the sum of e^(z - z_max) without its largest term, per sample: (samples,)
    NEAR_NUMBERS = auto()  # number of values in `near`, the shared memory of a block


MOST_LAYERS = 16  # number of rows in the table of layers, and thus the largest number of layers of a network
PLACES = len(Layer)  # the column with the offset of the first `Matrix`; the offsets of the other matrices follow
PITCHES = PLACES + len(Matrix)  # the column with the pitch (row distance) of the first `Matrix`; the other pitches follow
LAYER_COLUMNS = PITCHES + len(Matrix)
COMMON = MOST_LAYERS * LAYER_COLUMNS  # the index at which the entries of `Common` begin, after the table of layers
# Both tables together have a multiple of 4 integers, so that `near`, which follows in memory, begins at a multiple of 16 bytes.
TABLE_LENGTH = COMMON + len(Common)


class LayerTiles(NamedTuple):
    """The tiles into which the weight matrix w of a layer, with b as its last row, is cut.

    Parameters
    ----------
    rows, columns : int
        The numbers of rows and columns of a tile; both are multiples of QUAD = 4.
    down, across : int
        w is cut into `down` rows of tiles, and each row of tiles consists of `across` tiles.
    """

    rows: int
    columns: int
    down: int
    across: int


class GridPlan(NamedTuple):
    """The division of a network among the thread blocks of a grid.

    Parameters
    ----------
    layers : tuple of LayerTiles
        For each layer, the size and the number of the tiles into which its w is cut.
    spread : int
        Number of spread layers (layers whose sums all blocks compute together), at least 1. The last layers, after the spread
        layers, are called the head: each block computes the whole head for some of the samples.
    blocks : int
        Number of thread blocks in the grid.
    """

    layers: tuple[LayerTiles, ...]
    spread: int
    blocks: int

    def head_samples(self, batch_size: int) -> int:
        """Returns the largest number of a batch's samples that one block passes through the head (the small last layers)."""
        return -(-batch_size // self.blocks)


class Tables(NamedTuple):
    """The tables from which the training kernel reads the sizes of all layers and the offsets of all matrices.

    Parameters
    ----------
    layers : (L, LAYER_COLUMNS) int64
        The table of layers, one row for each of the L layers; the enumerations `Layer` and `Matrix` name its columns.
    common : (len(Common),) int64
        The table of common values, which describe the whole network; the enumeration `Common` names the table's entries.
    far_numbers : int
        Number of values in the global memory through which the blocks exchange results.
    """

    layers: np.ndarray
    common: np.ndarray
    far_numbers: int

    def flat(self) -> np.ndarray:
        """Returns the tables `layers` and `common`, joined into one flat array (TABLE_LENGTH,) of type int32 for the kernel."""
        flat = np.zeros(TABLE_LENGTH, np.int32)
        flat[: self.layers.size], flat[COMMON:] = self.layers.reshape(-1), self.common
        return flat


def padded(count: int) -> int:
    """Returns `count` rounded up to a multiple of QUAD = 4."""
    return -(-count // QUAD) * QUAD


def pitch(width: int) -> int:
    """Returns the pitch (the distance between two successive rows) of a matrix with `width` columns in shared memory.

    The pitch is an odd number of quads (groups of 4 values), so that quads in the same column of successive rows lie in
    different memory banks.
    """
    return QUAD * (-(-width // QUAD) | 1)


class _Allocator:
    """Assigns consecutive ranges of a flat array to matrices."""

    def __init__(self):
        self.end = 0

    def take(self, count: int) -> int:
        """Reserves the next `count` values of the flat array, and returns the offset of the first reserved value."""
        start, self.end = self.end, self.end + count
        return start

    def take_matrix(self, layer: np.ndarray, matrix: Matrix, rows: int, width: int) -> None:
        """Reserves space for a matrix of shape (rows, width), and writes the matrix's offset and pitch to the table of layers.

        `layer` is the row of the table for the matrix's layer.
        """
        layer[PLACES + matrix], layer[PITCHES + matrix] = self.take(rows * pitch(width)), pitch(width)


def tables(topology: Topology, batch_size: int, plan: GridPlan) -> Tables:
    """Assigns an offset to each matrix of a network that is trained by `plan`, and returns the tables of these offsets.

    Parameters
    ----------
    topology : Topology
        The network's layer sizes, activation functions, loss and dtype.
    batch_size : int
        Number of samples in a batch.
    plan : GridPlan
        The division of the network among the thread blocks: the tiles of each weight matrix, and the number of spread layers.

    Returns
    -------
    Tables
        The table of layers and the table of common values, from which the training kernel reads all offsets.
    """
    near, far = _Allocator(), _Allocator()
    spread, samples, rows = plan.spread, padded(plan.head_samples(batch_size)), padded(batch_size)
    # The planner also asks for plans that need far more memory than a GPU has, with offsets of more than 32 bits.
    layers, common = np.zeros((len(plan.layers), LAYER_COLUMNS), np.int64), np.zeros(len(Common), np.int64)
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
    """Returns the number of bytes of shared memory that a thread block needs, including the tables of sizes and offsets."""
    near_numbers = tables(topology, batch_size, plan).common[Common.NEAR_NUMBERS]
    return int(near_numbers) * topology.dtype.itemsize + 4 * TABLE_LENGTH

"""Device functions that look up matrix sizes and offsets, the block's tile of a weight matrix, and a thread's loop ranges."""

from typing import Any, NamedTuple

from numbanet._cuda import cuda, device_function
from numbanet.engines.cuda.cooperative.layout import COMMON, LAYER_COLUMNS, PITCHES, PLACES, THREADS, Layer
from numbanet.engines.cuda.memory import QUAD, get, quotient

NO_ROW = 1 << 30  # a row index beyond the last row of any matrix


class Memory(NamedTuple):
    """The memory that a thread block reads and writes.

    Parameters
    ----------
    near : array (NEAR_NUMBERS,)
        The block's shared memory, as one flat array.
    far : array (far_numbers,)
        The global memory through which the blocks exchange partial sums, a and delta, as one flat array.
    table : array (TABLE_LENGTH,) int32
        The block's copy, in shared memory, of the tables of sizes and offsets that `layout.tables` computes.
    """

    near: Any
    far: Any
    table: Any


class Batch(NamedTuple):
    """The samples of one training step: the rows of x and y with the indices order[position : position + n].

    The array `order` holds the row indices of all samples to train on, one batch after another.

    Parameters
    ----------
    step : int
        Index of the training step. Step 0 trains on the first batch in `order`.
    position : int
        Index in `order` of the batch's first sample.
    n : int
        Number of samples of the batch.
    """

    step: Any
    position: Any
    n: Any


@device_function
def field(memory, l, column):
    """Returns an integer that describes layer l, such as its number of neurons; `column` is a member of `Layer`."""
    return get(memory.table, l * LAYER_COLUMNS + column)


@device_function
def place_of(memory, l, matrix):
    """Returns the offset and the pitch, in shared memory, of a matrix of layer l.

    The pitch is the distance between two successive rows; `matrix` is a member of `Matrix`.
    """
    row = l * LAYER_COLUMNS
    return get(memory.table, row + PLACES + matrix), get(memory.table, row + PITCHES + matrix)


@device_function
def common(memory, entry):
    """Returns an integer of the network or its training, such as the batch size; `entry` is a member of `Common`."""
    return get(memory.table, COMMON + entry)


@device_function
def quads_of(count):
    """Returns the number of quads (groups of 4 values) that are needed to hold `count` values."""
    return quotient(count + QUAD - 1, QUAD)


@device_function
def tile_row(memory, l):
    """Returns the row of tiles, counted from 0, that contains this block's tile of the weight matrix w of layer l."""
    return quotient(cuda.blockIdx.x, field(memory, l, Layer.ACROSS))


@device_function
def tile_of(memory, l):
    """Returns (i, j, number of rows, number of columns), the position and the size of this block's tile of w in layer l.

    i is the tile's first row, and j is its first column. The biases b count as the last row of w. If the block has no tile in
    layer l, the number of rows is 0.
    """
    block, across, row = cuda.blockIdx.x, field(memory, l, Layer.ACROSS), tile_row(memory, l)
    i, j = row * field(memory, l, Layer.ROWS), (block - row * across) * field(memory, l, Layer.COLUMNS)
    rows, columns = field(memory, l, Layer.N_IN) + 1 - i, field(memory, l, Layer.N_OUT) - j
    if block >= field(memory, l, Layer.TILES):
        rows = 0
    return i, j, min(rows, field(memory, l, Layer.ROWS)), min(columns, field(memory, l, Layer.COLUMNS))


@device_function
def threads_over(width):
    """Returns the loop ranges of a thread, so that the threads of a block together visit every element of a matrix once.

    `width` is the number of columns of the matrix. The result is the tuple (first row, first column, row step, column step) of
    the calling thread. Threads with consecutive indices visit consecutive elements of a row. A thread that has no elements to
    visit gets NO_ROW as its first row, which lies beyond the end of every matrix.
    """
    across = max(1, min(width, THREADS))
    down, row = quotient(THREADS, across), quotient(cuda.threadIdx.x, across)
    return (row if row < down else NO_ROW), cuda.threadIdx.x - row * across, down, across

"""Device functions that look up sizes and offsets of matrices, this block's tile of a w, and the loop ranges of a thread."""

from typing import Any, NamedTuple

from numbanet._cuda import cuda, device_function
from numbanet.engines.cuda.cooperative.layout import COMMON, LAYER_COLUMNS, PITCHES, PLACES, THREADS, Layer
from numbanet.engines.cuda.memory import QUAD, get, quotient

NO_ROW = 1 << 30  # a row index beyond the last row of any matrix


class Memory(NamedTuple):
    """The memory that a thread block reads and writes.

    Parameters
    ----------
    near : array (near numbers,)
        The block's shared memory, as one flat array.
    far : array (far numbers,)
        Global memory in which the blocks exchange partial sums, a and delta, as one flat array.
    table : array (TABLE_LENGTH,) int32
        The block's copy, in shared memory, of the tables of sizes and offsets that `layout.tables` makes.
    """

    near: Any
    far: Any
    table: Any


class Batch(NamedTuple):
    """The samples of one training step: the rows of x and y with the indices order[position : position + n].

    The array `order` holds the row indices of all samples to train on, batch after batch.

    Parameters
    ----------
    step : int
        Index of the training step. Step 0 trains on the first batch of `order`.
    position : int
        Index in `order` of the first sample of the batch.
    n : int
        Number of samples of the batch.
    """

    step: Any
    position: Any
    n: Any


@device_function
def field(memory, l, column):
    """Returns an integer that describes layer l, such as its number of neurons; `column`, a member of `Layer`, names it."""
    return get(memory.table, l * LAYER_COLUMNS + column)


@device_function
def place_of(memory, l, matrix):
    """Returns where a matrix of layer l lies in shared memory: its offset, and its pitch (the step between rows).

    The argument `matrix` is a member of `Matrix`.
    """
    row = l * LAYER_COLUMNS
    return get(memory.table, row + PLACES + matrix), get(memory.table, row + PITCHES + matrix)


@device_function
def common(memory, entry):
    """Returns an integer that all layers share, such as the batch size; `entry`, a member of `Common`, names it."""
    return get(memory.table, COMMON + entry)


@device_function
def quads_of(count):
    """Returns the number of quads (groups of 4 values) that are needed to hold `count` values."""
    return quotient(count + QUAD - 1, QUAD)


@device_function
def tile_row(memory, l):
    """Returns the row index, counted in tiles, of this block's tile of w of layer l."""
    return quotient(cuda.blockIdx.x, field(memory, l, Layer.ACROSS))


@device_function
def tile_of(memory, l):
    """Returns this block's tile of w of layer l as (first row i, first column j, number of rows, number of columns).

    The row of biases b counts as the last row of w. The number of rows is 0 if the block has no tile of the layer.
    """
    block, across, row = cuda.blockIdx.x, field(memory, l, Layer.ACROSS), tile_row(memory, l)
    i, j = row * field(memory, l, Layer.ROWS), (block - row * across) * field(memory, l, Layer.COLUMNS)
    rows, columns = field(memory, l, Layer.N_IN) + 1 - i, field(memory, l, Layer.N_OUT) - j
    if block >= field(memory, l, Layer.TILES):
        rows = 0
    return i, j, min(rows, field(memory, l, Layer.ROWS)), min(columns, field(memory, l, Layer.COLUMNS))


@device_function
def threads_over(width):
    """Returns the loop ranges by which the threads of a block visit all elements of a matrix of `width` columns together.

    The result is (first row, first column, row step, column step) of the calling thread. Threads with consecutive indices visit
    consecutive elements of a row. A thread that gets no rows starts at row NO_ROW, beyond the end of every matrix.
    """
    across = max(1, min(width, THREADS))
    down, row = quotient(THREADS, across), quotient(cuda.threadIdx.x, across)
    return (row if row < down else NO_ROW), cuda.threadIdx.x - row * across, down, across

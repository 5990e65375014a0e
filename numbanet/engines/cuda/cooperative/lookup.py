"""Look-ups for device functions: entries of the tables of `layout`, and what this block and this thread work on."""

from typing import Any, NamedTuple

from numbanet._cuda import cuda, device_function
from numbanet.engines.cuda.cooperative.layout import COMMON, LAYER_COLUMNS, PITCHES, PLACES, THREADS, Layer
from numbanet.engines.cuda.memory import QUAD, get, quotient

NO_ROW = 1 << 30  # more than any matrix has


class Memory(NamedTuple):
    """The memory that a block works in.

    Parameters
    ----------
    near : array (near numbers,)
        The block's shared memory.
    far : array (far numbers,)
        Global memory that blocks exchange sums, a and delta in.
    table : array (TABLE_LENGTH,) int32
        The tables, in shared memory.
    """

    near: Any
    far: Any
    table: Any


class Batch(NamedTuple):
    """A batch of an order.

    Parameters
    ----------
    step : int
        The number of the batch, counted from 0.
    position : int
        Where its first sample is in the order.
    n : int
        Its number of samples.
    """

    step: Any
    position: Any
    n: Any


@device_function
def field(memory, l, column):
    """Returns a column of `Layer` of layer l."""
    return get(memory.table, l * LAYER_COLUMNS + column)


@device_function
def place_of(memory, l, matrix):
    """Returns the place and the pitch of a `Matrix` of layer l."""
    row = l * LAYER_COLUMNS
    return get(memory.table, row + PLACES + matrix), get(memory.table, row + PITCHES + matrix)


@device_function
def common(memory, entry):
    """Returns an entry of `Common`."""
    return get(memory.table, COMMON + entry)


@device_function
def quads_of(count):
    """Returns how many quads hold count numbers."""
    return quotient(count + QUAD - 1, QUAD)


@device_function
def tile_row(memory, l):
    """Returns the row of tiles of layer l that this block's tile is in."""
    return quotient(cuda.blockIdx.x, field(memory, l, Layer.ACROSS))


@device_function
def tile_of(memory, l):
    """Returns this block's tile of layer l: its first row i and first column j, and its rows, 0 if it has none, and columns."""
    block, across, row = cuda.blockIdx.x, field(memory, l, Layer.ACROSS), tile_row(memory, l)
    i, j = row * field(memory, l, Layer.ROWS), (block - row * across) * field(memory, l, Layer.COLUMNS)
    rows, columns = field(memory, l, Layer.N_IN) + 1 - i, field(memory, l, Layer.N_OUT) - j
    if block >= field(memory, l, Layer.TILES):
        rows = 0
    return i, j, min(rows, field(memory, l, Layer.ROWS)), min(columns, field(memory, l, Layer.COLUMNS))


@device_function
def threads_over(width):
    """Returns the first row and column of this thread in a matrix of that width, and its steps down and across.

    Neighbouring threads take neighbouring numbers of a row. A thread without a row begins at NO_ROW.
    """
    across = max(1, min(width, THREADS))
    down, row = quotient(THREADS, across), quotient(cuda.threadIdx.x, across)
    return (row if row < down else NO_ROW), cuda.threadIdx.x - row * across, down, across

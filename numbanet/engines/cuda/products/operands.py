"""Reads the operands of a product: tells where in global memory a thread finds its elements of the left and right matrix.

In z[r, c] = sum_k left[r, k] right[k, c], a row r of left and a column c of right are both called a line. A panel of an operand
is the part that is in shared memory at a time: several lines, each with `depth` successive k's. Each thread loads several
elements of each panel. The offset of the thread's first element of a panel is called the `origin`, which advances from panel to
panel. The thread's q-th element lies q line steps and q k-steps after its first element. The distance from the first to the
q-th element is called the `place` of the q-th element, and is the same in all panels.

A read beyond the last line returns some other element of the operand. Sums with elements from beyond the last line are never
stored.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from numba import int32, uint32

from numbanet._cuda import device_function
from numbanet.engines.cuda.memory import get

MOST_LINES = 128  # rows, or columns, of the largest tile


class Operand(NamedTuple):
    """The left or right matrix of a product, as a thread reads it.

    Parameters
    ----------
    array : array, flat
        The matrix as a flat array.
    order : array (n,) of int64, or None
        Row indices into the matrix of the samples of the batch. `order` is None if the rows of the matrix are the samples of
        the batch.
    first : int32
        Index of the first line (row of left, column of right) in the block's panels.
    line : int32
        Line of the thread's first element, counted from the line `first`.
    lines, depth : int64
        Number of lines of the whole operand, and number of elements k of each line.
    """

    array: Any
    order: Any
    first: Any
    line: Any
    lines: Any
    depth: Any


class Access(NamedTuple):
    """The device functions by which a thread reads an operand.

    Parameters
    ----------
    origin : callable
        origin(operand, k): returns the offset of the thread's first element in the panel that begins at k.
    place : callable
        place(operand, q): returns the place of the thread's q-th element, which is its position relative to the origin.
    place_type : Numba type
        The integer type of the values that `place` returns.
    number : callable
        number(operand, origin, place): returns the element of the operand at an origin and a place.
    advance : callable
        advance(operand, origin, k): returns the origin after a move by k elements along the lines.
    """

    origin: Callable
    place: Callable
    place_type: Any
    number: Callable
    advance: Callable


class Layout(NamedTuple):
    """The layout of an operand in memory.

    Parameters
    ----------
    deep : bool
        True if the elements of one line are neighbours in memory, False if the elements with the same k are neighbours.
    access : callable
        access(line_step, k_step): returns the `Access` of threads whose next element lies line_step lines and k_step k's
        further.
    """

    deep: bool
    access: Callable[[int, int], Access]


@device_function
def advance_in_line(operand, origin, k):
    return int32(origin + k)


@device_function
def advance_by_lines(operand, origin, k):
    return origin + k * operand.lines


def deep(line_step: int, k_step: int) -> Access:
    """Returns the device functions that read array[line, k].

    Origins are counted from the panel's first line, so that they fit into 32 bits, which take one register.
    """

    @device_function
    def origin(operand, k):
        return int32(operand.line * operand.depth + k)

    @device_function
    def place(operand, q):
        return q * line_step * operand.depth

    @device_function
    def number(operand, origin, place):
        last = min(operand.lines - operand.first, MOST_LINES) * operand.depth - 1
        return get(operand.array, operand.first * operand.depth + min(int32(origin + place), int32(last)))

    return Access(origin, place, int32, number, advance_in_line)


def gathered(line_step: int, k_step: int) -> Access:
    """Returns the device functions that read array[order[line], k], where the lines are samples in shuffled order."""

    @device_function
    def origin(operand, k):
        return int32(k)

    @device_function
    def place(operand, q):
        """Returns order[line], a row index.

        Every load multiplies the row index by depth, because a stored product of the two would take two registers.
        """
        return get(operand.order, min(operand.first + operand.line + q * line_step, operand.lines - 1))

    @device_function
    def number(operand, origin, place):
        return get(operand.array, place * operand.depth + origin)

    return Access(origin, place, uint32, number, advance_in_line)


def wide(line_step: int, k_step: int) -> Access:
    """Returns the device functions that read array[k, line]."""

    @device_function
    def origin(operand, k):
        return k * operand.lines + min(operand.first + operand.line, operand.lines - 1)

    @device_function
    def place(operand, q):
        return q * k_step * operand.lines

    @device_function
    def number(operand, origin, place):
        return get(operand.array, origin + place)

    return Access(origin, place, int32, number, advance_by_lines)


def of_samples(line_step: int, k_step: int) -> Access:
    """Returns the device functions that read x_i of sample order[k], where i is the line.

    The elements of the last line are 1, which is the input that b is multiplied by.
    """

    @device_function
    def origin(operand, k):
        return k

    @device_function
    def place(operand, q):
        return q * k_step

    @device_function
    def number(operand, origin, place):
        i, n_in = operand.first + operand.line, operand.lines - 1
        x_i = get(operand.array, get(operand.order, origin + place) * n_in + min(i, n_in - 1))
        return x_i if i < n_in else type(x_i)(1)

    @device_function
    def advance(operand, origin, k):
        return origin + k

    return Access(origin, place, int32, number, advance)


DEEP = Layout(True, deep)
GATHERED = Layout(True, gathered)
WIDE = Layout(False, wide)
SAMPLES = Layout(False, of_samples)

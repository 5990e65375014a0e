"""The operands of a product: how a thread finds its numbers of left and right in global memory.

In z[r, c] = sum_k left[r, k] right[k, c] a row r of left, or a column c of right, is called a line. A panel of an operand holds
some lines, `depth` k's deep. A thread loads several numbers of each panel. The first lies at the operand's `origin`, which
advances from panel to panel; the q-th lies q line steps and q k steps further, which is its `place`, the same in all panels.

Reads beyond the last line return some number of the operand, which is never stored.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from numba import int32, uint32

from numbanet._cuda import device_function
from numbanet.engines.cuda.memory import get

MOST_LINES = 128  # rows, or columns, of the largest tile


class Operand(NamedTuple):
    """Left or right of a product, as a thread reads it.

    Parameters
    ----------
    array : array, flat
        The numbers.
    order : array (n,) of int64, or None
        The rows of array that are the rows of the batch; None if array holds the batch itself.
    first : int32
        First line of the block's panels.
    line : int32
        Line of the thread's first number, counted from `first`.
    lines, depth : int64
        Lines of the whole operand, and its k's.
    """

    array: Any
    order: Any
    first: Any
    line: Any
    lines: Any
    depth: Any


class Access(NamedTuple):
    """The device functions that read an operand.

    Parameters
    ----------
    origin : callable
        origin(operand, k): where the thread's first number of the panel that begins at k lies.
    place : callable
        place(operand, q): how far from the origin the thread's q-th number lies.
    place_type : Numba type
        The type of a place.
    number : callable
        number(operand, origin, place): the number there.
    advance : callable
        advance(operand, origin, k): the origin k k's further on.
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
        True if the k's of a line are neighbours in memory, False if the lines of a k are.
    access : callable
        access(line_step, k_step): the `Access` of threads whose next number lies so many lines and k's further on.
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
    """Returns the access to array[line, k]. Origins count from the panel's first line on: 32 bits, which take one register."""

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
    """Returns the access to array[order[line], k]."""

    @device_function
    def origin(operand, k):
        return int32(k)

    @device_function
    def place(operand, q):
        """order[line]; its product with depth, which is left to every load, would take two registers."""
        return get(operand.order, min(operand.first + operand.line + q * line_step, operand.lines - 1))

    @device_function
    def number(operand, origin, place):
        return get(operand.array, place * operand.depth + origin)

    return Access(origin, place, uint32, number, advance_in_line)


def wide(line_step: int, k_step: int) -> Access:
    """Returns the access to array[k, line]."""

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
    """Returns the access to x_i of sample order[k], i being the line; the last line is 1, the input of b."""

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

"""Computes the addresses in global memory from which a thread reads its elements of the left or right matrix of a product.

In the product z[r, c] = sum_k left[r, k] * right[k, c], the matrices left and right are called operands. A row r of the operand
left, and a column c of the operand right, is called a line of the operand. A panel is the part of an operand that is in shared
memory at one time: several lines, and for each line a few successive terms k. Each thread loads several elements of each panel
(a part of the matrix left or right). The offset of a thread's first element in a panel is called the thread's `origin`, which
advances from panel to panel. From one element of a thread to the thread's next element, the line index grows by `line_step`,
and k grows by `k_step`; both steps are constants. Therefore, the distance from a thread's first element to its q-th element is
the same in all panels; it is called the `place` of the q-th element.

For an element beyond the last line (row of left, column of right), the thread reads another element of the matrix, or uses 1;
the kernel does not store the sums to which this number contributes.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from numba import int32, uint32

from numbanet._cuda import device_function
from numbanet.engines.cuda.memory import get

MOST_LINES = 128  # number of rows, and of columns, of the largest tile


class Operand(NamedTuple):
    """The left or right matrix of a product, with the position from which a thread reads.

    Parameters
    ----------
    array : array
        The matrix as a flat array.
    order : array (n,) of int64, or None
        The row indices of the batch's samples in the matrix. `order` is None if all rows of the matrix are used, from the first
        to the last.
    first : int32
        Index of the first line (row of left, or column of right) that this thread block reads.
    line : int32
        Index of the line of the first element that this thread reads, counted from the line `first`.
    lines, depth : int64
        `lines` is the number of lines (rows of left, or columns of right) in the whole matrix; `depth` is the number of
        elements in each line.
    """

    array: Any
    order: Any
    first: Any
    line: Any
    lines: Any
    depth: Any


class Access(NamedTuple):
    """The device functions with which a thread reads an operand (the left or right matrix of a product), panel by panel.

    A panel consists of several rows of left, or several columns of right, for a few successive terms k of the sums.

    Parameters
    ----------
    origin : callable
        origin(operand, k) returns the origin: the offset of the thread's first element in the panel that begins with term k.
    place : callable
        place(operand, q) returns the position of the thread's q-th element in a panel, relative to the thread's first element.
        For the layout GATHERED (each row is a sample selected by `order`), `place` returns the index of the element's row in
        the matrix instead.
    place_type : Numba type
        The integer type of the positions that `place` returns.
    number : callable
        number(operand, origin, place) returns the element of the matrix at the position `place`, relative to `origin`.
    advance : callable
        advance(operand, origin, k) returns the offset `origin` of the thread's first element, advanced by k terms of the sum.
    """

    origin: Callable
    place: Callable
    place_type: Any
    number: Callable
    advance: Callable


class Layout(NamedTuple):
    """The memory layout of an operand: the left or right matrix of the product sum_k left[r, k] * right[k, c].

    Parameters
    ----------
    deep : bool
        `deep` is True if the elements of a line (row r of left, or column c of right) are neighbours in memory. `deep` is False
        if the elements of different lines with the same k are neighbours in memory.
    access : callable
        access(line_step, k_step) returns the `Access` for threads that advance by line_step lines, and by k_step terms of the
        sum, from each loaded element to the next.
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
    """Returns the device functions that read array[line, k], where a line is a row of left or a column of right.

    Offsets are counted from the first row or column that the thread block reads, so that an offset fits into 32 bits and takes
    one register.
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
    """Returns the device functions that read array[order[line], k], where each line is a sample: a row of the left matrix."""

    @device_function
    def origin(operand, k):
        return int32(k)

    @device_function
    def place(operand, q):
        """Returns the row index, in the array, of the sample to which the thread's q-th element belongs.

        The kernel multiplies the row index by the row length at each load, because keeping the product would take two
        registers.
        """
        return get(operand.order, min(operand.first + operand.line + q * line_step, operand.lines - 1))

    @device_function
    def number(operand, origin, place):
        return get(operand.array, place * operand.depth + origin)

    return Access(origin, place, uint32, number, advance_in_line)


def wide(line_step: int, k_step: int) -> Access:
    """Returns the device functions that read array[k, line], where a line is a row of left or a column of right."""

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
    """Returns the device functions that read left[i, k], which is the input x_i of the sample with the row index order[k].

    The elements of the left matrix's last row are 1, the constant input that is multiplied by b.
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

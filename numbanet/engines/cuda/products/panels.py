"""Copies panels, which are parts of the left or right matrix of a product, from global memory to shared memory.

In the product sum_k left[r, k] * right[k, c], a panel of left consists of several rows r, and a panel of right consists of
several columns c. Each panel contains only a few successive terms k.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import int32

from numbanet._cuda import device_function
from numbanet.engines.cuda.memory import put
from numbanet.engines.cuda.products.operands import Layout, Operand
from numbanet.engines.cuda.products.tiles import Tile


class Loader(NamedTuple):
    """The device functions with which a thread copies elements of a matrix to shared memory, panel by panel.

    A panel consists of several rows of the left matrix of a product, or several columns of the right matrix, for a few
    successive terms k of the sums. Each panel is copied by all threads of a block together: a thread copies some of the
    elements.

    Parameters
    ----------
    operand : callable
        operand(source, thread, first, lines, depth) returns the `Operand`: the matrix, and the position from which this thread
        reads. `source` is the pair (array, order): the matrix as a flat array, and the samples' row indices in the matrix.
        `first`, `lines` and `depth` become the attributes of the `Operand` with these names.
    target : callable
        target(thread) returns the index in shared memory to which the thread copies its first element of the first panel.
    first : callable
        first(operand, thread, k, head, panels, places) copies the first panel, which contains the terms k to k + head - 1 of
        the sums. The function `first` also fills the array `places`, with which `load` finds the thread's elements in the later
        panels: places[q] = place(operand, q), as described in `operands.Access`. The function `first` returns the offset of the
        thread's first element in the next panel.
    load : callable
        load(operand, origin, places, numbers) loads the thread's elements of a panel into the local array `numbers`. `origin`
        is the offset, in global memory, of the first element that the thread loads. The function `load` returns the offset of
        the thread's first element in the next panel.
    store : callable
        store(numbers, panels, at) copies the loaded elements from `numbers` to the array `panels` in shared memory. The first
        element is copied to the index `at`.
    loads : int
        Number of elements that each thread loads from a panel.
    place_type : Numba type
        The integer type of the array `places`.
    """

    operand: Callable
    target: Callable
    first: Callable
    load: Callable
    store: Callable
    loads: int
    place_type: Any


def loader(layout: Layout, width: int, pitch: int, begin: int, tile: Tile, zero: np.floating) -> Loader:
    """Returns the device functions that copy panels (parts) of one matrix of a product to shared memory.

    A panel has `width` lines (rows of the left matrix, or columns of the right matrix) and `tile.depth` terms k of the sums.
    The panel is written to a buffer in shared memory, beginning at index `begin`. In the buffer, elements of the same line with
    successive k are `pitch` elements apart.
    """
    threads, panel_depth = tile.threads, tile.depth
    loads = width * panel_depth // threads
    # Neighbouring threads load elements that are neighbours in memory: elements of the same line, or of the same term k. A
    # thread advances by line_step lines, or by k_step terms, from each of its elements to the next.
    across = panel_depth if layout.deep else width
    line_step, k_step = (threads // across, 0) if layout.deep else (0, threads // across)
    step = line_step + k_step * pitch
    deep, access = layout.deep, layout.access(line_step, k_step)
    origin_of, place_of, number_of, advance = access.origin, access.place, access.number, access.advance

    @device_function
    def line_and_k(thread):
        """Returns the line (a row of left or a column of right) and the term k of the first element that a thread copies."""
        if deep:
            return int32(thread // across), int32(thread % across)
        return int32(thread % across), int32(thread // across)

    @device_function
    def operand(source, thread, first, lines, depth):
        return Operand(source[0], source[1], first, line_and_k(thread)[0], lines, depth)

    @device_function
    def target(thread):
        line, k = line_and_k(thread)
        return int32(begin + k * pitch + line)

    @device_function
    def first(operand, thread, k, head, panels, places):
        k_in_panel, at = line_and_k(thread)[1], target(thread)
        origin = origin_of(operand, k + k_in_panel)
        for q in range(loads):
            places[q] = place_of(operand, q)
            value = zero
            if k_in_panel + q * k_step < head:
                value = number_of(operand, origin, places[q])
            put(panels, at + q * step, value)
        return advance(operand, origin, head)

    @device_function
    def load(operand, origin, places, numbers):
        for q in range(loads):
            numbers[q] = number_of(operand, origin, places[q])
        return advance(operand, origin, panel_depth)

    @device_function
    def store(numbers, panels, at):
        for q in range(loads):
            put(panels, at + q * step, numbers[q])

    return Loader(operand, target, first, load, store, loads, access.place_type)

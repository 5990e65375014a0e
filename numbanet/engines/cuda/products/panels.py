"""Copies panels of an operand (parts of the left or right matrix of a product) from global memory to shared memory."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import int32

from numbanet._cuda import device_function
from numbanet.engines.cuda.memory import put
from numbanet.engines.cuda.products.operands import Layout, Operand
from numbanet.engines.cuda.products.tiles import Tile


class Loader(NamedTuple):
    """The device functions by which a thread copies its elements of an operand's panels to shared memory.

    Parameters
    ----------
    operand : callable
        operand(source, thread, first, lines, depth): returns the `Operand` as this thread reads it. source is the pair (array,
        order).
    target : callable
        target(thread): returns the index in shared memory for the thread's first element of the first panel.
    first : callable
        first(operand, thread, k, head, panels, places): copies the first panel, which has the `head` k's from k on. The
        function `first` also writes the places of the thread's elements (positions relative to the panel's origin) to the array
        `places`, and returns the origin of the next panel.
    load : callable
        load(operand, origin, places, numbers): loads the thread's elements of a panel to the local array `numbers`, and returns
        the origin of the next panel.
    store : callable
        store(numbers, panels, at): stores the loaded elements in shared memory, beginning at index `at`.
    loads : int
        Number of elements of a panel that each thread loads.
    place_type : Numba type
        The integer type of places, the positions of a thread's elements relative to the panel's origin.
    """

    operand: Callable
    target: Callable
    first: Callable
    load: Callable
    store: Callable
    loads: int
    place_type: Any


def loader(layout: Layout, width: int, pitch: int, begin: int, tile: Tile, zero: np.floating) -> Loader:
    """Returns the loader for panels that have `width` lines.

    A panel begins at index `begin` of a buffer in shared memory. Successive k's of the panel lie `pitch` elements apart.
    """
    threads, panel_depth = tile.threads, tile.depth
    loads = width * panel_depth // threads
    # Neighbouring threads load elements that are neighbours in memory: elements of one line, or of one k. The next element of a
    # thread lies line_step lines, or k_step k's, further.
    across = panel_depth if layout.deep else width
    line_step, k_step = (threads // across, 0) if layout.deep else (0, threads // across)
    step = line_step + k_step * pitch
    deep, access = layout.deep, layout.access(line_step, k_step)
    origin_of, place_of, number_of, advance = access.origin, access.place, access.number, access.advance

    @device_function
    def line_and_k(thread):
        """Returns the line and the k of the thread's first element in a panel, both counted from the beginning of the panel."""
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

"""The way of an operand's panels from global memory to shared memory."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import int32

from numbanet._cuda import device_function
from numbanet.engines.cuda.memory import put
from numbanet.engines.cuda.products.operands import Layout, Operand
from numbanet.engines.cuda.products.tiles import Tile


class Loader(NamedTuple):
    """The device functions that bring panels of an operand to shared memory.

    Parameters
    ----------
    operand : callable
        operand(source, thread, first, lines, depth): the `Operand` as this thread reads it; source is (array, order).
    target : callable
        target(thread): where in the first buffer the thread's first number of a panel goes.
    first : callable
        first(operand, thread, k, head, panels, places): loads the first panel, whose k's are the `head` k's from k on, notes
        the places of the thread's numbers, and returns the origin of the next panel.
    load : callable
        load(operand, origin, places, numbers): loads the thread's numbers of a panel, and returns the origin of the next one.
    store : callable
        store(numbers, panels, at): stores them in shared memory.
    loads : int
        Numbers of a panel that a thread loads.
    place_type : Numba type
        The type of their places.
    """

    operand: Callable
    target: Callable
    first: Callable
    load: Callable
    store: Callable
    loads: int
    place_type: Any


def loader(layout: Layout, width: int, pitch: int, begin: int, tile: Tile, zero: np.floating) -> Loader:
    """Returns the loader of panels of `width` lines. They begin at `begin` in a buffer, with `pitch` numbers from k to k."""
    threads, panel_depth = tile.threads, tile.depth
    loads = width * panel_depth // threads
    # Neighbouring threads load neighbours in memory: numbers of a line, or of a k. The next load of a thread is a step further.
    across = panel_depth if layout.deep else width
    line_step, k_step = (threads // across, 0) if layout.deep else (0, threads // across)
    step = line_step + k_step * pitch
    deep, access = layout.deep, layout.access(line_step, k_step)
    origin_of, place_of, number_of, advance = access.origin, access.place, access.number, access.advance

    @device_function
    def line_and_k(thread):
        """Of the thread's first number of a panel, both counted from the panel's first."""
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

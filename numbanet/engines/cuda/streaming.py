"""Samples that do not fit on the GPU stay on the host, and pass through two places there, a chunk of them at a time.

While the GPU works with one chunk, a stream of its own copies the next to the other place, and threads of the host pick the
rows of the one after that. Pinned memory and places stay where they are from pass to pass, so that recorded steps hold.
"""

import itertools
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from numbanet._cuda import cuda, launching_on
from numbanet.engines.cpu.threads import get_num_threads
from numbanet.engines.cuda import memory
from numbanet.engines.loops import CudaLoops
from numbanet.engines.samples import gather
from numbanet.engines.topology import Topology

# The most that a chunk takes, unless one batch takes more: some milliseconds of copying, beside which a pause does not count.
CHUNK_BYTES, CHUNK_ROWS = 128 << 20, 1 << 18


def fits(wanted: int) -> bool:
    """Whether so many bytes can lie on the GPU for good, and leave room for both places, or for half of what there is."""
    free = memory.free_bytes()
    return wanted <= max(free - 2 * CHUNK_BYTES, free / 2)


class Place(NamedTuple):
    """Room for a chunk: x (rows, n_in) and y (rows, n_out), in pinned memory of the host and on the GPU."""

    pinned: tuple
    on_gpu: tuple


class Chunks:
    """The places that chunks of samples pass through.

    Parameters
    ----------
    topology : Topology

    Attributes
    ----------
    rows : int
        How many samples a place is for; 0 until one is needed.
    """

    def __init__(self, topology: Topology):
        self.widths, self.dtype = (topology.sizes[0], topology.sizes[-1]), topology.dtype
        self.loops = CudaLoops()
        self.rows, self.places = 0, []

    def of(self, at_once: int, arrays: tuple, order=None) -> Iterator[tuple[slice, np.ndarray, tuple]]:
        """Samples on the GPU: all together where they lie there, else a chunk at a time, until the next one is asked for.

        Parameters
        ----------
        at_once : int
            A chunk has a multiple of so many samples, but the last one.
        arrays : tuple of x, or of x and y
            Of NumPy's, or on the GPU.
        order : (n,), optional
            The samples in the order they are wanted; as they lie, if not given.

        Yields
        ------
        part : slice
            Which part of the order this is.
        rows : (m,)
            Where these samples are in `there`; None for all together, as they lie.
        there : tuple
            The arrays on the GPU: those given, or those of a place.

        Raises
        ------
        MemoryError
            Not even at_once samples, twice, have room on the GPU.
        """
        n = arrays[0].shape[0] if order is None else order.size
        if not any(isinstance(array, np.ndarray) for array in arrays):
            yield slice(0, n), order, arrays
            return
        self._make_room(at_once)
        order = np.arange(n) if order is None else order
        step = self.rows // at_once * at_once
        parts = [slice(first, min(first + step, n)) for first in range(0, n, step)]
        with ThreadPoolExecutor(get_num_threads()) as threads:
            cuda.synchronize()  # a pass that was cut short may still be copying
            picking = self._pick(threads, order[parts[0]], arrays, self.places[0])
            for k in range(-1, len(parts)):
                cuda.synchronize()  # chunk k has come, and nobody works with the one before any longer
                if k + 1 < len(parts):
                    for rows in picking:
                        rows.result()
                    self._copy(order[parts[k + 1]], arrays, self.places[(k + 1) % 2])
                if k + 2 < len(parts):
                    picking = self._pick(threads, order[parts[k + 2]], arrays, self.places[k % 2])
                if k >= 0:
                    yield parts[k], np.arange(parts[k].stop - parts[k].start), self.places[k % 2].on_gpu[: len(arrays)]

    def _make_room(self, at_once: int) -> None:
        """Places for at_once samples, and for more where they are few; those there are already, if they do."""
        if self.rows >= at_once:
            return
        self.rows, self.places = 0, []
        bytes_of_sample = sum(self.widths) * self.dtype.itemsize
        memory.ensure_free(2 * at_once * bytes_of_sample, at_once, "streaming batches of")
        rows = min(CHUNK_ROWS, int(min(CHUNK_BYTES, memory.free_bytes() / 4)) // bytes_of_sample)
        rows = max(at_once, rows)
        shapes = [(rows, width) for width in self.widths]
        self.stream = memory.stream_beside()
        for _ in range(2):
            pinned, on_gpu = (
                tuple(empty(shape, self.dtype) for shape in shapes) for empty in (cuda.pinned_array, cuda.device_array)
            )
            self.places.append(Place(pinned, on_gpu))
        self.rows = rows

    def _pick(self, threads: ThreadPoolExecutor, order: np.ndarray, arrays, place: Place) -> list[Future]:
        """Threads that bring rows of the host's arrays into pinned memory."""
        ends = np.linspace(0, order.size, get_num_threads() + 1).astype(int)
        return [
            # mode="clip" writes to out at once, where "raise" would go by a buffer
            threads.submit(np.take, array, order[first:end], axis=0, out=pinned[first:end], mode="clip")
            for array, pinned in zip(arrays, place.pinned, strict=False)
            if isinstance(array, np.ndarray)
            for first, end in itertools.pairwise(ends)
        ]

    def _copy(self, order: np.ndarray, arrays, place: Place) -> None:
        """Starts to bring a chunk to the GPU: of the host's arrays from pinned memory, of others from where they lie."""
        for array, pinned, there in zip(arrays, *place, strict=False):
            if isinstance(array, np.ndarray):
                there[: order.size].copy_to_device(pinned[: order.size], stream=self.stream)
            else:
                with launching_on(self.stream):
                    self.loops.run(gather, array, cuda.to_device(order, stream=self.stream), there[: order.size])

"""Streaming: samples that do not fit on the GPU stay on the host, and pass through two places on the GPU, chunk by chunk.

While the GPU computes with one chunk, a separate stream copies the next chunk to the other place, and threads of the host pick
the rows of the chunk after that. Pinned memory and places stay where they are from pass to pass, so that recorded steps stay
valid.
"""

import itertools
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numbanet._cuda import cuda, launching_on
from numbanet.engines.cpu.threads import get_num_threads
from numbanet.engines.cuda.memory import limits
from numbanet.engines.loops import CudaLoops
from numbanet.engines.samples import gather
from numbanet.engines.topology import Topology

# The most that a chunk takes, unless one batch takes more: it is copied in some milliseconds, much longer than a pause between
# chunks.
CHUNK_BYTES, CHUNK_ROWS = 128 << 20, 1 << 18


def fits(wanted: int) -> bool:
    """Returns True if `wanted` bytes fit on the GPU and leave free what both places take, or half of what is free now."""
    free = limits.free_bytes()
    return wanted <= max(free - 2 * CHUNK_BYTES, free / 2)


class Place(NamedTuple):
    """Memory for a chunk: x (rows, n_in) and y (rows, n_out), pinned on the host and on the GPU."""

    pinned: tuple[Any, ...]
    on_gpu: tuple[Any, ...]


class Chunks:
    """The two places that chunks of samples pass through.

    Parameters
    ----------
    topology : Topology

    Attributes
    ----------
    rows : int
        Samples of a place; 0 before the first use.
    """

    def __init__(self, topology: Topology):
        self.widths, self.dtype = (topology.sizes[0], topology.sizes[-1]), topology.dtype
        self.loops = CudaLoops()
        self.rows, self.places = 0, []

    def of(self, at_once: int, arrays: tuple, order: NDArray[np.integer] | None = None) -> Iterator[tuple[slice, Any, tuple]]:
        """Yields samples on the GPU: all together if they lie there, else chunk by chunk. A chunk is valid until the next one.

        Parameters
        ----------
        at_once : int
            The number of samples of a chunk is a multiple of it, except for the last chunk.
        arrays : tuple of x, or of x and y
            NumPy arrays, or arrays on the GPU.
        order : (n,), optional
            Rows of the arrays, in the order in which they are wanted; all rows as they lie if None.

        Yields
        ------
        part : slice
            The part of the order.
        rows : (m,) or None
            The rows of `there` that hold these samples; None if `there` holds all samples, as they lie.
        there : tuple
            Arrays on the GPU: the ones given, or the arrays of a place.

        Raises
        ------
        MemoryError
            The GPU cannot hold two chunks of at_once samples.
        """
        n = arrays[0].shape[0] if order is None else order.size
        if not any(isinstance(array, np.ndarray) for array in arrays):
            yield slice(0, n), order, arrays
            return
        self._make_places(at_once)
        order = np.arange(n) if order is None else order
        step = self.rows // at_once * at_once
        parts = [slice(first, min(first + step, n)) for first in range(0, n, step)]
        with ThreadPoolExecutor(get_num_threads()) as threads:
            cuda.synchronize()  # a pass that was cut short may still be copying
            picking = self._pick(threads, order[parts[0]], arrays, self.places[0])
            for k in range(-1, len(parts)):
                cuda.synchronize()  # chunk k has arrived, and the GPU has finished with the chunk before it
                if k + 1 < len(parts):
                    for rows in picking:
                        rows.result()
                    self._copy(order[parts[k + 1]], arrays, self.places[(k + 1) % 2])
                if k + 2 < len(parts):
                    picking = self._pick(threads, order[parts[k + 2]], arrays, self.places[k % 2])
                if k >= 0:
                    yield parts[k], np.arange(parts[k].stop - parts[k].start), self.places[k % 2].on_gpu[: len(arrays)]

    def _make_places(self, at_once: int) -> None:
        """Makes places for at_once samples, or more if these are few; keeps places that are large enough."""
        if self.rows >= at_once:
            return
        self.rows, self.places = 0, []
        bytes_of_sample = sum(self.widths) * self.dtype.itemsize
        limits.ensure_free(2 * at_once * bytes_of_sample, at_once, "streaming batches of")
        rows = min(CHUNK_ROWS, int(min(CHUNK_BYTES, limits.free_bytes() / 4)) // bytes_of_sample)
        rows = max(at_once, rows)
        shapes = [(rows, width) for width in self.widths]
        self.stream = limits.stream_beside()
        for _ in range(2):
            pinned, on_gpu = (
                tuple(empty(shape, self.dtype) for shape in shapes) for empty in (cuda.pinned_array, cuda.device_array)
            )
            self.places.append(Place(pinned, on_gpu))
        self.rows = rows

    def _pick(self, threads: ThreadPoolExecutor, order: np.ndarray, arrays: tuple, place: Place) -> list[Future]:
        """Starts to copy rows of the host's arrays to pinned memory, and returns what the threads will have done."""
        ends = np.linspace(0, order.size, get_num_threads() + 1).astype(int)
        return [
            # mode="clip" writes to out directly, whereas "raise" would use a buffer
            threads.submit(np.take, array, order[first:end], axis=0, out=pinned[first:end], mode="clip")
            for array, pinned in zip(arrays, place.pinned, strict=False)
            if isinstance(array, np.ndarray)
            for first, end in itertools.pairwise(ends)
        ]

    def _copy(self, order: np.ndarray, arrays: tuple, place: Place) -> None:
        """Starts to copy a chunk to its place on the GPU: from pinned memory, or from an array on the GPU."""
        for array, pinned, there in zip(arrays, *place, strict=False):
            if isinstance(array, np.ndarray):
                there[: order.size].copy_to_device(pinned[: order.size], stream=self.stream)
            else:
                with launching_on(self.stream):
                    self.loops.run(gather, array, cuda.to_device(order, stream=self.stream), there[: order.size])

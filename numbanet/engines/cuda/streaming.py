"""Streams samples that do not fit into GPU memory: copies them, chunk by chunk, from host memory to two buffers on the GPU.

While the GPU computes with the chunk in one buffer, a separate CUDA stream copies the next chunk to the other buffer. While the
GPU computes, threads on the host also copy the rows of the chunk after the next chunk to pinned memory. The buffers and the
pinned memory keep their addresses from epoch to epoch, so that recorded CUDA graphs stay valid.
"""

import itertools
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numbanet._cuda import cuda, launching_on, select, wait
from numbanet.engines.cpu.threads import get_num_threads
from numbanet.engines.cuda import limits
from numbanet.engines.loops import CudaLoops
from numbanet.engines.samples import gather
from numbanet.engines.topology import Topology

# The largest numbers of bytes and of rows in a chunk, unless a single batch is larger. Copying a chunk of this size takes
# several milliseconds, which is much longer than the pause between two chunks.
CHUNK_BYTES, CHUNK_ROWS = 128 << 20, 1 << 18


def fits(wanted: int) -> bool:
    """Returns True if, after an allocation of `wanted` bytes of GPU memory, enough memory would stay free.

    The memory that must stay free is the size of two chunk buffers, or half of the memory that is free now, whichever is
    smaller.
    """
    free = limits.free_bytes()
    return wanted <= max(free - 2 * CHUNK_BYTES, free / 2)


class Place(NamedTuple):
    """A buffer for a chunk of samples: arrays in pinned memory of the host, and arrays of the same shapes in GPU memory.

    For a buffer of m samples, each of the tuples `pinned` and `on_gpu` consists of an array (m, n_in) for x and an array (m,
    n_out) for y.
    """

    pinned: tuple[Any, ...]
    on_gpu: tuple[Any, ...]


class Chunks:
    """Copies samples to the GPU in chunks, alternately to two buffers.

    Parameters
    ----------
    topology : Topology
        The network's topology; the numbers of inputs and outputs determine the widths of the buffers.

    Attributes
    ----------
    bytes_of_sample : int
        Number of bytes that x and y of a sample take.
    rows : int
        Number of samples that fit into a buffer; 0 before the first use.
    """

    def __init__(self, topology: Topology):
        self.widths, self.dtype = (topology.sizes[0], topology.sizes[-1]), topology.dtype
        self.bytes_of_sample = sum(self.widths) * self.dtype.itemsize
        self.loops = CudaLoops()
        self.rows, self.places, self.stream = 0, [], None

    def of(self, at_once: int, arrays: tuple, order: NDArray[np.integer] | None = None) -> Iterator[tuple[slice, Any, tuple]]:
        """Yields samples in GPU memory: all at once if their arrays are on the GPU already, otherwise chunk by chunk.

        The arrays of a chunk are valid until the next chunk is requested.

        Parameters
        ----------
        at_once : int
            Number of successive samples that must be in the same chunk, such as the batch size. The number of samples in each
            chunk, except the last, is a multiple of `at_once`.
        arrays : tuple
            The tuple (x,) or (x, y), which contains NumPy arrays or GPU arrays.
        order : (n,), optional
            The row indices of the samples to yield, in the order in which they are yielded. If `order` is None, all rows are
            yielded in the order of the arrays.

        Yields
        ------
        part : slice
            The range in `order` of the samples that are yielded.
        rows : (m,) or None
            The row indices of the yielded samples in the arrays of `there`. If `rows` is None, `there` contains exactly the
            yielded samples, in the order in which they are yielded.
        there : tuple
            The GPU arrays that contain the samples: either `arrays` itself, or the arrays of a buffer.

        Raises
        ------
        MemoryError
            The GPU has too little free memory for two buffers of `at_once` samples each.
        """
        n = arrays[0].shape[0] if order is None else order.size
        if not any(isinstance(array, np.ndarray) for array in arrays):
            yield slice(0, n), order, arrays
            return
        self._make_places(at_once)
        # This call takes the buffers out of the attributes, and puts the buffers back after it has yielded all chunks. During
        # this call, a second call (for example in a callback between two chunks of training) finds no buffers and creates new
        # ones.
        places, buffer_rows = self.places, self.rows
        self.places, self.rows = [], 0
        try:
            order = np.arange(n) if order is None else order
            step = buffer_rows // at_once * at_once
            parts = [slice(first, min(first + step, n)) for first in range(0, n, step)]
            yield from self._stream(order, parts, arrays, places)
        finally:
            self.places, self.rows = places, buffer_rows

    def _stream(self, order: NDArray[np.integer], parts: list[slice], arrays: tuple, places: list[Place]) -> Iterator[tuple]:
        """Yields the samples chunk by chunk, one chunk for each of `parts`, from the two buffers alternately.

        `Chunks.of` describes the yielded values.
        """
        # Python's garbage collector can delete GPU arrays in any thread, and the memory of a GPU array can be freed only by a
        # thread that uses a GPU. Therefore each new thread selects the caller's GPU.
        with ThreadPoolExecutor(get_num_threads(), initializer=select, initargs=(limits.present_gpu(),)) as threads:
            self._wait()  # the copies of an earlier call that was interrupted may still be running
            picking = self._pick(threads, order[parts[0]], arrays, places[0])
            for k in range(-1, len(parts)):
                self._wait()  # now chunk k is on the GPU, and the GPU has finished computing with chunk k - 1
                if k + 1 < len(parts):
                    for rows in picking:
                        rows.result()
                    self._copy(order[parts[k + 1]], arrays, places[(k + 1) % 2])
                if k + 2 < len(parts):
                    picking = self._pick(threads, order[parts[k + 2]], arrays, places[k % 2])
                if k >= 0:
                    yield parts[k], np.arange(parts[k].stop - parts[k].start), places[k % 2].on_gpu[: len(arrays)]

    def _wait(self) -> None:
        """Waits for the copies of chunks in the separate CUDA stream, and for the GPU's work in the default stream."""
        wait(self.stream)
        wait()

    def _make_places(self, at_once: int) -> None:
        """Creates two buffers for chunks, unless the existing buffers are large enough.

        A buffer has room for at least `at_once` samples. If enough memory is free, it has room for more samples, up to the
        largest size of a chunk.
        """
        if self.rows >= at_once:
            return
        self.rows, self.places = 0, []
        limits.ensure_free(2 * at_once * self.bytes_of_sample, at_once, "streaming batches of")
        rows = min(CHUNK_ROWS, int(min(CHUNK_BYTES, limits.free_bytes() / 4)) // self.bytes_of_sample)
        rows = max(at_once, rows)
        shapes = [(rows, width) for width in self.widths]
        self.stream = self.stream or limits.stream_beside()
        for _ in range(2):
            pinned, on_gpu = (
                tuple(empty(shape, self.dtype) for shape in shapes) for empty in (cuda.pinned_array, cuda.device_array)
            )
            self.places.append(Place(pinned, on_gpu))
        self.rows = rows

    def _pick(self, threads: ThreadPoolExecutor, order: np.ndarray, arrays: tuple, place: Place) -> list[Future]:
        """Starts threads that copy the rows `order` of the NumPy arrays to the pinned memory of a buffer.

        Returns one `Future` (of concurrent.futures) for each copy.
        """
        ends = np.linspace(0, order.size, get_num_threads() + 1).astype(int)
        return [
            # with mode="clip", NumPy writes to out directly; with mode="raise", NumPy would use a temporary array
            threads.submit(np.take, array, order[first:end], axis=0, out=pinned[first:end], mode="clip")
            for array, pinned in zip(arrays, place.pinned, strict=False)
            if isinstance(array, np.ndarray)
            for first, end in itertools.pairwise(ends)
        ]

    def _copy(self, order: np.ndarray, arrays: tuple, place: Place) -> None:
        """Starts copying a chunk to the GPU arrays of a buffer.

        Samples of NumPy arrays are already in pinned memory, to which `_pick` has copied them. For GPU arrays, a kernel gathers
        the samples.
        """
        for array, pinned, there in zip(arrays, *place, strict=False):
            if isinstance(array, np.ndarray):
                there[: order.size].copy_to_device(pinned[: order.size], stream=self.stream)
            else:
                with launching_on(self.stream):
                    self.loops.run(gather, array, cuda.to_device(order, stream=self.stream), there[: order.size])

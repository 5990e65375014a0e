"""All-or-nothing calls on the GPU: if a call fails, the network gets back the parameters from before the call.

CUDA may report an error long after the launch of the kernel that caused the error. After some errors, this process cannot use
the GPU any more, and cannot even read the GPU's memory. The host therefore keeps a copy of the parameters between calls.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbanet._cuda import wait
from numbanet.engines.cpu.threads import Lock
from numbanet.engines.cuda import limits
from numbanet.engines.cuda.limits import present_gpu
from numbanet.engines.epoch import Epoch
from numbanet.engines.interface import Totals

UNCHANGED = "The network has the parameters from before this call."


def guarded(engine_class: Callable[..., Any], *arguments: Any) -> "GuardedEngine":
    """Creates an engine and returns it, wrapped in a `GuardedEngine`, which restores the parameters if a call fails.

    The wrapped engine is `engine_class(*arguments)`.

    Raises
    ------
    MemoryError
        Too little GPU memory is free for the engine. The error message states how many bytes of GPU memory are free.
    RuntimeError
        The engine cannot be set up on the GPU for a reason other than too little memory. The error message quotes the driver's
        error.
    """
    try:
        engine = engine_class(*arguments)
    except Exception as error:  # the errors of the driver have no common base class in all CUDA targets of Numba
        kind = MemoryError if is_out_of_memory(error) else RuntimeError
        raise kind(f"cannot set up the network on the GPU: {explained(error)}") from error
    return GuardedEngine(engine)


def explained(error: Exception) -> str:
    """Returns the driver's message about an error, and the number of free bytes if the GPU's memory was too small."""
    return f"{error}; {limits.free_bytes():,} bytes of GPU memory are free" if is_out_of_memory(error) else str(error)


def is_out_of_memory(error: Exception) -> bool:
    """Returns True if `error` means that the driver could not allocate GPU memory.

    Only the message is checked, because the class of the error depends on the package that provides `numba.cuda`.
    """
    return "CUDA_ERROR_OUT_OF_MEMORY" in str(error)


class GuardedEngine:
    """Wraps a GPU engine: if a call fails, the network gets back the parameters from before the call.

    Calls from several threads are executed one after another, because they share arrays on the GPU. During training, other
    threads can call the engine whenever `train_epoch` yields between two batches.

    Parameters
    ----------
    engine : Engine
        The engine that computes on the GPU.

    Attributes
    ----------
    kept, kept_moments : ndarray, list of ndarray
        Copies, in host memory, of the parameters and of the update rule's moments. If a call fails, the GPU gets back these
        values. Each finished epoch renews the copies; `read` renews them only if `changed` is True. The copies are read-only,
        so that `read` and `read_moments` can return the copies themselves.
    changed : bool
        Whether the parameters on the GPU may differ from `kept`, because training is running or was interrupted.
    lost : str or None
        The reason why this process cannot use the GPU any more, or None if this process can use the GPU.
    """

    finds_not_finite = False

    def __init__(self, engine: Any):
        self.engine = engine
        self.gpu = present_gpu()
        self.kept, self.kept_moments = self._zeros(), []
        self.changed, self.lost = False, None
        self.lock = Lock()

    def read(self) -> NDArray[np.floating]:
        """Returns the parameters as a read-only array.

        If this process cannot use the GPU any more, the array is the last copy in host memory.
        """
        with self.lock.here:
            self._refresh()
            return self.kept

    def read_moments(self, count: int) -> list[NDArray[np.floating]]:
        """Returns the first `count` moments of the update rule (velocity, or Adam's m and v) as read-only arrays.

        If this process cannot use the GPU any more, the arrays are the last copies in host memory.
        """
        with self.lock.here:
            self._refresh()
            self._keep_moments(count)
            return self.kept_moments[:count]

    def write(self, parameters: NDArray[np.floating]) -> None:
        """Replaces the parameters on the GPU, and the copy of the parameters in host memory."""
        with self.lock.here:
            with self._guard():
                self.engine.write(parameters)
            self.kept, self.changed = _read_only(np.array(parameters, self.engine.topology.dtype)), False

    def write_moments(self, moments: list[NDArray[np.floating]]) -> None:
        """Replaces the first `len(moments)` moments of the update rule on the GPU, and their copies in host memory."""
        with self.lock.here:
            with self._guard():
                self.engine.write_moments(moments)
            self.kept_moments = [_read_only(np.array(moment, self.engine.topology.dtype)) for moment in moments]

    def upload(self, array: Any) -> Any:
        """Calls the wrapped engine's method `upload`, and restores the parameters if the call fails."""
        with self.lock.here, self._guard():
            return self.engine.upload(array)

    def predict(self, x: Any, out: Any = None, *, logits: bool = False) -> Any:
        """Calls the wrapped engine's method `predict`, and restores the parameters if the call fails."""
        with self.lock.here, self._guard():
            return self.engine.predict(x, out, logits=logits)

    def evaluate(self, x: Any, y: Any, weights: NDArray[np.floating] | None = None) -> Totals:
        """Calls the wrapped engine's method `evaluate`, and restores the parameters if the call fails."""
        with self.lock.here, self._guard():
            return self.engine.evaluate(x, y, weights)

    def loss_and_gradients(
        self, x: Any, y: Any, weights: NDArray[np.floating] | None = None
    ) -> tuple[float, NDArray[np.floating]]:
        """Calls the wrapped engine's method `loss_and_gradients`, and restores the parameters if the call fails."""
        with self.lock.here, self._guard():
            return self.engine.loss_and_gradients(x, y, weights)

    def trace(self, x: Any, y: Any) -> dict[str, list[NDArray[np.floating]]]:
        """Calls the wrapped engine's method `trace`, and restores the parameters if the call fails."""
        with self.lock.here, self._guard():
            return self.engine.trace(x, y)

    def train_epoch(self, x: Any, y: Any, epoch: Epoch) -> Iterator[Totals]:
        """Calls the wrapped engine's method `train_epoch`, and restores the parameters if training fails.

        After the epoch, the new parameters and moments are copied to the host.
        """
        with self._guard():
            with self.lock.here:
                if self.changed:
                    self._keep()
                self._keep_moments(epoch.rule.moments)
                self.changed = True
                before = self.kept, self.kept_moments
            try:
                yield from self._in_turn(self.engine.train_epoch(x, y, epoch))
            except Exception:
                self.kept, self.kept_moments = before
                if not epoch.share:
                    yield Totals(0, 0.0, 0)  # before the exception, the caller learns that all steps of the epoch are undone
                raise
            with self.lock.here:
                self._keep()

    def _in_turn(self, parts: Iterator[Totals]) -> Iterator[Totals]:
        """Yields each `Totals` that the generator `parts` yields, and holds the engine's lock while the generator computes."""
        while True:
            with self.lock.here:
                totals = next(parts, None)
                self.changed = True  # `read` may have set `changed` to False since the last yield
            if totals is None:
                return
            yield totals

    def _zeros(self) -> NDArray[np.floating]:
        return _read_only(np.zeros(self.engine.topology.parameter_count, self.engine.topology.dtype))

    def _keep_moments(self, count: int) -> None:
        """Extends `kept_moments`, the host's copies of the update rule's moments, with zeros to at least `count` arrays."""
        self.kept_moments += [self._zeros() for _ in range(count - len(self.kept_moments))]

    def _keep(self) -> None:
        """Copies the parameters and the moments from the GPU to the host, as `kept` and `kept_moments`."""
        self.kept = _read_only(self.engine.read())
        self.kept_moments = [_read_only(moment) for moment in self.engine.read_moments(len(self.kept_moments))]
        self.changed = False

    def _refresh(self) -> None:
        """Copies the parameters from the GPU to the host if they may have changed; issues a warning if the copy fails."""
        if self.changed and self.lost is None:
            try:
                with self._guard():
                    self._keep()
            except Exception as error:
                message = f"the last steps of the interrupted training are lost, because the GPU cannot be read: {error}"
                warnings.warn(message, RuntimeWarning, stacklevel=3)

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        """Restores the parameters if an Exception is raised in the with block.

        Ctrl-C does not restore the parameters, because KeyboardInterrupt is not a subclass of Exception: the parameters keep
        the changes that the finished training steps have made.
        """
        if self.lost is not None:
            raise RuntimeError(self.lost)
        if present_gpu() != self.gpu:
            raise RuntimeError(
                f"the network is on GPU {self.gpu}, but this thread uses GPU {present_gpu()}: "
                f"call the network from a thread that uses GPU {self.gpu}"
            )
        try:
            yield
        except Exception as error:
            with self.lock.here:
                self._restore(error)
            if is_out_of_memory(error):
                raise MemoryError(f"the call needs more GPU memory than is free: {explained(error)}. {UNCHANGED}") from error
            raise

    def _restore(self, error: Exception) -> None:
        """Writes the host's copies of the parameters and moments back to the GPU.

        If the parameters cannot be written, this process cannot use the GPU any more, and the method raises RuntimeError.
        """
        try:
            wait()
            self.engine.write(self.kept)
            self.engine.write_moments(self.kept_moments)
            wait()
        except Exception as again:
            self.lost = (
                f"the GPU failed, and this process cannot use it any more: {error}. The network has the parameters from before "
                "the failed call, and parameters(), save() and to('cpu') still work. To use the GPU again, start a new process"
            )
            raise RuntimeError(self.lost) from again
        self.changed = False
        error.add_note(UNCHANGED)


def _read_only(array: NDArray[np.floating]) -> NDArray[np.floating]:
    array.setflags(write=False)
    return array

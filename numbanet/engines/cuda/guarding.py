"""All-or-nothing calls on the GPU: after a failure the parameters from before the call are restored, if only on the host.

CUDA may report an error long after the kernel that caused it, and some errors leave the GPU unusable by this process, which
then cannot even read its memory. So the host keeps a copy of the parameters between any two calls.
"""

import contextlib
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbanet._cuda import cuda
from numbanet.engines.cuda.memory import present_gpu
from numbanet.engines.epoch import Epoch
from numbanet.engines.interface import Totals


def guarded(engine_class: Callable[..., Any], *arguments: Any) -> "GuardedEngine":
    """Returns an engine of that class, guarded.

    Raises
    ------
    RuntimeError
        The GPU cannot hold the network; the message has the driver's words.
    """
    try:
        engine = engine_class(*arguments)
    except Exception as error:  # the driver's errors have no common class in all targets
        raise RuntimeError(f"cannot set up the network on the GPU: {error}") from error
    return GuardedEngine(engine)


class GuardedEngine:
    """An engine on the GPU, each call of which does all or nothing.

    Parameters
    ----------
    engine : Engine
        The engine that computes.

    Attributes
    ----------
    kept, kept_moments : ndarray, list of ndarray
        The parameters and their moments after the last call that was not cut short. These arrays are read-only: `read` and
        `read_moments` return them as they are, so that a training that reads them once an epoch makes no second copy.
    changed : bool
        Whether the GPU may have other parameters, of a training that is under way or was interrupted.
    lost : str or None
        The reason why the GPU cannot be used any more.
    """

    def __init__(self, engine: Any):
        self.engine = engine
        self.gpu = present_gpu()
        self.kept, self.kept_moments = self._zeros(), []
        self.changed, self.lost = False, None

    def read(self) -> NDArray[np.floating]:
        """Returns the parameters, to be read only; those that are kept if the GPU is lost."""
        self._refresh()
        return self.kept

    def read_moments(self, count: int) -> list[NDArray[np.floating]]:
        """Returns the first `count` moments of the update rule, to be read only; those that are kept if the GPU is lost."""
        self._refresh()
        self._keep_moments(count)
        return self.kept_moments[:count]

    def write(self, parameters: NDArray[np.floating]) -> None:
        """Replaces the parameters."""
        with self._guard():
            self.engine.write(parameters)
        self.kept, self.changed = _read_only(np.array(parameters, self.engine.topology.dtype)), False

    def write_moments(self, moments: list[NDArray[np.floating]]) -> None:
        """Replaces the first moments of the update rule."""
        with self._guard():
            self.engine.write_moments(moments)
        self.kept_moments = [_read_only(np.array(moment, self.engine.topology.dtype)) for moment in moments]

    def upload(self, array: Any) -> Any:
        """Calls `upload` of the engine."""
        with self._guard():
            return self.engine.upload(array)

    def predict(self, x: Any, out: Any = None, *, logits: bool = False) -> Any:
        """Calls `predict` of the engine."""
        with self._guard():
            return self.engine.predict(x, out, logits=logits)

    def evaluate(self, x: Any, y: Any) -> Totals:
        """Calls `evaluate` of the engine."""
        with self._guard():
            return self.engine.evaluate(x, y)

    def loss_and_gradients(self, x: Any, y: Any) -> tuple[float, NDArray[np.floating]]:
        """Calls `loss_and_gradients` of the engine."""
        with self._guard():
            return self.engine.loss_and_gradients(x, y)

    def trace(self, x: Any, y: Any) -> dict[str, list[NDArray[np.floating]]]:
        """Calls `trace` of the engine."""
        with self._guard():
            return self.engine.trace(x, y)

    def train_epoch(self, x: Any, y: Any, epoch: Epoch) -> Iterator[Totals]:
        """Calls `train_epoch` of the engine; keeps what it leaves."""
        with self._guard():
            if self.changed:
                self._keep()
            self._keep_moments(epoch.rule.moments)
            self.changed = True
            before = self.kept, self.kept_moments
            try:
                for totals in self.engine.train_epoch(x, y, epoch):
                    self.changed = True  # even if the parameters have been read, and kept, since the last yield
                    yield totals
            except Exception:
                self.kept, self.kept_moments = before
                raise
            self._keep()

    def _zeros(self) -> NDArray[np.floating]:
        return _read_only(np.zeros(self.engine.topology.parameter_count, self.engine.topology.dtype))

    def _keep_moments(self, count: int) -> None:
        """Keeps at least `count` moments, which are 0 at first."""
        self.kept_moments += [self._zeros() for _ in range(count - len(self.kept_moments))]

    def _keep(self) -> None:
        """Keeps what the GPU has."""
        self.kept = _read_only(self.engine.read())
        self.kept_moments = [_read_only(moment) for moment in self.engine.read_moments(len(self.kept_moments))]
        self.changed = False

    def _refresh(self) -> None:
        """Keeps what the GPU has, if that may differ from what is kept and can be read."""
        if self.changed and self.lost is None:
            try:
                with self._guard():
                    self._keep()
            except Exception as error:
                message = f"the steps of the training that was interrupted are lost: {error}"
                warnings.warn(message, RuntimeWarning, stacklevel=3)

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        """Restores the parameters if an exception is raised. Ctrl-C is not an Exception: the steps done until then stay."""
        if self.lost is not None:
            raise RuntimeError(self.lost)
        if present_gpu() != self.gpu:
            raise RuntimeError(f"the network lies on GPU {self.gpu}, but this thread uses GPU {present_gpu()}")
        try:
            yield
        except Exception as error:
            self._restore(error)
            raise

    def _restore(self, error: Exception) -> None:
        """Writes what is kept to the GPU; if that fails, the GPU is lost."""
        try:
            cuda.synchronize()
            self.engine.write(self.kept)
            self.engine.write_moments(self.kept_moments)
            cuda.synchronize()
        except Exception as again:
            self.lost = (
                f"the GPU failed, and this process cannot use it any more: {error}. The network has the parameters from before "
                "that call: parameters(), save() and to('cpu') work; a new process can use the GPU"
            )
            raise RuntimeError(self.lost) from again
        self.changed = False
        error.add_note("The network has the parameters from before this call.")


def _read_only(array: NDArray[np.floating]) -> NDArray[np.floating]:
    array.setflags(write=False)
    return array

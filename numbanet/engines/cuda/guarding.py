"""What a failure on the GPU leaves: the parameters from before the call that failed, on the host at least.

An error of CUDA may come long after the kernel that made it, and some kinds leave a GPU that answers to nobody in this process
any more, not even to say what lies in its memory. So there is a copy of the parameters on the host between any two calls.
"""

import contextlib
import functools
import warnings
from collections.abc import Iterator

import numpy as np

from numbanet._cuda import cuda
from numbanet.engines.cuda.memory import present_gpu
from numbanet.engines.epoch import Epoch
from numbanet.engines.interface import Totals


class Guarded:
    """An engine on the GPU whose calls do all or nothing; a base in front of the engine's own class.

    Attributes
    ----------
    kept, kept_moments : ndarray, list of ndarray
        The parameters, and what they remember, after the last call that was not cut short.
    changed : bool
        Whether the GPU may have others, of a training that is under way or was interrupted.
    lost : str or None
        Why the GPU cannot be used any more.
    """

    def __init__(self, *arguments):
        try:
            super().__init__(*arguments)
        except Exception as error:  # the driver's errors have no common class in all targets
            raise RuntimeError(f"the GPU takes no network: {error}") from error
        self.gpu = present_gpu()
        self.kept, self.kept_moments = self._zeros(), []
        self.changed, self.lost = False, None

    def read(self) -> np.ndarray:
        """A copy of the parameters; of those kept, where the GPU is lost."""
        self._refresh()
        return self.kept.copy()

    def read_moments(self, count: int) -> list[np.ndarray]:
        """Copies of what the parameters remember; of what is kept, where the GPU is lost."""
        self._refresh()
        self._remember(count)
        return [moment.copy() for moment in self.kept_moments[:count]]

    def _refresh(self) -> None:
        """Keeps what the GPU has, if it is something else, and can be read."""
        if self.changed and self.lost is None:
            try:
                with self._guard():
                    self._keep()
            except Exception as error:
                message = f"the steps of the training that was interrupted are lost: {error}"
                warnings.warn(message, RuntimeWarning, stacklevel=3)

    def _remember(self, count: int) -> None:
        """Keeps at least so many numbers for each parameter, which begin at 0."""
        self.kept_moments += [self._zeros() for _ in range(count - len(self.kept_moments))]

    def _zeros(self) -> np.ndarray:
        return np.zeros(self.topology.parameter_count, self.topology.dtype)

    def write(self, parameters: np.ndarray) -> None:
        with self._guard():
            super().write(parameters)
        self.kept, self.changed = np.array(parameters, self.topology.dtype), False

    def write_moments(self, moments: list[np.ndarray]) -> None:
        with self._guard():
            super().write_moments(moments)
        self.kept_moments = [np.array(moment, self.topology.dtype) for moment in moments]

    def upload(self, array):
        with self._guard():
            return super().upload(array)

    def predict(self, *arguments):
        with self._guard():
            return super().predict(*arguments)

    def evaluate(self, *arguments) -> Totals:
        with self._guard():
            return super().evaluate(*arguments)

    def loss_and_gradients(self, *arguments) -> tuple[float, np.ndarray]:
        with self._guard():
            return super().loss_and_gradients(*arguments)

    def trace(self, *arguments) -> dict[str, list[np.ndarray]]:
        with self._guard():
            return super().trace(*arguments)

    def train_epoch(self, x, y, epoch: Epoch) -> Iterator[Totals]:
        with self._guard():
            if self.changed:
                self._keep()
            self._remember(epoch.rule.moments)
            self.changed = True
            yield from super().train_epoch(x, y, epoch)
            self._keep()

    def _keep(self) -> None:
        self.kept, self.kept_moments = super().read(), super().read_moments(len(self.kept_moments))
        self.changed = False

    @contextlib.contextmanager
    def _guard(self):
        """Undoes what a failure leaves half done. Ctrl-C is none: what is done then stays."""
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
        try:
            cuda.synchronize()
            super().write(self.kept)
            super().write_moments(self.kept_moments)
            cuda.synchronize()
        except Exception as again:
            self.lost = (
                f"the GPU failed, and this process cannot use it any more: {error}. The network has the parameters from before "
                "that call: parameters(), save() and to('cpu') work; a new process can use the GPU"
            )
            raise RuntimeError(self.lost) from again
        self.changed = False
        error.add_note("The network has the parameters from before this call.")


@functools.cache
def guarded(engine_class: type) -> type:
    """The class of such engines whose calls do all or nothing."""
    return type(f"Guarded{engine_class.__name__}", (Guarded, engine_class), {"__doc__": engine_class.__doc__})

"""Iterates over the batches that an iterable or a function yields, one epoch after the other."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from numbanet import checks
from numbanet.inputs import gpu


class Batches:
    """Yields the batches of a training run. Each call to the object returns an iterator over the next epoch's checked batches.

    Without steps_per_epoch, each epoch iterates over the source from its beginning. With steps_per_epoch, each epoch takes
    `steps_per_epoch` batches, and continues after the last batch of the previous epoch. When the source ends, iteration
    restarts at the beginning of the source, unless the source is an iterator.

    Parameters
    ----------
    source : iterable or callable
        An iterable of batches (x, y) or (x, y, sample_weight), or a function that returns an iterable of batches.
    epochs : int
        Number of epochs.
    check : callable
        The function check(x, y, sample_weight, place), which checks one batch and returns it. `sample_weight` may be None;
        `place` is the text " of batch N" for error messages. The batches of each epoch are counted from N = 1.
    steps_per_epoch : int, optional
        Number of batches in each epoch.

    Raises
    ------
    TypeError
        The source is a single array, so that y is missing; or it is a function that cannot be called without arguments.
    ValueError
        The source can be iterated over only once, but there are several epochs and no steps_per_epoch. The iterator over an
        epoch also raises ValueError if an item of the source is not a batch.
    """

    def __init__(self, source: Any, epochs: int, check: Callable[..., Any], steps_per_epoch: int | None = None):
        self.source, self.check, self.steps_per_epoch = source, check, steps_per_epoch
        self.items: Iterator[Any] | None = None
        self.errors = np.geterr()
        self.one_shot = False
        if callable(source):
            checks.takes("the function x", source)
            return
        try:
            self.one_shot = iter(source) is source
        except TypeError:
            self.one_shot = True
        if gpu.on_gpu(source) or hasattr(source, "__array__") or hasattr(source, "shape"):
            raise TypeError("y must contain real numbers, not None: pass x and y, or an x that yields batches (x, y)")
        if self.one_shot and epochs > 1 and (steps_per_epoch is None or not hasattr(source, "__next__")):
            raise ValueError(
                "x is an iterator that can be used only once, but there is more than one epoch: pass a list of batches, a "
                "function that returns a new iterator or, if the iterator does not end, steps_per_epoch"
            )

    def __call__(self) -> Iterator[Any]:
        for number, batch in enumerate(self._raw(self.steps_per_epoch), start=1):
            if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
                raise ValueError(f"batch {number} must be (x, y) or (x, y, sample_weight), not {type(batch).__name__}")
            yield self.check(*batch, *(None,) * (3 - len(batch)), f" of batch {number}")

    def skip(self, epochs: int) -> None:
        """Prepares to resume training after `epochs` epochs; with steps_per_epoch, skips the batches of these epochs.

        Without steps_per_epoch, no batch is skipped, because each epoch iterates over the source from its beginning. If the
        source is an iterator, no batch is skipped either: training resumes with the iterator's next batch.
        """
        if self.steps_per_epoch is not None and not self.one_shot:
            for _ in self._raw(epochs * self.steps_per_epoch):
                pass

    def _raw(self, count: int | None) -> Iterator[Any]:
        """Yields the next `count` items of the source or, if `count` is None, all items of a new iteration over the source."""
        anew = count is None or self.items is None
        self.items = self._started() if anew or self.items is None else self.items
        left = -1 if count is None else count
        while left:
            with np.errstate(**self.errors):
                item = next(self.items, _END)
            if item is not _END:
                left, anew = left - 1, False
                yield item
            elif count is None or self.one_shot or anew:
                return
            else:
                self.items, anew = self._started(), True

    def _started(self) -> Iterator[Any]:
        with np.errstate(**self.errors):
            items: Any = self.source() if callable(self.source) else self.source
            return iter(items)


_END = object()  # the value that `next` returns in place of an item when the iterator has ended

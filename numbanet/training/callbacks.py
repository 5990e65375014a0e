"""Callbacks: hooks called during training, which may stop it."""

from typing import Any


class Callback:
    """A base for objects whose hooks `Network.fit` calls; a subclass overrides the hooks it needs.

    Hooks have the names that Keras gives them.

    Attributes
    ----------
    network : Network
        The network under training; set before the first hook. Any hook may read and replace its parameters.
    stop_training : bool
        Set it to True to end the training after the current epoch.
    """

    network: Any = None
    stop_training: bool = False

    def on_train_begin(self, logs: dict[str, float]) -> None:
        """Runs before the first epoch. logs is empty."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, float]) -> None:
        """Runs before an epoch, counted from 1. logs holds "learning_rate"."""

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        """Runs several times within an epoch, after `batch` of its batches: the engine trains many batches in one call."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Runs after an epoch. logs holds its figures, and the history keeps the figures that a hook adds."""

    def on_train_end(self, logs: dict[str, float]) -> None:
        """Runs when training ends, even by Ctrl-C or an error, with the figures of the last epoch."""


HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))


def callbacks_of(callbacks: Any, network: Any) -> list[Any]:
    """Returns the callbacks as a list, each with `network` set and `stop_training` reset.

    Raises
    ------
    TypeError
        callbacks is not a callback or a list of callbacks, or an object has none of the hooks.
    """
    try:
        callbacks = [callbacks] if any(hasattr(callbacks, hook) for hook in HOOKS) else list(callbacks or ())
    except TypeError:
        raise TypeError(f"callbacks must be a callback or a list of callbacks, not {callbacks!r}") from None
    for callback in callbacks:
        if not any(hasattr(callback, hook) for hook in HOOKS):
            raise TypeError(f"{callback!r} is not a callback: it has none of the hooks {', '.join(HOOKS)}")
        callback.network, callback.stop_training = network, False
    return callbacks

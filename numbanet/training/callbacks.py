"""Callbacks: objects with hooks, methods that are called during training and may stop it."""

from typing import Any


class Callback:
    """Base class of callbacks: `Network.fit` calls the hooks, and a subclass overrides the hooks that it needs.

    The hooks have the same names as in Keras.

    Attributes
    ----------
    network : Network
        The network that is being trained; `fit` sets this attribute before it calls the first hook. Any hook may read and
        replace the network's parameters.
    stop_training : bool
        A hook sets this attribute to True to end the training after the current epoch.
    """

    network: Any = None
    stop_training: bool = False

    def on_train_begin(self, logs: dict[str, float]) -> None:
        """Runs before the first epoch, with empty logs."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, float]) -> None:
        """Runs before each epoch; epochs count from 1, and logs holds "learning_rate"."""

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        """Runs after the first `batch` batches of an epoch, but not after each batch: the engine trains many in one call."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Runs after each epoch; logs holds the epoch's loss and metrics, and the history keeps the values that a hook adds."""

    def on_train_end(self, logs: dict[str, float]) -> None:
        """Runs when training ends, even by Ctrl-C or an error; logs holds the loss and metrics of the last epoch."""


HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))


def callbacks_of(callbacks: Any, network: Any) -> list[Any]:
    """Returns the callbacks as a list, after setting `network` and resetting `stop_training` of each callback.

    Raises
    ------
    TypeError
        The argument is neither a callback nor a list of callbacks, or an object in the list has none of the hooks.
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

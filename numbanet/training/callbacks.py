"""What looks on while a network trains, and may end it."""


class Callback:
    """Called by `Network.fit`; a subclass overrides the hooks it wants. Hooks are named as Keras names them.

    Attributes
    ----------
    network : Network
        That is trained; set before the first hook. Its parameters may be read and replaced in any hook.
    stop_training : bool
        Set it to True, and the training ends after the epoch under way.
    """

    network = None
    stop_training = False

    def on_train_begin(self, logs: dict[str, float]) -> None:
        """Before the first epoch. logs is empty."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, float]) -> None:
        """Before an epoch, which counts from 1. logs holds "learning_rate"."""

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        """Now and then within an epoch, after so many batches of it: the engine trains many of them in one call."""

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """After an epoch, with its figures, which become the history's: what a hook adds to logs is kept there."""

    def on_train_end(self, logs: dict[str, float]) -> None:
        """After the last epoch, with its figures; also where Ctrl-C or an error ends the training."""


HOOKS = tuple(name for name in vars(Callback) if name.startswith("on_"))


def callbacks_of(callbacks, network) -> list:
    """The callbacks as a list, which have been told the network; each needs one hook at least."""
    callbacks = [callbacks] if any(hasattr(callbacks, hook) for hook in HOOKS) else list(callbacks or ())
    for callback in callbacks:
        if not any(hasattr(callback, hook) for hook in HOOKS):
            raise TypeError(f"a callback must have one of the hooks {', '.join(HOOKS)}, which {callback!r} has not")
        callback.network, callback.stop_training = network, False
    return callbacks

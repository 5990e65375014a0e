"""Callbacks: objects with hooks, methods that are called during training and may stop it."""

from typing import Any

import numpy as np

from numbanet import checks


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
        """Runs after each epoch; logs holds the epoch's loss and metrics, and the history keeps the numbers that a hook adds.

        A hook may add a figure in some epochs only: the history has nan for the others. A hook cannot replace the figures that
        `fit` measures.
        """

    def on_train_end(self, logs: dict[str, float]) -> None:
        """Runs when training ends, even by Ctrl-C or an error; logs holds the loss and metrics of the last epoch."""


# For each hook, the arguments that it is called with.
ARGUMENTS = {
    "on_train_begin": ("logs",),
    "on_epoch_begin": ("epoch", "logs"),
    "on_train_batch_end": ("batch", "logs"),
    "on_epoch_end": ("epoch", "logs"),
    "on_train_end": ("logs",),
}
HOOKS = tuple(ARGUMENTS)


def callbacks_of(callbacks: Any, network: Any) -> list[Any]:
    """Returns the callbacks as a list, after setting `network` and resetting `stop_training` of each callback.

    Raises
    ------
    TypeError
        The argument is neither a callback nor a list of callbacks, an object in the list has none of the hooks, or a hook
        cannot be called with its arguments.
    """
    try:
        callbacks = [callbacks] if any(hasattr(callbacks, hook) for hook in HOOKS) else list(callbacks or ())
    except TypeError:
        raise TypeError(f"callbacks must be a callback or a list of callbacks, not {checks.shown(callbacks)}") from None
    for callback in callbacks:
        if isinstance(callback, type):
            raise TypeError(f"callbacks contains the class {callback.__name__}: pass an object, such as {callback.__name__}()")
        if not any(hasattr(callback, hook) for hook in HOOKS):
            raise TypeError(f"{checks.shown(callback)} is not a callback: it has none of the hooks {', '.join(HOOKS)}")
        for hook, arguments in ARGUMENTS.items():
            if overrides(callback, hook):
                name, method = f"{hook} of the callback {type(callback).__name__}", getattr(callback, hook)
                if not callable(method):
                    raise TypeError(f"{name} must be a method, not {checks.shown(method)}")
                checks.takes(name, method, *arguments)
    for callback in callbacks:
        try:
            callback.network, callback.stop_training = network, False
        except AttributeError as error:
            raise TypeError(f"fit cannot set network and stop_training of {checks.shown(callback)}: {error}") from None
    return callbacks


def overrides(callback: Any, hook: str) -> bool:
    """Returns whether a callback has a hook of its own, other than the hook of `Callback`, which does nothing."""
    method = getattr(callback, hook, None)
    return method is not None and getattr(method, "__func__", method) is not getattr(Callback, hook)


def finish_epoch(callbacks: list[Any], epoch: int, logs: dict[str, Any]) -> set[str]:
    """Calls the hooks on_epoch_end, and leaves only numbers in logs; returns the names of figures that a hook tried to replace.

    The figures that logs has before the hooks are called keep their values. A callback whose attribute `converts_figures` is
    True may replace them.

    Raises
    ------
    TypeError
        A hook added something that is neither a real number nor None.
    """
    replaced: set[str] = set()
    own = logs | {"epoch": None}
    for callback in callbacks:
        if not overrides(callback, "on_epoch_end"):
            continue
        callback.on_epoch_end(epoch, logs)
        for name in list(logs):
            logs[name] = _number(callback, name, logs[name])
        if getattr(callback, "converts_figures", False):
            own |= {name: logs[name] for name in own.keys() & logs.keys()}
        replaced |= {name for name in own.keys() & logs.keys() if not _equal(logs[name], own[name])}
        logs.update(own)
        for name in [name for name, value in logs.items() if value is None]:
            del logs[name]
    return replaced


def _equal(one: float | None, other: float | None) -> bool:
    """Returns whether two figures are equal; nan equals nan."""
    return one == other or (one != one and other != other)


def _number(callback: Any, name: Any, value: Any) -> float | None:
    """Returns a figure that a callback added to the logs as a float, or None if it is None."""
    try:
        if isinstance(name, str) and not isinstance(value, str | bytes):
            value = value.item() if isinstance(value, np.ndarray | np.generic) and value.size == 1 else value
            return None if value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise TypeError(
        f"the callback {type(callback).__name__} set logs[{name!r}] to {checks.shown(value)}: names must be texts, and figures "
        "real numbers or None"
    )

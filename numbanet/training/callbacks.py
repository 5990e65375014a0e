"""Callbacks: objects with methods (hooks) that `Network.fit` calls during training, and that may stop training."""

from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from numbanet import checks


class Callback:
    """Base class of callbacks. A subclass overrides the methods (hooks) that `Network.fit` should call during training.

    The hooks have the same names as in Keras.

    Attributes
    ----------
    network : Network
        The network that is being trained; `fit` sets this attribute before it calls the first hook. Any hook may read and
        replace the network's parameters.
    stop_training : bool
        A hook sets this attribute to True to stop training after the current epoch.
    """

    network: Any = None
    stop_training: bool = False

    if not TYPE_CHECKING:  # a type checker would accept every attribute of a class with this method

        def __getattr__(self, name: str) -> NoReturn:
            hint = ": fit sets the attribute network, and stop_training is an attribute of the callback" * (name == "model")
            raise AttributeError(f"the callback {type(self).__name__} has no attribute {name!r}{hint}")

    def on_train_begin(self, logs: dict[str, float]) -> None:
        """Called before the first epoch, with an empty dict as `logs`."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, float]) -> None:
        """Called before each epoch. Epochs are counted from 1, and `logs` contains "learning_rate"."""

    def on_train_batch_end(self, batch: int, logs: dict[str, float]) -> None:
        """Called after `batch` batches of the epoch have been finished.

        If x is an array, `fit` does not call the hook after every batch, because the engine trains on many batches in one call.
        """

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Called after each epoch. `logs` contains the epoch's loss and metrics, and a hook may add further numbers to `logs`.

        The history contains the numbers that hooks add to `logs`. If a hook adds a number in some epochs only, the history
        contains nan for the epochs without this number. A hook cannot replace the loss and the metrics that `fit` measures.
        """

    def on_train_end(self, logs: dict[str, float]) -> None:
        """Called when training ends, even by Ctrl-C or an error. `logs` contains the loss and metrics of the last epoch."""


# For each hook, the names of the arguments with which `fit` calls the hook.
ARGUMENTS = {
    "on_train_begin": ("logs",),
    "on_epoch_begin": ("epoch", "logs"),
    "on_train_batch_end": ("batch", "logs"),
    "on_epoch_end": ("epoch", "logs"),
    "on_train_end": ("logs",),
}
HOOKS = tuple(ARGUMENTS)


def callbacks_of(callbacks: Any, network: Any) -> list[Any]:
    """Returns the argument `callbacks` of `Network.fit` as a list, after preparing each callback for a training.

    Sets the attribute `network` of each callback to the argument `network`, and the attribute `stop_training` to False.

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
            raise TypeError(
                f"fit cannot set the attributes network and stop_training of {checks.shown(callback)}: {error}"
            ) from None
    return callbacks


def overrides(callback: Any, hook: str) -> bool:
    """Returns whether a callback defines the hook itself; the hooks of the base class `Callback` do nothing."""
    method = getattr(callback, hook, None)
    return method is not None and getattr(method, "__func__", method) is not getattr(Callback, hook)


def finish_epoch(callbacks: list[Any], epoch: int, logs: dict[str, Any]) -> set[str]:
    """Calls the hook on_epoch_end of each callback, and returns the names of the measured metrics that a hook tried to replace.

    After the call, `logs` contains only numbers, because names with the value None are removed. Only a callback with the
    attribute `converts_metrics` = True can change the metrics that `logs` contained before the call.

    Raises
    ------
    TypeError
        A hook added a value that is neither a real number nor None.
    """
    replaced: set[str] = set()
    own = logs | {"epoch": None}
    for callback in callbacks:
        if not overrides(callback, "on_epoch_end"):
            continue
        callback.on_epoch_end(epoch, logs)
        for name in list(logs):
            logs[name] = _number(callback, name, logs[name])
        if getattr(callback, "converts_metrics", False):
            own |= {name: logs[name] for name in own.keys() & logs.keys()}
        replaced |= {name for name in own.keys() & logs.keys() if not _equal(logs[name], own[name])}
        logs.update(own)
        for name in [name for name, value in logs.items() if value is None]:
            del logs[name]
    return replaced


def _equal(one: float | None, other: float | None) -> bool:
    """Returns True if two values are equal, or if both are nan."""
    return one == other or (one != one and other != other)


def _number(callback: Any, name: Any, value: Any) -> float | None:
    """Returns, as a float, the `value` that a callback added to the logs; None stays None."""
    try:
        if isinstance(name, str) and not isinstance(value, str | bytes):
            value = value.item() if isinstance(value, np.ndarray | np.generic) and value.size == 1 else value
            return None if value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise TypeError(
        f"the callback {type(callback).__name__} set logs[{name!r}] to {checks.shown(value)}: names must be strings, and "
        "values must be real numbers or None"
    )

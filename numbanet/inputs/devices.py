"""The check of the argument device, and the choice that "auto" makes."""

import functools
import warnings
from typing import Any

from numbanet import _cuda, checks

DEVICES = ("cpu", "cuda", "auto")
MEANING = " (cuda: an NVIDIA GPU; auto: a GPU if there is one)"
KERNELS = ("fast", "reference")


def usable_device(device: Any) -> str:
    """Returns "cpu" or "cuda", the latter only if this process can use a GPU.

    Parameters
    ----------
    device : {"cpu", "cuda", "auto"}
        "auto" is "cuda" if a GPU can be used, else "cpu", with one warning per process.

    Raises
    ------
    ValueError, TypeError
        The device is unknown.
    RuntimeError
        device="cuda", but no GPU can be used; the message says what was found and what is missing.
    """
    device = checks.choice("device", device, DEVICES, MEANING)
    if device == "cpu":
        return "cpu"
    reason = _cuda.unusable_reason()
    if reason is None:
        return "cuda"
    if device == "cuda":
        raise RuntimeError(reason)
    warn_once(f"device='auto' takes the CPU. {reason}")
    return "cpu"


@functools.cache
def warn_once(message: str) -> None:
    """Warns once per process; the warning points at the line that called `Network`."""
    warnings.warn(message, RuntimeWarning, stacklevel=4)  # above this function, usable_device and Network.__init__

"""Checks a network's argument `device`; for "auto", chooses between CPU and GPU."""

import functools
from typing import Any

from numbanet import _cuda, checks

DEVICES = ("cpu", "cuda", "auto")
MEANING = " (cuda: an NVIDIA GPU; auto: a GPU if there is one)"
KERNELS = ("fast", "reference")


def usable_device(device: Any, kernels: str = "fast") -> str:
    """Returns the device to compute on, "cpu" or "cuda".

    Parameters
    ----------
    device : {"cpu", "cuda", "auto"}
        "auto" chooses "cuda" if a GPU can be used. If no GPU can be used, "auto" chooses "cpu", and the function warns once per
        process.
    kernels : {"fast", "reference"}
        The kernels with which the GPU computes.

    Raises
    ------
    ValueError, TypeError
        The device is not one of "cpu", "cuda" and "auto".
    RuntimeError
        `device` is "cuda", but no GPU can be used; the error message says what was found and what is missing.
    """
    device = checks.choice("device", device, DEVICES, MEANING)
    if device == "cpu":
        return "cpu"
    reason = _cuda.unusable_reason() or (_cuda.no_fast_kernels() if kernels == "fast" else None)
    if reason is None:
        return "cuda"
    if device == "cuda":
        raise RuntimeError(reason)
    warn_once(f"device='auto' chooses the CPU, because no GPU can be used. {reason}")
    return "cpu"


@functools.cache
def warn_once(message: str) -> None:
    """Issues a warning once per process and message. The warning points at the line that called numbanet."""
    checks.warn(message)

"""Checks of numbers, flags and names: each returns the value as a plain Python type, or raises an error that names it."""

import difflib
import math
import numbers
import operator

import numpy as np

DOUBLE = np.dtype(np.float64)


def choice(name: str, value, known) -> str:
    """The value, which has to be one of the known names."""
    known = tuple(known)
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {', '.join(known)}, not {value!r}")
    if value not in known:
        near = difflib.get_close_matches(value, known, 1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ValueError(f"unknown {name} {value!r}{hint}; known are {', '.join(known)}")
    return value


def integer(name: str, value, least: int = 1) -> int:
    """The value as an int, which has to be a whole number and at least `least`."""
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    try:
        value = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {value!r}") from None
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")
    return value


def flag(name: str, value) -> bool:
    """The value as a bool, which has to be one, or 0 or 1."""
    if not isinstance(value, bool | np.bool_ | int) or value not in (0, 1):
        raise ValueError(f"{name} must be True or False (1 or 0), not {value!r}")
    return bool(value)


def real(name: str, value) -> float:
    """The value as a float, which has to be a finite real number."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number, not {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, not {value!r}")
    return float(value)


def positive(name: str, value, dtype: np.dtype = DOUBLE) -> float:
    """The value as a float, which has to be positive and finite, in this dtype too."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number, not {value!r}")
    with np.errstate(over="ignore", under="ignore"):
        rounded = dtype.type(value)
    if not (math.isfinite(rounded) and rounded > 0):
        raise ValueError(f"{name} must be positive and finite in {dtype}, not {value!r}")
    return float(value)


def not_negative(name: str, value) -> float:
    """The value as a float, which has to be finite and at least 0."""
    if real(name, value) < 0:
        raise ValueError(f"{name} must be at least 0, not {value!r}")
    return float(value)


def share(name: str, value) -> float:
    """The value as a float, which has to lie in [0, 1)."""
    if not 0 <= real(name, value) < 1:
        raise ValueError(f"{name} must lie in [0, 1), not {value!r}")
    return float(value)

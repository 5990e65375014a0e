"""Functions that check an argument: each returns the value as a plain Python type, or raises an error that names it."""

import difflib
import math
import numbers
import operator
from collections.abc import Iterable
from typing import Any

import numpy as np

DOUBLE = np.dtype(np.float64)
# Smallest difflib ratio at which a known name is suggested. 'gpu' and 'cpu' have the ratio 0.67, names with two swapped letters
# 0.75.
SIMILAR = 0.7


def choice(name: str, value: Any, known: Iterable[str], meaning: str = "") -> str:
    """Returns the value, which must be one of the known names.

    Parameters
    ----------
    name : str
        The name of the checked argument, for the error message.
    value
        The value to check.
    known : iterable of str
        The allowed values.
    meaning : str
        A text that the error message contains after the known names.

    Raises
    ------
    TypeError
        The value is not a string.
    ValueError
        The value is not a known name; the message lists the known names and suggests the most similar one.
    """
    known = tuple(known)
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {', '.join(known)}, not {value!r}")
    if value not in known:
        near = difflib.get_close_matches(value, known, 1, SIMILAR)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        raise ValueError(f"unknown {name} {value!r}{hint}; known are {', '.join(known)}{meaning}")
    return value


def count(number: int, noun: str) -> str:
    """Returns the number with its noun, such as "1 input" or "2 inputs"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def integer(name: str, value: Any, least: int = 1) -> int:
    """Returns the value as an int; it must be an integer of at least `least`.

    Raises
    ------
    TypeError, ValueError
        The value is not an integer, or is less than `least`.
    """
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    try:
        value = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {value!r}") from None
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")
    return value


def flag(name: str, value: Any) -> bool:
    """Returns the value as a bool; it must be True, False, 1 or 0.

    Raises
    ------
    ValueError
        The value is neither True, False, 1 nor 0.
    """
    if not isinstance(value, bool | np.bool_ | int) or value not in (0, 1):
        raise ValueError(f"{name} must be True or False (1 or 0), not {value!r}")
    return bool(value)


def real(name: str, value: Any) -> float:
    """Returns the value as a float; it must be a finite real number.

    Raises
    ------
    TypeError, ValueError
        The value is not a real number, or is not finite.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number, not {value!r}")
    if not math.isfinite(value):
        raise ValueError(f"{name} must be finite, not {value!r}")
    return float(value)


def positive(name: str, value: Any, dtype: np.dtype = DOUBLE) -> float:
    """Returns the value as a float; it must be positive and finite, also after rounding to `dtype`.

    Raises
    ------
    TypeError, ValueError
        The value is not a real number, or is not both positive and finite.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number, not {value!r}")
    with np.errstate(over="ignore", under="ignore"):
        rounded = dtype.type(value)
    if not (math.isfinite(rounded) and rounded > 0):
        raise ValueError(f"{name} must be positive and finite in {dtype}, not {value!r}")
    return float(value)


def not_negative(name: str, value: Any) -> float:
    """Returns the value as a float; it must be finite and at least 0.

    Raises
    ------
    TypeError, ValueError
        The value is not a finite real number, or is negative.
    """
    if real(name, value) < 0:
        raise ValueError(f"{name} must be at least 0, not {value!r}")
    return float(value)


def fraction(name: str, value: Any) -> float:
    """Returns the value as a float; it must be at least 0 and less than 1.

    Raises
    ------
    TypeError, ValueError
        The value is not a real number, or lies outside [0, 1).
    """
    if not 0 <= real(name, value) < 1:
        raise ValueError(f"{name} must lie in [0, 1), not {value!r}")
    return float(value)

"""Converts arrays of Python objects to arrays of numbers. An error message names the first object that is not a number."""

import numbers
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np

from numbanet import checks

# The end of the error message about strings: advice on how to convert strings to numbers.
ENCODERS = "numbanet.tables.learn or pandas.get_dummies"
ENCODE = f"encode the strings as numbers first, for example with {ENCODERS}"
# The type names of None and of pandas' missing values NA and NaT.
ABSENT = {"NoneType", "NAType", "NaTType"}
COMPLETE = "fill in or remove missing values first"


def is_real(kind: type) -> bool:
    """Returns True if objects of this type are real numbers or booleans."""
    return issubclass(kind, numbers.Real | np.bool_ | Decimal)


def cell(name: str, index: Sequence[int], columns: Sequence[Any] = ()) -> str:
    """Returns the text that names one value of an array in an error message, such as "x[3, 1] (column 'age')".

    Parameters
    ----------
    name : str
        The array's name. The index is inserted after the first word of the name: "w of layer 2" becomes "w[3, 1] of layer 2".
    index : sequence of int
        The value's index in the array.
    columns : sequence, optional
        The column names, if the array was made from a DataFrame.
    """
    column = f" (column {columns[index[1]]!r})" if len(columns) else ""
    symbol, of, owner = name.partition(" of ")
    return f"{symbol}[{', '.join(map(str, index))}]{of}{owner}{column}"


def real_numbers(name: str, array: np.ndarray, remedy: str, place: Callable[[Sequence[int]], str]) -> np.ndarray:
    """Converts an array of Python objects to an array of numbers.

    The dtype is bool if all objects are booleans, int64 if all objects are integers that int64 can represent, else float64.

    Parameters
    ----------
    name : str
        The array's name in error messages.
    array : ndarray of object
    remedy : str
        The end of the error message about strings: advice on how to convert strings to numbers.
    place : callable
        Takes a value's index, and returns the text that names the value in error messages.

    Raises
    ------
    TypeError
        An object is a string, or is not a real number.
    ValueError
        An object stands for a missing value, or is a number beyond the range of float64.
    """
    kinds = set(map(type, array.flat))
    wrong = {kind for kind in kinds if not is_real(kind)}
    if wrong:
        index, value = next((index, value) for index, value in np.ndenumerate(array) if type(value) in wrong)
        raise _error(name, place(index), value, remedy)
    if kinds and kinds <= {bool, np.bool_}:
        return array.astype(bool)
    if all(issubclass(kind, numbers.Integral | np.bool_) for kind in kinds):
        try:
            return array.astype(np.int64)
        except OverflowError:
            pass
    try:
        return array.astype(np.float64)
    except OverflowError:
        index = next(index for index, value in np.ndenumerate(array) if _exceeds_floats(value))
        raise ValueError(f"{place(index)} is {checks.shown(array[index])}, which exceeds the range of floats") from None


def _exceeds_floats(value: Any) -> bool:
    try:
        float(value)
    except OverflowError:
        return True
    return False


def _error(name: str, place: str, value: Any, remedy: str) -> TypeError | ValueError:
    """Returns the exception to raise for an object that is not a real number."""
    kind = type(value).__name__
    if kind in ABSENT:
        return ValueError(f"{place} is missing ({value}): {name} must be finite; {COMPLETE}")
    if isinstance(value, str | bytes):
        return TypeError(f"{place} is the string {checks.shown(value)}, but {name} must contain real numbers: {remedy}")
    rows = "; if the rows are equally long, numpy.stack makes an array of them" if isinstance(value, list | np.ndarray) else ""
    return TypeError(f"{place} is an object of type {kind}, but {name} must contain real numbers{rows}")

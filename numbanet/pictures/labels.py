"""Converts the labels of samples, which may be strings, to class indices."""

from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from numbanet import checks, inputs


def are_texts(labels: ArrayLike) -> bool:
    """Returns True if the labels, an array (n,) or (n, 1), are strings."""
    values: Any = np.asarray(labels)
    column = values.ndim == 1 or values.shape[1:] == (1,)
    return column and values.size > 0 and all(isinstance(value, str) for value in values.reshape(-1).tolist())


def indices_of(name: str, labels: ArrayLike, names: Sequence[str]) -> NDArray[np.intp]:
    """Returns the index of each string in `names`; raises ValueError if a string is not in `names`."""
    index = {label: number for number, label in enumerate(names)}
    values: list[str] = np.asarray(labels).reshape(-1).tolist()
    for value in values:
        if value not in index:
            raise ValueError(f"{name} contains {value!r}, which is not a class{checks.suggestion(value, list(names))}")
    return np.array([index[value] for value in values], np.intp)


def class_names(names: Sequence[str]) -> list[str]:
    """Returns the names of the classes as a list of strings; raises TypeError for a string, a dict or a set."""
    if isinstance(names, str | Mapping | Set):
        raise TypeError(
            f"names must be a list with the name of each class, in the order of the classes, not {checks.shown(names)}"
        )
    return list(map(str, names))


def class_numbers(y: ArrayLike) -> NDArray[np.integer]:
    """Converts labels or rows of probabilities to class indices; in a single column, a number above 1/2 means class 1."""
    values = np.asarray(y)
    if values.ndim == 2 and values.shape[1] > 1:
        return values.argmax(axis=1)
    values = values.reshape(-1)
    return (values > 0.5).astype(int) if values.dtype.kind == "f" else values.astype(int)


def checked_numbers(name: str, value: ArrayLike) -> NDArray[np.integer]:
    """Converts labels or outputs to class indices; raises ValueError or TypeError if they are not valid classes."""
    y = inputs.real_array(name, value)
    if y.ndim not in (1, 2):
        raise ValueError(f"{name} must have shape (n,) or (n, classes), not {y.shape}")
    if y.ndim == 1 and y.dtype.kind == "f":
        raise TypeError(f"labels must be integers, but {name} contains {y.dtype}")
    if not np.isfinite(y).all():
        raise ValueError(f"{name} must be finite")
    if y.ndim == 2 and y.shape[1] > 1 and np.isin(y, (0, 1)).all() and (wrong := np.flatnonzero(y.sum(axis=1) != 1)).size:
        raise ValueError(
            f"row {wrong[0]} of {name} contains {y[wrong[0]].sum():g} classes, but each sample must have exactly one class; "
            "pictures.report draws the results of a network with several labels per sample"
        )
    labels = class_numbers(y)
    if labels.min() < 0:
        raise ValueError(f"{name} contains {labels.min()}: labels must be 0 or more")
    return labels


def refuse_empty(name: str, array: NDArray[Any], noun: str = "sample") -> None:
    """Raises ValueError if an array contains no value, so that there is nothing to draw."""
    if not array.size:
        raise ValueError(f"{name} is empty, with shape {array.shape}: pass at least one {noun}")


def classified(
    y: ArrayLike, y_hat: ArrayLike, names: Sequence[str] | None
) -> tuple[NDArray[np.integer], NDArray[np.integer], list[str] | None]:
    """Converts true and predicted labels to class indices, and returns them with the names of the classes.

    Without names, the classes of labels that are strings are in alphabetical order.

    Raises
    ------
    ValueError, TypeError
        y or y_hat does not contain valid classes; or only one of y and y_hat contains strings, and `names` is None.
    """
    given = {"y": y, "y_hat": y_hat}
    for name, value in given.items():
        refuse_empty(name, np.asarray(value))
    texts = {name: value for name, value in given.items() if are_texts(value)}
    classes = None if names is None else class_names(names)
    if texts and classes is None:
        if len(texts) == 1:
            (name,) = texts
            other = "y_hat" if name == "y" else "y"
            raise ValueError(f"{name} contains strings, but {other} does not: pass names, a list of all classes")
        classes = sorted({label for value in texts.values() for label in np.asarray(value).reshape(-1).tolist()})
    numbers = [
        indices_of(name, value, classes) if classes is not None and name in texts else checked_numbers(name, value)
        for name, value in given.items()
    ]
    return numbers[0], numbers[1], classes

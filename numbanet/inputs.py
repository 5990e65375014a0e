"""What comes in from outside: checked in full, and brought into the one form the engines take, before anything is computed.

Arrays leave here in C order, in the network's dtype and read-only: the compiled loops then have one type to expect, and
could not write to what belongs to the caller.
"""

import difflib
import math
import numbers
import operator

import numpy as np

from numbanet.engines.topology import ACTIVATIONS, LOSSES, Topology

NATURAL_OUTPUT = {"cce": "softmax", "bce": "sigmoid", "mse": "identity", "sse": "identity"}
ALLOWED_OUTPUTS = {"cce": ("softmax",), "bce": ("sigmoid", "softmax")}
DTYPES = ("float32", "float64")

_CHUNK_ROWS = 4096
_ROW_SUM_TOLERANCE = 1e-4


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


def positive(name: str, value, dtype: np.dtype) -> float:
    """The value as a float, which has to be positive and finite, in this dtype too."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number, not {value!r}")
    with np.errstate(over="ignore", under="ignore"):
        rounded = dtype.type(value)
    if not (math.isfinite(rounded) and rounded > 0):
        raise ValueError(f"{name} must be positive and finite in {dtype}, not {value!r}")
    return float(value)


def topology(sizes, activations, loss, dtype, epsilon) -> Topology:
    """A checked Topology from the arguments of Network."""
    loss = choice("loss", loss, LOSSES)
    dtype = _dtype(dtype)
    sizes = _sizes(sizes)
    activations = _activations(activations, len(sizes) - 1, loss)
    output = activations[-1]
    allowed = ALLOWED_OUTPUTS.get(loss, tuple(ACTIVATIONS))
    if output not in allowed:
        raise ValueError(f"loss {loss!r} needs a {' or '.join(allowed)} output, but layer {len(activations)} is {output!r}")
    if loss == "bce" and output == "softmax" and sizes[-1] == 1:
        raise ValueError("loss 'bce' needs at least 2 softmax outputs: a single one is always 1; take sigmoid")
    return Topology(sizes, activations, loss, dtype, positive("epsilon", epsilon, dtype))


def _dtype(dtype) -> np.dtype:
    try:
        found = np.dtype(dtype)
    except TypeError:
        found = None
    if found is None or dtype is None or found.name not in DTYPES or not found.isnative:
        raise ValueError(f"unknown dtype {dtype!r}; known are {', '.join(DTYPES)}")
    return found


def _sizes(sizes) -> tuple[int, ...]:
    try:
        sizes = list(sizes)
    except TypeError:
        raise TypeError(f"sizes must be a list of integers, input first, not {sizes!r}") from None
    if len(sizes) < 2:
        raise ValueError(f"sizes must name the inputs and at least one layer, such as [64, 32, 10], not {sizes!r}")
    return tuple(integer(f"sizes[{l}]", size) for l, size in enumerate(sizes))


def _activations(activations, layers: int, loss: str) -> tuple[str, ...]:
    if isinstance(activations, str):
        return (choice("activation", activations, ACTIVATIONS),) * (layers - 1) + (NATURAL_OUTPUT[loss],)
    try:
        activations = list(activations)
    except TypeError:
        raise TypeError(f"activations must be a name or a list of names, not {activations!r}") from None
    if len(activations) != layers:
        raise ValueError(f"{layers} layers need {layers} activations, not {len(activations)}: {activations!r}")
    return tuple(choice(f"activation of layer {l}", name, ACTIVATIONS) for l, name in enumerate(activations, start=1))


def real_array(name: str, value) -> np.ndarray:
    """The value as an array of real numbers of any dtype, not copied where it is one already."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array: fill in or leave out what is masked first")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is not a rectangular array of numbers: {error}") from None
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, not {array.dtype}")
    return array


def finite(name: str, array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The array in C order, in this dtype and read-only, all of whose numbers have to be finite in this dtype."""
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, dtype).view()
    array.flags.writeable = False
    for first in range(0, array.shape[0], _CHUNK_ROWS):
        part = array[first : first + _CHUNK_ROWS]
        with np.errstate(all="ignore"):
            if np.isfinite(part.sum()):  # then so are all its terms, and the sum is quicker than they are
                continue
        good = np.isfinite(part)
        if not good.all():
            place = np.argwhere(~good)[0]
            place[0] += first
            index = ", ".join(map(str, place))
            raise ValueError(f"{name}[{index}] is {array[tuple(place)]} in {dtype}: {name} must be finite")
    return array


def samples(x, topology: Topology, name: str = "x") -> np.ndarray:
    """x as the engines take it, (n, n_in)."""
    x = real_array(name, x)
    n_in = topology.sizes[0]
    if x.ndim != 2 or x.shape[1] != n_in:
        one = f"; a single sample is {name}.reshape(1, {n_in})" if x.shape == (n_in,) else ""
        raise ValueError(f"{name} must have shape (n, {n_in}), for the network has {n_in} inputs, not {x.shape}{one}")
    if x.shape[0] == 0:
        raise ValueError(f"{name} is empty: shape {x.shape}")
    return finite(name, x, topology.dtype)


def targets(y, n: int, topology: Topology, name: str = "y") -> np.ndarray:
    """y as the engines take it, (n, n_out): integer labels become one-hot rows."""
    y = real_array(name, y)
    n_out = topology.sizes[-1]
    labels = topology.loss == "cce" and y.ndim == 1
    if y.ndim == 1 and n_out == 1 and not labels:
        y = y.reshape(-1, 1)
    if not labels and (y.ndim != 2 or y.shape[1] != n_out):
        other = " or, as integer labels, (n,)" if topology.loss == "cce" else " or (n,)" if n_out == 1 else ""
        raise ValueError(f"{name} must have shape (n, {n_out}){other}, for the network has {n_out} outputs, not {y.shape}")
    if y.shape[0] != n:
        raise ValueError(f"x has {n} samples, but {name} has {y.shape[0]}")
    if labels:
        return _one_hot(name, y, topology)
    y = finite(name, y, topology.dtype)
    if topology.loss in ("bce", "cce"):
        _check_probabilities(name, y, topology.loss)
    return y


def _one_hot(name: str, labels: np.ndarray, topology: Topology) -> np.ndarray:
    classes = topology.sizes[-1]
    if labels.dtype.kind == "f":
        raise TypeError(f"labels must be integers, but {name} holds {labels.dtype}; convert it with {name}.astype(int)")
    outside = np.flatnonzero((labels < 0) | (labels >= classes))
    if outside.size:
        raise ValueError(f"{name}[{outside[0]}] is {labels[outside[0]]}: labels must lie in 0 to {classes - 1}")
    one_hot = np.zeros((labels.shape[0], classes), topology.dtype)
    one_hot[np.arange(labels.shape[0]), labels.astype(np.intp)] = 1
    one_hot.flags.writeable = False
    return one_hot


def _check_probabilities(name: str, y: np.ndarray, loss: str) -> None:
    outside = np.argwhere((y < 0) | (y > 1))
    if outside.size:
        s, j = outside[0]
        raise ValueError(f"{name}[{s}, {j}] is {y[s, j]}: targets of {loss} must lie in [0, 1]")
    if loss == "cce":
        off = np.flatnonzero(np.abs(y.sum(axis=1) - 1) > _ROW_SUM_TOLERANCE)
        if off.size:
            raise ValueError(f"{name}[{off[0]}] adds up to {y[off[0]].sum()}: the targets of a sample must add up to 1 for cce")


def parameters(pairs, topology: Topology) -> np.ndarray:
    """[(w, b), ...] as the flat vector, all shapes being those of the network."""
    try:
        pairs = [tuple(pair) for pair in pairs]
    except TypeError:
        raise TypeError("parameters must be a list of pairs (w, b), one per layer") from None
    if len(pairs) != len(topology.layers) or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"parameters must be {len(topology.layers)} pairs (w, b), one per layer")
    flat = np.empty(topology.parameter_count, topology.dtype)
    views = topology.views(flat)
    for l, (pair, view) in enumerate(zip(pairs, views, strict=True), start=1):
        for symbol, value, target in zip("wb", pair, view, strict=True):
            name = f"{symbol} of layer {l}"
            array = real_array(name, value)
            if array.shape != target.shape:
                raise ValueError(f"{name} must have shape {target.shape}, not {array.shape}")
            target[...] = finite(name, array, topology.dtype)
    return flat

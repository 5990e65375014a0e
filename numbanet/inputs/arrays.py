"""Checks arrays that users pass, and converts them for the engines, the classes that compute on the CPU or on a GPU.

The functions convert host arrays to read-only arrays in C order with the network's dtype. The compiled loops therefore see a
single array type, and cannot write to the caller's memory. GPU arrays stay on the GPU, and are not converted.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from numbanet import checks
from numbanet.checks import count
from numbanet.engines.interface import NotFiniteError
from numbanet.engines.topology import Topology
from numbanet.inputs import foreign, frames, objects
from numbanet.inputs import gpu as gpu_arrays
from numbanet.inputs import host as host_arrays
from numbanet.inputs.gpu import on_gpu

Result = TypeVar("Result")

_ROW_SUM_TOLERANCE = 1e-4
# The end of the error message about strings in the targets of a classification network: advice on how to convert them.
_NUMBER_LABELS = (
    "classes, y = numpy.unique(y, return_inverse=True) numbers the labels, and classes[net.predict(x).argmax(axis=1)] then "
    "gives the labels of predictions; numbanet.sklearn.MLPClassifier takes labels as they are"
)
# For each built-in loss that allows only some targets: the words for the allowed targets, and a function that recognises them.
_RANGES: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "poisson": ("at least 0", lambda y: y >= 0),
    "hinge": ("-1 or 1", lambda y: abs(y) == 1),
}


def real_array(name: str, value: Any, remedy: str = objects.ENCODE) -> np.ndarray:
    """Returns the value as an array of real numbers of any dtype. A NumPy array of real numbers is returned without a copy.

    Parameters
    ----------
    name : str
        The argument's name in error messages, here and in all other functions of the module.
    value : array_like, DataFrame, tensor or sparse matrix
        The numbers may be Python objects. A tensor is detached from its gradient, and a sparse matrix is converted to a dense
        array.
    remedy : str
        The end of the error message about strings: advice on how to convert strings to numbers.

    Raises
    ------
    TypeError
        The value is a masked array, or contains values that are not real numbers.
    ValueError
        The value is a nested list whose rows differ in length, or contains an object that stands for a missing value, such as
        None.
    """
    if type(value) is np.ndarray and value.dtype.kind in frames.NUMBERS:
        return value
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array, which is not supported: fill in or remove the masked entries first")
    if frames.is_frame(value):
        return frames.real_array(name, value, remedy)
    array = foreign.as_array(name, value)
    if array.ndim == 0 and array.dtype.kind in "OUST":
        given = checks.shown(value) if value is None or isinstance(value, str) else f"an object of type {type(value).__name__}"
        raise TypeError(f"{name} must contain real numbers, not {given}")
    if array.dtype.kind == "O":
        array = objects.real_numbers(name, array, remedy, lambda index: objects.cell(name, index))
    _check_real(name, array, remedy)
    return array


def _check_real(name: str, array: Any, remedy: str = objects.ENCODE) -> None:
    if array.dtype.kind in "UST":
        raise TypeError(f"{name} contains strings, but must contain real numbers: {remedy}")
    if array.dtype.kind not in frames.NUMBERS:
        raise TypeError(f"{name} must contain real numbers, but its dtype is {array.dtype}")


def _gpu_array(name: str, value: Any, device: str) -> Any:
    """Returns a GPU array, without a copy, as a Numba device array; checks that it contains real numbers in C order."""
    kind = str(getattr(value, "dtype", ""))
    if "bfloat16" in kind or "float8" in kind:
        raise TypeError(
            f"{name} is an array on the GPU with dtype {kind}: convert it to the dtype of the network first, by {name}.float() "
            "or .double() in PyTorch"
        )
    array = _view_on_gpu(name, value, device)
    _check_real(name, array)
    if not array.flags["C_CONTIGUOUS"]:
        raise ValueError(f"{name}, an array on the GPU, is not contiguous in C order: pass a contiguous copy")
    return array


def _view_on_gpu(name: str, value: Any, device: str) -> Any:
    if device == "cpu":
        raise ValueError(f"{name} is on the GPU, but the network is on the CPU: call net.to('cuda'), or pass a host array")
    return gpu_arrays.view(name, value)


def module_of(array: Any) -> Any:
    """Returns the module that checks this array: `numbanet.inputs.gpu` for a GPU array, else `numbanet.inputs.host`."""
    return gpu_arrays if on_gpu(array) else host_arrays


def finite(name: str, array: Any, dtype: np.dtype, given: Any = None) -> Any:
    """Converts the array to `dtype` and C order, checks that all its values are finite in `dtype`, and returns it.

    Parameters
    ----------
    name : str
    array : ndarray or GPU array
        A NumPy array is converted to `dtype`. A GPU array is not converted, and must have the dtype `dtype` already.
    dtype : numpy.dtype
    given : object, optional
        The user's argument from which `array` was made: samples, targets or sample weights. With `given`, the error message
        says what to do about missing values and, if `given` is a DataFrame, names the column of the invalid value.

    Returns
    -------
    ndarray or GPU array
        For a NumPy array, a read-only NumPy array; for a GPU array, the same array.

    Raises
    ------
    TypeError
        The array is on the GPU, and its dtype is not `dtype`.
    ValueError
        A value is not finite; the error message gives the first such value and its index.
    """
    array = _converted(name, array, dtype)
    if module_of(array).first_not_finite(array) is not None:
        raise not_finite(name, array, given)
    return array


def _converted(name: str, array: Any, dtype: np.dtype) -> Any:
    """Returns a NumPy array as a read-only array of `dtype` in C order; returns a GPU array of this dtype as it is."""
    if not on_gpu(array):
        return host_arrays.read_only(array, dtype)
    if array.dtype != dtype:
        raise TypeError(
            f"{name} is an array on the GPU with dtype {array.dtype}, but the network takes {dtype}: convert it first, by "
            f"{name}.astype('{dtype}') or, in PyTorch, {name}.to(torch.{dtype})"
        )
    return array


def not_finite(name: str, array: Any, given: Any = None) -> ValueError:
    """Returns the error for an array that contains inf or nan. `finite` describes the parameters."""
    place = module_of(array).first_not_finite(array)
    if place is None:
        return ValueError(f"{name} changed during the call: pass an array that no other thread changes")
    value = module_of(array).at(array, place)
    remedy = f"; {objects.COMPLETE}" if given is not None and np.isnan(value) else ""
    cell = objects.cell(name, place, frames.columns_of(given))
    return ValueError(f"{cell} is {value} in {array.dtype}: {name} must be finite{remedy}")


def samples(x: Any, topology: Topology, device: str, name: str = "x", search: bool = True) -> Any:
    """Returns the samples x (n, n_in): a GPU array as it is, else a read-only host array of the network's dtype in C order.

    If `search` is False, x is not searched for inf and nan, because the engine will search x (see `searched`).

    Raises
    ------
    ValueError, TypeError
        x is not an array of finite real numbers of shape (n, n_in) with n at least 1; or x is on a GPU, but the network does
        not use this GPU.
    """
    n_in = topology.sizes[0]
    if foreign.is_sparse(x):
        _check_width(name, x.shape, n_in)  # checked before the conversion, which could need much memory for a wrong shape
    array = _gpu_array(name, x, device) if on_gpu(x) else real_array(name, x)
    _check_width(name, array.shape, n_in)
    if array.shape[0] == 0:
        raise ValueError(f"{name} is empty, with shape {array.shape}: pass at least one sample")
    return finite(name, array, topology.dtype, x) if search else _converted(name, array, topology.dtype)


def searched(compute: Callable[[], Result], x: Any, given: Any) -> Result:
    """Returns the result of `compute`, which calls an engine that searches x for inf and nan.

    Parameters
    ----------
    compute : callable
    x : array (n, n_in)
        The samples, as `samples` returned them.
    given : object
        The user's argument that `samples` converted to x.

    Raises
    ------
    ValueError
        x contains inf or nan; the error message gives the first such value and its index.
    """
    try:
        return compute()
    except NotFiniteError:
        raise not_finite("x", x, given) from None


def _check_width(name: str, shape: tuple[int, ...], n_in: int) -> None:
    """Raises ValueError unless the shape is (n, n_in)."""
    if len(shape) != 2 or shape[1] != n_in:
        single = f"; a single sample is {name}.reshape(1, {n_in})" if shape == (n_in,) else ""
        raise ValueError(
            f"{name} has shape {shape}, but the network has {count(n_in, 'input')}: pass shape (n, {n_in}){single}"
        )


def targets(y: Any, n: int, topology: Topology, device: str, name: str = "y") -> Any:
    """Returns the targets of n samples as an array (n, n_out) of the network's dtype, on the GPU if y is on the GPU.

    Integer labels are converted to one-hot rows.

    Raises
    ------
    ValueError, TypeError
        y does not have the shape, dtype or range that the loss needs; or y is on a GPU, but the network does not use this
        GPU.
    """
    remedy = _NUMBER_LABELS if topology.loss in ("bce", "cce") else objects.ENCODE
    array = _gpu_array(name, y, device) if on_gpu(y) else real_array(name, y, remedy)
    n_out = topology.sizes[-1]
    if topology.loss == "cce" and array.ndim == 2 and array.shape[1] == 1:  # cce has at least 2 outputs: these are labels
        array = array.reshape(array.shape[0])
    labels = topology.loss == "cce" and array.ndim == 1
    if array.ndim == 1 and n_out == 1 and not labels:
        array = array.reshape(array.shape[0], 1)
    if not labels and (array.ndim != 2 or array.shape[1] != n_out):
        flat = " or, as integer labels, (n,) or (n, 1)" if topology.loss == "cce" else " or (n,)" if n_out == 1 else ""
        labels_need = "; for class labels, create the network with the loss cce" if array.shape == (n,) else ""
        raise ValueError(
            f"{name} has shape {array.shape}, but the network has {count(n_out, 'output')}: pass shape (n, {n_out}){flat}"
            f"{labels_need}"
        )
    if array.shape[0] != n:
        raise ValueError(f"x{name.removeprefix('y')} has {n} samples, but {name} has {array.shape[0]}")
    if labels:
        return _one_hot(name, array, topology)
    if topology.loss not in ("bce", "cce"):
        array = finite(name, array, topology.dtype, y)
        _check_range(name, array, topology)
        return array
    array = _converted(name, array, topology.dtype)
    _check_probabilities(name, array, topology.loss, y)
    return array


def _one_hot(name: str, labels: Any, topology: Topology) -> Any:
    module, classes = module_of(labels), topology.sizes[-1]
    if labels.dtype.kind == "f":
        finite(name, labels, labels.dtype, labels)  # pandas stores integers with missing values as floats with NaN
        values = on_host(labels)
        fractions = np.flatnonzero(values % 1)
        if fractions.size:
            wrong = f"{objects.cell(name, (int(fractions[0]),))} is {values[fractions[0]]}"
            remedy = f"pass labels from 0 to {classes - 1}, or probabilities of shape (n, {classes})"
        else:
            wrong, remedy = f"{name} has dtype {labels.dtype}", f"convert it with {name}.astype(int)"
        raise TypeError(f"labels must be integers, but {wrong}: {remedy}")
    s = module.first_unknown_label(labels, classes)
    if s is not None:
        raise ValueError(
            f"{objects.cell(name, (s,))} is {module.at(labels, s)}: labels must be from 0 to {classes - 1}, "
            f"because the network has {count(classes, 'output')}"
        )
    return module.one_hot(labels, classes, topology.dtype)


def _check_range(name: str, y: Any, topology: Topology) -> None:
    """Raises ValueError if a target is not in the range of the loss that `_RANGES` lists, such as -1 for the loss poisson."""
    loss = topology.own_loss
    if loss is None or not loss.is_built_in or loss.name not in _RANGES:
        return
    words, holds = _RANGES[loss.name]
    on_the_host = on_host(y)
    if not (valid := holds(on_the_host)).all():
        place = tuple(map(int, np.argwhere(~valid)[0]))
        raise ValueError(f"{objects.cell(name, place)} is {on_the_host[place]}: targets of {loss.name} must be {words}")


def _check_probabilities(name: str, y: Any, loss: str, given: Any) -> None:
    module = module_of(y)
    place = module.first_improbable(y)
    if place is not None:
        finite(name, y, y.dtype, given)
        raise ValueError(f"{objects.cell(name, place)} is {module.at(y, place)}: targets of {loss} must lie in [0, 1]")
    if loss == "cce":
        s = module.first_wrong_sum(y, _ROW_SUM_TOLERANCE)
        if s is not None:
            total = module.at(y, s).sum()
            raise ValueError(f"{objects.cell(name, (s,))} adds up to {total}: the targets of a sample must add up to 1 for cce")


def on_host(array: Any) -> np.ndarray:
    """Returns a NumPy array unchanged. Copies a GPU array to host memory."""
    return array.copy_to_host() if on_gpu(array) else array


def output(out: Any, n: int, topology: Topology, device: str) -> Any:
    """Returns the array (n, n_out) through which the engines write to the memory of `out`: a NumPy array, or a view on the GPU.

    Raises
    ------
    ValueError, TypeError
        `out` does not have the shape (n, n_out) or the network's dtype, is read-only, or is not contiguous in C order.
    """
    if getattr(out, "requires_grad", False):
        raise ValueError("out requires a gradient, which numbanet does not compute: pass out.detach()")
    if on_gpu(out):
        array = _view_on_gpu("out", out, device)
        ready = array.flags["C_CONTIGUOUS"] and not gpu_arrays.is_read_only("out", out)
    elif isinstance(out, np.ndarray):
        array = out.view(np.ndarray)
        ready = array.flags.carray
    else:
        raise TypeError(f"out must be a NumPy array or an array on the GPU, not {type(out).__name__}")
    shape = n, topology.sizes[-1]
    if array.shape != shape:
        raise ValueError(f"out must have shape {shape}, not {array.shape}")
    if array.dtype != topology.dtype:
        raise TypeError(f"out must have the network's dtype, {topology.dtype}, not {array.dtype}")
    if not ready:
        raise ValueError("out must be writable, aligned and contiguous in C order")
    return array


def first_wrong_parameter(flat: np.ndarray, topology: Topology) -> str | None:
    """Returns text such as "w[0, 3] of layer 1 is nan" about the first parameter that is inf or nan; None if all are finite."""
    if host_arrays.first_not_finite(flat) is None:
        return None
    for l, pair in enumerate(topology.views(flat), start=1):
        for symbol, array in zip("wb", pair, strict=True):
            if (place := host_arrays.first_not_finite(array)) is not None:
                return f"{objects.cell(f'{symbol} of layer {l}', place)} is {array[place]}"
    return None


def parameters(pairs: Any, topology: Topology) -> np.ndarray:
    """Returns the pairs [(w, b), ...] of all layers as one flat parameter vector.

    Raises
    ------
    ValueError, TypeError
        A layer's w or b does not have the shape that the network's sizes require, or a value is not a finite real number; the
        error message names the layer.
    """
    try:
        pairs = [tuple(pair) for pair in pairs]
    except TypeError:
        raise TypeError("parameters must be a list of pairs (w, b), one per layer") from None
    if len(pairs) != len(topology.layers) or any(len(pair) != 2 for pair in pairs):
        raise ValueError(f"parameters must be a list of {len(topology.layers)} pairs (w, b), one per layer")
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

"""Checks of arrays from outside, which become the one form that engines take, before anything is computed.

Host arrays leave here in C order, in the network's dtype and read-only: the compiled loops then see one array type, and
cannot write to memory that belongs to the caller. Arrays on the GPU stay there, unchanged.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from numbanet.checks import count
from numbanet.engines.topology import Topology
from numbanet.inputs import gpu as gpu_arrays
from numbanet.inputs import host as host_arrays
from numbanet.inputs.gpu import on_gpu

_ROW_SUM_TOLERANCE = 1e-4


def real_array(name: str, value: ArrayLike) -> np.ndarray:
    """Returns the value as an array of real numbers of any dtype; an array is not copied.

    Parameters
    ----------
    name : str
        The argument's name, for the error message; likewise in the other functions.
    value : array_like

    Raises
    ------
    TypeError
        It is a masked array, or its dtype is not real.
    ValueError
        It is not rectangular.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array: fill in or remove the masked entries first")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is not a rectangular array of numbers: {error}") from None
    _check_real(name, array)
    return array


def _check_real(name: str, array: Any) -> None:
    if array.dtype.kind in "US":
        raise TypeError(f"{name} holds texts: encode them as numbers")
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, not {array.dtype}")


def _gpu_array(name: str, value: Any, device: str) -> Any:
    """Returns an array on the GPU as a Numba device array of real numbers in C order, without a copy."""
    array = _view_on_gpu(name, value, device)
    _check_real(name, array)
    if not array.flags["C_CONTIGUOUS"]:
        raise ValueError(f"{name} is on the GPU and not contiguous in C order: copy it first")
    return array


def _view_on_gpu(name: str, value: Any, device: str) -> Any:
    if device == "cpu":
        raise ValueError(f"{name} is on the GPU, but the network is on the CPU: call net.to('cuda'), or pass a host array")
    return gpu_arrays.view(name, value)


def module_of(array: Any) -> Any:
    """Returns the module whose functions work where the array lies: `numbanet.inputs.gpu` or `numbanet.inputs.host`."""
    return gpu_arrays if on_gpu(array) else host_arrays


def finite(name: str, array: Any, dtype: np.dtype) -> Any:
    """Returns the array in C order and in this dtype, after checking that all its numbers are finite in it.

    Parameters
    ----------
    name : str
    array : ndarray or GPU array
        A NumPy array is converted. An array on the GPU is not, and must have this dtype.
    dtype : numpy.dtype

    Returns
    -------
    ndarray or GPU array
        A NumPy array is read-only.

    Raises
    ------
    TypeError
        The array lies on the GPU in another dtype.
    ValueError
        A number is not finite; the message gives the first one and its index.
    """
    if not on_gpu(array):
        with np.errstate(over="ignore"):
            array = np.ascontiguousarray(array, dtype).view()
        array.flags.writeable = False
    elif array.dtype != dtype:
        raise TypeError(
            f"{name} is on the GPU as {array.dtype}, but the network takes {dtype}: convert it first, by "
            f"{name}.astype('{dtype}') or, in PyTorch, {name}.to(torch.{dtype})"
        )
    place = module_of(array).first_not_finite(array)
    if place is not None:
        index = ", ".join(map(str, place))
        raise ValueError(f"{name}[{index}] is {module_of(array).at(array, place)} in {dtype}: {name} must be finite")
    return array


def samples(x: ArrayLike, topology: Topology, device: str, name: str = "x") -> Any:
    """Returns x, (n, n_in), in the form that the engines of this device take.

    Raises
    ------
    ValueError, TypeError
        x is not a finite real array (n, n_in) with n at least 1, or lies on a GPU that the network does not use.
    """
    array = _gpu_array(name, x, device) if on_gpu(x) else real_array(name, x)
    n_in = topology.sizes[0]
    if array.ndim != 2 or array.shape[1] != n_in:
        single = f"; a single sample is {name}.reshape(1, {n_in})" if array.shape == (n_in,) else ""
        raise ValueError(
            f"{name} has shape {array.shape}, but the network has {count(n_in, 'input')}: pass shape (n, {n_in}){single}"
        )
    if array.shape[0] == 0:
        raise ValueError(f"{name} is empty: shape {array.shape}")
    return finite(name, array, topology.dtype)


def targets(y: ArrayLike, n: int, topology: Topology, device: str, name: str = "y") -> Any:
    """Returns the targets of n samples, (n, n_out), in the form that the engines of this device take.

    Integer labels become one-hot rows.

    Raises
    ------
    ValueError, TypeError
        y does not have the shape, dtype or range that the loss needs, or lies on a GPU that the network does not use.
    """
    array = _gpu_array(name, y, device) if on_gpu(y) else real_array(name, y)
    n_out = topology.sizes[-1]
    labels = topology.loss == "cce" and array.ndim == 1
    if array.ndim == 1 and n_out == 1 and not labels:
        array = array.reshape(array.shape[0], 1)
    if not labels and (array.ndim != 2 or array.shape[1] != n_out):
        flat = " or, as integer labels, (n,)" if topology.loss == "cce" else " or (n,)" if n_out == 1 else ""
        raise ValueError(
            f"{name} has shape {array.shape}, but the network has {count(n_out, 'output')}: pass shape (n, {n_out}){flat}"
        )
    if array.shape[0] != n:
        raise ValueError(f"x has {n} samples, but {name} has {array.shape[0]}")
    if labels:
        return _one_hot(name, array, topology)
    array = finite(name, array, topology.dtype)
    if topology.loss in ("bce", "cce"):
        _check_probabilities(name, array, topology.loss)
    return array


def _one_hot(name: str, labels: Any, topology: Topology) -> Any:
    module, classes = module_of(labels), topology.sizes[-1]
    if labels.dtype.kind == "f":
        raise TypeError(f"labels must be integers, but {name} holds {labels.dtype}; convert it with {name}.astype(int)")
    s = module.first_unknown_label(labels, classes)
    if s is not None:
        raise ValueError(
            f"{name}[{s}] is {module.at(labels, s)}: labels must lie in 0 to {classes - 1}, "
            f"because the network has {count(classes, 'output')}"
        )
    return module.one_hot(labels, classes, topology.dtype)


def _check_probabilities(name: str, y: Any, loss: str) -> None:
    module = module_of(y)
    place = module.first_improbable(y)
    if place is not None:
        s, j = place
        raise ValueError(f"{name}[{s}, {j}] is {module.at(y, place)}: targets of {loss} must lie in [0, 1]")
    if loss == "cce":
        s = module.first_wrong_sum(y, _ROW_SUM_TOLERANCE)
        if s is not None:
            total = module.at(y, s).sum()
            raise ValueError(f"{name}[{s}] adds up to {total}: the targets of a sample must add up to 1 for cce")


def on_host(array: Any) -> np.ndarray:
    """Returns a NumPy array as it is, and a copy of an array on the GPU."""
    return array.copy_to_host() if on_gpu(array) else array


def batches(source: Any, epochs: int, check: Callable[..., Any]) -> Callable[[], Iterator[Any]]:
    """Returns a function that yields the batches of one epoch.

    Parameters
    ----------
    source : iterable or callable
        Yields, or returns an iterable of, (x, y) or (x, y, sample_weight).
    epochs : int
        Number of epochs for which the function will be called.
    check : callable
        Returns the checked batch for x, y and sample_weight (or None).

    Raises
    ------
    TypeError
        source is an array: y is missing.
    ValueError
        source can be iterated over only once, for several epochs. The function raises it for an item that is not a batch.
    """
    if not callable(source):
        try:
            one_shot = iter(source) is source
        except TypeError:
            one_shot = True
        if hasattr(source, "__array__") or hasattr(source, "__cuda_array_interface__"):
            raise TypeError("y must hold real numbers, not None: fit takes x and y, or an x that yields batches (x, y)")
        if one_shot and epochs > 1:
            raise ValueError(
                "x is a one-shot iterator: for more than one epoch, pass a function that returns a new iterator, or a list"
            )

    def epoch():
        items: Any = source() if callable(source) else source
        for number, batch in enumerate(items, start=1):
            if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
                raise ValueError(f"batch {number} must be (x, y) or (x, y, sample_weight), not {type(batch).__name__}")
            yield check(*batch, *(None,) * (3 - len(batch)))

    return epoch


def output(out: Any, n: int, topology: Topology, device: str) -> Any:
    """Returns out, (n, n_out), in the form that the engines of this device write to.

    Raises
    ------
    ValueError, TypeError
        out has another shape or dtype, is read-only, or is not contiguous in C order.
    """
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
        raise TypeError(f"out must hold {topology.dtype}, as the network does, not {array.dtype}")
    if not ready:
        raise ValueError("out must be writable, aligned and contiguous in C order")
    return array


def parameters(pairs: Any, topology: Topology) -> np.ndarray:
    """Returns [(w, b), ...] as the flat parameter vector.

    Raises
    ------
    ValueError, TypeError
        The pairs do not have the network's shapes, or a number is not real and finite; the message names the layer.
    """
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

"""What comes in from outside: checked in full, and brought into the one form the engines take, before anything is computed.

Arrays leave here in C order, in the network's dtype and, on the host, read-only: the compiled loops then have one type to
expect, and could not write to what belongs to the caller. Arrays on the GPU stay there, and as they are.
"""

from collections.abc import Callable

import numpy as np

from numbanet.engines.topology import Topology
from numbanet.inputs import gpu as gpu_arrays
from numbanet.inputs import host as host_arrays
from numbanet.inputs.gpu import on_gpu

_ROW_SUM_TOLERANCE = 1e-4


def real_array(name: str, value) -> np.ndarray:
    """The value as an array of real numbers of any dtype, not copied where it is one already."""
    if isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} is a masked array: fill in or leave out what is masked first")
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is not a rectangular array of numbers: {error}") from None
    return _of_real_numbers(name, array)


def _of_real_numbers(name: str, array):
    if array.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, not {array.dtype}")
    return array


def _array(name: str, value, device: str):
    """The value as an array of real numbers, where it lies: one of NumPy's, or a device array of Numba's."""
    if not on_gpu(value):
        return real_array(name, value)
    array = _of_real_numbers(name, _view_on_gpu(name, value, device))
    if not array.flags["C_CONTIGUOUS"]:
        raise ValueError(f"{name} lies on the GPU, where nothing is rearranged: it must be contiguous in C order")
    return array


def _view_on_gpu(name: str, value, device: str):
    if device == "cpu":
        raise ValueError(f"{name} lies on the GPU, the network on the CPU: net.to('cuda'), or pass a host array")
    return gpu_arrays.view(name, value)


def _look(array):
    """What looks through an array where it lies."""
    return gpu_arrays if on_gpu(array) else host_arrays


def finite(name: str, array, dtype: np.dtype):
    """The array in C order and in this dtype, all of whose numbers have to be finite in it.

    One of NumPy's becomes read-only; one on the GPU is not converted, and has to be of this dtype.
    """
    if not on_gpu(array):
        with np.errstate(over="ignore"):
            array = np.ascontiguousarray(array, dtype).view()
        array.flags.writeable = False
    elif array.dtype != dtype:
        raise TypeError(
            f"{name} lies on the GPU as {array.dtype}, where nothing is converted: the network takes {dtype}, "
            f"{name}.astype('{dtype}') or, of PyTorch, {name}.to(torch.{dtype})"
        )
    place = _look(array).first_not_finite(array)
    if place is not None:
        index = ", ".join(map(str, place))
        raise ValueError(f"{name}[{index}] is {_look(array).at(array, place)} in {dtype}: {name} must be finite")
    return array


def samples(x, topology: Topology, device: str, name: str = "x"):
    """x as the engines of this device take it, (n, n_in)."""
    x = _array(name, x, device)
    n_in = topology.sizes[0]
    if x.ndim != 2 or x.shape[1] != n_in:
        one = f"; a single sample is {name}.reshape(1, {n_in})" if x.shape == (n_in,) else ""
        raise ValueError(f"{name} must have shape (n, {n_in}), for the network has {n_in} inputs, not {x.shape}{one}")
    if x.shape[0] == 0:
        raise ValueError(f"{name} is empty: shape {x.shape}")
    return finite(name, x, topology.dtype)


def targets(y, n: int, topology: Topology, device: str, name: str = "y"):
    """y as the engines of this device take it, (n, n_out): integer labels become one-hot rows."""
    y = _array(name, y, device)
    n_out = topology.sizes[-1]
    labels = topology.loss == "cce" and y.ndim == 1
    if y.ndim == 1 and n_out == 1 and not labels:
        y = y.reshape(y.shape[0], 1)
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


def _one_hot(name: str, labels, topology: Topology):
    look, classes = _look(labels), topology.sizes[-1]
    if labels.dtype.kind == "f":
        raise TypeError(f"labels must be integers, but {name} holds {labels.dtype}; convert it with {name}.astype(int)")
    s = look.first_unknown_label(labels, classes)
    if s is not None:
        raise ValueError(f"{name}[{s}] is {look.at(labels, s)}: labels must lie in 0 to {classes - 1}")
    return look.one_hot(labels, classes, topology.dtype)


def _check_probabilities(name: str, y, loss: str) -> None:
    look = _look(y)
    place = look.first_improbable(y)
    if place is not None:
        s, j = place
        raise ValueError(f"{name}[{s}, {j}] is {look.at(y, place)}: targets of {loss} must lie in [0, 1]")
    if loss == "cce":
        s = look.first_wrong_sum(y, _ROW_SUM_TOLERANCE)
        if s is not None:
            total = look.at(y, s).sum()
            raise ValueError(f"{name}[{s}] adds up to {total}: the targets of a sample must add up to 1 for cce")


def on_host(array) -> np.ndarray:
    """The array, or a copy of one that lies on the GPU."""
    return array.copy_to_host() if on_gpu(array) else array


def batches(source, epochs: int, check: Callable) -> Callable:
    """What gives, once for each epoch, the batches of a source, each as `check` makes it of (x, y, sample_weight)."""
    if not callable(source):
        try:
            once = iter(source) is source
        except TypeError:
            once = True
        if hasattr(source, "__array__") or hasattr(source, "__cuda_array_interface__"):
            raise TypeError("y must hold real numbers, not None: fit takes x and y, or something that gives batches (x, y)")
        if once and epochs > 1:
            raise ValueError("x gives its batches only once: for several epochs give a function that returns a new iterator")

    def of_epoch():
        for number, batch in enumerate(source() if callable(source) else source, start=1):
            if not isinstance(batch, tuple | list) or len(batch) not in (2, 3):
                raise ValueError(f"batch {number} must be (x, y) or (x, y, sample_weight), not {type(batch).__name__}")
            yield check(*batch, *(None,) * (3 - len(batch)))

    return of_epoch


def output(out, n: int, topology: Topology, device: str):
    """out as the engines of this device write to it, (n, n_out)."""
    if on_gpu(out):
        array = _view_on_gpu("out", out, device)
        ready = array.flags["C_CONTIGUOUS"] and not gpu_arrays.is_read_only("out", out)
    elif isinstance(out, np.ndarray):
        array = out.view(np.ndarray)
        ready = array.flags.carray
    else:
        raise TypeError(f"out must be an array of NumPy's or one on the GPU, not {type(out).__name__}")
    shape = n, topology.sizes[-1]
    if array.shape != shape:
        raise ValueError(f"out must have shape {shape}, not {array.shape}")
    if array.dtype != topology.dtype:
        raise TypeError(f"out must hold {topology.dtype}, as the network does, not {array.dtype}")
    if not ready:
        raise ValueError("out must be writable, aligned and contiguous in C order")
    return array


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

"""Recognises GPU arrays of CuPy, PyTorch, Numba and other libraries, views them without a copy, and checks them on the GPU.

Only the index of the first invalid value (8 bytes) is copied to the host, never the array itself.
"""

import math
from typing import Any

import numpy as np

from numbanet._cuda import NUMBA_CUDA, SIMULATED, configured, cuda
from numbanet.engines.cuda.limits import ensure_free, present_gpu

# The number of threads per block. In Numba's CUDA simulator, blocks have few threads, because each CUDA thread is a slow Python
# thread.
THREADS = 4 if SIMULATED else 256
# DLPack's codes for the memory of an NVIDIA GPU and for CUDA's default stream, on which all kernels of this module run.
DLPACK_CUDA, DEFAULT_STREAM = 2, 1


def on_gpu(value: Any) -> bool:
    """Returns True for a Numba device array, and for a GPU array with `__cuda_array_interface__` or `__dlpack_device__`."""
    if isinstance(value, np.ndarray):
        return False
    if getattr(value, "__cuda_ndarray__", False):
        return True
    try:
        if hasattr(value, "__cuda_array_interface__"):
            return True
    except RuntimeError:  # raised by a PyTorch tensor that is on the GPU and requires a gradient
        return True
    dlpack_device = getattr(value, "__dlpack_device__", None)
    return dlpack_device is not None and dlpack_device()[0] == DLPACK_CUDA


def view(name: str, value: Any) -> Any:
    """Waits for all work on a GPU array's CUDA stream; returns the array, without a copy, as a Numba device array."""
    if SIMULATED:
        if not getattr(value, "__cuda_ndarray__", False):
            raise TypeError(f"{name} is on a GPU, where Numba's simulator cannot read it: pass an array in host memory")
        return value
    interface, owner = _interface(name, value)
    _check_place(name, interface)
    if interface["version"] < 3:  # the interface names no stream, and any stream may be writing to the array
        cuda.synchronize()
    return cuda.from_cuda_array_interface(interface, owner=owner).bind()


def is_read_only(name: str, value: Any) -> bool:
    """Returns True if the library that owns the GPU array marks it as read-only."""
    return not SIMULATED and _interface(name, value)[0]["data"][1]


def _interface(name: str, value: Any) -> tuple[dict, object]:
    """Returns the array's `__cuda_array_interface__`, and the object that owns its memory."""
    if getattr(value, "requires_grad", False):
        value = value.detach()  # the detached tensor shares its memory with the original tensor
    interface = getattr(value, "__cuda_array_interface__", None)
    # Before version 3, such as in PyTorch, the interface does not name a stream. DLPack waits for the right stream.
    if interface is not None and (interface["version"] >= 3 or not (NUMBA_CUDA and hasattr(value, "__dlpack__"))):
        return interface, value
    if not NUMBA_CUDA:
        raise TypeError(
            f"{name} supports only DLPack, which requires the package numba-cuda: pass an array with __cuda_array_interface__"
        )
    from cuda.core.utils import StridedMemoryView

    return dlpack_interface(StridedMemoryView.from_dlpack(value, DEFAULT_STREAM))


def _check_place(name: str, interface: dict) -> None:
    """Raises ValueError if the current GPU cannot access the array; a failed access would make the GPU unusable."""
    (address, _), itemsize = interface["data"], np.dtype(interface["typestr"]).itemsize
    if address % itemsize:
        raise ValueError(
            f"{name} is not aligned: its address on the GPU, {address:#x}, is not a multiple of its item size, {itemsize} bytes"
        )
    if address and NUMBA_CUDA and gpu_of(address) != present_gpu():
        raise ValueError(
            f"{name} is on GPU {gpu_of(address)}, but this thread uses GPU {present_gpu()}: copy the array to "
            f"GPU {present_gpu()}"
        )


def gpu_of(address: int) -> int:
    """Returns the index of the GPU whose memory contains the address."""
    driver = cuda.cudadrv.driver
    attribute = driver.binding.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
    return int(driver.driver.cuPointerGetAttribute(attribute, driver.binding.CUdeviceptr(address)))


def dlpack_interface(memory: Any) -> tuple[dict, object]:
    """Returns a `__cuda_array_interface__` dict for `memory`, a StridedMemoryView of cuda.core, and `memory` itself.

    The strides of `memory` count array elements, but the strides in the dict count bytes.
    """
    strides = memory.strides and tuple(stride * memory.dtype.itemsize for stride in memory.strides)
    data = memory.ptr, memory.readonly
    interface = {"shape": tuple(memory.shape), "strides": strides, "typestr": memory.dtype.str, "data": data, "version": 3}
    return interface, memory


# Each of the following functions does for GPU arrays what the function of the same name in `numbanet.inputs.host` does for
# NumPy arrays.


def first_not_finite(array: Any) -> tuple[int, ...] | None:
    """Returns the index of the first value that is inf or nan, or None if all values are finite."""
    return _index(array, _first(find_not_finite, array.size, array.reshape(array.size)))


def first_improbable(y: Any) -> tuple[int, ...] | None:
    """Returns the index of the first value of y (n, n_out) that is nan or outside [0, 1], or None if there is no such value."""
    return _index(y, _first(find_improbable, y.size, y.reshape(y.size)))


def first_wrong_sum(y: Any, tolerance: float) -> int | None:
    """Returns the index of the first row of y (n, n_out) whose sum differs from 1 by more than `tolerance`, or None."""
    return _first(find_wrong_sum, y.shape[0], y, y.dtype.type(tolerance))


def first_unknown_label(labels: Any, classes: int) -> int | None:
    """Returns the index of the first sample whose label is outside 0 to classes - 1, or None if there is no such sample."""
    return _first(find_unknown_label, labels.shape[0], labels, classes)


def one_hot(labels: Any, classes: int, dtype: np.dtype) -> Any:
    """Returns the labels as one-hot rows, a GPU array of shape (n, classes)."""
    n = labels.shape[0]
    ensure_free(n * classes * dtype.itemsize, n, "holding the targets of")
    y = cuda.device_array((n, classes), dtype)
    configured(write_one_hot, _blocks(y.size), THREADS)(labels, y)
    return y


def classes(y: Any, binary: bool) -> np.ndarray:
    """Returns the class of each row of y (n, n_out), found by `find_classes`, as a host array of shape (n,)."""
    n = y.shape[0]
    ensure_free(n * np.dtype(np.int32).itemsize, n, "finding the classes of")
    found = cuda.device_array(n, np.int32)
    configured(find_classes, _blocks(n), THREADS)(y, binary, found)
    return found.copy_to_host()


def smoothed(y: Any, amount: float, indifferent: float) -> Any:
    """Returns y + amount * (indifferent - y) as a GPU array, bitwise equal to the result of `numbanet.inputs.host.smoothed`.

    Label smoothing moves every target towards the number `indifferent`: 1 / n_out for cce, 1/2 for bce. One kernel writes the
    rounded products amount * (indifferent - y) to memory, and a second kernel adds y. In a single kernel, the compiler would
    fuse the product and the sum into one multiply-add instruction. A multiply-add rounds only once, and would therefore give
    other bits than NumPy, which rounds twice.
    """
    number = y.dtype.type
    ensure_free(y.size * y.dtype.itemsize, y.shape[0], "smoothing the targets of")
    moved = cuda.device_array(y.shape, y.dtype)
    configured(write_moves, _blocks(y.size), THREADS)(y, number(amount), number(indifferent), moved)
    configured(add_targets, _blocks(y.size), THREADS)(y, moved)
    return moved


def at(array: Any, index: Any) -> Any:
    """Returns array[index], which is a single value or a row, in host memory."""
    part = array[index]
    return part.copy_to_host() if on_gpu(part) else part


def _blocks(count: int) -> int:
    return -(-count // THREADS)


def _first(kernel: Any, count: int, *arguments: Any) -> int | None:
    """Runs a kernel that searches an array of `count` elements; returns the index that it finds, or None.

    The kernel's last argument is an array of shape (1,), to which the kernel writes the index it finds.
    """
    first = cuda.to_device(np.full(1, count, np.int64))
    configured(kernel, _blocks(count), THREADS)(*arguments, first)
    k = int(first.copy_to_host()[0])
    return None if k == count else k


def _index(array: Any, k: int | None) -> tuple[int, ...] | None:
    """Converts the index k of a flattened array to a tuple that indexes the array. Returns None if k is None."""
    return None if k is None else tuple(int(i) for i in np.unravel_index(k, array.shape))


@cuda.jit
def find_not_finite(numbers, first):
    """Lowers first[0] to the index of the first value that is inf or nan, with one thread per value.

    Reads `numbers` of shape (n,).
    """
    k = cuda.grid(1)
    if k < numbers.shape[0] and not math.isfinite(numbers[k]):
        cuda.atomic.min(first, 0, k)


@cuda.jit
def find_improbable(numbers, first):
    """Lowers first[0] to the index of the first value that is nan or outside [0, 1], with one thread per value.

    Reads `numbers` of shape (n,).
    """
    k = cuda.grid(1)
    if k < numbers.shape[0]:
        p = numbers[k]
        if not (p >= type(p)(0) and p <= type(p)(1)):
            cuda.atomic.min(first, 0, k)


@cuda.jit
def find_wrong_sum(y, tolerance, first):
    """Lowers first[0] to the index of the first sample s with |sum_j y_sj - 1| > tolerance, with one thread per sample.

    Reads y of shape (n, n_out). Kahan's summation (1965, doi:10.1145/363707.363723) keeps rounding errors from adding up over
    thousands of classes.
    """
    s = cuda.grid(1)
    if s < y.shape[0]:
        total = type(tolerance)(0)
        excess = type(tolerance)(0)
        for j in range(y.shape[1]):
            term = y[s, j] - excess
            sum_ = total + term
            excess = (sum_ - total) - term
            total = sum_
        if abs(total - type(tolerance)(1)) > tolerance:
            cuda.atomic.min(first, 0, s)


@cuda.jit
def find_unknown_label(labels, classes, first):
    """Lowers first[0] to the index of the first sample whose label is outside 0 to classes - 1, with one thread per sample.

    Reads `labels` of shape (n,).
    """
    s = cuda.grid(1)
    if s < labels.shape[0] and (labels[s] < 0 or labels[s] >= classes):
        cuda.atomic.min(first, 0, s)


@cuda.jit
def write_one_hot(labels, y):
    """Computes y_sj = 1 if j is the label of sample s, else 0, with one thread per y_sj.

    Reads labels (n,). Writes y (n, n_out).
    """
    k = cuda.grid(1)
    if k < y.shape[0] * y.shape[1]:
        s, j = k // y.shape[1], k % y.shape[1]
        y[s, j] = labels[s] == j


@cuda.jit
def find_classes(y, binary, classes):
    """Finds the class of each sample s, with one thread per sample. Reads y (n, n_out). Writes classes (n,).

    If `binary` is True, there is a single output, and the class is 1 if this output exceeds 1/2, else 0. If `binary` is False,
    the class is the index j of the largest y_sj; if several y_sj are equally large, the smallest of their indices.
    """
    s = cuda.grid(1)
    if s < y.shape[0]:
        largest = 0
        for j in range(1, y.shape[1]):
            if y[s, j] > y[s, largest]:
                largest = j
        half = type(y[s, 0])(0.5)
        classes[s] = (1 if y[s, 0] > half else 0) if binary else largest


@cuda.jit
def write_moves(y, amount, indifferent, moved):
    """Computes moved_sj = amount * (indifferent - y_sj), with one thread per y_sj; see `smoothed`.

    Reads y (n, n_out). Writes moved (n, n_out).
    """
    k = cuda.grid(1)
    if k < y.shape[0] * y.shape[1]:
        s, j = k // y.shape[1], k % y.shape[1]
        moved[s, j] = amount * (indifferent - y[s, j])


@cuda.jit
def add_targets(y, moved):
    """Computes moved_sj <- y_sj + moved_sj, with one thread per y_sj; y and moved have the shape (n, n_out)."""
    k = cuda.grid(1)
    if k < y.shape[0] * y.shape[1]:
        s, j = k // y.shape[1], k % y.shape[1]
        moved[s, j] = y[s, j] + moved[s, j]

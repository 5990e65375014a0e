"""Arrays that lie on a GPU already, by CuPy, PyTorch, Numba or others: recognises, views without a copy and checks them there.

One thread looks at each number or row. Only the first bad index comes back to the host, 8 bytes, never the array.
"""

import math
from typing import Any

import numpy as np

from numbanet._cuda import NUMBA_CUDA, SIMULATED, configured, cuda
from numbanet.engines.cuda.memory import ensure_free, present_gpu

# Threads per block. Each simulated thread is a Python thread.
THREADS = 4 if SIMULATED else 256
# DLPack's numbers for the memory of an NVIDIA GPU and for CUDA's default stream, on which all kernels here run.
DLPACK_CUDA, DEFAULT_STREAM = 2, 1


def on_gpu(value: Any) -> bool:
    """Returns whether the value is an array on a GPU: Numba's own, or by `__cuda_array_interface__`, or by DLPack."""
    if isinstance(value, np.ndarray):
        return False
    if getattr(value, "__cuda_ndarray__", False) or hasattr(value, "__cuda_array_interface__"):
        return True
    dlpack_device = getattr(value, "__dlpack_device__", None)
    return dlpack_device is not None and dlpack_device()[0] == DLPACK_CUDA


def view(name: str, value: Any) -> Any:
    """Returns the array on the GPU as a Numba device array, without a copy, after the work of its stream has finished."""
    if SIMULATED:
        if not getattr(value, "__cuda_ndarray__", False):
            raise TypeError(f"{name} lies on a GPU, where Numba's simulator cannot read it: pass a host array")
        return value
    interface, owner = _interface(name, value)
    _check_place(name, interface)
    if interface["version"] < 3:  # earlier versions name no stream to wait for
        cuda.synchronize()
    return cuda.from_cuda_array_interface(interface, owner=owner).bind()


def is_read_only(name: str, value: Any) -> bool:
    """Returns whether the owner of the array on the GPU forbids writing to it."""
    return not SIMULATED and _interface(name, value)[0]["data"][1]


def _interface(name: str, value: Any) -> tuple[dict, object]:
    """Returns the array's `__cuda_array_interface__`, and the object that owns its memory."""
    interface = getattr(value, "__cuda_array_interface__", None)
    if interface is not None:
        return interface, value
    if not NUMBA_CUDA:
        raise TypeError(f"{name} offers DLPack only, which requires numba-cuda: pass an array with __cuda_array_interface__")
    from cuda.core.utils import StridedMemoryView

    return dlpack_interface(StridedMemoryView.from_dlpack(value, DEFAULT_STREAM))


def _check_place(name: str, interface: dict) -> None:
    """Refuses an array that the kernels of this GPU cannot reach: after a bad address this process cannot use the GPU."""
    (address, _), itemsize = interface["data"], np.dtype(interface["typestr"]).itemsize
    if address % itemsize:
        raise ValueError(
            f"{name} is not aligned: it begins at {address:#x} on the GPU, not at a multiple of its item size, {itemsize} bytes"
        )
    if address and NUMBA_CUDA and gpu_of(address) != present_gpu():
        raise ValueError(f"{name} lies on GPU {gpu_of(address)}, but this thread uses GPU {present_gpu()}: copy it there")


def gpu_of(address: int) -> int:
    """Returns the number of the GPU whose memory contains an address."""
    driver = cuda.cudadrv.driver
    attribute = driver.binding.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
    return int(driver.driver.cuPointerGetAttribute(attribute, driver.binding.CUdeviceptr(address)))


def dlpack_interface(memory: Any) -> tuple[dict, object]:
    """Returns the same for a StridedMemoryView, whose strides count items, not bytes."""
    strides = memory.strides and tuple(stride * memory.dtype.itemsize for stride in memory.strides)
    data = memory.ptr, memory.readonly
    interface = {"shape": tuple(memory.shape), "strides": strides, "typestr": memory.dtype.str, "data": data, "version": 3}
    return interface, memory


# The functions of `numbanet.inputs.host`, for arrays on the GPU


def first_not_finite(array: Any) -> tuple[int, ...] | None:
    """Returns the index of the first number that is inf or nan, or None."""
    return _index(array, _first(find_not_finite, array.size, array.reshape(array.size)))


def first_improbable(y: Any) -> tuple[int, ...] | None:
    """Returns the index of the first number of y (n, n_out) outside [0, 1], or None."""
    return _index(y, _first(find_improbable, y.size, y.reshape(y.size)))


def first_wrong_sum(y: Any, tolerance: float) -> int | None:
    """Returns the first row of y (n, n_out) that does not add up to 1, or None."""
    return _first(find_wrong_sum, y.shape[0], y, y.dtype.type(tolerance))


def first_unknown_label(labels: Any, classes: int) -> int | None:
    """Returns the first sample whose label is not in 0 to classes - 1, or None."""
    return _first(find_unknown_label, labels.shape[0], labels, classes)


def one_hot(labels: Any, classes: int, dtype: np.dtype) -> Any:
    """Returns rows (n, classes), on the GPU, with 1 at the label of each sample."""
    n = labels.shape[0]
    ensure_free(n * classes * dtype.itemsize, n, "holding the targets of")
    y = cuda.device_array((n, classes), dtype)
    configured(write_one_hot, _blocks(y.size), THREADS)(labels, y)
    return y


def classes(y: Any, binary: bool) -> np.ndarray:
    """Returns the class of each row of y (n, n_out), (n,), on the host: one integer per sample is copied, y is not."""
    n = y.shape[0]
    ensure_free(n * np.dtype(np.int32).itemsize, n, "finding the classes of")
    found = cuda.device_array(n, np.int32)
    configured(find_classes, _blocks(n), THREADS)(y, binary, found)
    return found.copy_to_host()


def smoothed(y: Any, amount: float, indifferent: float) -> Any:
    """Returns y + amount (indifferent - y), (n, n_out), on the GPU, with the bits of `numbanet.inputs.host.smoothed`.

    Two kernels round the product to memory before the sum. One kernel would fuse both into a multiply-add, which rounds once.
    """
    number = y.dtype.type
    ensure_free(y.size * y.dtype.itemsize, y.shape[0], "smoothing the targets of")
    moved = cuda.device_array(y.shape, y.dtype)
    configured(write_moves, _blocks(y.size), THREADS)(y, number(amount), number(indifferent), moved)
    configured(add_targets, _blocks(y.size), THREADS)(y, moved)
    return moved


def at(array: Any, index: Any) -> Any:
    """Returns array[index], a number or a row, on the host."""
    part = array[index]
    return part.copy_to_host() if on_gpu(part) else part


def _blocks(count: int) -> int:
    return -(-count // THREADS)


def _first(kernel: Any, count: int, *arguments: Any) -> int | None:
    """Returns the least k below count that a kernel writes to its last argument, or None."""
    first = cuda.to_device(np.full(1, count, np.int64))
    configured(kernel, _blocks(count), THREADS)(*arguments, first)
    k = int(first.copy_to_host()[0])
    return None if k == count else k


def _index(array: Any, k: int | None) -> tuple[int, ...] | None:
    """Returns the index of the array's k-th number."""
    return None if k is None else tuple(int(i) for i in np.unravel_index(k, array.shape))


@cuda.jit
def find_not_finite(numbers, first):
    """Finds the least k whose number is inf or nan, one thread per number. Reads numbers (n,); lowers first (1,)."""
    k = cuda.grid(1)
    if k < numbers.shape[0] and not math.isfinite(numbers[k]):
        cuda.atomic.min(first, 0, k)


@cuda.jit
def find_improbable(numbers, first):
    """Finds the least k whose number is outside [0, 1], one thread per number. Reads numbers (n,); lowers first (1,)."""
    k = cuda.grid(1)
    if k < numbers.shape[0]:
        p = numbers[k]
        if p < type(p)(0) or p > type(p)(1):
            cuda.atomic.min(first, 0, k)


@cuda.jit
def find_wrong_sum(y, tolerance, first):
    """Finds the least s with |sum_j y_sj - 1| > tolerance, one thread per sample. Reads y (n, n_out); lowers first (1,).

    Kahan's sum (1965, doi:10.1145/363707.363723) keeps rounding errors from adding up over thousands of classes.
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
    """Finds the least s whose label is not in 0 to classes - 1, one thread per sample. Reads labels (n,); lowers first (1,)."""
    s = cuda.grid(1)
    if s < labels.shape[0] and (labels[s] < 0 or labels[s] >= classes):
        cuda.atomic.min(first, 0, s)


@cuda.jit
def write_one_hot(labels, y):
    """y_sj = 1 if j is the label of sample s, else 0, one thread per number. Reads labels (n,); writes y (n, n_out)."""
    k = cuda.grid(1)
    if k < y.shape[0] * y.shape[1]:
        s, j = k // y.shape[1], k % y.shape[1]
        y[s, j] = labels[s] == j


@cuda.jit
def find_classes(y, binary, classes):
    """The first largest y_sj of each sample or, if binary, whether y_s1 > 1/2, one thread per sample.

    Reads y (n, n_out); writes classes (n,).
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
    """moved_sj = amount (indifferent - y_sj), one thread per number. Reads y (n, n_out); writes moved (n, n_out)."""
    k = cuda.grid(1)
    if k < y.shape[0] * y.shape[1]:
        s, j = k // y.shape[1], k % y.shape[1]
        moved[s, j] = amount * (indifferent - y[s, j])


@cuda.jit
def add_targets(y, moved):
    """moved_sj <- y_sj + moved_sj, one thread per number. Reads y (n, n_out); changes moved (n, n_out)."""
    k = cuda.grid(1)
    if k < y.shape[0] * y.shape[1]:
        s, j = k // y.shape[1], k % y.shape[1]
        moved[s, j] = y[s, j] + moved[s, j]

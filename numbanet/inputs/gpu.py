"""Arrays that lie on the GPU already, by CuPy, PyTorch, Numba or others: recognised, viewed without a copy and checked there.

What is wrong with one is found by a thread for each number or row: the first place comes back, 8 bytes, not the array.
"""

import math

import numpy as np

from numbanet._cuda import NUMBA_CUDA, SIMULATED, configured, cuda
from numbanet.engines.cuda.memory import ensure_free, present_gpu

# Threads of a block. A simulated one costs a thread of Python.
THREADS = 4 if SIMULATED else 256
# What DLPack calls the memory of an NVIDIA GPU, and CUDA's default stream, on which all kernels here run.
DLPACK_CUDA, DEFAULT_STREAM = 2, 1


def on_gpu(value) -> bool:
    """Whether the value is an array on a GPU: one of Numba's, or by `__cuda_array_interface__`, or by DLPack."""
    if isinstance(value, np.ndarray):
        return False
    if getattr(value, "__cuda_ndarray__", False) or hasattr(value, "__cuda_array_interface__"):
        return True
    dlpack_device = getattr(value, "__dlpack_device__", None)
    return dlpack_device is not None and dlpack_device()[0] == DLPACK_CUDA


def view(name: str, value):
    """The array on the GPU as a device array of Numba's, without a copy, once the work of its stream is done."""
    if SIMULATED:
        if not getattr(value, "__cuda_ndarray__", False):
            raise TypeError(f"{name} lies on a GPU, where Numba's simulator cannot read it: pass a host array")
        return value
    interface, owner = _interface(name, value)
    _check_place(name, interface)
    if interface["version"] < 3:  # which names no stream to wait for
        cuda.synchronize()
    return cuda.from_cuda_array_interface(interface, owner=owner).bind()


def is_read_only(name: str, value) -> bool:
    """Whether the owner of the array on the GPU forbids to write to it."""
    return not SIMULATED and _interface(name, value)[0]["data"][1]


def _interface(name: str, value) -> tuple[dict, object]:
    """`__cuda_array_interface__` of the array, and what keeps its memory."""
    interface = getattr(value, "__cuda_array_interface__", None)
    if interface is not None:
        return interface, value
    if not NUMBA_CUDA:
        raise TypeError(f"{name} offers DLPack alone, which takes numba-cuda: pass an array with __cuda_array_interface__")
    from cuda.core.utils import StridedMemoryView

    return dlpack_interface(StridedMemoryView.from_dlpack(value, DEFAULT_STREAM))


def _check_place(name: str, interface: dict) -> None:
    """Refuses an array that the kernels of this GPU cannot reach: they would fail in a way that the GPU does not survive."""
    (address, _), itemsize = interface["data"], np.dtype(interface["typestr"]).itemsize
    if address % itemsize:
        raise ValueError(
            f"{name} is not aligned: it begins at {address:#x} on the GPU, no multiple of a number's {itemsize} bytes"
        )
    if address and NUMBA_CUDA and gpu_of(address) != present_gpu():
        raise ValueError(f"{name} lies on GPU {gpu_of(address)}, but this thread uses GPU {present_gpu()}: copy it there")


def gpu_of(address: int) -> int:
    """The number of the GPU in whose memory an address is."""
    driver = cuda.cudadrv.driver
    attribute = driver.binding.CUpointer_attribute.CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL
    return int(driver.driver.cuPointerGetAttribute(attribute, driver.binding.CUdeviceptr(address)))


def dlpack_interface(memory) -> tuple[dict, object]:
    """The same of a StridedMemoryView, whose strides count numbers."""
    strides = memory.strides and tuple(stride * memory.dtype.itemsize for stride in memory.strides)
    data = memory.ptr, memory.readonly
    interface = {"shape": tuple(memory.shape), "strides": strides, "typestr": memory.dtype.str, "data": data, "version": 3}
    return interface, memory


# What is wrong with an array, and where first, as in `numbanet.inputs.host`.


def first_not_finite(array) -> tuple[int, ...] | None:
    """The index of the first number that is inf or nan."""
    return _index(array, _first(find_not_finite, array.size, array.reshape(array.size)))


def first_improbable(y) -> tuple[int, int] | None:
    """The index of the first number of y (n, n_out) outside [0, 1]."""
    return _index(y, _first(find_improbable, y.size, y.reshape(y.size)))


def first_wrong_sum(y, tolerance: float) -> int | None:
    """The first row of y (n, n_out) that does not add up to 1."""
    return _first(find_wrong_sum, y.shape[0], y, y.dtype.type(tolerance))


def first_unknown_label(labels, classes: int) -> int | None:
    """The first sample whose label is not in 0 to classes - 1."""
    return _first(find_unknown_label, labels.shape[0], labels, classes)


def one_hot(labels, classes: int, dtype: np.dtype):
    """Rows (n, classes), on the GPU, with 1 at the label of each sample."""
    n = labels.shape[0]
    ensure_free(n * classes * dtype.itemsize, n, "holding the targets of")
    y = cuda.device_array((n, classes), dtype)
    configured(write_one_hot, _blocks(y.size), THREADS)(labels, y)
    return y


def at(array, index):
    """array[index], a number or a row, on the host."""
    found = array[index]
    return found.copy_to_host() if on_gpu(found) else found


def _blocks(count: int) -> int:
    return -(-count // THREADS)


def _first(kernel, count: int, *arguments) -> int | None:
    """The least k below count at which a kernel finds what it looks for."""
    first = cuda.to_device(np.full(1, count, np.int64))
    configured(kernel, _blocks(count), THREADS)(*arguments, first)
    found = int(first.copy_to_host()[0])
    return None if found == count else found


def _index(array, k: int | None) -> tuple[int, ...] | None:
    """Where in the array its number k is."""
    return None if k is None else tuple(int(i) for i in np.unravel_index(k, array.shape))


@cuda.jit
def find_not_finite(numbers, first):
    """The least k whose number is inf or nan, one thread per number. Reads numbers (n,); lowers first (1,)."""
    k = cuda.grid(1)
    if k < numbers.shape[0] and not math.isfinite(numbers[k]):
        cuda.atomic.min(first, 0, k)


@cuda.jit
def find_improbable(numbers, first):
    """The least k whose number is outside [0, 1], one thread per number. Reads numbers (n,); lowers first (1,)."""
    k = cuda.grid(1)
    if k < numbers.shape[0]:
        p = numbers[k]
        if p < type(p)(0) or p > type(p)(1):
            cuda.atomic.min(first, 0, k)


@cuda.jit
def find_wrong_sum(y, tolerance, first):
    """The least s with |sum_j y_sj - 1| > tolerance, one thread per sample. Reads y (n, n_out); lowers first (1,).

    Kahan's sum (1965, doi:10.1145/363707.363723): thousands of classes do not add up their rounding errors.
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
    """The least s whose label is not in 0 to classes - 1, one thread per sample. Reads labels (n,); lowers first (1,)."""
    s = cuda.grid(1)
    if s < labels.shape[0] and (labels[s] < 0 or labels[s] >= classes):
        cuda.atomic.min(first, 0, s)


@cuda.jit
def write_one_hot(labels, y):
    """y_sj = 1 where j is the label of sample s, else 0, one thread per number. Reads labels (n,); writes y (n, n_out)."""
    k = cuda.grid(1)
    if k < y.shape[0] * y.shape[1]:
        s, j = k // y.shape[1], k % y.shape[1]
        y[s, j] = labels[s] == j

"""Python versions of the functions in the module `device`: memory operations that kernels call in Numba's simulator."""

import threading
from typing import Any

from numbanet._cuda import cuda
from numbanet.engines.cuda.limits import QUAD

one_at_a_time = threading.Lock()


def limited(registers: Any) -> Any:
    return cuda.jit


def shared_numbers(count: Any, number: Any) -> Any:
    with one_at_a_time:  # without the lock, several threads could each create an array, instead of sharing one array
        return cuda.shared.array(count, number)


def get(array: Any, index: Any) -> Any:
    return array[index]


def put(array: Any, index: Any, value: Any) -> Any:
    array[index] = value


def get_quad(array: Any, index: Any) -> Any:
    return tuple(array[index : index + QUAD])


def quotient(a: Any, b: Any) -> Any:
    return a // b


def own_memory(stand_in: Any, count: Any) -> Any:
    first = cuda.blockIdx.x * count
    return stand_in[first : first + count]


def copy_later(target: Any, at: Any, source: Any, index: Any) -> Any:
    target[at] = source[index]


def await_copies() -> None:
    pass


def arrive(counter: Any) -> Any:
    cuda.atomic.add(counter, 0, 1)


def arrived(counter: Any) -> Any:
    return counter[0]


def matrix(flat: Any, start: Any, rows: Any, columns: Any) -> Any:
    return flat[start : start + rows * columns].reshape(rows, columns)

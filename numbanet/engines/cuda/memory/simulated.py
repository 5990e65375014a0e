"""What kernels do with memory, in the simulator: the functions of `device`, under the same names, in plain Python."""

import threading

from numbanet._cuda import cuda
from numbanet.engines.cuda.memory.limits import QUAD

# The context of the running kernel knows its block. The module's `cuda` does not: the simulator replaces that of the kernel's
# own module only.
simulator, one_at_a_time = cuda.simulator.kernel, threading.Lock()


def limited(registers):
    return cuda.jit


def shared_numbers(count, number):
    with one_at_a_time:  # else the first threads to come would get an array each
        return simulator._get_kernel_context().shared.array(count, number)


def get(array, index):
    return array[index]


def put(array, index, value):
    array[index] = value


def get_quad(array, index):
    return tuple(array[index : index + QUAD])


def quotient(a, b):
    return a // b


def own_memory(stand_in, count):
    first = simulator._get_kernel_context().blockIdx.x * count
    return stand_in[first : first + count]


def copy_later(target, at, source, index):
    target[at] = source[index]


def await_copies():
    pass


def arrive(counter):
    simulator._get_kernel_context().atomic.add(counter, 0, 1)


def arrived(counter):
    return counter[0]


def matrix(flat, start, rows, columns):
    return flat[start : start + rows * columns].reshape(rows, columns)

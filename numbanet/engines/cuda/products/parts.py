"""The sums of a product whose k is split into parts: z = sum_p partial[p], in the order of p, finished as the form says.

One thread computes one number of z. The kernels read partial (parts, count) and write out (count,), both flat.
"""

import functools
from collections.abc import Callable
from typing import Any

from numbanet._cuda import cuda, device_function
from numbanet.engines.cuda.memory import get
from numbanet.engines.cuda.products.epilogues import Derivative

THREADS = 256


def forward(add_parts: Callable) -> Callable:
    """Returns the kernel that finishes forward sums."""

    def kernel(activation, partial, a, count, parts):
        """a_j = phi(z_j). Writes a (n, n_out). Twin: activation."""
        add_parts(partial, activation, a, count, parts)

    return kernel


def backward(add_parts: Callable) -> Callable:
    """Returns the kernel that finishes delta recurrences."""

    def kernel(activation, a_prev, partial, delta_prev, count, parts):
        """delta_i = z_i da_i/dz_i. Reads a_prev (n, n_in); writes delta_prev (n, n_in). Twin: delta_recurrence."""
        add_parts(partial, Derivative(activation, a_prev), delta_prev, count, parts)

    return kernel


def update(add_parts: Callable) -> Callable:
    """Returns the kernel that updates w and b by weight gradients."""

    def kernel(rates, partial, wb, count, parts):
        """w_ij <- w_ij - eta z_ij. Reads rates (4,); updates wb (n_in + 1, n_out). Twin: gradient_descent."""
        add_parts(partial, rates, wb, count, parts)

    return kernel


def gradient(add_parts: Callable) -> Callable:
    """Returns the kernel that stores weight gradients."""

    def kernel(partial, z, count, parts):
        """The sums as they are. Writes z (count,)."""
        add_parts(partial, None, z, count, parts)

    return kernel


@functools.cache
def sum_of_parts(form: Any) -> Any:
    """Returns the kernel that adds up the parts of the sums of a `Form`, and finishes them."""
    finish = form.finish

    @device_function
    def add_parts(partial, epilogue, out, count, parts):
        at = cuda.grid(1)
        if at < count:
            z = get(partial, at)
            for part in range(1, parts):
                z += get(partial, part * count + at)
            finish(epilogue, out, at, z)

    return cuda.jit(form.sum_kernel(add_parts))

"""Adds up the sums of a product whose range of k is split into parts: z = sum_p partial[p], in the order of the parts p.

Each thread computes one element of z, and finishes it by the epilogue of the product. The kernels read partial (parts, count)
and write out (count,), both as flat arrays.
"""

import functools
from collections.abc import Callable
from typing import Any

from numbanet._cuda import cuda, device_function
from numbanet.engines.cuda.memory import get
from numbanet.engines.cuda.products.epilogues import Derivative

THREADS = 256


def forward(add_parts: Callable) -> Callable:
    """Returns the kernel that adds up the parts of forward sums and applies the activation."""

    def kernel(activation, partial, a, count, parts):
        """a_j = phi(z_j), where z_j is the sum of its parts. Writes a (n, n_out). Twin: activation."""
        add_parts(partial, activation, a, count, parts)

    return kernel


def backward(add_parts: Callable) -> Callable:
    """Returns the kernel that adds up the parts of the delta recurrence and multiplies by the derivative of the activation."""

    def kernel(activation, a_prev, partial, delta_prev, count, parts):
        """delta_i = dL/da_i da_i/dz_i, where dL/da_i is the sum of its parts. Twin: delta_recurrence.

        Reads a_prev (n, n_in); writes delta_prev (n, n_in).
        """
        add_parts(partial, Derivative(activation, a_prev), delta_prev, count, parts)

    return kernel


def update(add_parts: Callable) -> Callable:
    """Returns the kernel that adds up the parts of weight gradients and updates w and b."""

    def kernel(rates, partial, wb, count, parts):
        """w_ij <- w_ij - eta dL/dw_ij, where dL/dw_ij is the sum of its parts. Twin: gradient_descent.

        Reads rates (4,); updates wb (n_in + 1, n_out).
        """
        add_parts(partial, rates, wb, count, parts)

    return kernel


def gradient(add_parts: Callable) -> Callable:
    """Returns the kernel that adds up the parts of weight gradients and stores the sums."""

    def kernel(partial, z, count, parts):
        """z = sum_p partial[p], stored without an epilogue. Writes z (count,)."""
        add_parts(partial, None, z, count, parts)

    return kernel


@functools.cache
def sum_of_parts(form: Any) -> Any:
    """Returns the kernel that adds up the parts of each sum of a `Form`, and finishes the sums as the form says."""
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

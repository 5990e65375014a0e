"""Adds up the partial sums of a matrix product sum_k left[r, k] * right[k, c] whose sums over k were split into parts.

Each thread adds up the partial sums of one element of the product, always in the order of the parts. From the complete sum, the
thread computes and stores a result, such as a = phi(z). All kernels of this module read an array of partial sums, of shape
(parts, count), and write an array of `count` results. The kernels receive the partial sums and the results as flat arrays.
"""

import functools
from collections.abc import Callable
from typing import Any

from numbanet._cuda import cuda, device_function
from numbanet.engines.cuda.memory import get
from numbanet.engines.cuda.products.epilogues import Derivative

THREADS = 256


def forward(add_parts: Callable) -> Callable:
    """Returns the kernel that adds up partial sums of z = sum_i w_ij x_i + b_j and applies the activation function."""

    def kernel(activation, partial, a, count, parts):
        """Computes a_j = phi(z_j), where z_j is the sum of `parts` partial sums.

        Reads partial (parts, count). Writes a (n, n_out). Twin (CPU loop): activation.
        """
        add_parts(partial, activation, a, count, parts)

    return kernel


def backward(add_parts: Callable) -> Callable:
    """Returns the kernel that adds up partial sums of dL/da_i = sum_j w_ij delta_j and multiplies them by da_i/dz_i."""

    def kernel(activation, a_prev, partial, delta_prev, count, parts):
        """Computes delta_i = dL/da_i da_i/dz_i, where dL/da_i is the sum of `parts` partial sums.

        Reads a_prev (n, n_in) and partial (parts, count). Writes delta_prev (n, n_in). Twin (CPU loop): delta_recurrence.
        """
        add_parts(partial, Derivative(activation, a_prev), delta_prev, count, parts)

    return kernel


def update(add_parts: Callable) -> Callable:
    """Returns the kernel that adds up partial sums of dL/dw and dL/db, and updates w and b by gradient descent."""

    def kernel(rates, partial, wb, count, parts):
        """Updates w_ij <- w_ij - eta dL/dw_ij, where dL/dw_ij is the sum of `parts` partial sums.

        `rates` (4,) holds four values of the step: the divisor n of the loss, eta, and Adam's eta_t and epsilon_t. `wb` is w
        with b as an additional last row. Reads rates and partial (parts, count). Updates wb (n_in + 1, n_out). Twin (CPU loop):
        gradient_descent.
        """
        add_parts(partial, rates, wb, count, parts)

    return kernel


def gradient(add_parts: Callable) -> Callable:
    """Returns the kernel that adds up partial sums of dL/dw and dL/db, and stores the complete sums as gradients."""

    def kernel(partial, z, count, parts):
        """Computes dL/dw_ij and dL/db_j as the sums of `parts` partial sums. Twins (CPU loops): weight_gradient, bias_gradient.

        Reads partial (parts, count). Writes the gradients to z (count,).
        """
        add_parts(partial, None, z, count, parts)

    return kernel


@functools.cache
def sum_of_parts(form: Any) -> Any:
    """Returns the kernel that adds up the partial sums of a product and passes each complete sum to `form.finish`.

    `form` is a `Form`, which specifies one of a layer's matrix products.
    """
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

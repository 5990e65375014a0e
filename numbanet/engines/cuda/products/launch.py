"""Launches the kernels for a layer's matrix products, with the tile size that `tiles.plan_tiles` chooses.

`plan_tiles` also chooses the number of parts into which each sum of a product is split. Each part of a sum is computed by a
different thread block.
"""

from typing import Any

import numpy as np

from numbanet._cuda import configured, cuda
from numbanet.engines.binding import UNBOUND, Binding
from numbanet.engines.cuda.products import parts
from numbanet.engines.cuda.products.epilogues import Activation
from numbanet.engines.cuda.products.product import Form, Product, Shape, product
from numbanet.engines.cuda.products.tiles import Tile, plan_tiles, tiles_for


class Products:
    """Launches the kernels for a layer's three matrix products.

    All arrays are in GPU memory and C-contiguous. All arrays of floating-point numbers have the type `dtype`. The matrix `wb`,
    of shape (n_in + 1, n_out), is w with b as an additional last row.

    Parameters
    ----------
    dtype : numpy.dtype
        float32 or float64: the type in which the products are computed.
    multiprocessors : int
        Number of multiprocessors of the GPU.
    tiles : tuple of Tile, optional
        The tile sizes to choose from. If `tiles` is None, `tiles_for(dtype)` returns the sizes.
    bound : Binding
        Puts the user's formulas, such as an activation function, into the kernels.
    """

    def __init__(self, dtype: np.dtype, multiprocessors: int, tiles: tuple[Tile, ...] | None = None, bound: Binding = UNBOUND):
        self.dtype, self.bound = np.dtype(dtype), bound
        self.multiprocessors = multiprocessors
        self.tiles = tiles or tiles_for(self.dtype)
        self.partials: dict[int, Any] = {}

    def forward(self, activation: Activation, x: Any, order: Any, wb: Any, a: Any) -> None:
        """Computes a_j = phi(sum_i w_ij x_i + b_j) for every sample s and neuron j, where x_i is x[order[s], i].

        Reads x (N, n_in), order (n,) with int64 indices, and wb (n_in + 1, n_out). Writes a (n, n_out). The activation function
        must not be softmax. For a softmax layer, pass IDENTITY to compute z; a different kernel then computes a from z.
        """
        self._launch(Product.FORWARD.value, (activation,), (x, order, wb), a, x.shape[1])

    def backward(self, activation: Activation, wb: Any, delta: Any, a_prev: Any, delta_prev: Any) -> None:
        """Computes delta_i = (sum_j w_ij delta_j) da_i/dz_i for every sample s and every neuron i of the previous layer.

        Reads wb (n_in + 1, n_out), delta (n, n_out) and a_prev (n, n_in). Writes delta_prev (n, n_in). With the activation
        function IDENTITY, delta_prev receives dL/da of the previous layer.
        """
        self._launch(Product.BACKWARD.value, (activation, a_prev), (delta, wb), delta_prev, delta.shape[1])

    def update(self, rates: Any, x: Any, order: Any, delta: Any, wb: Any) -> None:
        """Computes w_ij <- w_ij - eta sum_s delta_j x_i, where x_i is x[order[s], i], and b_j <- b_j - eta sum_s delta_j.

        `rates` (4,) holds four values of the step: the divisor n of the loss, eta, and Adam's eta_t and epsilon_t. Of the
        values in `rates`, the kernel uses only eta. Reads rates, x (N, n_in), order (n,) with int64 indices, and delta (n,
        n_out). Updates wb, which has the shape (n_in + 1, n_out).
        """
        self._launch(Product.UPDATE.value, (rates,), (x, order, delta), wb, delta.shape[0])

    def gradient(self, x: Any, order: Any, delta: Any, gradients: Any) -> None:
        """Computes dL/dw_ij = sum_s delta_j x_i, where x_i is x[order[s], i], and dL/db_j = sum_s delta_j.

        Reads x (N, n_in), order (n,) with int64 indices, and delta (n, n_out). Writes gradients (n_in + 1, n_out).
        """
        self._launch(Product.GRADIENT.value, (), (x, order, delta), gradients, delta.shape[0])

    def _launch(self, form: Form, epilogue: tuple, operands: tuple, out: Any, depth: int) -> None:
        """Launches the kernels that compute one of a layer's matrix products; `form` specifies the product.

        The tuple `operands` holds the arrays to multiply. The tuple `epilogue` holds the values that are needed to compute a
        result from a complete sum, such as the activation function. Each element of the product is a sum of `depth` terms. From
        each sum, the kernels compute one element of the matrix `out`.
        """
        rows, columns = out.shape
        chosen = plan_tiles(rows, columns, depth, self.multiprocessors, self.tiles)
        grid, block, shape = chosen.grid(rows, columns), chosen.tile.threads, Shape(rows, columns, depth, chosen.chunk)
        epilogue, operands, out = _flat(epilogue), _flat(operands), out.reshape(-1)
        if chosen.parts == 1:
            configured(self.bound(product(form, chosen.tile, self.dtype)), grid, block)(*epilogue, *operands, out, shape)
            return
        count = rows * columns
        partial = self._partial(chosen.parts * count)
        configured(product(form.part, chosen.tile, self.dtype), grid, block)(*operands, partial, shape)
        blocks = -(-count // parts.THREADS)
        configured(self.bound(parts.sum_of_parts(form)), blocks, parts.THREADS)(*epilogue, partial, out, count, chosen.parts)

    def _partial(self, count: int) -> Any:
        """Returns an array in GPU memory for `count` partial sums.

        This `Products` object keeps the array, and uses it again for later products with the same number of partial sums.
        """
        if count not in self.partials:
            self.partials[count] = cuda.device_array(count, self.dtype)
        return self.partials[count]


def _flat(arguments: tuple) -> tuple:
    """Returns a kernel's arguments, with matrices flattened to one dimension."""
    return tuple(argument.reshape(-1) if getattr(argument, "ndim", 0) > 1 else argument for argument in arguments)

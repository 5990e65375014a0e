"""Benchmark of the neuron's weighted sum."""

from typing import Any

import numpy as np

from numbanet.equations import neuron

from .equation import Array, Draw, LayerEquation, unset


class ForwardSum(LayerEquation):
    """Benchmark of the weighted sum z_j = sum_i w_ij x_i + b_j."""

    loop = staticmethod(neuron.forward_sum)

    def arguments(self, draw: Draw, size: tuple[int, int, int]) -> tuple[Any, ...]:
        n, n_in, n_out = size
        return draw((n, n_in)), draw((n_in, n_out)), draw(n_out), unset(n, n_out)

    def numpy(self, x: Array, w: Array, b: Array, z: Array) -> None:
        np.matmul(x, w, out=z)
        z += b

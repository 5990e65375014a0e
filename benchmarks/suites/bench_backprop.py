"""Benchmarks of backpropagation: the output layer's error, a layer's gradients, and the previous layer's error.

The module `numbanet.equations.backprop` explains the formulas.
"""

from typing import Any

import numpy as np

from numbanet.equations import backprop
from numbanet.equations.activations import RELU, SIGMOID

from .equation import HIDDEN, OUTPUT, Array, Draw, Equation, LayerEquation, ten_classes, unset

EPSILON = np.float32(0.01)
N = OUTPUT[0]
Y = ten_classes(N)


class ActivationError(Equation):
    """Benchmark of the error delta = dL/da da/dz of a sigmoid layer."""

    loop = staticmethod(backprop.activation_error)

    def arguments(self, draw: Draw) -> tuple[Any, ...]:
        z = draw(HIDDEN)
        return SIGMOID, EPSILON, draw(HIDDEN), z, 1 / (1 + np.exp(-z)), unset(*HIDDEN)

    def numpy(self, kind: int, epsilon: float, dl_da: Array, z: Array, a: Array, delta: Array) -> None:
        delta[:] = dl_da * a * (1 - a)


class SoftmaxError(Equation):
    """Benchmark of the error delta_j = sum_i dL/da_i da_i/dz_j of a softmax layer."""

    loop = staticmethod(backprop.softmax_error)

    def arguments(self, draw: Draw) -> tuple[Any, ...]:
        return draw(OUTPUT), draw(OUTPUT), unset(*OUTPUT)

    def numpy(self, dl_da: Array, a: Array, delta: Array) -> None:
        delta[:] = a * (dl_da - (dl_da * a).sum(axis=1, keepdims=True))


class ShortError(Equation):
    """Benchmark of the output layer's error delta_j = 1/n (a_j - y_j), for softmax with CCE and sigmoid with BCE."""

    loop = staticmethod(backprop.short_error)

    def arguments(self, draw: Draw) -> tuple[Any, ...]:
        return N, Y, draw(OUTPUT), unset(*OUTPUT)

    def numpy(self, n: int, y: Array, a: Array, delta: Array) -> None:
        np.subtract(a, y, out=delta)
        delta /= n


class SoftmaxLogitError(Equation):
    """Benchmark of softmax's error delta_j = sum_i dL/du_i du_i/dz_j, where u_i = z_i - log(sum_{k != i} e^z_k)."""

    loop = staticmethod(backprop.softmax_logit_error)

    def arguments(self, draw: Draw) -> tuple[Any, ...]:
        z = draw(OUTPUT)
        u = z - np.log(np.exp(z) @ (1 - np.eye(z.shape[1], dtype=z.dtype)))
        return draw(OUTPUT), z, u, unset(*OUTPUT)

    def numpy(self, dl_du: Array, z: Array, u: Array, delta: Array) -> None:
        others = (dl_du * np.exp(u - z)) @ (1 - np.eye(z.shape[1], dtype=z.dtype))
        delta[:] = dl_du - np.exp(z) * others


class WeightGradient(LayerEquation):
    """Benchmark of the weight gradient dL/dw_ij = sum_s delta_j x_i over the samples s."""

    loop = staticmethod(backprop.weight_gradient)

    def arguments(self, draw: Draw, size: tuple[int, int, int]) -> tuple[Any, ...]:
        n, n_in, n_out = size
        return draw((n, n_in)), draw((n, n_out)), unset(n_in, n_out)

    def numpy(self, x: Array, delta: Array, dw: Array) -> None:
        np.matmul(x.T, delta, out=dw)


class BiasGradient(Equation):
    """Benchmark of the bias gradient dL/db_j = sum_s delta_j over the samples s."""

    loop = staticmethod(backprop.bias_gradient)

    def arguments(self, draw: Draw) -> tuple[Any, ...]:
        return draw(HIDDEN), unset(HIDDEN[1])

    def numpy(self, delta: Array, db: Array) -> None:
        delta.sum(axis=0, out=db)


class DeltaRecurrence(LayerEquation):
    """Benchmark of the error delta_i = (sum_j w_ij delta_j) da_i/dz_i of the previous layer, which has the activation relu."""

    loop = staticmethod(backprop.delta_recurrence)

    def arguments(self, draw: Draw, size: tuple[int, int, int]) -> tuple[Any, ...]:
        n, n_in, n_out = size
        z_prev = draw((n, n_in))
        a_prev = np.maximum(z_prev, 0)
        return RELU, EPSILON, draw((n_in, n_out)), draw((n, n_out)), z_prev, a_prev, unset(n, n_in)

    def numpy(self, kind: int, epsilon: float, w: Array, delta: Array, z_prev: Array, a_prev: Array, delta_prev: Array) -> None:
        np.matmul(delta, w.T, out=delta_prev)
        delta_prev *= z_prev > 0

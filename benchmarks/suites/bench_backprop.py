"""Backpropagation: the output error, the gradients of a layer, the error of the previous layer."""

from typing import Any

import numpy as np

from numbanet.equations import backprop
from numbanet.equations.activations import RELU, SIGMOID

from .equation import HIDDEN, OUTPUT, Array, Draw, Equation, LayerEquation, ten_classes, unset

EPSILON = np.float32(0.01)
N = OUTPUT[0]
Y = ten_classes(N)


class ActivationError(Equation):
    """delta = dL/da da/dz, of a sigmoid."""

    loop = staticmethod(backprop.activation_error)

    def arguments(self, draw: Draw) -> tuple[Any, ...]:
        z = draw(HIDDEN)
        return SIGMOID, EPSILON, draw(HIDDEN), z, 1 / (1 + np.exp(-z)), unset(*HIDDEN)

    def numpy(self, kind: int, epsilon: float, dl_da: Array, z: Array, a: Array, delta: Array) -> None:
        delta[:] = dl_da * a * (1 - a)


class SoftmaxError(Equation):
    """delta_j = sum_i dL/da_i da_i/dz_j, for softmax."""

    loop = staticmethod(backprop.softmax_error)

    def arguments(self, draw: Draw) -> tuple[Any, ...]:
        return draw(OUTPUT), draw(OUTPUT), unset(*OUTPUT)

    def numpy(self, dl_da: Array, a: Array, delta: Array) -> None:
        delta[:] = a * (dl_da - (dl_da * a).sum(axis=1, keepdims=True))


class ShortError(Equation):
    """delta_j = 1/n (a_j - y_j)."""

    loop = staticmethod(backprop.short_error)

    def arguments(self, draw: Draw) -> tuple[Any, ...]:
        return N, Y, draw(OUTPUT), unset(*OUTPUT)

    def numpy(self, n: int, y: Array, a: Array, delta: Array) -> None:
        np.subtract(a, y, out=delta)
        delta /= n


class SoftmaxLogitError(Equation):
    """delta_j = sum_i dL/du_i du_i/dz_j, u_i = z_i - log(sum_{k != i} e^z_k)."""

    loop = staticmethod(backprop.softmax_logit_error)

    def arguments(self, draw: Draw) -> tuple[Any, ...]:
        z = draw(OUTPUT)
        u = z - np.log(np.exp(z) @ (1 - np.eye(z.shape[1], dtype=z.dtype)))
        return draw(OUTPUT), z, u, unset(*OUTPUT)

    def numpy(self, dl_du: Array, z: Array, u: Array, delta: Array) -> None:
        others = (dl_du * np.exp(u - z)) @ (1 - np.eye(z.shape[1], dtype=z.dtype))
        delta[:] = dl_du - np.exp(z) * others


class WeightGradient(LayerEquation):
    """dL/dw_ij = delta_j x_i, summed over the samples."""

    loop = staticmethod(backprop.weight_gradient)

    def arguments(self, draw: Draw, size: tuple[int, int, int]) -> tuple[Any, ...]:
        n, n_in, n_out = size
        return draw((n, n_in)), draw((n, n_out)), unset(n_in, n_out)

    def numpy(self, x: Array, delta: Array, dw: Array) -> None:
        np.matmul(x.T, delta, out=dw)


class BiasGradient(Equation):
    """dL/db_j = delta_j, summed over the samples."""

    loop = staticmethod(backprop.bias_gradient)

    def arguments(self, draw: Draw) -> tuple[Any, ...]:
        return draw(HIDDEN), unset(HIDDEN[1])

    def numpy(self, delta: Array, db: Array) -> None:
        delta.sum(axis=0, out=db)


class DeltaRecurrence(LayerEquation):
    """delta_i = (sum_j w_ij delta_j) da_i/dz_i, with ReLU in the previous layer."""

    loop = staticmethod(backprop.delta_recurrence)

    def arguments(self, draw: Draw, size: tuple[int, int, int]) -> tuple[Any, ...]:
        n, n_in, n_out = size
        z_prev = draw((n, n_in))
        a_prev = np.maximum(z_prev, 0)
        return RELU, EPSILON, draw((n_in, n_out)), draw((n, n_out)), z_prev, a_prev, unset(n, n_in)

    def numpy(self, kind: int, epsilon: float, w: Array, delta: Array, z_prev: Array, a_prev: Array, delta_prev: Array) -> None:
        np.matmul(delta, w.T, out=delta_prev)
        delta_prev *= z_prev > 0

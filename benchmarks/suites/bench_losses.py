"""Benchmarks of the loss functions and their gradients.

In the formulas, y_i is a target, y_hat_i is the output for this target, and n is the number of samples.
"""

from abc import abstractmethod
from typing import Any

import numpy as np

from numbanet.equations import losses

from .equation import OUTPUT, Array, Draw, Equation, softmax_sum, ten_classes, unset

N = OUTPUT[0]
Y = ten_classes(N)


class Loss(Equation):
    """Base class for benchmarks of the loss L(y, y_hat) of each sample.

    A subclass sets `kind` to a constant such as `losses.SSE`, and defines `terms` with NumPy operations on whole arrays.
    """

    loop = staticmethod(losses.loss)
    kind: int

    def arguments(self, draw: Draw) -> tuple[Any, ...]:
        return self.kind, N, Y, 1 / (1 + np.exp(-draw(OUTPUT))), unset(OUTPUT[0])

    def numpy(self, kind: int, n: int, y: Array, y_hat: Array, loss_of_sample: Array) -> None:
        self.terms(n, y, y_hat).sum(axis=1, out=loss_of_sample)

    @abstractmethod
    def terms(self, n: int, y: Array, y_hat: Array) -> Array:
        """Returns the terms of the sum over the outputs i in the formula of L."""


class Gradient(Equation):
    """Base class for benchmarks of the gradient dL/dy_hat.

    A subclass sets `kind` to a constant such as `losses.SSE`, and defines `gradient` with NumPy operations on whole arrays.
    """

    loop = staticmethod(losses.d_loss)
    kind: int

    def arguments(self, draw: Draw) -> tuple[Any, ...]:
        return self.kind, N, Y, 1 / (1 + np.exp(-draw(OUTPUT))), unset(*OUTPUT)

    def numpy(self, kind: int, n: int, y: Array, y_hat: Array, dl_da: Array) -> None:
        dl_da[:] = self.gradient(n, y, y_hat)

    @abstractmethod
    def gradient(self, n: int, y: Array, y_hat: Array) -> Array:
        """Returns dL/dy_hat."""


class SSE(Loss):
    """Benchmark of the loss L = sum_i (y_i - y_hat_i)^2."""

    kind = losses.SSE

    def terms(self, n: int, y: Array, y_hat: Array) -> Array:
        return (y - y_hat) ** 2


class DSSE(Gradient):
    """Benchmark of the gradient dL/dy_hat_i = -2 (y_i - y_hat_i)."""

    kind = losses.SSE

    def gradient(self, n: int, y: Array, y_hat: Array) -> Array:
        return -2 * (y - y_hat)


class MSE(Loss):
    """Benchmark of the loss L = 1/n sum_i (y_i - y_hat_i)^2."""

    kind = losses.MSE

    def terms(self, n: int, y: Array, y_hat: Array) -> Array:
        return (y - y_hat) ** 2 / n


class DMSE(Gradient):
    """Benchmark of the gradient dL/dy_hat_i = -2/n (y_i - y_hat_i)."""

    kind = losses.MSE

    def gradient(self, n: int, y: Array, y_hat: Array) -> Array:
        return -2 / n * (y - y_hat)


class BCE(Loss):
    """Benchmark of the loss L = -1/n sum_i [y_i log y_hat_i + (1 - y_i) log(1 - y_hat_i)]."""

    kind = losses.BCE

    def terms(self, n: int, y: Array, y_hat: Array) -> Array:
        return -(y * np.log(y_hat) + (1 - y) * np.log(1 - y_hat)) / n


class DBCE(Gradient):
    """Benchmark of the gradient dL/dy_hat_i = -1/n (y_i / y_hat_i - (1 - y_i) / (1 - y_hat_i))."""

    kind = losses.BCE

    def gradient(self, n: int, y: Array, y_hat: Array) -> Array:
        return -(y / y_hat - (1 - y) / (1 - y_hat)) / n


class BCEFromZ(Equation):
    """Benchmark of the loss L = -1/n sum_i [y_i log y_hat_i + (1 - y_i) log(1 - y_hat_i)], where y_hat = sigmoid(z)."""

    loop = staticmethod(losses.bce_from_z_loss)

    def arguments(self, draw: Draw) -> tuple[Any, ...]:
        return N, Y, draw(OUTPUT), unset(OUTPUT[0])

    def numpy(self, n: int, y: Array, z: Array, loss_of_sample: Array) -> None:
        np.sum(np.logaddexp(0, z) - y * z, axis=1, out=loss_of_sample)
        loss_of_sample /= n


class CCE(Equation):
    """Benchmark of the loss L = -1/n sum_i y_i log a_i, where a = softmax(z).

    The benchmark does not include the computation of the sum in softmax.
    """

    loop = staticmethod(losses.cce_loss)

    def arguments(self, draw: Draw) -> tuple[Any, ...]:
        z = draw(OUTPUT)
        return N, Y, z, *softmax_sum(z), unset(OUTPUT[0])

    def numpy(self, n: int, y: Array, z: Array, z_max: Array, others: Array, loss_of_sample: Array) -> None:
        loss_of_sample[:] = (y * ((z_max + np.log1p(others))[:, None] - z)).sum(axis=1) / n

"""Benchmarks of the update rules: gradient descent, momentum, Nesterov momentum and Adam."""

from typing import Any

import numpy as np

from numbanet.equations import descent

from .equation import PARAMETERS, Array, Draw, Equation


class GradientDescent(Equation):
    """Benchmark of gradient descent: w <- w - eta dL/dw, b <- b - eta dL/db."""

    loop = staticmethod(descent.gradient_descent)

    def arguments(self, draw: Draw) -> tuple[Any, ...]:
        return np.float32(0.1), draw(PARAMETERS), draw(PARAMETERS)

    def numpy(self, eta: float, gradients: Array, parameters: Array) -> None:
        parameters -= eta * gradients


class Momentum(Equation):
    """Benchmark of momentum: v <- mu v + dL/dw, then w <- w - eta v."""

    loop = staticmethod(descent.momentum)

    def arguments(self, draw: Draw) -> tuple[Any, ...]:
        return np.float32(0.1), np.float32(0.9), draw(PARAMETERS), draw(PARAMETERS), draw(PARAMETERS)

    def numpy(self, eta: float, mu: float, gradients: Array, velocities: Array, parameters: Array) -> None:
        velocities *= mu
        velocities += gradients
        parameters -= eta * velocities


class Nesterov(Momentum):
    """Benchmark of Nesterov momentum: v <- mu v + dL/dw, then w <- w - eta (dL/dw + mu v)."""

    loop = staticmethod(descent.nesterov)

    def numpy(self, eta: float, mu: float, gradients: Array, velocities: Array, parameters: Array) -> None:
        velocities *= mu
        velocities += gradients
        parameters -= eta * (gradients + mu * velocities)


class Adam(Equation):
    """Benchmark of Adam with the gradient g = dL/dw, and the bias corrections in eta_t and epsilon_t.

    m <- beta_1 m + (1 - beta_1) g, v <- beta_2 v + (1 - beta_2) g^2, then w <- w - eta_t m / (sqrt(v) + epsilon_t).
    """

    loop = staticmethod(descent.adam)

    def arguments(self, draw: Draw) -> tuple[Any, ...]:
        rates = (np.float32(value) for value in (0.001, 0.1, 0.001, 1e-3))
        return *rates, draw(PARAMETERS), draw(PARAMETERS), draw(PARAMETERS) ** 2, draw(PARAMETERS)

    def numpy(
        self,
        eta_t: float,
        one_minus_beta_1: float,
        one_minus_beta_2: float,
        epsilon_t: float,
        gradients: Array,
        m: Array,
        v: Array,
        parameters: Array,
    ) -> None:
        m += one_minus_beta_1 * (gradients - m)
        v += one_minus_beta_2 * (gradients**2 - v)
        parameters -= eta_t * m / (np.sqrt(v) + epsilon_t)

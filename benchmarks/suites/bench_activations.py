"""Benchmarks of the activation functions and their derivatives."""

from abc import abstractmethod
from typing import Any

import numpy as np

from numbanet.equations import activations
from numbanet.equations.activations import LEAKY_RELU, RELU, SIGMOID, TANH

from .equation import HIDDEN, OUTPUT, Array, Draw, Equation, seconds_per_call, softmax_sum, unset

EPSILON = np.float32(0.01)
# The shape of z and a in the benchmark `InL1`. In float32, each array has 8 KB; both stay in the L1 cache of any CPU.
IN_L1 = (8, 256)


class Activation(Equation):
    """Base class for benchmarks of activation functions a = phi(z).

    A subclass sets `kind`, the constant of the activation function, and defines `phi` with NumPy operations on whole arrays.
    """

    loop = staticmethod(activations.activation)
    kind: int

    def arguments(self, draw: Draw, size: tuple[int, int] = HIDDEN) -> tuple[Any, ...]:
        return self.kind, EPSILON, draw(size), unset(*size)

    def numpy(self, kind: int, epsilon: float, z: Array, a: Array) -> None:
        a[:] = self.phi(z)

    @abstractmethod
    def phi(self, z: Array) -> Array:
        """Returns a = phi(z)."""


class Derivative(Equation):
    """Base class for benchmarks of the derivatives da/dz of activation functions.

    A subclass sets `kind`, the constant of the activation function, and defines `d_phi` with NumPy operations on whole arrays.
    """

    loop = staticmethod(activations.d_activation)
    kind: int

    def arguments(self, draw: Draw) -> tuple[Any, ...]:
        z, a = draw(HIDDEN), unset(*HIDDEN)
        activations.activation(self.kind, EPSILON, z, a)
        return self.kind, EPSILON, z, a, unset(*HIDDEN)

    def numpy(self, kind: int, epsilon: float, z: Array, a: Array, da_dz: Array) -> None:
        da_dz[:] = self.d_phi(z, a)

    @abstractmethod
    def d_phi(self, z: Array, a: Array) -> Array:
        """Returns da/dz."""


class Sigmoid(Activation):
    """Benchmark of the sigmoid a = 1 / (1 + e^-z)."""

    kind = SIGMOID

    def phi(self, z: Array) -> Array:
        return 1 / (1 + np.exp(-z))


class DSigmoid(Derivative):
    """Benchmark of the sigmoid's derivative da/dz = a (1 - a)."""

    kind = SIGMOID

    def d_phi(self, z: Array, a: Array) -> Array:
        return a * (1 - a)


class Tanh(Activation):
    """Benchmark of tanh, a = 2 / (1 + e^-2z) - 1."""

    kind = TANH

    def phi(self, z: Array) -> Array:
        return np.tanh(z)


class DTanh(Derivative):
    """Benchmark of the derivative of tanh, da/dz = 1 - a^2."""

    kind = TANH

    def d_phi(self, z: Array, a: Array) -> Array:
        return 1 - a**2


class ReLU(Activation):
    """Benchmark of relu, a = max(0, z)."""

    kind = RELU

    def phi(self, z: Array) -> Array:
        return np.maximum(z, 0)


class DReLU(Derivative):
    """Benchmark of the derivative of relu: da/dz is 0 for z <= 0 and 1 for z > 0."""

    kind = RELU

    def d_phi(self, z: Array, a: Array) -> Array:
        return z > 0


class LeakyReLU(Activation):
    """Benchmark of leaky_relu: a is epsilon z for z <= 0 and z for z > 0."""

    kind = LEAKY_RELU

    def phi(self, z: Array) -> Array:
        return np.where(z > 0, z, EPSILON * z)


class DLeakyReLU(Derivative):
    """Benchmark of the derivative of leaky_relu: da/dz is epsilon for z <= 0 and 1 for z > 0."""

    kind = LEAKY_RELU

    def d_phi(self, z: Array, a: Array) -> Array:
        return np.where(z > 0, z.dtype.type(1), EPSILON)


class SoftmaxSum(Equation):
    """Benchmark of the first loop of softmax, which computes z_max, and `others` = sum_k e^(z_k - z_max) - 1."""

    loop = staticmethod(activations.softmax_sum)

    def arguments(self, draw: Draw) -> tuple[Any, ...]:
        n, _ = OUTPUT
        return draw(OUTPUT), unset(n), unset(n)

    def numpy(self, z: Array, z_max: Array, others: Array) -> None:
        z_max[:], others[:] = softmax_sum(z)


class Softmax(Equation):
    """Benchmark of softmax, a_j = e^z_j / sum_k e^z_k.

    The benchmark does not include the computation of the sum in the denominator.
    """

    loop = staticmethod(activations.softmax_activation)

    def arguments(self, draw: Draw) -> tuple[Any, ...]:
        z = draw(OUTPUT)
        return z, *softmax_sum(z), unset(*OUTPUT)

    def numpy(self, z: Array, z_max: Array, others: Array, a: Array) -> None:
        a[:] = np.exp(z - z_max[:, None]) / (1 + others[:, None])


class DSoftmax(Equation):
    """Benchmark of the Jacobian of softmax: da_i/dz_j is a_i (1 - a_i) for i = j, and -a_i a_j for i != j."""

    loop = staticmethod(activations.softmax_jacobian)

    def arguments(self, draw: Draw) -> tuple[Any, ...]:
        n, n_out = OUTPUT
        return draw(OUTPUT), unset(n, n_out, n_out)

    def numpy(self, a: Array, da_dz: Array) -> None:
        da_dz[:] = a[:, :, None] * (np.eye(a.shape[1], dtype=a.dtype) - a[:, None, :])


class SoftmaxLogit(Equation):
    """Benchmark of the logits of softmax, u_i = z_i - log(sum_{k != i} e^z_k)."""

    loop = staticmethod(activations.softmax_logit)

    def arguments(self, draw: Draw) -> tuple[Any, ...]:
        return draw(OUTPUT), unset(*OUTPUT)

    def numpy(self, z: Array, u: Array) -> None:
        z = z - z.max(axis=1, keepdims=True)
        u[:] = z - np.log(np.exp(z) @ (1 - np.eye(z.shape[1], dtype=z.dtype)))


class InL1:
    """Benchmark of the activation functions' loops, in nanoseconds per number, on 2,048 numbers that stay in the L1 cache."""

    families = (Sigmoid, Tanh, ReLU, LeakyReLU)
    params = (("reference", "numpy"), tuple(family.__name__ for family in families))
    param_names = ("impl", "activation")
    unit = "ns per number"

    def setup(self, impl: str, name: str) -> None:
        """Checks the results of an implementation; the check also compiles the code and fills the CPU's caches."""
        family = next(family for family in self.families if family.__name__ == name)
        self.call, _ = family().checked(impl, IN_L1)

    def track_activation(self, impl: str, name: str) -> float:
        """Returns the time per number in nanoseconds."""
        return seconds_per_call(self.call) / np.prod(IN_L1) * 1e9

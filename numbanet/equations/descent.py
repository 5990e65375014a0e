"""Gradient descent: w <- w - eta dL/dw, b <- b - eta dL/db."""

from numbanet._compile import njit
from numbanet._cuda import cuda


@njit
def descend(eta, gradient, parameter):
    """w - eta dL/dw, and b - eta dL/db alike."""
    return parameter - eta * gradient


@njit
def gradient_descent(eta, gradients, parameters):
    """w <- w - eta dL/dw and b <- b - eta dL/db, for every parameter p.

    Reads gradients (p,); updates parameters (p,), the flat vector of all w and b. Twin: gradient_descent_cuda.
    """
    for p in range(parameters.shape[0]):
        parameters[p] = descend(eta, gradients[p], parameters[p])


@cuda.jit
def gradient_descent_cuda(eta, gradients, parameters):
    """w <- w - eta dL/dw and b <- b - eta dL/db, one thread per parameter p. Twin: gradient_descent."""
    p = cuda.grid(1)
    if p < parameters.shape[0]:
        parameters[p] = descend(eta, gradients[p], parameters[p])

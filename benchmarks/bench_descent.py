"""Gradient descent."""

import numpy as np

from numbanet.equations import descent

from .common import PARAMETERS, Equation


class GradientDescent(Equation):
    """w <- w - eta dL/dw, b <- b - eta dL/db."""

    loop = staticmethod(descent.gradient_descent)

    def arguments(self, draw):
        return np.float32(0.1), draw(PARAMETERS), draw(PARAMETERS)

    def numpy(self, eta, gradients, parameters):
        parameters -= eta * gradients

"""Loss functions and their gradients."""

from abc import abstractmethod

import numpy as np

from numbanet.equations import losses

from .common import OUTPUT, Equation, one_hot, softmax_sum, unset

N = OUTPUT[0]
Y = one_hot(np.arange(OUTPUT[0]) % OUTPUT[1])


class Loss(Equation):
    """L(y, y_hat) of each sample, for each `kind` of loss a class with the whole-array form of its terms in `terms`."""

    loop = staticmethod(losses.loss)

    def arguments(self, draw):
        return self.kind, N, Y, 1 / (1 + np.exp(-draw(OUTPUT))), unset(OUTPUT[0])

    def numpy(self, kind, n, y, y_hat, loss_of_sample):
        self.terms(n, y, y_hat).sum(axis=1, out=loss_of_sample)

    @abstractmethod
    def terms(self, n, y, y_hat):
        """What L sums over i."""


class Gradient(Equation):
    """dL/dy_hat, for each `kind` of loss a class with the whole-array form in `gradient`."""

    loop = staticmethod(losses.d_loss)

    def arguments(self, draw):
        return self.kind, N, Y, 1 / (1 + np.exp(-draw(OUTPUT))), unset(*OUTPUT)

    def numpy(self, kind, n, y, y_hat, dl_da):
        dl_da[:] = self.gradient(n, y, y_hat)

    @abstractmethod
    def gradient(self, n, y, y_hat):
        """dL/dy_hat_i."""


class SSE(Loss):
    """L = sum_i (y_i - y_hat_i)^2."""

    kind = losses.SSE

    def terms(self, n, y, y_hat):
        return (y - y_hat) ** 2


class DSSE(Gradient):
    """dL/dy_hat_i = -2 (y_i - y_hat_i)."""

    kind = losses.SSE

    def gradient(self, n, y, y_hat):
        return -2 * (y - y_hat)


class MSE(Loss):
    """L = 1/n sum_i (y_i - y_hat_i)^2."""

    kind = losses.MSE

    def terms(self, n, y, y_hat):
        return (y - y_hat) ** 2 / n


class DMSE(Gradient):
    """dL/dy_hat_i = -2/n (y_i - y_hat_i)."""

    kind = losses.MSE

    def gradient(self, n, y, y_hat):
        return -2 / n * (y - y_hat)


class BCE(Loss):
    """L = -1/n sum_i [y_i log y_hat_i + (1 - y_i) log(1 - y_hat_i)]."""

    kind = losses.BCE

    def terms(self, n, y, y_hat):
        return -(y * np.log(y_hat) + (1 - y) * np.log(1 - y_hat)) / n


class DBCE(Gradient):
    """dL/dy_hat_i = -1/n (y_i / y_hat_i - (1 - y_i) / (1 - y_hat_i))."""

    kind = losses.BCE

    def gradient(self, n, y, y_hat):
        return -(y / y_hat - (1 - y) / (1 - y_hat)) / n


class BCEFromZ(Equation):
    """L = -1/n sum_i [y_i log y_hat_i + (1 - y_i) log(1 - y_hat_i)], y_hat = sigmoid(z)."""

    loop = staticmethod(losses.bce_from_z_loss)

    def arguments(self, draw):
        return N, Y, draw(OUTPUT), unset(OUTPUT[0])

    def numpy(self, n, y, z, loss_of_sample):
        np.sum(np.logaddexp(0, z) - y * z, axis=1, out=loss_of_sample)
        loss_of_sample /= n


class CCE(Equation):
    """L = -1/n sum_i y_i log a_i, a = softmax(z), from the sum of softmax."""

    loop = staticmethod(losses.cce_loss)

    def arguments(self, draw):
        z = draw(OUTPUT)
        return N, Y, z, *softmax_sum(z), unset(OUTPUT[0])

    def numpy(self, n, y, z, z_max, others, loss_of_sample):
        loss_of_sample[:] = (y * ((z_max + np.log1p(others))[:, None] - z)).sum(axis=1) / n

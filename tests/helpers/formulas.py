"""Activations and losses as users write them, and the same formulas in NumPy, for tests of every engine."""

from math import exp

import numpy as np

from numbanet.formulas import Activation, Loss

BETA = 1.5


def swish(z):
    return z / (1 + exp(-z))


def d_swish(z, a):  # da/dz, from z and a = swish(z)
    return a + (1 - a) / (1 + exp(-z))


def steep_sigmoid(z, beta):
    return 1 / (1 + exp(-beta * z))


def d_steep_sigmoid(z, a, beta):
    return beta * a * (1 - a)


def huber(y, y_hat):  # one sample, one output
    e = abs(y - y_hat)
    return 0.5 * e * e if e <= 1 else e - 0.5


def d_huber(y, y_hat):  # dL/dy_hat
    e = y_hat - y
    return e if abs(e) <= 1 else (1.0 if e > 0 else -1.0)


# `swish` needs z, so that it trains by products on a GPU; `steep` does not, so that all kernels can train it.
SWISH = Activation("swish", swish, d_swish)
STEEP = Activation("steep", steep_sigmoid, d_steep_sigmoid, constants=(BETA,))
HUBER = Loss("huber", huber, d_huber)
HUBER_PER_OUTPUT = Loss("huber per output", huber, d_huber, per="output")


def sigmoid(z):
    return np.exp(-np.logaddexp(0, -z))


# For the oracle: a = phi(z), da/dz from z, and the losses of all outputs with their derivatives, which are not divided by n.
PHI = {"swish": lambda z: z * sigmoid(z), "steep": lambda z: sigmoid(BETA * z)}
D_PHI = {
    "swish": lambda z: sigmoid(z) * (1 + z * (1 - sigmoid(z))),
    "steep": lambda z: BETA * sigmoid(BETA * z) * sigmoid(-BETA * z),
}


def huber_losses(y, y_hat):
    return np.where(np.abs(y_hat - y) <= 1, (y_hat - y) ** 2 / 2, np.abs(y_hat - y) - 0.5)


def d_huber_losses(y, y_hat):
    return np.clip(y_hat - y, -1, 1)

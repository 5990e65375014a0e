"""By which rule parameters descend, and what an epoch of training is: what engines are told."""

import math
from typing import NamedTuple

import numpy as np

GRADIENT_DESCENT, MOMENTUM, NESTEROV, ADAM, ADAMW = range(5)
# How many numbers each parameter remembers: none, its velocity, or m and v.
MOMENTS = {GRADIENT_DESCENT: 0, MOMENTUM: 1, NESTEROV: 1, ADAM: 2, ADAMW: 2}

# Columns of the rates of a step: what the mean of its losses divides by, the learning rate, and Adam's eta_t and epsilon_t.
N, ETA, ETA_T, EPSILON_T = range(4)
RATES = 4


class Rule(NamedTuple):
    """A rule of `numbanet.equations.descent`, and its constants.

    Parameters
    ----------
    kind : int
    mu : float
        Of momentum and Nesterov's.
    beta_1, beta_2, epsilon : float
        Of Adam and AdamW.
    weight_decay : float
        lambda, for w alone: b does not decay.
    clip_norm : float
        The largest norm that all gradients together may have.
    """

    kind: int = GRADIENT_DESCENT
    mu: float = 0.0
    beta_1: float = 0.0
    beta_2: float = 0.0
    epsilon: float = 0.0
    weight_decay: float = 0.0
    clip_norm: float = math.inf

    @property
    def moments(self) -> int:
        """How many numbers each parameter remembers from step to step."""
        return MOMENTS[self.kind]


class Epoch(NamedTuple):
    """One pass over samples; see `epoch_of`.

    Parameters
    ----------
    order : (n,) int
        Which rows of x and y, in which order.
    batch_size : int
        Samples of a step; the last one may have fewer.
    rule : Rule
    rates : (steps, 4) float64
        Of each step.
    weights : (N,) or None
        Of the samples, as rows of x, in the network's dtype; None where all weigh 1.
    dropout_key : int
        Which neurons drop out, see `numbanet.equations.dropout`.
    """

    order: np.ndarray
    batch_size: int
    rule: Rule
    rates: np.ndarray
    weights: np.ndarray | None
    dropout_key: int


PLAIN = Rule()


def epoch_of(
    order, batch_size: int, eta, rule: Rule = PLAIN, *, first_step: int = 1, weights=None, dropout_key: int = 0
) -> Epoch:
    """An epoch whose first step is the rule's step t = first_step; eta is a number, or one for each step."""
    steps = -(-order.size // batch_size)
    rates, t = np.ones((steps, RATES)), np.arange(first_step, first_step + steps)
    starts = np.arange(0, order.size, batch_size)
    if weights is None:
        rates[:, N] = np.minimum(batch_size, order.size - starts)
    else:
        weight = np.add.reduceat(weights[order].astype(np.float64), starts)
        rates[:, N] = np.where(weight > 0, weight, 1)
    rates[:, ETA] = eta
    if rule.moments == 2:
        root = np.sqrt(1 - rule.beta_2**t)
        rates[:, ETA_T], rates[:, EPSILON_T] = rates[:, ETA] * root / (1 - rule.beta_1**t), rule.epsilon * root
    return Epoch(order, batch_size, rule, rates, weights, dropout_key)

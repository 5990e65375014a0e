"""One pass over samples, as engines receive it: the order of the samples, the batches, and the rates of each step."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from numbanet.engines.rule import PLAIN, Rule

# Columns of the rates of a step: what the mean of its losses divides by, the learning rate, and Adam's eta_t and epsilon_t.
N, ETA, ETA_T, EPSILON_T = range(4)


RATES = 4


class Shares(NamedTuple):
    """What one of several processes has of each batch of an epoch, and how their gradients become those of the batch.

    Parameters
    ----------
    ends : (steps,) int
        Where the share of each step ends in the order of this process; the next one begins there. A share may be empty.
    firsts : (steps,) int
        Which sample of the whole epoch the first one of each share is: neurons drop out by it.
    add_up : callable
        Replaces a flat vector, where the engine computes, by its sum over all processes.
    """

    ends: np.ndarray
    firsts: np.ndarray
    add_up: Callable[[Any], None]


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
    shares : Shares, optional
        Where other processes have the rest of each batch. Only the order is then that of this process alone.
    """

    order: np.ndarray
    batch_size: int
    rule: Rule
    rates: np.ndarray
    weights: np.ndarray | None
    dropout_key: int
    shares: Shares | None = None

    def steps(self) -> Iterator[tuple[int, int, int]]:
        """For each step: from and to where its samples are in the order, and which sample of the whole epoch is the first."""
        if self.shares is None:
            count = self.order.size
            return ((first, min(first + self.batch_size, count), first) for first in range(0, count, self.batch_size))
        return zip([0, *self.shares.ends[:-1].tolist()], self.shares.ends.tolist(), self.shares.firsts.tolist(), strict=True)


def epoch_of(
    order, batch_size: int, eta, rule: Rule = PLAIN, *, first_step: int = 1, weights=None, dropout_key: int = 0
) -> Epoch:
    """An epoch whose first step is the rule's step t = first_step; eta is a number, or one for each step."""
    if weights is None:
        n = np.full(-(-order.size // batch_size), batch_size)
        n[-1] -= n.size * batch_size - order.size  # what the last batch lacks
    else:
        n = np.add.reduceat(weights[order].astype(np.float64), np.arange(0, order.size, batch_size))
        n[n == 0] = 1  # nothing is divided by it
    return Epoch(order, batch_size, rule, rates_of(n, eta, rule, first_step), weights, dropout_key)


def rates_of(n: np.ndarray, eta, rule: Rule, first_step: int) -> np.ndarray:
    """The rates of steps whose samples, or their weights, add up to n (steps,), the first being the rule's first_step."""
    rates = np.empty((n.size, RATES))
    rates[:] = 1
    rates[:, N], rates[:, ETA] = n, eta
    if rule.moments == 2:
        t = np.arange(first_step, first_step + n.size)
        root = np.sqrt(1 - rule.beta_2**t)
        rates[:, ETA_T], rates[:, EPSILON_T] = rates[:, ETA] * root / (1 - rule.beta_1**t), rule.epsilon * root
    return rates

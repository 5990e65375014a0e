"""One pass over samples, as engines receive it: the order of the samples, the batches, and the rates of each step."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numbanet.engines.rule import PLAIN, Rule

# Columns of the rates of a step: the divisor of the mean of its losses, the learning rate, and Adam's eta_t and epsilon_t.
N, ETA, ETA_T, EPSILON_T = range(4)
RATES = 4


class BatchShare(NamedTuple):
    """One process's part of each batch of an epoch, and the sum that makes the batch's gradients of those of the processes.

    Parameters
    ----------
    ends : (steps,) int
        Positions in the order of this process at which its part of each step ends, and that of the next step begins. A part may
        be empty.
    firsts : (steps,) int
        Number, within the whole epoch, of the first sample of each part: dropout depends on it.
    add_up : callable
        Replaces a flat vector, which lies where the engine computes, by its sum over all processes.
    """

    ends: NDArray[np.integer]
    firsts: NDArray[np.integer]
    add_up: Callable[[Any], None]


class Epoch(NamedTuple):
    """One pass over samples; see `epoch_of`.

    Parameters
    ----------
    order : (n,) int
        Rows of x and y, in the order in which they are used.
    batch_size : int
        Samples of a step; the last step may have fewer.
    rule : Rule
        Update rule of all steps.
    rates : (steps, 4) float64
        Rates of each step.
    weights : (N,) or None
        Weights of the samples, as rows of x, in the network's dtype; None if all weigh 1.
    dropout_key : int
        Key of the random numbers of `numbanet.equations.dropout`.
    share : BatchShare, optional
        Given if other processes have the rest of each batch. The order is then that of this process alone.
    """

    order: NDArray[np.integer]
    batch_size: int
    rule: Rule
    rates: NDArray[np.float64]
    weights: NDArray[np.floating] | None
    dropout_key: int
    share: BatchShare | None = None

    def steps(self) -> Iterator[tuple[int, int, int]]:
        """Iterates over the steps.

        Returns
        -------
        iterator of (int, int, int)
            Begin and end of the step's samples in the order, and the number of the first of them within the whole epoch.
        """
        if self.share is None:
            count = self.order.size
            return ((first, min(first + self.batch_size, count), first) for first in range(0, count, self.batch_size))
        return zip([0, *self.share.ends[:-1].tolist()], self.share.ends.tolist(), self.share.firsts.tolist(), strict=True)


def epoch_of(
    order: NDArray[np.integer],
    batch_size: int,
    eta: float | NDArray[np.float64],
    rule: Rule = PLAIN,
    *,
    first_step: int = 1,
    weights: NDArray[np.floating] | None = None,
    dropout_key: int = 0,
) -> Epoch:
    """Returns an epoch of a single process.

    Parameters
    ----------
    order : (n,) int
        Rows of x and y, in the order in which they are used.
    batch_size : int
        Samples of a step; the last step may have fewer.
    eta : float or (steps,) float64
        Learning rate, of all steps or of each.
    rule : Rule
        Update rule of all steps.
    first_step : int
        Step t of the rule that the epoch begins with; 1 is the first of a training.
    weights : (N,), optional
        Weights of the samples, as rows of x.
    dropout_key : int
        Key of the random numbers of `numbanet.equations.dropout`.

    Returns
    -------
    Epoch
    """
    if weights is None:
        n = np.full(-(-order.size // batch_size), batch_size)
        n[-1] -= n.size * batch_size - order.size  # the last batch may be smaller
    else:
        n = np.add.reduceat(weights[order].astype(np.float64), np.arange(0, order.size, batch_size))
        n[n == 0] = 1  # a batch without weight has no gradients: 0 / 1
    return Epoch(order, batch_size, rule, rates_of(n, eta, rule, first_step), weights, dropout_key)


def rates_of(n: NDArray[np.number], eta: float | NDArray[np.float64], rule: Rule, first_step: int) -> NDArray[np.float64]:
    """Returns the rates of successive steps.

    Parameters
    ----------
    n : (steps,)
        Number of samples of each step, or the sum of their weights.
    eta : float or (steps,) float64
        Learning rate, of all steps or of each.
    rule : Rule
    first_step : int
        Step t of the rule that the first of these steps is.

    Returns
    -------
    (steps, 4) float64
        The columns N, ETA, ETA_T and EPSILON_T. The last two are 1 unless the rule corrects the bias of its moments.
    """
    rates = np.empty((n.size, RATES))
    rates[:] = 1
    rates[:, N], rates[:, ETA] = n, eta
    if rule.corrects_bias:
        t = np.arange(first_step, first_step + n.size)
        root = np.sqrt(1 - rule.beta_2**t)
        rates[:, ETA_T], rates[:, EPSILON_T] = rates[:, ETA] * root / (1 - rule.beta_1**t), rule.epsilon * root
    return rates

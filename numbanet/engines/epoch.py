"""One pass over the training samples, as engines receive it: sample order, batches, and the rates of each step."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numbanet.engines.rule import PLAIN, Rule

# Columns of a table of rates, which has a row for each step: the number n of samples, by which the loss is divided even if the
# samples have weights, the learning rate eta, and Adam's bias-corrected eta_t and epsilon_t.
N, ETA, ETA_T, EPSILON_T = range(4)
RATES = 4


class BatchShare(NamedTuple):
    """One process's part of each batch of an epoch, and a function that adds up the gradients of all processes.

    Parameters
    ----------
    ends : (steps,) int
        For each step, the index in this process's `Epoch.order` at which its samples end. Each index is also the index at which
        this process's samples of the next step begin. A step may have no samples of this process.
    firsts : (steps,) int
        For each step, the index of this process's first sample within the whole epoch. The random numbers of dropout depend on
        a sample's index within the whole epoch.
    add_up : callable
        add_up(flat) replaces the flat vector, which lies on the engine's device, by its sum over all processes.
    """

    ends: NDArray[np.integer]
    firsts: NDArray[np.integer]
    add_up: Callable[[Any], None]


class Epoch(NamedTuple):
    """One pass over the training samples, as `Engine.train_epoch` takes it; `epoch_of` creates one.

    Parameters
    ----------
    order : (n,) int
        Row indices into x and y, in the order in which training uses the rows.
    batch_size : int
        Number of samples of each step. The last step may have fewer samples.
    rule : Rule
        Update rule, which is the same for all steps.
    rates : (steps, 4) float64
        For each step, the divisor n of the mean loss, the learning rate eta, and Adam's eta_t and epsilon_t, see `rates_of`.
    weights : (N,) or None
        Weight of each row of x, in the network's dtype. If `weights` is None, all samples have the weight 1. The gradient of a
        step is 1/n times the sum of weight times gradient over its n samples.
    dropout_key : int
        Key of the random numbers of `numbanet.equations.dropout`.
    share : BatchShare, optional
        This process's part of each batch, if several processes share the batches. If `share` is given, `order` holds only the
        samples of this process.
    """

    order: NDArray[np.integer]
    batch_size: int
    rule: Rule
    rates: NDArray[np.float64]
    weights: NDArray[np.floating] | None
    dropout_key: int
    share: BatchShare | None = None

    def steps(self) -> Iterator[tuple[int, int, int]]:
        """Returns an iterator over the steps.

        Returns
        -------
        iterator of (int, int, int)
            For each step, the indices in `order` at which its samples begin and end, and the index of its first sample within
            the whole epoch.
        """
        if self.share is None:
            count = self.order.size
            return ((first, min(first + self.batch_size, count), first) for first in range(0, count, self.batch_size))
        return zip([0, *self.share.ends[:-1].tolist()], self.share.ends.tolist(), self.share.firsts.tolist(), strict=True)

    def parts(self) -> list["Epoch"]:
        """Returns the epoch in parts, each of which has the same factor of weight decay in all batches, in their order.

        Returns
        -------
        list of Epoch
            The epoch itself, unless the factor depends on the number of samples of a batch (`Rule.decay_batch`). If it does,
            a last batch that is smaller than the others is a part of its own.
        """
        rule, order, size = self.rule, self.order, self.batch_size
        if self.share is not None or not (rule.decay_batch and rule.weight_decay):
            return [self]
        steps, rest = divmod(order.size, size)
        parts = []
        if steps:
            parts.append(self._replace(order=order[: steps * size], rule=rule.for_batch(size), rates=self.rates[:steps]))
        if rest:
            last = self._replace(order=order[steps * size :], rule=rule.for_batch(rest), rates=self.rates[steps:])
            parts.append(last._replace(batch_size=rest, dropout_key=self.dropout_key ^ 1))  # other neurons drop out
        return parts


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
    """Returns an `Epoch` for training by a single process.

    Parameters
    ----------
    order : (n,) int
        Row indices into x and y, in the order in which training uses the rows.
    batch_size : int
        Number of samples of each step. The last step may have fewer samples.
    eta : float or (steps,) float64
        Learning rate: one value for all steps, or one value for each step.
    rule : Rule
        Update rule, which is the same for all steps.
    first_step : int
        Number t of the epoch's first step, on which Adam's bias correction depends. The first step of a training has the number
        t = 1.
    weights : (N,), optional
        Weight of each row of x. Without weights, all samples have the weight 1.
    dropout_key : int
        Key of the random numbers of `numbanet.equations.dropout`.

    Returns
    -------
    Epoch
    """
    n = np.full(-(-order.size // batch_size), batch_size)
    n[-1] -= n.size * batch_size - order.size  # the last batch may be smaller
    return Epoch(order, batch_size, rule, rates_of(n, eta, rule, first_step), weights, dropout_key)


def rates_of(n: NDArray[np.number], eta: float | NDArray[np.float64], rule: Rule, first_step: int) -> NDArray[np.float64]:
    """Returns the divisor n of the mean loss, the learning rate eta, and Adam's eta_t and epsilon_t of successive steps.

    In step t, eta_t = eta sqrt(1 - beta_2^t) / (1 - beta_1^t) and epsilon_t = epsilon sqrt(1 - beta_2^t). If the rule does not
    correct epsilon, epsilon_t = epsilon.

    Parameters
    ----------
    n : (steps,)
        Number of samples of each step.
    eta : float or (steps,) float64
        Learning rate: one value for all steps, or one value for each step.
    rule : Rule
        Update rule, whose constants determine eta_t and epsilon_t.
    first_step : int
        Number t of the first step whose values are returned. The first step of a training has the number t = 1.

    Returns
    -------
    (steps, 4) float64
        The values of each step in the columns N, ETA, ETA_T and EPSILON_T. ETA_T and EPSILON_T are 1 unless the rule corrects
        the bias of its moments, as Adam does.
    """
    rates = np.empty((n.size, RATES))
    rates[:] = 1
    rates[:, N], rates[:, ETA] = n, eta
    if rule.corrects_bias:
        t = np.arange(first_step, first_step + n.size)
        root = np.sqrt(1 - rule.beta_2**t)
        rates[:, ETA_T] = rates[:, ETA] * root / (1 - rule.beta_1**t)
        rates[:, EPSILON_T] = rule.epsilon * root if rule.corrects_epsilon else rule.epsilon
    return rates

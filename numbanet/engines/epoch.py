"""Defines `Epoch`, one pass over the training samples: the order of the samples, the batches, and the rates of each step."""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numbanet.engines.rule import PLAIN, Rule

# The columns of an array of rates, which has one row per step. N is the number n of samples, which divides the loss even if
# there are sample weights. ETA is the learning rate eta. ETA_T and EPSILON_T are Adam's bias-corrected eta_t and epsilon_t.
N, ETA, ETA_T, EPSILON_T = range(4)
RATES = 4


class BatchShare(NamedTuple):
    """The part of each batch that one of several processes computes, and a function that adds up the processes' gradients.

    Parameters
    ----------
    ends : (steps,) int
        For each step, the index in this process's `Epoch.order` at which the samples of the step end and the samples of the
        next step begin. A process may have no samples in a step.
    firsts : (steps,) int
        For each step, the index of this process's first sample, counted over the samples of all processes in the epoch. Dropout
        computes a sample's random numbers from the sample's index among the samples of all processes.
    add_up : callable
        add_up(flat) replaces a flat vector on the engine's device with its sum over all processes.
    """

    ends: NDArray[np.integer]
    firsts: NDArray[np.integer]
    add_up: Callable[[Any], None]


class Epoch(NamedTuple):
    """One pass over the training samples, to be passed to `Engine.train_epoch`. The function `epoch_of` creates an epoch.

    Parameters
    ----------
    order : (n,) int
        The row indices into x and y, in the order in which training visits the rows.
    batch_size : int
        Number of samples in each step. The last step may have fewer samples.
    rule : Rule
        The update rule, which is the same for all steps.
    rates : (steps, 4) float64
        One row per step, as `rates_of` returns it: the divisor n of the mean loss, the learning rate eta, and Adam's eta_t and
        epsilon_t.
    weights : (N,) or None
        The sample weight of each row of x, in the network's dtype. If `weights` is None, all samples have the weight 1. The
        gradient of a step with n samples is the sum of (sample weight * gradient of the sample), divided by n.
    dropout_key : int
        The key of the random numbers in `numbanet.equations.dropout`.
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
            The range of each step's samples in `order`, as first index and end, and the index of the step's first sample within
            the whole epoch.
        """
        if self.share is None:
            count = self.order.size
            return ((first, min(first + self.batch_size, count), first) for first in range(0, count, self.batch_size))
        return zip([0, *self.share.ends[:-1].tolist()], self.share.ends.tolist(), self.share.firsts.tolist(), strict=True)

    def parts(self) -> list["Epoch"]:
        """Divides the epoch into successive parts, so that all batches of a part have the same weight-decay factor.

        Returns
        -------
        list of Epoch
            Usually, the list contains only the epoch itself. If the weight-decay factor depends on the number of samples in a
            batch (see `Rule.decay_batch`), and the last batch is smaller than the other batches, the list has two parts: the
            last batch is a part of its own.
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
            parts.append(last._replace(batch_size=rest, dropout_key=self.dropout_key ^ 1))  # another key
        return parts


_FEW_STEPS = 64  # largest number of steps of an epoch whose table of rates is kept for later epochs
_ROWS = np.arange(4096)  # short ranges of rows are views of this array, which take less time than new arrays


def rows_between(first: int, stop: int) -> NDArray[np.integer]:
    """Returns the row indices first, ..., stop - 1 as an array, which the caller must not change."""
    return _ROWS[first:stop] if stop <= _ROWS.size else np.arange(first, stop)


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
    """Returns an `Epoch` for training in a single process.

    Parameters
    ----------
    order : (n,) int
        The row indices into x and y, in the order in which training visits the rows.
    batch_size : int
        Number of samples in each step. The last step may have fewer samples.
    eta : float or (steps,) float64
        The learning rate: one value for all steps, or one value for each step.
    rule : Rule
        The update rule, which is the same for all steps.
    first_step : int
        The number t of the epoch's first step, counted from 1 over all steps of the training run. Adam's bias correction
        depends on t.
    weights : (N,), optional
        The sample weight of each row of x. If `weights` is None, all samples have the weight 1.
    dropout_key : int
        The key of the random numbers in `numbanet.equations.dropout`.

    Returns
    -------
    Epoch
        The epoch, in which `share` is None.
    """
    if rule.corrects_bias or order.size > _FEW_STEPS * batch_size or isinstance(eta, np.ndarray):
        rates = rates_of(_batch_sizes(order.size, batch_size), eta, rule, first_step)
    else:
        rates = _constant_rates(order.size, batch_size, eta)
    return Epoch(order, batch_size, rule, rates, weights, dropout_key)


def _batch_sizes(count: int, batch_size: int) -> NDArray[np.integer]:
    """Returns the number of samples in each batch of an epoch with `count` samples."""
    n = np.full(-(-count // batch_size), batch_size)
    n[-1] -= n.size * batch_size - count  # the last batch may be smaller
    return n


@functools.lru_cache(256)
def _constant_rates(count: int, batch_size: int, eta: float) -> NDArray[np.float64]:
    """Returns the table of rates (see `rates_of`) for an epoch with a rule other than Adam and AdamW.

    The caller must not change the table, which later calls return again.
    """
    return rates_of(_batch_sizes(count, batch_size), eta, PLAIN, 1)


def rates_of(n: NDArray[np.number], eta: float | NDArray[np.float64], rule: Rule, first_step: int) -> NDArray[np.float64]:
    """Returns the rates of each step: the divisor n of the mean loss, the learning rate eta, and Adam's eta_t and epsilon_t.

    In step t, eta_t = eta * sqrt(1 - beta_2^t) / (1 - beta_1^t) and epsilon_t = epsilon * sqrt(1 - beta_2^t). If
    `rule.corrects_epsilon` is False, epsilon_t = epsilon.

    Parameters
    ----------
    n : (steps,)
        Number of samples in each step.
    eta : float or (steps,) float64
        The learning rate: one value for all steps, or one value for each step.
    rule : Rule
        The update rule. The constants of the rule determine eta_t and epsilon_t.
    first_step : int
        The number t of the first step, counted from 1 over all steps of the training run.

    Returns
    -------
    (steps, 4) float64
        One row per step, with the columns N, ETA, ETA_T and EPSILON_T. Only Adam and AdamW, which correct the bias of their
        moments, use ETA_T and EPSILON_T; for all other rules, the two columns contain 1.
    """
    rates = np.empty((n.size, RATES))
    rates[:] = 1
    rates[:, N], rates[:, ETA] = n, eta
    if rule.corrects_bias:
        t = np.arange(first_step, first_step + n.size)
        with np.errstate(all="ignore"):
            root = np.sqrt(1 - rule.beta_2**t)
            rates[:, ETA_T] = rates[:, ETA] * root / (1 - rule.beta_1**t)
        rates[:, EPSILON_T] = rule.epsilon * root if rule.corrects_epsilon else rule.epsilon
    return rates

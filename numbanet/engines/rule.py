"""Update rules as engines receive them: a rule consists of its kind, such as ADAM, and its constants.

The formulas of the rules are in the module `numbanet.equations.descent`.
"""

import math
from typing import NamedTuple

GRADIENT_DESCENT, MOMENTUM, NESTEROV, ADAM, ADAMW = range(5)


class Kind(NamedTuple):
    """The properties of a kind of update rule, such as Adam, that engines need to know in addition to its formula.

    Parameters
    ----------
    moments : int
        Number of values that the rule keeps for each parameter from step to step: 1 for the velocity of momentum, 2 for Adam's
        m and v.
    corrects_bias : bool
        Whether the rule uses the bias-corrected eta_t and epsilon_t, which `numbanet.engines.epoch.rates_of` computes, instead
        of eta and epsilon.
    decouples_decay : bool
        Whether weight decay shrinks w directly, w <- w - eta lambda w, instead of adding lambda w to dL/dw.
    """

    moments: int
    corrects_bias: bool = False
    decouples_decay: bool = False


KINDS = {
    GRADIENT_DESCENT: Kind(moments=0),
    MOMENTUM: Kind(moments=1),
    NESTEROV: Kind(moments=1),
    ADAM: Kind(moments=2, corrects_bias=True),
    ADAMW: Kind(moments=2, corrects_bias=True, decouples_decay=True),
}


class Rule(NamedTuple):
    """An update rule of the module `numbanet.equations.descent`, and its constants.

    Parameters
    ----------
    kind : int
        The kind of update rule, such as ADAM, which is a key of `KINDS`.
    mu : float
        The factor of the velocity in the rules MOMENTUM and NESTEROV.
    beta_1, beta_2, epsilon : float
        The constants of the rules ADAM and ADAMW.
    weight_decay : float
        The weight-decay factor lambda. Weight decay applies to w but not to b.
    clip_norm : float
        The largest allowed norm of the vector of all gradients. A vector with a larger norm is scaled down to the norm
        `clip_norm`.
    corrects_epsilon : bool
        Whether the rules ADAM and ADAMW add epsilon to sqrt(v_hat), with v_hat = v / (1 - beta_2^t) in step t, instead of to
        sqrt(v). If True, epsilon_t is epsilon * sqrt(1 - beta_2^t); if False, epsilon_t is epsilon.
    decay_batch : int
        If `decay_batch` is 0, `weight_decay` is the weight-decay factor of all batches. If `decay_batch` is not 0, the
        weight-decay factor of a batch of n samples is weight_decay * decay_batch / n.
    """

    kind: int = GRADIENT_DESCENT
    mu: float = 0.0
    beta_1: float = 0.0
    beta_2: float = 0.0
    epsilon: float = 0.0
    weight_decay: float = 0.0
    clip_norm: float = math.inf
    corrects_epsilon: bool = True
    decay_batch: int = 0

    def for_batch(self, n: int) -> "Rule":
        """Returns the rule for batches of n samples: multiplies `weight_decay` by decay_batch / n, unless decay_batch is 0."""
        if self.decay_batch in (0, n):
            return self
        return self._replace(weight_decay=self.weight_decay * self.decay_batch / n)

    @property
    def moments(self) -> int:
        """Number of values (moments) that the rule keeps for each parameter from step to step."""
        return KINDS[self.kind].moments

    @property
    def corrects_bias(self) -> bool:
        """True if the rule uses the bias-corrected eta_t and epsilon_t instead of eta and epsilon."""
        return KINDS[self.kind].corrects_bias

    @property
    def decouples_decay(self) -> bool:
        """True if weight decay shrinks w directly instead of adding lambda w to the gradient dL/dw."""
        return KINDS[self.kind].decouples_decay


PLAIN = Rule()

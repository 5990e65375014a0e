"""Update rules as engines receive them: the kind of a rule, such as ADAM, and its constants.

The formulas of the rules are in `numbanet.equations.descent`.
"""

import math
from typing import NamedTuple

GRADIENT_DESCENT, MOMENTUM, NESTEROV, ADAM, ADAMW = range(5)


class Kind(NamedTuple):
    """Properties of a kind of update rule, besides its formula, that engines depend on.

    Parameters
    ----------
    moments : int
        Number of values that the rule keeps for each parameter from step to step: its velocity, or Adam's m and v.
    corrects_bias : bool
        Whether the rule takes the bias-corrected eta_t and epsilon_t of `numbanet.engines.epoch.rates_of` instead of eta and
        epsilon.
    decouples_decay : bool
        Whether weight decay shrinks w directly, by w <- w - eta lambda w, instead of adding lambda w to dL/dw.
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
    """An update rule of `numbanet.equations.descent`, with its constants.

    Parameters
    ----------
    kind : int
        The kind of rule, such as ADAM: a key of `KINDS`.
    mu : float
        Factor of the velocity in the rules MOMENTUM and NESTEROV.
    beta_1, beta_2, epsilon : float
        Constants of the rules ADAM and ADAMW.
    weight_decay : float
        Factor lambda of weight decay, which applies to w but not to b.
    clip_norm : float
        Largest norm of the vector of all gradients. A vector with a larger norm is scaled down to this norm.
    corrects_epsilon : bool
        Whether epsilon_t of the rules ADAM and ADAMW is epsilon sqrt(1 - beta_2^t), so that epsilon is added to sqrt(v_hat). If
        False, epsilon_t is epsilon, which is added to sqrt(v).
    decay_batch : int
        Number of samples of a batch for which `weight_decay` is the factor of weight decay. For a batch of n samples, the
        factor is weight_decay decay_batch / n. If `decay_batch` is 0, `weight_decay` is the factor for all batches.
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
        """Returns the rule whose `weight_decay` is the factor for batches of n samples; see `decay_batch`."""
        if self.decay_batch in (0, n):
            return self
        return self._replace(weight_decay=self.weight_decay * self.decay_batch / n)

    @property
    def moments(self) -> int:
        """Number of values (moments) that the rule keeps for each parameter from step to step."""
        return KINDS[self.kind].moments

    @property
    def corrects_bias(self) -> bool:
        """True if the rule takes the bias-corrected eta_t and epsilon_t instead of eta and epsilon."""
        return KINDS[self.kind].corrects_bias

    @property
    def decouples_decay(self) -> bool:
        """True if weight decay shrinks w directly instead of adding lambda w to the gradient of w."""
        return KINDS[self.kind].decouples_decay


PLAIN = Rule()

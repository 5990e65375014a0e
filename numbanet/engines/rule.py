"""Update rules, as engines receive them: the kind of a rule of `numbanet.equations.descent`, and its constants."""

import math
from typing import NamedTuple

GRADIENT_DESCENT, MOMENTUM, NESTEROV, ADAM, ADAMW = range(5)


class Kind(NamedTuple):
    """Properties of a kind of rule, besides its formula, that engines depend on.

    Parameters
    ----------
    moments : int
        Numbers that each parameter keeps from step to step: its velocity, or m and v.
    corrects_bias : bool
        Whether the rule takes eta_t and epsilon_t, see `numbanet.engines.epoch.rates_of`, in place of eta and epsilon.
    decouples_decay : bool
        Whether weight decay shrinks w itself, w <- w - eta lambda w, instead of adding lambda w to dL/dw.
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
    """A rule of `numbanet.equations.descent`, and its constants.

    Parameters
    ----------
    kind : int
        A key of `KINDS`.
    mu : float
        Factor of the velocity, of MOMENTUM and NESTEROV.
    beta_1, beta_2, epsilon : float
        Constants of ADAM and ADAMW.
    weight_decay : float
        lambda, for w alone: b does not decay.
    clip_norm : float
        Largest norm of all gradients together; longer gradients are scaled to it.
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
        """Number of moments that each parameter keeps from step to step."""
        return KINDS[self.kind].moments

    @property
    def corrects_bias(self) -> bool:
        """True if the rule takes eta_t and epsilon_t in place of eta and epsilon."""
        return KINDS[self.kind].corrects_bias

    @property
    def decouples_decay(self) -> bool:
        """True if weight decay shrinks w itself instead of adding to its gradient."""
        return KINDS[self.kind].decouples_decay


PLAIN = Rule()

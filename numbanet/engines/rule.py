"""By which rule parameters descend, and what an epoch of training is: what engines are told."""

import math
from typing import NamedTuple

GRADIENT_DESCENT, MOMENTUM, NESTEROV, ADAM, ADAMW = range(5)
# How many numbers each parameter remembers: none, its velocity, or m and v.
MOMENTS = {GRADIENT_DESCENT: 0, MOMENTUM: 1, NESTEROV: 1, ADAM: 2, ADAMW: 2}


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


PLAIN = Rule()

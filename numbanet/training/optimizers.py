"""The ways to descend that `Network.fit` takes: what each is called, its constants, and what it is to an engine."""

import math
from dataclasses import asdict, dataclass, field, fields
from typing import ClassVar

from numbanet import checks
from numbanet.engines import rule
from numbanet.engines.rule import Rule


@dataclass(frozen=True)
class Optimizer:
    """What all optimizers have.

    Parameters
    ----------
    weight_decay : float
        lambda of an L2 penalty, lambda/2 times the sum of all w^2: its gradient lambda w is added to dL/dw. Biases are never
        penalised, and the reported loss does not contain it.
    clip_norm : float, optional
        The largest norm of all gradients together; longer ones are scaled down to it (Pascanu et al., 2013, PMLR
        28(3):1310-1318), before weight decay.

    Raises
    ------
    ValueError, TypeError
        Where a constant is not as above.
    """

    weight_decay: float = field(default=0.0, kw_only=True)
    clip_norm: float | None = field(default=None, kw_only=True)
    kind: ClassVar[int]
    learning_rate: ClassVar[float] = 0.01  # where `fit` is not told otherwise

    def __post_init__(self):
        for each in fields(self):
            value = getattr(self, each.name)
            if value is not None or each.name != "clip_norm":
                object.__setattr__(self, each.name, _CHECKS[each.name](each.name, value))

    def rule(self) -> Rule:
        """What an engine is told."""
        constants = asdict(self)
        constants["mu"] = constants.pop("momentum", 0.0)
        return Rule(self.kind, **constants | {"clip_norm": math.inf if self.clip_norm is None else self.clip_norm})


@dataclass(frozen=True)
class GradientDescent(Optimizer):
    """w <- w - eta dL/dw, b <- b - eta dL/db."""

    kind = rule.GRADIENT_DESCENT


@dataclass(frozen=True)
class Momentum(Optimizer):
    """v <- mu v + dL/dw, w <- w - eta v (Polyak, 1964, doi:10.1016/0041-5553(64)90137-5).

    Parameters
    ----------
    momentum : float
        mu, in [0, 1).
    weight_decay, clip_norm
        As for `Optimizer`.
    """

    momentum: float = 0.9
    kind = rule.MOMENTUM


@dataclass(frozen=True)
class Nesterov(Momentum):
    """v <- mu v + dL/dw, w <- w - eta (dL/dw + mu v) (Sutskever et al., 2013, PMLR 28(3):1139-1147).

    Parameters
    ----------
    momentum : float
        mu, in [0, 1).
    weight_decay, clip_norm
        As for `Optimizer`.
    """

    kind = rule.NESTEROV


@dataclass(frozen=True)
class Adam(Optimizer):
    """w <- w - eta m_hat / (sqrt(v_hat) + epsilon) (Kingma and Ba, 2015, arXiv:1412.6980).

    m and v are moving averages of dL/dw and of its square, m_hat and v_hat what is left of their having begun at 0 once that is
    corrected.

    Parameters
    ----------
    beta_1, beta_2 : float
        What m and v keep from step to step, in [0, 1).
    epsilon : float
        Positive.
    weight_decay, clip_norm
        As for `Optimizer`.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-8
    kind = rule.ADAM
    learning_rate = 0.001


@dataclass(frozen=True)
class AdamW(Adam):
    """Adam, after w <- w - eta lambda w: weight decay apart from the gradient (Loshchilov and Hutter, 2019, arXiv:1711.05101).

    Parameters
    ----------
    beta_1, beta_2, epsilon
        As for `Adam`.
    weight_decay : float
        lambda. Biases do not decay.
    clip_norm
        As for `Optimizer`.
    """

    weight_decay: float = field(default=0.01, kw_only=True)
    kind = rule.ADAMW


OPTIMIZERS = {
    "gradient_descent": GradientDescent,
    "momentum": Momentum,
    "nesterov": Nesterov,
    "adam": Adam,
    "adamw": AdamW,
}
_CHECKS = {
    "weight_decay": checks.not_negative,
    "clip_norm": checks.positive,
    "momentum": checks.share,
    "beta_1": checks.share,
    "beta_2": checks.share,
    "epsilon": checks.positive,
}


def optimizer_of(value) -> Optimizer:
    """The optimizer that a name or an object means."""
    if isinstance(value, Optimizer):
        return value
    if not isinstance(value, str):
        raise TypeError(
            f"optimizer must be one of {', '.join(OPTIMIZERS)}, or an object such as Adam(beta_1=0.8), not {value!r}"
        )
    return OPTIMIZERS[checks.choice("optimizer", value, OPTIMIZERS)]()


def description(optimizer: Optimizer) -> dict:
    """Its name and constants, as a file holds them."""
    (name,) = (name for name, kind in OPTIMIZERS.items() if kind is type(optimizer))
    return {"name": name} | asdict(optimizer)


def described(content: dict) -> Optimizer:
    """The optimizer that a `description` describes."""
    constants = dict(content)
    return OPTIMIZERS[constants.pop("name")](**constants)

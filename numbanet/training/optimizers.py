"""Defines the optimizers: the names, constants and update rules with which a network changes its parameters."""

import copy
import functools
import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

import numpy as np

from numbanet import checks
from numbanet.engines import rule
from numbanet.engines.rule import Rule


@dataclass(frozen=True)
class Optimizer:
    """Base class of all optimizers, with the constants that every optimizer has.

    In the formulas of the subclasses, L is the loss, w a weight, b a bias, and eta the learning rate.

    Parameters
    ----------
    weight_decay : float
        The weight-decay factor lambda. An L2 penalty of lambda/2 times the sum of all w^2 is added to the loss, which adds
        lambda * w to the gradient dL/dw. Biases are not penalised, and the reported loss does not include the penalty.
    clip_norm : float, optional
        The largest allowed norm of the gradient, computed over all parameters together. A gradient whose norm exceeds clip_norm
        is scaled down to the norm clip_norm before weight decay is applied (Pascanu et al., 2013, PMLR 28(3):1310-1318).

    Raises
    ------
    ValueError, TypeError
        A constant has the wrong type or is out of range; the error message names the constant.
    """

    weight_decay: float = field(default=0.0, kw_only=True)
    clip_norm: float | None = field(default=None, kw_only=True)
    kind: ClassVar[int]
    learning_rate: ClassVar[float] = 0.01  # the learning rate that `fit` uses by default
    corrects_epsilon: ClassVar[bool] = True  # a field of `Rule`, like the next attribute
    decay_batch: ClassVar[int] = 0

    def __post_init__(self) -> None:
        for each in fields(self):
            value = getattr(self, each.name)
            value = each.default if value is None else value
            object.__setattr__(self, each.name, None if value is None else _CHECKS[each.name](each.name, value))

    @functools.lru_cache(256)  # noqa: B019 - in a very small network, a training step takes less time than these checks
    def check(self, dtype: np.dtype) -> None:
        """Raises ValueError if a constant is out of range after it is rounded to the network's dtype."""
        for name in ("weight_decay", "clip_norm", "epsilon"):
            check = checks.not_negative if name == "weight_decay" else checks.positive
            if (value := getattr(self, name, None)) is not None:
                check(name, value, dtype)
        if dtype.type(momentum := getattr(self, "momentum", 0.0)) == 1:
            raise ValueError(f"momentum must be less than 1, but {momentum!r} rounds to 1 in {dtype}: pass a smaller one")

    @property
    def moments(self) -> int:
        """The number of moments (running averages of gradients, such as the velocity) that are kept for each parameter."""
        return rule.KINDS[self.kind].moments

    def rule(self) -> Rule:
        """Returns the update rule and its constants as a `Rule`, with which a network updates its parameters."""
        return _rule(self, self.corrects_epsilon, self.decay_batch)


# The cached function takes corrects_epsilon and decay_batch as arguments, because optimizers that differ only in these
# attributes are equal.
@functools.lru_cache(256)
def _rule(optimizer: Optimizer, corrects_epsilon: bool, decay_batch: int) -> Rule:
    constants = asdict(optimizer)
    constants["mu"] = constants.pop("momentum", 0.0)
    constants["clip_norm"] = math.inf if optimizer.clip_norm is None else optimizer.clip_norm
    return Rule(optimizer.kind, **constants, corrects_epsilon=corrects_epsilon, decay_batch=decay_batch)


@dataclass(frozen=True)
class GradientDescent(Optimizer):
    """Gradient descent: w <- w - eta dL/dw, b <- b - eta dL/db."""

    kind = rule.GRADIENT_DESCENT


@dataclass(frozen=True)
class Momentum(Optimizer):
    """Momentum, with a velocity v: v <- mu v + dL/dw, w <- w - eta v (Polyak, 1964, doi:10.1016/0041-5553(64)90137-5).

    Parameters
    ----------
    momentum : float
        The factor mu by which the velocity v is multiplied in each step, in [0, 1).
    weight_decay, clip_norm
        As for `Optimizer`.
    """

    momentum: float = 0.9
    kind = rule.MOMENTUM


@dataclass(frozen=True)
class Nesterov(Momentum):
    """Nesterov momentum: v <- mu v + dL/dw, w <- w - eta (dL/dw + mu v).

    The velocity v is kept from step to step (Sutskever et al., 2013, PMLR 28(3):1139-1147).

    Parameters
    ----------
    momentum : float
        The factor mu by which the velocity v is multiplied in each step, in [0, 1).
    weight_decay, clip_norm
        As for `Optimizer`.
    """

    kind = rule.NESTEROV


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam: w <- w - eta m_hat / (sqrt(v_hat) + epsilon) (Kingma and Ba, 2015, arXiv:1412.6980).

    m is a moving average of the gradient dL/dw, and v is a moving average of the square of the gradient. m_hat and v_hat are m
    and v after bias correction, which compensates for the initial value 0 of m and v.

    Parameters
    ----------
    beta_1, beta_2 : float
        The decay rates of the moving averages m and v: the fractions of m and v that each step keeps, in [0, 1).
    epsilon : float
        The positive constant in the denominator, which prevents a division by 0.
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
    """Adam with decoupled weight decay: first w <- w - eta lambda w, then Adam (Loshchilov and Hutter, 2019, arXiv:1711.05101).

    Parameters
    ----------
    beta_1, beta_2, epsilon
        As for `Adam`.
    weight_decay : float
        The weight-decay factor lambda. Weight decay does not change biases.
    clip_norm
        As for `Optimizer`.
    """

    weight_decay: float = field(default=0.01, kw_only=True)
    kind = rule.ADAMW


def as_in_scikit_learn(optimizer: Optimizer, batch_size: int) -> Optimizer:
    """Returns a copy of the optimizer that performs the same updates as scikit-learn's solvers.

    `Adam` adds epsilon to sqrt(v_hat): v_hat is v, the moving average of the squared gradient, after bias correction. The copy
    of an `Adam` object adds epsilon to sqrt(v) instead. If the last batch of an epoch has n < batch_size samples, every copy
    multiplies the weight-decay factor of this batch by batch_size / n, because scikit-learn divides the penalty by n. These
    changes matter for weights whose gradient comes only from the penalty, such as the weights of a neuron with relu whose
    output is 0 for all samples. A pickle of the copy stores these changes, but a model file does not.
    """
    other = copy.copy(optimizer)
    object.__setattr__(other, "corrects_epsilon", False)
    object.__setattr__(other, "decay_batch", batch_size)
    return other


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
    "momentum": checks.fraction,
    "beta_1": checks.fraction,
    "beta_2": checks.fraction,
    "epsilon": checks.positive,
}


def optimizer_of(value: str | Optimizer | None) -> Optimizer:
    """Converts the argument `optimizer` of `Network.fit`, a name or an `Optimizer`, to an `Optimizer`."""
    if isinstance(value, Optimizer):
        return value
    if not isinstance(value, str):
        raise TypeError(
            f"optimizer must be one of {', '.join(OPTIMIZERS)}, or an object such as Adam(beta_1=0.8), not {value!r}"
        )
    return _by_name(value)


@functools.cache
def _by_name(name: str) -> Optimizer:
    """Returns the optimizer with this name and the default constants; every call with this name returns the same object."""
    return OPTIMIZERS[checks.choice("optimizer", name, OPTIMIZERS)]()


def description(optimizer: Optimizer) -> dict[str, Any]:
    """Returns a dict with the optimizer's name and constants, which model files store."""
    (name,) = (name for name, kind in OPTIMIZERS.items() if kind is type(optimizer))
    return {"name": name} | asdict(optimizer)


def described(content: dict[str, Any]) -> Optimizer:
    """Recreates the optimizer from a dict that `description` returned."""
    constants = dict(content)
    return OPTIMIZERS[constants.pop("name")](**constants)

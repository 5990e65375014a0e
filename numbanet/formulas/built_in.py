"""The built-in formulas that are not on the cheat sheet, such as gelu and huber, as `Activation` and `Loss` objects."""

import re
from typing import Any

import numpy as np

from numbanet import checks
from numbanet._compile import njit_formula
from numbanet.equations import beyond, losses
from numbanet.formulas.activation import Activation
from numbanet.formulas.formula import Formula, digest_of
from numbanet.formulas.loss import Loss


def built_in(name: str) -> Activation | Loss:
    """Returns the built-in formula with the given name."""
    return (BEYOND_ACTIVATIONS | BEYOND_LOSSES)[name]


def _attributes(name: str) -> dict[str, Any]:
    return {"name": name, "digest": digest_of("built in", name), "is_built_in": True, "_pickled": (built_in, (name,))}


def _of_z(name: str, phi: Any, d_phi: Any) -> Activation:
    """Returns an activation whose derivative is d_phi(z), a function of the argument z of phi."""
    return _activation(name, phi, njit_formula(lambda z, a: d_phi(z), cached=False), needs_z=True)


def _of_a(name: str, phi: Any, d_phi: Any) -> Activation:
    """Returns an activation whose derivative is d_phi(a), a function of the value a = phi(z)."""
    return _activation(name, phi, njit_formula(lambda z, a: d_phi(a), cached=False), needs_z=False)


def _activation(name: str, phi: Any, d_phi: Any, needs_z: bool) -> Activation:
    activation = Activation.__new__(Activation)
    Formula.__init__(activation, phi=phi, d_phi=d_phi, needs_z=needs_z, **_attributes(name))
    return activation


def _loss(name: str, loss: Any, d_loss: Any) -> Loss:
    result = Loss.__new__(Loss)
    Formula.__init__(result, loss=loss, d_loss=d_loss, per="sample", **_attributes(name))
    return result


class WithParameter(Loss):
    """Base class of the built-in losses that have a parameter.

    The name of a loss with a parameter contains the value of the parameter, such as "huber(delta=2.0)", unless the parameter
    has its default. Because the name contains the parameter, files need only the name of the loss.

    Parameters
    ----------
    kind, parameter : str
        The names of the loss and of its parameter.
    value, default : float
        The value and the default of the parameter.
    loss, d_loss : function
        The functions (y, y_hat, parameter) of `numbanet.equations.beyond`.
    """

    def __init__(self, kind: str, parameter: str, value: float, default: float, loss: Any, d_loss: Any):
        name = kind if value == default else f"{kind}({parameter}={value!r})"
        Formula.__init__(
            self,
            loss=njit_formula(lambda y, y_hat: loss(y, y_hat, value), cached=False),
            d_loss=njit_formula(lambda y, y_hat: d_loss(y, y_hat, value), cached=False),
            per="sample",
            **{parameter: value},
            **_attributes(name) | {"_pickled": (type(self), (value,))},
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._pickled[1][0]!r})"


class Huber(WithParameter):
    """The Huber loss: e^2 / 2 for an error |e| of at most delta, and delta (|e| - delta / 2) for a larger error.

    The loss of a batch is the sum over samples and outputs, divided by the number of samples. The name "huber" stands for
    `Huber()`.

    Parameters
    ----------
    delta : float
        The largest error |e| for which the loss is e^2 / 2, in units of the targets.

    Raises
    ------
    TypeError, ValueError
        `delta` is not a number, or is not positive and finite in float32.

    References
    ----------
    P. J. Huber, Robust estimation of a location parameter, 1964, doi:10.1214/aoms/1177703732.
    """

    delta: float

    def __init__(self, delta: float = 1.0):
        delta = checks.positive("delta", delta, np.dtype(np.float32))
        super().__init__("huber", "delta", delta, 1.0, beyond.huber, beyond.d_huber)


class Quantile(WithParameter):
    """The quantile loss, also called pinball loss: q e for e = y - y_hat > 0, and (q - 1) e otherwise.

    A network trained with this loss predicts the quantile q of the targets for the given inputs. The loss of a batch is the sum
    over samples and outputs, divided by the number of samples. The name "quantile" stands for `Quantile()`, which predicts the
    median.

    Parameters
    ----------
    q : float
        The fraction of the targets that lie below the prediction; greater than 0, and less than 1.

    Raises
    ------
    TypeError, ValueError
        `q` is not a number, or does not lie in (0, 1).

    References
    ----------
    R. Koenker and G. Bassett, Regression quantiles, 1978, doi:10.2307/1913643.
    """

    q: float

    def __init__(self, q: float = 0.5):
        if not 0 < (q := checks.real("q", q)) < 1:
            raise ValueError(f"q must lie in (0, 1), not {checks.shown(q)}")
        super().__init__("quantile", "q", q, 0.5, beyond.quantile, beyond.d_quantile)


BEYOND_ACTIVATIONS: dict[str, Activation] = {
    "silu": _of_z("silu", beyond.silu, beyond.d_silu),
    "gelu": _of_z("gelu", beyond.gelu, beyond.d_gelu),
    "gelu_tanh": _of_z("gelu_tanh", beyond.gelu_tanh, beyond.d_gelu_tanh),
    "elu": _of_z("elu", beyond.elu, beyond.d_elu),
    "selu": _of_z("selu", beyond.selu, beyond.d_selu),
    "mish": _of_z("mish", beyond.mish, beyond.d_mish),
    "hard_sigmoid": _of_a("hard_sigmoid", beyond.hard_sigmoid, beyond.d_hard_sigmoid),
    "softsign": _of_a("softsign", beyond.softsign, beyond.d_softsign),
    "exponential": _of_a("exponential", beyond.exponential, beyond.d_exponential),
    "softplus": _of_a("softplus", losses.softplus, beyond.d_softplus),
}
BEYOND_LOSSES: dict[str, Loss] = {
    "mae": _loss("mae", beyond.mae, beyond.d_mae),
    "huber": Huber(),
    "log_cosh": _loss("log_cosh", beyond.log_cosh, beyond.d_log_cosh),
    "poisson": _loss("poisson", beyond.poisson, beyond.d_poisson),
    "quantile": Quantile(),
    "hinge": _loss("hinge", beyond.hinge, beyond.d_hinge),
}
PARAMETERS: dict[tuple[str, str], type[Huber | Quantile]] = {("huber", "delta"): Huber, ("quantile", "q"): Quantile}
NAME = re.compile(r"(\w+)\((\w+)=([-+.\de]+)\)")


def with_parameter(loss: Any) -> Any:
    """Returns the loss for a name such as "huber(delta=2.0)", which saved files contain; returns any other value unchanged."""
    match = NAME.fullmatch(loss) if isinstance(loss, str) else None
    kind = PARAMETERS.get((match[1], match[2])) if match else None
    try:
        return kind(float(match[3])) if match and kind else loss
    except ValueError:  # the value is not a number, or is outside of its range
        return loss

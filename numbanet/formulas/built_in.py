"""The activations and losses of `numbanet.equations.beyond`, which engines put into their loops as formulas of users."""

from typing import Any

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
    """Returns an activation whose derivative d_phi(z) is computed from z."""
    return _activation(name, phi, njit_formula(lambda z, a: d_phi(z), cached=False), needs_z=True)


def _of_a(name: str, phi: Any, d_phi: Any) -> Activation:
    """Returns an activation whose derivative d_phi(a) is computed from a."""
    return _activation(name, phi, njit_formula(lambda z, a: d_phi(a), cached=False), needs_z=False)


def _activation(name: str, phi: Any, d_phi: Any, needs_z: bool) -> Activation:
    activation = Activation.__new__(Activation)
    Formula.__init__(activation, phi=phi, d_phi=d_phi, needs_z=needs_z, **_attributes(name))
    return activation


def _loss(name: str, loss: Any, d_loss: Any) -> Loss:
    result = Loss.__new__(Loss)
    Formula.__init__(result, loss=loss, d_loss=d_loss, per="sample", **_attributes(name))
    return result


BEYOND_ACTIVATIONS: dict[str, Activation] = {
    "silu": _of_z("silu", beyond.silu, beyond.d_silu),
    "gelu": _of_z("gelu", beyond.gelu, beyond.d_gelu),
    "elu": _of_z("elu", beyond.elu, beyond.d_elu),
    "softplus": _of_a("softplus", losses.softplus, beyond.d_softplus),
}
BEYOND_LOSSES: dict[str, Loss] = {
    "mae": _loss("mae", beyond.mae, beyond.d_mae),
    "huber": _loss("huber", beyond.huber, beyond.d_huber),
}

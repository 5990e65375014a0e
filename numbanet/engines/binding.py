"""Puts formulas that users wrote into the loops and kernels of the engines.

The loops of `numbanet.equations` call `phi`, `d_phi`, `loss_term` and `d_loss_term`, which select a formula by its kind (an
integer constant). For a network with a user's formulas, this module compiles the loops and kernels again. The new versions call
replacements of these four functions; the replacements also compute the user's formulas. The Python code of the loops and
kernels does not change. A loop or kernel that calls none of the functions `phi`, `d_phi`, `loss_term` and `d_loss_term`,
directly or through other functions, is not compiled again.
"""

import functools
import threading
import types
from typing import Any

from numbanet import _compile, _cuda
from numbanet._compile import MERGED, njit, njit_formula
from numbanet.engines.topology import OWN_ACTIVATION, OWN_LOSS, Topology
from numbanet.equations import activations, losses
from numbanet.formulas import Activation, Loss

MOST_BINDINGS = 32  # number of networks with different formulas whose compiled loops are kept
MOST_LOOPS = 32 * MOST_BINDINGS  # number of compiled loops that are kept


class Binding:
    """Makes a network's loops and kernels compute formulas that the user wrote.

    Parameters
    ----------
    own : dict
        Maps functions of `numbanet.equations` to the functions that replace them. If `own` is empty, the network uses the
        package's loops and kernels as they are.
    """

    def __init__(self, own: dict[Any, Any]):
        self.own = own
        self.known: dict[Any, Any] = dict(own)
        self.lock = threading.RLock()

    def __call__(self, function: Any) -> Any:
        """Returns a version of a loop or kernel that calls, in place of each function in the dict `own`, its replacement.

        If `function` calls none of the functions in `own`, the result is `function` itself.
        """
        if not self.own:
            return function
        with self.lock:  # hides entries of functions that are not bound yet from other threads
            if function not in self.known:
                self.known[function] = function  # ends the recursion if a function contains its own name
                self.known[function] = self._bound(function)
            return self.known[function]

    def _bound(self, function: Any) -> Any:
        plain = _plain(function)
        names = _names_of(plain.__code__)
        globals_ = {name: plain.__globals__[name] for name in names if name in plain.__globals__}
        cells = [cell.cell_contents for cell in plain.__closure__ or ()]
        new_globals = {name: bound for name, value in globals_.items() if (bound := self._value(value)) is not value}
        new_cells = {k: bound for k, value in enumerate(cells) if (bound := self._value(value)) is not value}
        return (
            _replaced(function, tuple(new_globals.items()), tuple(new_cells.items())) if new_globals or new_cells else function
        )

    def _value(self, value: Any) -> Any:
        """Returns the replacement for `value`, the value of a global or closure variable that a function reads.

        A function of the package is replaced by a version that uses the user's formulas. Any other value is returned unchanged.
        """
        return self(value) if isinstance(_plain(value), types.FunctionType) and _is_of_the_package(_plain(value)) else value


@functools.lru_cache(MOST_LOOPS)  # networks with the same activations, but different losses, share loops that compute no loss
def _replaced(function: Any, new_globals: tuple[tuple[str, Any], ...], new_cells: tuple[tuple[int, Any], ...]) -> Any:
    """Compiles a function again, with new values for some of its global variables and of its closure variables."""
    plain, cells = _plain(function), dict(new_cells)
    closure = tuple(types.CellType(cells.get(k, cell.cell_contents)) for k, cell in enumerate(plain.__closure__ or ())) or None
    globals_ = plain.__globals__ | dict(new_globals)
    copy = types.FunctionType(plain.__code__, globals_, plain.__name__, plain.__defaults__, closure)
    copy.__module__, copy.__qualname__, copy.__doc__ = plain.__module__, plain.__qualname__, plain.__doc__
    if plain is function:  # in the simulator, a device function is a Python function
        return copy
    return _compile.recompiled(function, copy) if _compile.is_dispatcher(function) else _cuda.recompiled(function, copy)


UNBOUND = Binding({})  # a binding that replaces no function


def _plain(function: Any) -> Any:
    """Returns the Python function from which a compiled function was made, and any other value unchanged."""
    return getattr(function, "py_func", getattr(function, "fn", function))


def _is_of_the_package(function: types.FunctionType) -> bool:
    return function.__module__.startswith("numbanet.")


def _names_of(code: types.CodeType) -> set[str]:
    """Returns the names of the global variables and attributes that a function and its inner functions use."""
    inner = [_names_of(constant) for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return set(code.co_names).union(*inner)


def binding_of(topology: Topology) -> Binding:
    """Returns the `Binding` for a network's formulas; networks with the same formulas share their compiled loops."""
    return _binding(topology.own_activations, topology.own_loss, topology.sizes[-1] if topology.own_loss else 0)


@functools.lru_cache(MOST_BINDINGS)
def _binding(own_activations: tuple[Activation, ...], own_loss: Loss | None, outputs: int) -> Binding:
    return Binding(
        {
            **(_of_activations(own_activations) if own_activations else {}),
            **(_of_loss(own_loss, outputs if own_loss.per == "output" else 1) if own_loss else {}),
        }
    )


@functools.lru_cache(MOST_BINDINGS)
def _of_activations(own: tuple[Activation, ...]) -> dict[Any, Any]:
    """Returns a dict that maps the functions `phi` and `d_phi` to replacements that also compute the user's activations."""
    phi, d_phi = activations.phi, activations.d_phi
    for kind, activation in enumerate(own, start=OWN_ACTIVATION):
        phi, d_phi = _phi_with(phi, kind, activation.phi), _d_phi_with(d_phi, kind, activation.d_phi)
    return {activations.phi: phi, activations.d_phi: d_phi}


@functools.lru_cache(MOST_BINDINGS)
def _of_loss(own: Loss, by: int) -> dict[Any, Any]:
    """Returns a dict that maps `loss_term` and `d_loss_term` to replacements that also compute the user's loss."""
    return {
        losses.loss_term: _loss_term_with(losses.loss_term, own.loss, by),
        losses.d_loss_term: _loss_term_with(losses.d_loss_term, own.d_loss, by),
    }


def _compiled(function: Any) -> Any:
    """Compiles a function for calls from compiled code and, in Numba's CUDA simulator, also for calls from Python."""
    return njit_formula(function, cached=False) if _cuda.SIMULATED else njit(function, MERGED, cached=False)


def _phi_with(phi: Any, own_kind: int, own_phi: Any) -> Any:
    """Returns a function that computes `own_phi` if its argument `kind` is `own_kind`, and calls `phi` otherwise."""

    def phi_(kind, epsilon, z):
        if kind == own_kind:
            return own_phi(z)
        return phi(kind, epsilon, z)

    return _compiled(phi_)


def _d_phi_with(d_phi: Any, own_kind: int, own_d_phi: Any) -> Any:
    """Returns a function that computes `own_d_phi` if its argument `kind` is `own_kind`, and calls `d_phi` otherwise."""

    def d_phi_(kind, epsilon, z, a):
        if kind == own_kind:
            return own_d_phi(z, a)
        return d_phi(kind, epsilon, z, a)

    return _compiled(d_phi_)


def _loss_term_with(loss_term: Any, own_term: Any, by: int) -> Any:
    """Returns a replacement for `loss_term` that also computes a user's loss, if its argument `kind` is OWN_LOSS.

    n, another argument of the replacement, is the number of samples. `by` is the number of outputs if the user's `Loss` has
    per="output", and otherwise 1. For the user's loss, the replacement computes own_term(y, y_hat) / (n * by).
    """

    def loss_term_(kind, n, y, y_hat):
        if kind == OWN_LOSS:
            return own_term(y, y_hat) / (type(y)(n) * type(y)(by))
        return loss_term(kind, n, y, y_hat)

    return _compiled(loss_term_)

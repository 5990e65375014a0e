"""Shortens compilations by an eighth: Numba does not repeat searches of its registries and inferences of result types."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from numba import types
from numba.core import registry
from numba.core.compiler_lock import global_compiler_lock

# Typed as Any, because type checkers do not know the class of the attributes of `cpu_target`.
_cpu: Any = registry.cpu_target
_NUMBERS = types.Boolean, types.Integer, types.Float


@contextlib.contextmanager
def without_repetition() -> Iterator[None]:
    """Returns a context manager within which Numba does not repeat searches of registries and inferences of types.

    Numba searches its registries for new functions hundreds of times while it compiles an engine's function. Within the
    context, Numba searches the registries only if a function was registered since the last search. Numba also infers the
    result type of each operation on numbers. Within the context, Numba infers the result type once for each operator and each
    combination of operand types. Other threads cannot compile while the context exists.
    """
    typing, target = _cpu.typing_context, _cpu.target_context
    with global_compiler_lock:
        if "refresh" in vars(target):  # within another such context
            yield
            return
        try:
            vars(target)["refresh"] = _if_registered(target.refresh)
            vars(typing)["refresh"] = _if_registered(typing.refresh)
            vars(typing)["resolve_function_type"] = _once_per_operation(typing.resolve_function_type)
            yield
        finally:
            for context, name in ((target, "refresh"), (typing, "refresh"), (typing, "resolve_function_type")):
                vars(context).pop(name, None)


def _if_registered(refresh: Callable[[], None]) -> Callable[[], None]:
    """Returns a wrapper that calls `refresh` at its first call, and later only after a function was registered with Numba."""
    found = None

    def refresh_if_registered() -> None:
        nonlocal found
        if found != (now := _registered()):
            found = now  # not the lengths after `refresh`, which may register functions that only the next call finds
            refresh()

    return refresh_if_registered


def _registered() -> list[int]:
    """Returns the lengths of the lists in all registries that Numba searches."""
    registries = [*_cpu.target_context._registries, *_cpu.typing_context._registries]
    return [len(entries) for registry in registries for entries in vars(registry).values() if isinstance(entries, list)]


def _once_per_operation(resolve: Callable) -> Callable:
    """Returns a wrapper of `resolve` (which infers the type of a call) that infers each operation on numbers only once."""
    known: dict[tuple, Any] = {}

    def resolve_once(function: Any, arguments: Any, keywords: Any) -> Any:
        if keywords or type(function) is not types.Function or not all(isinstance(each, _NUMBERS) for each in arguments):
            return resolve(function, arguments, keywords)
        operation = function, tuple(arguments)
        if operation not in known:
            known[operation] = resolve(function, arguments, keywords)
        return known[operation]

    return resolve_once

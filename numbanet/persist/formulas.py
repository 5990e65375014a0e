"""Describes the activations and losses that users wrote (formulas) in a network's file, by names and digests, not by code."""

from collections.abc import Iterable, Mapping
from typing import Any

from numbanet import checks
from numbanet.files import NeedsMoreError
from numbanet.formulas import Activation, Loss

CLASSES: dict[str, type[Activation | Loss]] = {"activation": Activation, "loss": Loss}


def checked(formulas: Any) -> tuple[Activation | Loss, ...]:
    """Returns the argument `formulas` of `Network.load` as a tuple; raises TypeError unless it is a list of formulas."""
    values: tuple[Any, ...]
    try:
        values = tuple(formulas)
    except TypeError:
        values = (formulas,)
    for value in values:
        if not isinstance(value, Activation | Loss):
            raise TypeError(f"formulas must be a list of objects of the classes Activation and Loss, not {checks.shown(value)}")
    return values


def entries(formulas: Iterable[Activation | Loss]) -> list[dict[str, str]]:
    """Returns a dict of strings per formula that is not built in: its kind (activation or loss), name and SHA-256 digest."""
    own = [formula for formula in formulas if not formula.is_built_in]
    return [{"kind": _kind(formula), "name": formula.name, "sha256": formula.digest} for formula in own]


def in_place_of_names(description: Mapping[str, Any], own: Iterable[Activation | Loss]) -> dict[str, Any]:
    """Returns a network's activations and loss: the name of a built-in formula, or the object in `own` that a user wrote.

    Parameters
    ----------
    description : dict
        The description in the network's file, which contains the formulas' names.
    own : iterable of Activation and Loss
        The formulas that the user passed to `Network.load`.

    Raises
    ------
    NeedsMoreError
        `own` lacks a formula of the network, or the formula's functions have changed since the network was saved.
    ValueError, TypeError, LookupError, AttributeError
        The description is invalid.
    """
    found = {
        (kind, name): _found(kind, name, digest, own) for kind, name, digest in map(_entry, description.get("formulas", ()))
    }
    return {
        "activations": [found.get(("activation", name), name) for name in description["activations"]],
        "loss": found.get(("loss", description["loss"]), description["loss"]),
    }


def _kind(formula: Activation | Loss) -> str:
    return next(kind for kind, each in CLASSES.items() if isinstance(formula, each))


def _entry(entry: dict[str, str]) -> tuple[str, str, str]:
    kind, name, digest = (entry[key] for key in ("kind", "name", "sha256"))
    if kind not in CLASSES or not isinstance(name, str) or not isinstance(digest, str):
        raise ValueError(f"the description of the network has an invalid formula {checks.shown(entry)}")
    return kind, name, digest


def _found(kind: str, name: str, digest: str, own: Iterable[Activation | Loss]) -> Activation | Loss:
    """Returns the formula in `own` with this kind, name and digest; raises NeedsMoreError if `own` does not contain it."""
    same_name = [formula for formula in own if isinstance(formula, CLASSES[kind]) and formula.name == name]
    for formula in same_name:
        if formula.digest == digest:
            return formula
    class_ = CLASSES[kind].__name__
    if same_name:
        raise NeedsMoreError(
            f"needs the {kind} {name!r} as it was when the network was saved, but the functions of the given {class_} {name!r} "
            f"are different: pass the {class_} with its original functions"
        )
    raise NeedsMoreError(
        f"needs the {kind} {name!r}, which is not built in, and files contain no code: pass the {class_} {name!r} in the list "
        "formulas, as in Network.load(path, formulas=[...])"
    )

"""The class Formula: the base class of the activations and the losses that users write."""

import hashlib
import weakref
from collections.abc import Callable
from typing import Any, NoReturn, Self

from numba.core.errors import NumbaError

from numbanet import checks
from numbanet._compile import config, njit_formula
from numbanet.formulas.language import Translation
from numbanet.formulas.trials import DTYPES, Tried

# The compiled functions of formulas, by the text of their code. Equal formulas, such as unpickled copies, share the functions.
_COMPILED: weakref.WeakValueDictionary[str, Any] = weakref.WeakValueDictionary()


class Formula:
    """A formula and its derivative, which a user wrote as Python functions of numbers.

    Two formulas are equal if they have the same class, name and digest (hash). A formula cannot be changed.

    Attributes
    ----------
    name : str
    digest : str
        A hash of the formula and its derivative, as hexadecimal digits. The digest depends on the values of constants and of
        global variables, but not on comments, docstrings and layout.
    is_built_in : bool
        True if numbanet contains the formula, so that files need only its name.
    """

    name: str
    digest: str
    is_built_in: bool
    _pickled: tuple[Any, ...]  # a function, and the arguments with which the function makes the formula again

    def __init__(self, **attributes: Any):
        vars(self).update(attributes)

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(f"{self!r} cannot be changed: make a new formula")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and (self.name, self.digest) == (other.name, other.digest)

    def __hash__(self) -> int:
        return hash((type(self).__name__, self.name, self.digest))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Returns the function and the arguments with which pickle makes the formula again; pickle stores functions by name."""
        return self._pickled


def of_user(kind: type[Formula], digest: str, *arguments: Any, **named: Any) -> dict[str, Any]:
    """Returns the attributes of a user's formula that do not depend on its class; pickle calls kind(*arguments, **named)."""
    return {"digest": digest, "is_built_in": False, "_pickled": (_unpickled, (kind, digest, arguments, named))}


def _unpickled(kind: Callable[..., Formula], digest: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Formula:
    """Unpickles a formula by the call kind(*arguments, **named); raises ValueError if its hash is no longer `digest`."""
    formula = kind(*arguments, **named)
    if formula.digest != digest:
        raise ValueError(f"the functions of {formula!r} differ from those with which it was pickled: use the same functions")
    return formula


def checked_name(name: Any) -> str:
    """Returns the name of a formula; raises TypeError or ValueError if it is not a string of printable characters."""
    if not isinstance(name, str):
        raise TypeError(f"the name of a formula must be a string, not {checks.shown(name)}")
    if not name.strip() or not name.isprintable():
        raise ValueError(f"the name of a formula must consist of printable characters, not {checks.shown(name)}")
    return name


def digest_of(*parts: Any) -> str:
    """Returns a hash of `parts`: strings, numbers and `Translation` objects (functions to compile)."""
    texts = (part.text if isinstance(part, Translation) else repr(part) for part in parts)
    return hashlib.sha256("\n\n".join(texts).encode()).hexdigest()


def compiled(function: Callable) -> Any:
    """Compiles the function of a formula, so that LLVM inlines it into every loop that calls it."""
    return njit_formula(function, cached=False)


def tried(name: str, translation: Translation, arguments: tuple[str, ...], doc: str | None) -> Tried:
    """Compiles a user's function for float32 and float64, and returns it with its name, argument names and docstring.

    `translation` is the copy of the function that numbanet has prepared for the compiler.

    Raises
    ------
    ValueError
        Numba cannot compile the function.
    """
    function = _COMPILED.get(translation.text)
    if function is None:
        function = _COMPILED[translation.text] = compiled(translation.function)
    if not config.DISABLE_JIT:
        for dtype in DTYPES:
            try:
                function(*[dtype(0.5)] * len(arguments))
            except NumbaError as error:
                reason = str(error).strip().splitlines()[0]
                raise ValueError(f"{name} cannot be compiled for {dtype.__name__}: {reason}") from None
    return Tried(name, function, doc or "", arguments)

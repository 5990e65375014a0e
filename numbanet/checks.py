"""Functions that check an argument: each returns the value as a plain Python type, or raises an error that names it."""

import difflib
import functools
import inspect
import math
import numbers
import operator
import sys
import warnings
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import numpy as np

DOUBLE = np.dtype(np.float64)
LARGEST = 2**63 - 1  # of all integers that are counts
LONGEST = 80  # characters of a value in a message
# Smallest difflib ratio at which a known name is suggested. 'gpu' and 'cpu' have the ratio 0.67, names with two swapped letters
# 0.75.
SIMILAR = 0.7
# The names of numbanet for names of other libraries, which are in lower case and without separators and the endings ENDINGS. An
# empty name stands for a function that numbanet does not have, although a name of numbanet is similar.
ELSEWHERE = {
    # activations
    **dict.fromkeys(("linear", "none"), "identity"),
    **dict.fromkeys(("logistic", "expit"), "sigmoid"),
    **dict.fromkeys(("rectifier", "rectlin", "rectifiedlinear", "rectifiedlinearunit"), "relu"),
    **dict.fromkeys(("lrelu", "leaky"), "leaky_relu"),
    **dict.fromkeys(("elu", "gelu", "selu", "celu", "prelu", "relu6", "silu", "logsoftmax", "hardsigmoid", "hardtanh"), ""),
    # losses
    **dict.fromkeys(("crossentropy", "categoricalcrossentropy", "sparsecategoricalcrossentropy", "softmaxcrossentropy"), "cce"),
    **dict.fromkeys(("nll", "negativeloglikelihood", "log", "multinomial", "ce"), "cce"),
    **dict.fromkeys(("binarycrossentropy", "bcewithlogits", "sigmoidcrossentropy"), "bce"),
    **dict.fromkeys(("meansquarederror", "squarederror", "l2"), "mse"),
    **dict.fromkeys(("sumsquarederror", "sumofsquarederrors", "sumofsquares", "rss"), "sse"),
    # optimizers
    **dict.fromkeys(("sgd", "gd", "stochasticgradientdescent", "batchgradientdescent"), "gradient_descent"),
    **dict.fromkeys(("nag", "nesterovmomentum", "nesterovsmomentum"), "nesterov"),
    "lr": "learning_rate",
    # schedules
    **dict.fromkeys(("multistep", "piecewiseconstant"), "step"),
    **dict.fromkeys(("cosineannealing", "cosinedecay"), "cosine"),
    **dict.fromkeys(("exponentialdecay", "invscaling"), "exponential"),
    **dict.fromkeys(("reduceonplateau", "reducelronplateau", "adaptive"), "plateau"),
    # metrics
    **dict.fromkeys(("meanabsoluteerror", "l1"), "mae"),
    **dict.fromkeys(("rootmeansquarederror", "rms"), "rmse"),
    **dict.fromkeys(("rsquared", "rsq", "coefficientofdetermination"), "r2"),
    **dict.fromkeys(("auc", "auroc", "rocaucovr", "areaunderthecurve"), "roc_auc"),
    **dict.fromkeys(("fmeasure", "fbeta", "f1macro"), "f1"),
    **dict.fromkeys(("sensitivity", "tpr"), "recall"),
    # devices and dtypes
    **dict.fromkeys(("gpu", "nvidia"), "cuda"),
    **dict.fromkeys(("float", "single"), "float32"),
    "double": "float64",
    **dict.fromkeys(("float16", "bfloat16", "half"), ""),
}
ENDINGS = ("loss", "score", "lr", "optimizer", "activation", "")

Target = TypeVar("Target", bound=Callable[..., Any])


def none_is_default(target: Target) -> Target:
    """Returns a function for which None means the default, in place of any optional argument; a class is changed in place.

    Arguments whose default is None already, and arguments without a default, are passed unchanged.
    """
    function: Any = target.__init__ if isinstance(target, type) else target
    parameters = list(inspect.signature(function).parameters.values())
    defaults = {each.name: each.default for each in parameters if each.default not in (None, inspect.Parameter.empty)}
    positions = [each.name for each in parameters]

    @functools.wraps(function)
    def with_defaults(*args: Any, **kwargs: Any) -> Any:
        if any(value is None for value in args):
            args = tuple(defaults.get(name) if value is None else value for value, name in zip(args, positions, strict=False))
        if any(value is None for value in kwargs.values()):
            kwargs = {name: defaults.get(name) if value is None else value for name, value in kwargs.items()}
        return function(*args, **kwargs)

    if isinstance(target, type):
        setattr(target, "__init__", with_defaults)  # noqa: B010 - a type checker refuses the assignment
        return target  # type: ignore[return-value]
    return with_defaults  # type: ignore[return-value]


def warn(message: str, category: type[Warning] = RuntimeWarning) -> None:
    """Gives a warning that points at the line that called numbanet; a closed standard error does not turn it into an error."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "numbanet":
        level, frame = level + 1, frame.f_back
    try:
        warnings.warn(message, category, stacklevel=level)
    except (AttributeError, ValueError) as error:  # standard error is closed, or cannot be written to
        if isinstance(error, Warning):
            raise


def shown(value: Any) -> str:
    """Returns repr(value) for an error message, shortened if it is long."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to print integers of more than 4300 digits
        return f"a {type(value).__name__} of thousands of digits"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 20]}...{text[-17:]}"


def takes(name: str, function: Any, *arguments: str) -> None:
    """Raises TypeError if a function that the user passed cannot be called with these arguments, given by position.

    Parameters
    ----------
    name : str
        The function's name in the message.
    function : callable
        A function whose signature is unknown, as of some compiled functions, is not checked.
    *arguments : str
        The names of the arguments, for the message.
    """
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return
    try:
        signature.bind(*arguments)
    except TypeError:
        wanted = f"the arguments ({', '.join(arguments)})" if arguments else "no arguments"
        raise TypeError(f"{name} must take {wanted}, but its arguments are {signature}") from None


def choice(name: str, value: Any, known: Iterable[str], meaning: str = "") -> str:
    """Returns the value, which must be one of the known names.

    Parameters
    ----------
    name : str
        The name of the checked argument, for the error message.
    value
        The value to check.
    known : iterable of str
        The allowed values.
    meaning : str
        A text that the error message contains after the known names.

    Raises
    ------
    TypeError
        The value is not a string.
    ValueError
        The value is not a known name; the message lists the known names and suggests the most similar one.
    """
    known = tuple(known)
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {', '.join(known)}, not {shown(value)}")
    if value not in known:
        raise ValueError(f"unknown {name} {value!r}{suggestion(value, known)}; known are {', '.join(known)}{meaning}")
    return value


def suggestion(value: Any, known: Iterable[str]) -> str:
    """Returns " (did you mean 'relu'?)" with the known name that is most similar to a text, or "" if none is similar.

    Capitals and separators make no difference, and the names of other libraries are known: 'ReLU' gives 'relu', and 'sgd' gives
    'gradient_descent'.

    Parameters
    ----------
    value
        The wrong name. Any value that is not a text gives "".
    known : iterable of str
        The allowed names.
    """
    if not isinstance(value, str):
        return ""
    folded: dict[str, str] = {}
    for name in known:
        folded.setdefault(_folded(name), name)
    wrong = _folded(value.rpartition(".")[2]) or _folded(value)
    for ending in ENDINGS:
        stem = wrong.removesuffix(ending)
        if elsewhere := folded.get(_folded(ELSEWHERE.get(stem, ""))):
            return f" (did you mean {elsewhere!r}?)"
        if stem in folded:
            return f" (did you mean {folded[stem]!r}?)"
        if ELSEWHERE.get(stem) == "":
            return ""
    near = difflib.get_close_matches(wrong, folded, 1, SIMILAR)
    return f" (did you mean {folded[near[0]]!r}?)" if near else ""


def _folded(name: str) -> str:
    """Returns a name in lower case and without separators; a name of separators only is unchanged."""
    return "".join(filter(str.isalnum, name.lower())) or name


def count(number: int, noun: str) -> str:
    """Returns the number with its noun, such as "1 input" or "2 inputs"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def integer(name: str, value: Any, least: int = 1, most: float = LARGEST) -> int:
    """Returns the value as an int; it must be an integer from `least` to `most`.

    Raises
    ------
    TypeError, ValueError
        The value is not an integer, is less than `least`, or is more than `most`.
    """
    if isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    try:
        value = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, not {shown(value)}") from None
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {shown(value)}")
    if value > most:
        raise ValueError(f"{name} must be at most {most}, not {shown(value)}")
    return value


def flag(name: str, value: Any) -> bool:
    """Returns the value as a bool; it must be True, False, 1 or 0.

    Raises
    ------
    ValueError
        The value is neither True, False, 1 nor 0.
    """
    if not isinstance(value, bool | np.bool_ | int) or value not in (0, 1):
        raise ValueError(f"{name} must be True or False (1 or 0), not {shown(value)}")
    return bool(value)


def real(name: str, value: Any) -> float:
    """Returns the value as a float; it must be a finite real number.

    Raises
    ------
    TypeError, ValueError
        The value is not a real number, or is not finite.
    """
    number = _float(name, value)
    if not math.isfinite(number):
        raise ValueError(f"{name} must be finite, not {shown(value)}")
    return number


def _float(name: str, value: Any) -> float:
    """Returns a real number as a float, which is inf if the number exceeds the range of floats."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number, not {shown(value)}")
    try:
        return float(value)
    except OverflowError:  # an integer or a fraction
        return math.inf


def positive(name: str, value: Any, dtype: np.dtype = DOUBLE) -> float:
    """Returns the value as a float; it must be positive and finite, also after rounding to `dtype`.

    Raises
    ------
    TypeError, ValueError
        The value is not a real number, or is not both positive and finite.
    """
    number = _float(name, value)
    rounded = number
    if dtype != DOUBLE:
        with np.errstate(all="ignore"):
            rounded = dtype.type(number)
    if not (math.isfinite(rounded) and rounded > 0):
        raise ValueError(f"{name} must be positive and finite in {dtype}, not {shown(value)}")
    return number


def not_negative(name: str, value: Any, dtype: np.dtype = DOUBLE) -> float:
    """Returns the value as a float; it must be finite, also after rounding to `dtype`, and at least 0.

    Raises
    ------
    TypeError, ValueError
        The value is not a finite real number, or is negative.
    """
    number = real(name, value)
    if number < 0:
        raise ValueError(f"{name} must be at least 0, not {shown(value)}")
    with np.errstate(all="ignore"):
        if not math.isfinite(dtype.type(number)):
            raise ValueError(f"{name} must be finite in {dtype}, not {shown(value)}")
    return number


def fraction(name: str, value: Any) -> float:
    """Returns the value as a float; it must be at least 0 and less than 1.

    Raises
    ------
    TypeError, ValueError
        The value is not a real number, or lies outside [0, 1).
    """
    if not 0 <= (number := real(name, value)) < 1:
        raise ValueError(f"{name} must lie in [0, 1), not {shown(value)}")
    return number

"""Functions that check one argument.

If the argument is valid, a function such as `integer` returns the value, converted to a Python type such as int. If the
argument is invalid, the function raises an error that names the argument.
"""

import difflib
import functools
import inspect
import math
import numbers
import operator
import sys
import warnings
from collections.abc import Callable, Iterable, Sequence
from types import NoneType
from typing import Any, TypeVar

import numpy as np

DOUBLE = np.dtype(np.float64)
LARGEST = 2**63 - 1  # the largest number that a count, such as a number of epochs, may have
LONGEST = 80  # the largest number of characters with which an error message shows a value
# If an unknown name is similar to a known name, the error message suggests the known name. This constant is the smallest
# similarity (difflib ratio) for a suggestion. 'gpu' and 'cpu' have the similarity 0.67; a typical name with two swapped letters
# has 0.75.
SIMILAR = 0.7
# Maps names of other libraries to the names of numbanet. The names of other libraries are in lower case, without separators and
# without the endings ENDINGS. A name that is mapped to an empty string belongs to a function that numbanet does not have; no
# name is suggested for it, even if a name of numbanet is similar.
ELSEWHERE = {
    # activations
    **dict.fromkeys(("linear", "none"), "identity"),
    **dict.fromkeys(("logistic", "expit"), "sigmoid"),
    **dict.fromkeys(("rectifier", "rectlin", "rectifiedlinear", "rectifiedlinearunit"), "relu"),
    **dict.fromkeys(("lrelu", "leaky"), "leaky_relu"),
    "swish": "silu",
    "exp": "exponential",
    **dict.fromkeys(("elu", "gelu", "selu", "celu", "prelu", "relu6", "silu", "logsoftmax", "hardsigmoid", "hardtanh"), ""),
    **dict.fromkeys(("hardswish", "hardsilu", "logsigmoid"), ""),
    # losses
    **dict.fromkeys(("crossentropy", "categoricalcrossentropy", "sparsecategoricalcrossentropy", "softmaxcrossentropy"), "cce"),
    **dict.fromkeys(("nll", "negativeloglikelihood", "log", "multinomial", "ce"), "cce"),
    **dict.fromkeys(("binarycrossentropy", "bcewithlogits", "sigmoidcrossentropy"), "bce"),
    **dict.fromkeys(("meansquarederror", "squarederror", "l2"), "mse"),
    "smoothl1": "huber",
    **dict.fromkeys(("poissonnll", "poissondeviance", "meanpoissondeviance"), "poisson"),
    "pinball": "quantile",
    "squaredhinge": "",
    **dict.fromkeys(("sumsquarederror", "sumofsquarederrors", "sumofsquares", "rss"), "sse"),
    # optimizers
    **dict.fromkeys(("sgd", "gd", "stochasticgradientdescent", "batchgradientdescent"), "gradient_descent"),
    **dict.fromkeys(("nag", "nesterovmomentum", "nesterovsmomentum"), "nesterov"),
    # arguments
    **dict.fromkeys(("lr", "eta", "learningrateinit", "stepsize"), "learning_rate"),
    **dict.fromkeys(("randomstate", "randomseed", "rng"), "seed"),
    **dict.fromkeys(("valdata", "validationset", "evalset"), "validation_data"),
    **dict.fromkeys(("weights", "sampleweights"), "sample_weight"),
    **dict.fromkeys(("nepochs", "numepochs", "maxiter", "iterations"), "epochs"),
    **dict.fromkeys(("layers", "layersizes", "hiddenlayersizes", "units"), "sizes"),
    **dict.fromkeys(("criterion", "lossfunction", "lossfn", "objective"), "loss"),
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
# For arguments of other libraries that numbanet does not need: the reason, for the error message.
NEEDLESS = {
    "restore_best_weights": "with early_stopping, fit always gives the network the parameters of the best epoch",
    "restore_best": "with early_stopping, fit always gives the network the parameters of the best epoch",
    "input_shape": "the first number of sizes is the number of inputs",
    "input_dim": "the first number of sizes is the number of inputs",
}
ENDINGS = ("loss", "score", "lr", "optimizer", "activation", "")

Target = TypeVar("Target", bound=Callable[..., Any])


def none_is_default(target: Target) -> Target:
    """Decorator: if None is passed for an optional argument, the function receives the default of the argument instead.

    Arguments without a default, and arguments whose default is None, are passed unchanged. If a call has an argument with an
    unknown name, the TypeError suggests the name that was probably meant. If the decorator is applied to a class, it replaces
    the method `__init__` of the class.
    """
    function: Any = target.__init__ if isinstance(target, type) else target
    parameters = list(inspect.signature(function).parameters.values())
    defaults = {each.name: each.default for each in parameters if each.default not in (None, inspect.Parameter.empty)}
    positions = [each.name for each in parameters]

    @functools.wraps(function)
    def with_defaults(*args: Any, **kwargs: Any) -> Any:
        if NoneType in map(type, args):  # a generator would be slower, and `None in args` would compare arrays
            args = tuple(defaults.get(name) if value is None else value for value, name in zip(args, positions, strict=False))
        if kwargs and NoneType in map(type, kwargs.values()):
            kwargs = {name: defaults.get(name) if value is None else value for name, value in kwargs.items()}
        try:
            return function(*args, **kwargs)
        except TypeError:
            unknown = next((name for name in kwargs if name not in positions), None)
            if unknown is None:
                raise
            name = target.__qualname__.removesuffix(".__init__")
            reason = f": {NEEDLESS[unknown]}" if unknown in NEEDLESS else suggestion(unknown, positions)
            message = f"{name}() has no argument {unknown!r}{reason}"
            raise TypeError(message) from None

    if isinstance(target, type):
        setattr(target, "__init__", with_defaults)  # noqa: B010 - a type checker refuses the assignment
        return target  # type: ignore[return-value]
    return with_defaults  # type: ignore[return-value]


def warn(message: str, category: type[Warning] = RuntimeWarning) -> None:
    """Issues a warning that points to the line that called numbanet. If standard error is closed, no exception is raised."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == "numbanet":
        level, frame = level + 1, frame.f_back
    try:
        warnings.warn(message, category, stacklevel=level)
    except (AttributeError, ValueError) as error:  # standard error is closed, or cannot be written to
        if isinstance(error, Warning):
            raise


def shown(value: Any) -> str:
    """Returns repr(value) for an error message; a long repr is shortened."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to print integers of more than 4300 digits
        return f"a {type(value).__name__} of thousands of digits"
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 20]}...{text[-17:]}"


def takes(name: str, function: Any, *arguments: str) -> None:
    """Raises TypeError if a function that the user passed cannot be called with the given positional arguments.

    Parameters
    ----------
    name : str
        The name of the function in the error message.
    function : callable
        The function to check. If the signature of the function is unknown, as for some compiled functions, nothing is checked.
    *arguments : str
        The names of the positional arguments, which the error message lists.
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
    """Checks that the value is one of the known names, and returns it.

    Parameters
    ----------
    name : str
        The name of the checked argument, for the error message.
    value
        The value to check.
    known : iterable of str
        The allowed values.
    meaning : str
        The words that follow the known names in the error message.

    Raises
    ------
    TypeError
        The value is not a string.
    ValueError
        The value is not a known name. The error message lists the known names and suggests a similar name.
    """
    known = tuple(known)
    if not isinstance(value, str):
        raise TypeError(f"{name} must be one of {', '.join(known)}, not {shown(value)}")
    if value not in known:
        raise ValueError(f"unknown {name} {value!r}{suggestion(value, known)}; known are {', '.join(known)}{meaning}")
    return value


def suggestion(value: Any, known: Iterable[str]) -> str:
    """Returns " (did you mean 'relu'?)" with the known name that is most similar to `value`, or "" if none is similar.

    The function ignores capitals and separators, and knows names of other libraries: 'ReLU' gives 'relu', and 'sgd' gives
    'gradient_descent'.

    Parameters
    ----------
    value
        The wrong name. Any value that is not a string gives "".
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
    """Returns a name in lower case and without separators. A name that consists only of separators is returned unchanged."""
    return "".join(filter(str.isalnum, name.lower())) or name


def count(number: int, noun: str) -> str:
    """Returns the number followed by the noun in singular or plural, such as "1 input" or "2 inputs"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def quantity(value: float) -> str:
    """Returns a quantity as text with four digits, or with more digits if its integer part has more: 0.1235, 12.35, 123457."""
    return f"{value:.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"


def listed(names: Iterable[Any], most: int = 20) -> str:
    """Returns text for an error message: the first `most` names, separated by commas, and the number of further names."""
    names = list(names)
    return ", ".join(map(repr, names[:most])) + (f" and {len(names) - most} more" if len(names) > most else "")


def aligned(rows: Iterable[Sequence[str]]) -> str:
    """Formats rows of strings as lines of text with right-aligned columns."""
    rows = list(rows)
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def integer(name: str, value: Any, least: int = 1, most: float = LARGEST) -> int:
    """Checks that the value is an integer from `least` to `most`, and returns it as an int.

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
    """Checks that the value is True, False, 1 or 0, and returns it as a bool.

    Raises
    ------
    ValueError
        The value is neither True, False, 1 nor 0.
    """
    if not isinstance(value, bool | np.bool_ | int) or value not in (0, 1):
        raise ValueError(f"{name} must be True or False (1 or 0), not {shown(value)}")
    return bool(value)


def real(name: str, value: Any) -> float:
    """Checks that the value is a finite real number, and returns it as a float.

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
    """Converts a real number to a float; a number beyond the range of floats becomes inf."""
    if type(value) is float:  # the test below takes ten times as long as this test
        return value
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a real number, not {shown(value)}")
    try:
        return float(value)
    except OverflowError:  # an integer or a fraction can be too large for a float
        return math.inf


def positive(name: str, value: Any, dtype: np.dtype = DOUBLE) -> float:
    """Checks that the value is positive and finite, also after rounding to `dtype`, and returns it as a float.

    Raises
    ------
    TypeError, ValueError
        The value is not a real number, or is not both positive and finite.
    """
    number = _float(name, value)
    rounded = _rounded(number, dtype)
    if not (math.isfinite(rounded) and rounded > 0):
        raise ValueError(f"{name} must be positive and finite in {dtype}, not {shown(value)}")
    return number


def not_negative(name: str, value: Any, dtype: np.dtype = DOUBLE) -> float:
    """Checks that the value is at least 0 and finite, also after rounding to `dtype`, and returns it as a float.

    Raises
    ------
    TypeError, ValueError
        The value is not a finite real number, or is negative.
    """
    number = real(name, value)
    if number < 0:
        raise ValueError(f"{name} must be at least 0, not {shown(value)}")
    if not math.isfinite(_rounded(number, dtype)):
        raise ValueError(f"{name} must be finite in {dtype}, not {shown(value)}")
    return number


@functools.lru_cache(256)  # cached, because np.errstate takes longer than the rounding
def _rounded(number: float, dtype: np.dtype) -> Any:
    with np.errstate(all="ignore"):
        return dtype.type(number)


def fraction(name: str, value: Any) -> float:
    """Checks that the value is at least 0 and less than 1, and returns it as a float.

    Raises
    ------
    TypeError, ValueError
        The value is not a real number, or is outside [0, 1).
    """
    if not 0 <= (number := real(name, value)) < 1:
        raise ValueError(f"{name} must lie in [0, 1), not {shown(value)}")
    return number

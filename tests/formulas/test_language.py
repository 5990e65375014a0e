"""Each way in which users may write a formula gives right results, or an error that a beginner understands."""

import math
import re
from math import exp

import numba
import numpy as np
import pytest

from numbanet import Activation, Loss
from numbanet.formulas.formula import compiled
from numbanet.formulas.functions import FUNCTIONS
from numbanet.formulas.language import translated
from tests.helpers.engines import each

HALF, TWO, ON, HUGE = 0.5, 2, True, 10**400
WEIGHTS = np.array([0.5, 2.0])
TEXT = "a"
GRID = np.array([-2.3, -1.0, -0.4, 0.0, 0.7, 1.0, 2.9])


def made(function, arguments=("z",), constants=()):
    """Returns the compiled function."""
    return compiled(translated("phi", function, arguments, constants, compiled).function)


# Right


def twice(x):
    return TWO * x


def bare_constants(z):
    return 1 / 2 * z + 0.1 - 3


def global_numbers(z):
    return HALF * z + TWO if ON else 0


def of_math(z):
    """A docstring, and other functions."""
    return math.pi * exp(-twice(z)) + math.tau


def variables(z: float) -> float:
    shift: float = 1
    b = z - shift
    b *= 2
    b = -b
    if b > 1:
        return b
    elif b < -1:
        c = 2 * b
    else:
        c = b / 3
    return +c


def powers(z):
    return z**3 + 2 * z**0 + abs(z) ** 1.5 + (z + 4) ** -2 + pow(z, TWO) + math.pow(z, 2)


def extremes(z):
    return max(0, z) + min(z, 1, 0.5)


def truth_values(z):
    above = 0 < z <= 1 or not z > -1
    return (z > 0) * z + above + (2 if z and above else 0)


def an_integer(z):
    return 1


def a_truth_value(z):
    return z > 0


def infinite_bound(z):
    return z if z < math.inf else 0


@numba.njit
def compiled_already(z):
    return 0.5 * z


def around(bound):
    def inner(z):
        return z * bound

    return inner


RIGHT = [
    *(bare_constants, global_numbers, of_math, variables, powers, extremes, truth_values, an_integer, a_truth_value),
    *(infinite_bound, compiled_already, around(1.5)),
]


@each("function", RIGHT)
def test_a_formula_means_what_python_means_in_either_dtype(function):
    formula, plain = made(function), getattr(function, "py_func", function)
    for dtype in (np.float32, np.float64):
        for z in GRID:
            assert formula(dtype(z)) == pytest.approx(float(plain(float(dtype(z)))), rel=1e-6)
    assert [signature.return_type for signature in formula.nopython_signatures] == [numba.float32, numba.float64]
    code = formula.inspect_llvm(formula.signatures[0]).split("define")[1]
    assert "double" not in code


def test_functions_of_math_keep_the_dtype_and_are_right():
    """To save time, the test compiles one function that calls all supported functions of the module math."""
    taken = {function: ["y"] if function is math.acosh else ["x"] * FUNCTIONS[function].arguments for function in FUNCTIONS}
    namespace = {f"_{function.__name__}": FUNCTIONS[function].function for function in FUNCTIONS}
    calls = [f"_{function.__name__}({', '.join(names)})" for function, names in taken.items()]
    exec(f"def call(x, y):\n    return {', '.join(calls)}", namespace)
    call = numba.njit(namespace["call"])
    values = {"x": np.float32(0.75), "y": np.float32(1.75)}
    found = call(**values)
    assert {*call.nopython_signatures[0].return_type.types} == {numba.float32}
    exact = {function.__name__: function(*(float(values[name]) for name in names)) for function, names in taken.items()}
    assert dict(zip(exact, found, strict=True)) == pytest.approx(exact, rel=1e-6)


def test_constants_are_passed_after_the_other_arguments():
    assert made(scaled, ("z",), (2.0, 3.0))(np.float32(5)) == 13


def scaled(z, factor, shift):
    return factor * z + shift


# Refused

REFUSED = {}


def refused(reason):
    """Returns a decorator that registers a function that is no valid formula, with a pattern for numbanet's error message."""

    def register(function):
        REFUSED[function.__name__] = function, reason
        return function

    return register


@refused(r"line \d+\).*the text 'a'")
def text(z):
    return "a"


@refused("the text 'a'")
def global_text(z):
    return z + TEXT


@refused("text; a formula")
def formatted(z):
    return f"{z}"


@refused("returns None")
def nothing(z):
    return None


@refused("returns None")
def bare_return(z):
    if z > 0:
        return z
    return


@refused("without `return`")
def no_return(z):
    a = z  # noqa: F841


@refused("without `return`")
def half_a_return(z):
    if z > 0:
        return z


@refused("a loop")
def forever(z):
    while True:
        z += 1


@refused("a loop")
def counted(z):
    for k in range(3):
        z += k
    return z


@refused("calls itself")
def recursive(z):
    return recursive(z - 1)


@refused("WEIGHTS is of type ndarray")
def array(z):
    return WEIGHTS * z


@refused("an index")
def indexed(z):
    return WEIGHTS[0] * z


@refused("an index")
def sliced(z):
    return z[0]


@refused("calls np.exp, which it cannot use; .*: .*exp")
def of_numpy(z):
    return np.exp(z)


@refused("calls np.float32")
def cast(z):
    return np.float32(z)


@refused("calls int")
def rounded(z):
    return int(z)


@refused(r"the formula contains `print\(z\)`")
def printing(z):
    print(z)
    return z


@refused("several values")
def pair(z):
    return z, z


@refused("a single name")
def unpacked(z):
    a, b = z, z
    return a + b


@refused("c may have no value here")
def sometimes(z):
    if z > 0:
        c = 1
    return c


@refused("missing is not defined")
def unknown(z):
    return missing * z  # noqa: F821


@refused("math has no expo")
def misspelt(z):
    return math.expo(z)


@refused(r"the operators \+, -")
def remainder(z):
    return z % 2


@refused("`is` or `in`")
def identity(z):
    return 1 if z is HALF else 2


@refused("1j")
def imaginary(z):
    return 1j * z


@refused("by name or by")
def named(z):
    return twice(x=z)


@refused("2 arguments, but twice has 1 parameters")
def too_many(z):
    return twice(z, z)


@refused("a definition")
def nested(z):
    def inner(x):
        return x

    return inner(z)


@refused("an attribute")
def attribute(z):
    return z.real


@refused("global or nonlocal")
def changing(z):
    global HALF
    HALF = z
    return z


@refused("first a number and then a truth value")
def two_kinds(z):
    a = z
    a = z > 0
    return a


@refused("default values")
def default(z, k=2):
    return z


@refused("default values")
def starred(*z):
    return z


@refused("the parameters z, but its parameters are: 'y', 'y_hat'")
def other_parameters(y, y_hat):
    return y


@refused("two underscores")
def underscored(__z):
    return __z


@refused("begin.*`raise|cannot contain")
def raising(z):
    raise ValueError


@refused("HUGE is too large")
def huge(z):
    return z + HUGE


@each("name", REFUSED)
def test_what_a_formula_cannot_contain_is_refused_with_its_line(name):
    function, reason = REFUSED[name]
    with pytest.raises(ValueError) as caught:
        translated("phi", function, ("z",), (), compiled)
    message = str(caught.value)
    assert re.search(reason, message), message
    assert re.match(rf"the function {name} \(test_language.py, line \d+\) cannot be compiled: ", message), message
    assert "\n" not in message and "numba" not in message.replace("numbanet", "")


class Owner:
    def method(self, z):
        return z


SHORT = lambda z: z  # noqa: E731


@each(
    "function, kind, reason",
    [
        (Owner().method, ValueError, "is a method of 'Owner'"),
        (SHORT, ValueError, "is a lambda"),
        (exp, TypeError, "written with `def`"),
        (Owner, TypeError, "written with `def`"),
        ("swish", TypeError, "not 'swish'"),
        (None, TypeError, "not None"),
    ],
)
def test_only_plain_functions_are_formulas(function, kind, reason):
    with pytest.raises(kind, match=reason):
        translated("phi", function, ("z",), (), compiled)


def test_a_function_without_source_is_refused():
    names = {}
    exec("def typed(z):\n    return z", names)
    with pytest.raises(ValueError, match="source code of the function typed cannot be found: write"):
        translated("phi", names["typed"], ("z",), (), compiled)


# The trial


def sigmoid(z):
    return 1 / (1 + exp(-z))


def right(z, a):
    return a * (1 - a)


def minus(z, a):
    return -a * (1 - a)


def doubled(z, a):
    return 2 * a * (1 - a)


def reversed_(a, z):
    return a * (1 - a)


def of_z(z, a):
    return z * (1 - z)


def wrong_branch(z, a):
    return a * (1 - a) if z > 0 else 0


def elsewhere(z, a):
    return 1 - a


def undefined(z, a):
    return 0 * z / (0 * a)


def large_square(z):
    return exp(z)


def d_large_square(z, a):
    return a


def stated(z):
    """Finite for z < 88."""
    return exp(z)


def d_stated(z, a):
    """Finite for z < 88."""
    return a


@each(
    "d_phi, mistake",
    [
        (minus, "Its sign is the reverse"),
        (doubled, "2 times the right one"),
        (reversed_, "Its arguments are z and a = phi"),
        (wrong_branch, "check the case that applies for z from"),
        (elsewhere, "central differences give"),
        (undefined, "is nan at z = "),
    ],
)
def test_a_wrong_derivative_is_refused_with_the_likely_mistake(d_phi, mistake):
    with pytest.raises(ValueError, match=f"d_phi of the activation 'x' is .* at z = .*{mistake}|{mistake}") as caught:
        Activation("x", sigmoid, d_phi)
    assert "\n" not in str(caught.value)


def test_values_must_be_finite_unless_the_docstring_says_where():
    with pytest.raises(ValueError, match=r"phi of the activation 'x' is inf at z = 100 in float32: rewrite"):
        Activation("x", large_square, d_large_square)
    assert Activation("x", stated, d_stated).needs_z is False


def absolute(y, y_hat):
    return abs(y - y_hat)


def d_absolute(y, y_hat):
    return 1 if y_hat > y else -1


def d_target(y, y_hat):
    return 1 if y > y_hat else -1


def d_near(y, y_hat):
    return (1 if y_hat > y else -1) if y_hat < 20 else 0


@each(
    "d_loss, mistake",
    [(d_target, "Its sign is the reverse"), (d_near, "check the case that applies at y_hat = 31.7")],
)
def test_a_wrong_derivative_of_a_loss_is_refused(d_loss, mistake):
    with pytest.raises(ValueError, match=f"d_loss of the loss 'x' is wrong: at y = .*, y_hat = .*({mistake})"):
        Loss("x", absolute, d_loss)
    assert Loss("x", absolute, d_absolute).per == "sample"  # its kink at y = y_hat is not compared


@each(
    "arguments, kind, reason",
    [
        (("", sigmoid, right), ValueError, "printable"),
        ((3, sigmoid, right), TypeError, "must be a string, not 3"),
        (("x", sigmoid), TypeError, "d_phi"),
    ],
)
def test_bad_arguments_are_refused(arguments, kind, reason):
    with pytest.raises(kind, match=reason):
        Activation(*arguments)


def test_bad_options_are_refused():
    with pytest.raises(TypeError, match=r"constants\[0\] must be a real number"):
        Activation("x", sigmoid, right, constants=("a",))
    with pytest.raises(TypeError, match="constants must be a sequence"):
        Activation("x", sigmoid, right, constants=2)
    with pytest.raises(ValueError, match="unknown per 'batch'"):
        Loss("x", absolute, d_absolute, per="batch")


def test_a_formula_cannot_be_changed():
    formula = Activation("x", sigmoid, right)
    with pytest.raises(AttributeError, match="cannot be changed"):
        formula.name = "y"

"""The class Loss: a loss function that a user writes."""

import itertools
from collections.abc import Callable
from typing import Any

from numbanet import checks
from numbanet._compile import config
from numbanet.formulas.formula import Formula, checked_name, compiled, digest_of, of_user, tried
from numbanet.formulas.language import translated
from numbanet.formulas.trials import DTYPES, NEAR, Tried, check_enough, check_finite, check_slopes, slopes

ARGUMENTS = ("y", "y_hat")
PER = ("sample", "output")
TARGETS = (-17.3, -3.1, -0.73, 0.0, 0.41, 1.0, 2.6, 23.7)  # values of y at which a loss is tried
FAR = (-1e4, -1e3, -100.0, 100.0, 1e3, 1e4)  # further values of y and y_hat: squares of larger numbers overflow in float32


class Loss(Formula):
    """A loss function that you write as Python functions of numbers, for one output of one sample.

    A loss can be used with every activation of the output layer. `Activation` describes the language in which the functions
    are written.

    Parameters
    ----------
    name : str
        The name of the loss in files and messages. The name must differ from the names of the cheat sheet's losses.
    loss : function
        loss(y, y_hat) returns the loss of one output of one sample, from the target y and the prediction y_hat.
    d_loss : function
        d_loss(y, y_hat) returns the derivative with respect to y_hat.
    per : {"sample", "output"}
        With per="sample", the loss of a batch is the sum over samples and outputs, divided by the number of samples, as for
        mse. With per="output", the sum is divided by the number of samples times the number of outputs.

    Raises
    ------
    TypeError
        `loss` or `d_loss` is not a function.
    ValueError
        A function contains something that a formula cannot contain (the message names the line), a value is infinite or NaN for
        numbers from -10,000 to 10,000, or `d_loss` disagrees with central differences of `loss` (the message names y, y_hat,
        both numbers and the likely mistake). To allow infinite values, state in the function's docstring, with the word
        "finite", for which numbers the values are finite. At kinks of `loss`, `d_loss` is not compared with central
        differences.
    """

    loss: Any
    d_loss: Any
    per: str

    def __init__(self, name: str, loss: Callable[..., Any], d_loss: Callable[..., Any], *, per: str = "sample"):
        name, per = checked_name(name), checks.choice("per", per, PER)
        of = f"of the loss {name!r}"
        translations = (
            translated(f"loss {of}", loss, ARGUMENTS, (), compiled),
            translated(f"d_loss {of}", d_loss, ARGUMENTS, (), compiled),
        )
        function = tried(f"loss {of}", translations[0], ARGUMENTS, loss.__doc__)
        derivative = tried(f"d_loss {of}", translations[1], ARGUMENTS, d_loss.__doc__)
        if not config.DISABLE_JIT:  # without compilation, Python raises OverflowError instead of returning inf
            _try(function, derivative)
        super().__init__(
            name=name,
            loss=function.function,
            d_loss=derivative.function,
            per=per,
            **of_user(Loss, digest_of(*translations, per), name, loss, d_loss, per=per),
        )


def _try(loss: Tried, d_loss: Tried) -> None:
    """Raises ValueError if a value of loss or d_loss is not finite, or if d_loss disagrees with central differences of loss."""
    near = [(y, float(y_hat)) for y in TARGETS for y_hat in NEAR[::3]]
    far = list(itertools.product(FAR, FAR))
    for dtype in DTYPES:
        check_finite(loss, dtype, near + far)
    found = slopes(loss.function, d_loss, near, lambda point: point)
    swapped = "Its arguments are y and y_hat, in this order."
    check_slopes(d_loss, found, {swapped: lambda y, y_hat: d_loss.function(y_hat, y)})
    for dtype in DTYPES:
        check_finite(d_loss, dtype, near + far)
    check_enough(d_loss, found)

"""Compiles routines: functions that `run` of the module `epoch` calls by address, compiled only when a network needs them.

Every computation that varies from network to network is a routine: activation functions, losses, update rules and dropout. The
compiled code of `run` is shared by all networks with the same dtype. The matrix products are routines, too, because a
prediction does not need all of them, and because two processes can then compile `run` and the products at the same time. All
routines for the same purpose (for example, all update rules) have the same argument types, which a `Signature` describes. The
address of a routine is an integer; 0 stands for no routine.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numba import types
from numba.core import cgutils
from numba.np.numpy_support import as_dtype, from_dtype

from numbanet._compile import address_of, intrinsic, must_be_compiled
from numbanet.engines.cpu.kernels.layout import header_dtype, layer_dtype
from numbanet.engines.cpu.team import Member, Span

SPAN = types.NamedUniTuple(types.int64, 2, Span)
MEMBER = types.NamedTuple((types.Array(types.int64, 1, "C"), types.int64, types.int64, types.int64), Member)
INTEGERS = types.Array(types.int32, 1, "C")


class Signature:
    """The argument types of all routines (functions called by address) for one purpose, such as all activation functions.

    Parameters
    ----------
    others : callable
        A function that takes the Numba type of the numbers in `memory`, which is the first argument of every routine, and
        returns the types of the arguments after `memory`.

    Attributes
    ----------
    call : intrinsic
        A function for compiled code: call(address, arguments) calls the function at `address` with the arguments in the tuple
        `arguments`.
    """

    def __init__(self, others: Callable[[Any], tuple]):
        self.others = others
        self.call = _caller(self)

    def arguments(self, number: Any) -> tuple:
        """Returns the Numba types of a routine's arguments; the first, `memory`, is an array of numbers of type `number`."""
        return types.Array(number, 1, "C"), *self.others(number)

    def address(self, routine: Any, dtype: np.dtype) -> int:
        """Returns the address of the machine code of `routine` for the type `dtype`; the first call compiles `routine`."""
        return address_of(routine, self.arguments(from_dtype(dtype)))

    def must_be_compiled(self, routine: Any, dtype: np.dtype) -> bool:
        """Returns True if the compile cache does not contain the routine for numbers of type `dtype`."""
        return must_be_compiled(routine, self.arguments(from_dtype(dtype)))


def _caller(signature: Signature) -> Any:
    @intrinsic
    def call(typingctx, address, arguments):
        expected = signature.arguments(arguments.types[0].dtype)

        def code(context, builder, _, values):
            address, packed = values
            convention = context.call_conv
            kind = convention.get_function_type(types.none, expected)
            routine = builder.inttoptr(address, kind.as_pointer())
            convention.call_function(builder, routine, types.none, expected, cgutils.unpack_tuple(builder, packed))
            return context.get_dummy_value()

        return types.void(types.int64, types.Tuple(expected)), code

    return call


def named(function: Callable, name: str) -> Callable:
    """Renames a function that was made at run time, because the compile cache and LLVM tell routines apart by their names."""
    function.__name__ = function.__qualname__ = name
    return function


@cache  # because Numba takes almost a millisecond to make the type of a record
def header_type(number: Any) -> Any:
    """Returns the Numba type of the header, the record that describes a network whose numbers have the type `number`."""
    return from_dtype(header_dtype(as_dtype(number)))


@cache
def layer_type(number: Any) -> Any:
    """Returns the Numba type of the record that describes a layer, for a network with numbers of type `number`."""
    return from_dtype(layer_dtype(as_dtype(number)))

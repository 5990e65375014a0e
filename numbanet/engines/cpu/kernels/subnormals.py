"""Subnormal numbers, below 1.2e-38 (float64: 2.2e-308): the compiled functions treat them as 0, on x86.

The moments of a neuron that is never active, or of an input that stays 0, shrink from step to step until they are subnormal,
and stay so; an operation with a subnormal number takes many x86 CPUs a multiple of the time. Other machines compute with them.
"""

import platform

from llvmlite import ir
from numba import types
from numba.core import cgutils

from numbanet._compile import intrinsic

FLUSHES = platform.machine() in ("x86_64", "AMD64")
_FLUSH = 0x8040  # of MXCSR: results are flushed to zero (bit 15), operands are zeros (bit 6)


def _mxcsr(builder, name, place):
    """Emits a store of the thread's control word of vector arithmetic to a place, or a load of it from there."""
    byte = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [byte])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{name}")
    builder.call(function, [builder.bitcast(place, byte)])


@intrinsic
def flush_subnormals(typingctx):
    """Makes this thread treat subnormal numbers as 0; returns the state before, for `restore_subnormals`."""

    def code(context, builder, signature, arguments):
        if not FLUSHES:
            return ir.Constant(ir.IntType(32), 0)
        place = cgutils.alloca_once(builder, ir.IntType(32))
        _mxcsr(builder, "stmxcsr", place)
        before = builder.load(place)
        builder.store(builder.or_(before, ir.Constant(ir.IntType(32), _FLUSH)), place)
        _mxcsr(builder, "ldmxcsr", place)
        return before

    return types.uint32(), code


@intrinsic
def restore_subnormals(typingctx, before):
    """Makes this thread treat subnormal numbers as before `flush_subnormals`."""

    def code(context, builder, signature, arguments):
        if FLUSHES:
            place = cgutils.alloca_once_value(builder, arguments[0])
            _mxcsr(builder, "ldmxcsr", place)
        return context.get_dummy_value()

    return types.void(types.uint32), code

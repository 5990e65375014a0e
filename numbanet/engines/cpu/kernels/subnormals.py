"""Numbers too small for a full mantissa, below 1.2e-38 (float64: 2.2e-308): the compiled functions take them for 0.

A neuron that is never active and an input that stays 0 leave moments that shrink from step to step, and end there for good; an
operation with one of them takes many CPUs of x86 a multiple of the time. Other machines keep them.
"""

import platform

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

FLUSHES = platform.machine() in ("x86_64", "AMD64")
_FLUSH = 0x8040  # of MXCSR: results are flushed to zero (bit 15), operands are zeros (bit 6)


def _mxcsr(builder, name, place):
    """Stores the thread's control word of vector arithmetic to a place, or loads it from there."""
    byte = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [byte])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{name}")
    builder.call(function, [builder.bitcast(place, byte)])


@intrinsic
def flush_subnormals(typingctx):
    """From here on this thread takes them for 0; returns what `restore_subnormals` needs."""

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
    """From here on this thread does with them what it did before."""

    def code(context, builder, signature, arguments):
        if FLUSHES:
            place = cgutils.alloca_once_value(builder, arguments[0])
            _mxcsr(builder, "ldmxcsr", place)
        return context.get_dummy_value()

    return types.void(types.uint32), code

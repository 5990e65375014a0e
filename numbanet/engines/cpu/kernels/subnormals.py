"""Functions that make an x86 CPU treat subnormal numbers, below 1.2e-38 (float64: 2.2e-308), as 0.

The optimizer's moments of a neuron that is never active, or of an input that stays 0, shrink from step to step until they are
subnormal, and stay subnormal. On many x86 CPUs, an operation with a subnormal number takes several times as long. On other
machines, the functions do nothing, and subnormal numbers are computed as usual.
"""

import platform

from llvmlite import ir
from numba import types
from numba.core import cgutils

from numbanet._compile import intrinsic

FLUSHES = platform.machine() in ("x86_64", "AMD64")
_FLUSH = 0x8040  # bits of MXCSR: subnormal results become 0 (bit 15), subnormal operands count as 0 (bit 6)


def _mxcsr(builder, name, place):
    """Emits the instruction `name`, which stores the control word MXCSR of vector arithmetic to an address, or loads it."""
    byte = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [byte])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{name}")
    builder.call(function, [builder.bitcast(place, byte)])


@intrinsic
def flush_subnormals(typingctx):
    """Makes this thread treat subnormal numbers as 0; returns the previous state, which `restore_subnormals` takes."""

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
    """Makes this thread treat subnormal numbers as it did before it called `flush_subnormals`."""

    def code(context, builder, signature, arguments):
        if FLUSHES:
            place = cgutils.alloca_once_value(builder, arguments[0])
            _mxcsr(builder, "ldmxcsr", place)
        return context.get_dummy_value()

    return types.void(types.uint32), code

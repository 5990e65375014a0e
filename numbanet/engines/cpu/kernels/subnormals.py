"""Functions that make an x86 CPU treat subnormal numbers (below 1.2e-38 in float32 and 2.2e-308 in float64) as 0.

If a neuron is never active, or an input is always 0, the optimizer's moments for the weights of this neuron or input shrink
from step to step until the moments are subnormal, and then stay subnormal. On many x86 CPUs, an operation on a subnormal number
takes several times as long as an operation on other numbers. On CPUs other than x86, the functions of this module do nothing,
and subnormal numbers keep their values.
"""

import platform

from llvmlite import ir
from numba import types
from numba.core import cgutils

from numbanet._compile import intrinsic

FLUSHES = platform.machine() in ("x86_64", "AMD64")
_FLUSH = 0x8040  # bits of MXCSR: bit 15 replaces subnormal results with 0, bit 6 treats subnormal operands as 0


def _mxcsr(builder, name, place):
    """Emits the instruction `name`, which stores the CPU's register MXCSR to the address `place`, or loads it from there."""
    byte = ir.IntType(8).as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [byte])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.x86.sse.{name}")
    builder.call(function, [builder.bitcast(place, byte)])


@intrinsic
def flush_subnormals(typingctx):
    """Makes this thread treat subnormal numbers as 0.

    Returns the previous value of the CPU's control register MXCSR, which must be passed to `restore_subnormals`.
    """

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
    """Undoes `flush_subnormals` for this thread; `before` is the value that `flush_subnormals` returned."""

    def code(context, builder, signature, arguments):
        if FLUSHES:
            place = cgutils.alloca_once_value(builder, arguments[0])
            _mxcsr(builder, "ldmxcsr", place)
        return context.get_dummy_value()

    return types.void(types.uint32), code

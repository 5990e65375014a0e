"""A SIMD value for Numba: as many numbers as a vector register of this machine holds, as one value that stays in it.

Numba unrolls but does not pack unrolled scalars into registers, so the inner loops of the products name their vectors. Their
width is that of the widest registers LLVM reports for the host; on a CPU without them LLVM splits the vectors, all else equal.
"""

import operator

import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, models, overload, register_model

_WIDTHS = (("avx512f", 64), ("avx", 32))
_FEATURES = llvmlite.binding.get_host_cpu_features()
REGISTER_BYTES = next((width for name, width in _WIDTHS if _FEATURES.get(name)), 16)


class Vector(types.Type):
    """The Numba type of a vector of scalars."""

    def __init__(self, scalar):
        self.scalar = scalar
        self.lanes = 8 * REGISTER_BYTES // scalar.bitwidth
        super().__init__(name=f"Vector({scalar}, {self.lanes})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager, kind):
        super().__init__(manager, kind, ir.VectorType(manager.lookup(kind.scalar).get_value_type(), kind.lanes))


def _pointer(context, builder, array_type, array, index):
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [index])


@intrinsic
def lanes(typingctx, array):
    """How many numbers of this array's dtype a vector holds."""

    def code(context, builder, signature, arguments):
        return context.get_constant(types.intp, Vector(array.dtype).lanes)

    return types.intp(array), code


@intrinsic
def get(typingctx, array, index):
    """array[index] of a flat array; the index is not negative and not checked."""

    def code(context, builder, signature, arguments):
        return builder.load(_pointer(context, builder, signature.args[0], *arguments))

    return array.dtype(array, types.intp), code


@intrinsic
def put(typingctx, array, index, value):
    """array[index] = value, in a flat array; the index is not negative and not checked."""

    def code(context, builder, signature, arguments):
        array, index, value = arguments
        builder.store(value, _pointer(context, builder, signature.args[0], array, index))
        return context.get_dummy_value()

    return types.void(array, types.intp, array.dtype), code


@intrinsic
def load(typingctx, array, index):
    """The vector array[index : index + lanes] of a flat array, unchecked."""
    kind = Vector(array.dtype)

    def code(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature.args[0], *arguments)
        pointer = builder.bitcast(pointer, context.get_value_type(kind).as_pointer())
        return builder.load(pointer, align=array.dtype.bitwidth // 8)

    return kind(array, types.intp), code


@intrinsic
def store(typingctx, array, index, vector):
    """array[index : index + lanes] = vector, in a flat array, unchecked."""

    def code(context, builder, signature, arguments):
        array, index, vector = arguments
        pointer = _pointer(context, builder, signature.args[0], array, index)
        pointer = builder.bitcast(pointer, vector.type.as_pointer())
        builder.store(vector, pointer, align=signature.args[0].dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), code


@intrinsic
def broadcast(typingctx, scalar):
    """A vector whose numbers are all this scalar."""
    kind = Vector(scalar)

    def code(context, builder, signature, arguments):
        undefined = ir.Constant(context.get_value_type(kind), ir.Undefined)
        first = builder.insert_element(undefined, arguments[0], ir.Constant(ir.IntType(32), 0))
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), kind.lanes), [0] * kind.lanes)
        return builder.shuffle_vector(first, undefined, everywhere)

    return kind(scalar), code


def _elementwise(operation, instruction):
    """Lets an operator take two vectors. "contract": a product and a sum become one operation where the CPU has it."""

    @intrinsic
    def apply(typingctx, a, b):
        def code(context, builder, signature, arguments):
            return getattr(builder, instruction)(*arguments, flags=["contract"])

        return a(a, b), code

    @overload(operation)
    def of_vectors(a, b):
        if isinstance(a, Vector) and isinstance(b, Vector):
            return lambda a, b: apply(a, b)


_elementwise(operator.add, "fadd")
_elementwise(operator.iadd, "fadd")
_elementwise(operator.sub, "fsub")
_elementwise(operator.mul, "fmul")

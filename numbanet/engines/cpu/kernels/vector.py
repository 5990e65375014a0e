"""Defines a Numba type for SIMD vectors: a vector holds the numbers that fit into one vector register of the CPU.

If Numba unrolls a loop over scalars, it does not combine the scalars into SIMD vectors. The inner loops of the matrix products
therefore use vectors explicitly. A vector is as wide as the widest registers that LLVM reports for the host. On a CPU without
vector registers, a vector has 16 bytes, and LLVM computes with its numbers one by one.

The functions of this module take flat arrays and indices into these arrays. The functions do not check the indices, which must
not be negative.
"""

import math
import operator
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import models, overload, register_model

from numbanet._compile import intrinsic
from numbanet.engines.cpu.registers import REGISTERS


class Vector(types.Type):
    """The Numba type of a SIMD vector, which consists of `lanes` scalars of the same type."""

    def __init__(self, scalar: Any):
        self.scalar = scalar
        self.lanes = 8 * REGISTERS.width // scalar.bitwidth
        super().__init__(name=f"Vector({scalar}, {self.lanes})")


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector):
        super().__init__(manager, kind, ir.VectorType(manager.lookup(kind.scalar).get_value_type(), kind.lanes))


def pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any) -> Any:
    """Emits LLVM code that computes the address of array[index]."""
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [index])


@intrinsic
def lanes(typingctx, array):
    """Returns the number of lanes of a SIMD vector, which is the number of array elements that fit into a vector."""

    def code(context, builder, signature, arguments):
        return context.get_constant(types.intp, Vector(array.dtype).lanes)

    return types.intp(array), code


@intrinsic
def get(typingctx, array, index):
    """Returns array[index] without checking the index."""

    def code(context, builder, signature, arguments):
        return builder.load(pointer(context, builder, signature.args[0], *arguments))

    return array.dtype(array, types.intp), code


@intrinsic
def put(typingctx, array, index, value):
    """Sets array[index] = value without checking the index."""

    def code(context, builder, signature, arguments):
        array, index, value = arguments
        builder.store(value, pointer(context, builder, signature.args[0], array, index))
        return context.get_dummy_value()

    return types.void(array, types.intp, array.dtype), code


@intrinsic
def prefetch(typingctx, array, index):
    """Asks the CPU to load array[index] into its cache, without waiting.

    `index` counts the array's elements in C order, also if the array has two dimensions.
    """

    def code(context, builder, signature, arguments):
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        place = builder.bitcast(pointer(context, builder, signature.args[0], *arguments), byte)
        to_read, into_l2, data = number(0), number(2), number(1)
        builder.call(function, [place, to_read, into_l2, data])
        return context.get_dummy_value()

    return types.void(array, types.intp), code


def emit_load(context: Any, builder: Any, array_type: Any, kind: Vector, array: Any, index: Any) -> Any:
    """Emits LLVM code that loads a SIMD vector, which begins at array[index]."""
    address = builder.bitcast(pointer(context, builder, array_type, array, index), context.get_value_type(kind).as_pointer())
    return builder.load(address, align=array_type.dtype.bitwidth // 8)


def emit_store(context: Any, builder: Any, array_type: Any, array: Any, index: Any, vector: Any) -> None:
    """Emits LLVM code that stores a SIMD vector to memory, beginning at array[index]."""
    address = builder.bitcast(pointer(context, builder, array_type, array, index), vector.type.as_pointer())
    builder.store(vector, address, align=array_type.dtype.bitwidth // 8)


@intrinsic
def load(typingctx, array, index):
    """Returns the elements array[index : index + lanes] as a SIMD vector."""
    kind = Vector(array.dtype)

    def code(context, builder, signature, arguments):
        return emit_load(context, builder, signature.args[0], kind, *arguments)

    return kind(array, types.intp), code


@intrinsic
def store(typingctx, array, index, vector):
    """Stores a SIMD vector: array[index : index + lanes] = vector."""

    def code(context, builder, signature, arguments):
        emit_store(context, builder, signature.args[0], *arguments)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), code


@intrinsic
def transpose(typingctx, rows):
    """Returns the transpose of a square matrix, which is given as a tuple of `lanes` vectors, one vector per row."""
    count = rows.dtype.lanes

    def code(context, builder, signature, arguments):
        rows = cgutils.unpack_tuple(builder, arguments[0], count)
        half = count // 2
        while half:  # each round swaps off-diagonal blocks that are half as large as in the round before
            for i in range(count):
                if not i & half:
                    above, below = rows[i], rows[i + half]
                    lanes = [j if not j & half else count + j - half for j in range(count)]
                    rows[i] = _shuffled(builder, above, below, lanes)
                    rows[i + half] = _shuffled(builder, above, below, [lane + half for lane in lanes])
            half //= 2
        return context.make_tuple(builder, signature.return_type, rows)

    return rows(rows), code


def _shuffled(builder, a, b, lanes):
    """Emits LLVM code for a vector whose elements are taken from the vectors a and b, as the indices in `lanes` say.

    An index k < len(a) selects a[k]; an index k >= len(a) selects b[k - len(a)].
    """
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes))


@intrinsic
def load_square(typingctx, array, index, step):
    """Loads a square matrix as a tuple of `lanes` SIMD vectors; vector r begins at array[index + r * step]."""
    kind = Vector(array.dtype)
    vectors = types.UniTuple(kind, kind.lanes)

    def code(context, builder, signature, arguments):
        array, index, step = arguments
        rows = []
        for _ in range(kind.lanes):
            rows.append(emit_load(context, builder, signature.args[0], kind, array, index))
            index = builder.add(index, step)
        return context.make_tuple(builder, vectors, rows)

    return vectors(array, types.intp, types.intp), code


@intrinsic
def store_square(typingctx, array, index, step, rows):
    """Stores a tuple of SIMD vectors; vector r is written to memory beginning at array[index + r * step]."""

    def code(context, builder, signature, arguments):
        array, index, step, rows = arguments
        for row in cgutils.unpack_tuple(builder, rows, signature.args[3].count):
            emit_store(context, builder, signature.args[0], array, index, row)
            index = builder.add(index, step)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, rows), code


def emit_broadcast(context: Any, builder: Any, kind: Vector, scalar: Any) -> Any:
    """Emits LLVM code that computes a SIMD vector whose elements all equal `scalar`."""
    undefined = ir.Constant(context.get_value_type(kind), ir.Undefined)
    first = builder.insert_element(undefined, scalar, ir.Constant(ir.IntType(32), 0))
    everywhere = ir.Constant(ir.VectorType(ir.IntType(32), kind.lanes), [0] * kind.lanes)
    return builder.shuffle_vector(first, undefined, everywhere)


@intrinsic
def broadcast(typingctx, scalar):
    """Returns a SIMD vector whose elements all equal `scalar`."""
    kind = Vector(scalar)

    def code(context, builder, signature, arguments):
        return emit_broadcast(context, builder, kind, *arguments)

    return kind(scalar), code


def _elementwise(operation, instruction):
    """Defines a Python operator for two SIMD vectors, such as +, as an LLVM instruction with the flag "contract".

    The flag "contract" lets LLVM fuse a multiplication and an addition into one instruction.
    """

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
_elementwise(operator.truediv, "fdiv")


@intrinsic
def _square_root(typingctx, vector):
    def code(context, builder, signature, arguments):
        kind = arguments[0].type
        name = f"llvm.sqrt.v{vector.lanes}f{vector.scalar.bitwidth}"
        return builder.call(cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind, [kind]), name), arguments)

    return vector(vector), code


@overload(math.sqrt)
def _square_root_of_vector(x):
    if isinstance(x, Vector):
        return lambda x: _square_root(x)

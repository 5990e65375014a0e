"""What Numba has no name for: unchecked loads and stores of one number or four, matrices inside flat arrays, limits.

Everything that is not plain `numba.cuda` stands here, beside what the simulator takes instead. Arrays are flat. An index is not
negative, and not checked but by the simulator.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils

from numbanet._cuda import SIMULATED, intrinsic_on_gpu

QUAD = 4  # numbers that are loaded and stored together: 16 bytes of float32, 32 of float64


def _pointer(context, builder, array_type, array, index):
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [index])


def _quad_pointer(context, builder, array_type, array, index):
    quad = ir.VectorType(context.get_value_type(array_type.dtype), QUAD)
    pointer = _pointer(context, builder, array_type, array, index)
    return builder.bitcast(pointer, quad.as_pointer(pointer.type.addrspace)), quad


if SIMULATED:

    def limited(registers):
        return cuda.jit

    def get(array, index):
        return array[index]

    def put(array, index, value):
        array[index] = value

    def get_quad(array, index):
        return tuple(array[index : index + QUAD])

    def put_quad(array, index, a, b, c, d):
        array[index : index + QUAD] = a, b, c, d

    def matrix(flat, start, rows, columns):
        return flat[start : start + rows * columns].reshape(rows, columns)

else:

    def limited(registers):
        """`cuda.jit` of a kernel whose threads take no more than that many registers."""
        return cuda.jit(max_registers=registers)

    @intrinsic_on_gpu
    def get(typingctx, array, index):
        """array[index]."""

        def code(context, builder, signature, arguments):
            return builder.load(_pointer(context, builder, signature.args[0], *arguments))

        return array.dtype(array, types.intp), code

    @intrinsic_on_gpu
    def put(typingctx, array, index, value):
        """array[index] = value."""

        def code(context, builder, signature, arguments):
            array, index, value = arguments
            builder.store(value, _pointer(context, builder, signature.args[0], array, index))
            return context.get_dummy_value()

        return types.void(array, types.intp, array.dtype), code

    @intrinsic_on_gpu
    def get_quad(typingctx, array, index):
        """array[index : index + 4], which begins where 16 bytes do."""

        def code(context, builder, signature, arguments):
            pointer, _ = _quad_pointer(context, builder, signature.args[0], *arguments)
            vector = builder.load(pointer, align=16)
            numbers = [builder.extract_element(vector, ir.Constant(ir.IntType(32), i)) for i in range(QUAD)]
            return context.make_tuple(builder, signature.return_type, numbers)

        return types.UniTuple(array.dtype, QUAD)(array, types.intp), code

    @intrinsic_on_gpu
    def put_quad(typingctx, array, index, a, b, c, d):
        """array[index : index + 4] = a, b, c, d, which begins where 16 bytes do."""

        def code(context, builder, signature, arguments):
            array, index, *numbers = arguments
            pointer, quad = _quad_pointer(context, builder, signature.args[0], array, index)
            vector = ir.Constant(quad, ir.Undefined)
            for i, number in enumerate(numbers):
                vector = builder.insert_element(vector, number, ir.Constant(ir.IntType(32), i))
            builder.store(vector, pointer, align=16)
            return context.get_dummy_value()

        number = array.dtype
        return types.void(array, types.intp, number, number, number, number), code

    @intrinsic_on_gpu
    def matrix(typingctx, flat, start, rows, columns):
        """flat[start : start + rows * columns] as an array (rows, columns)."""
        result = types.Array(flat.dtype, 2, "C")

        def code(context, builder, signature, arguments):
            flat_array, start, rows, columns = arguments
            size = context.get_constant(types.intp, flat.dtype.bitwidth // 8)
            view = context.make_array(result)(context, builder)
            view.data = builder.addrspacecast(
                _pointer(context, builder, signature.args[0], flat_array, start), view.data.type, "generic"
            )
            view.nitems = builder.mul(rows, columns)
            view.itemsize = size
            view.shape = cgutils.pack_array(builder, [rows, columns])
            view.strides = cgutils.pack_array(builder, [builder.mul(columns, size), size])
            view.meminfo = ir.Constant(view.meminfo.type, None)
            view.parent = ir.Constant(view.parent.type, None)
            return view._getvalue()

        return result(flat, types.intp, types.intp, types.intp), code

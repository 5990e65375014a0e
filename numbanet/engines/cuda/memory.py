"""What Numba has no name for: loads and stores without a look at the sign of an index, 16 bytes at a time; limits of registers.

Everything that is not plain `numba.cuda` stands here, beside what the simulator takes instead. Arrays are flat. An index is
taken modulo 2^32 times nothing: it is 64 bits wide, not negative, and not checked; the simulator checks it.
"""

from llvmlite import ir
from numba import types

from numbanet._cuda import SIMULATED, cuda, intrinsic_on_gpu

SHARED = 3  # the address space of a block's shared memory
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

    @cuda.jit(device=True)
    def shared_numbers(count, number):
        return cuda.shared.array(count, number)

    def get(array, index):
        return array[index]

    def put(array, index, value):
        array[index] = value

    def get_quad(array, index):
        return tuple(array[index : index + QUAD])

    def put_quad(array, index, a, b, c, d):
        array[index : index + QUAD] = a, b, c, d

else:

    def limited(registers):
        """`cuda.jit` of a kernel whose threads take no more than that many registers."""
        return cuda.jit(max_registers=registers)

    @intrinsic_on_gpu
    def shared_numbers(typingctx, count, number):
        """Numbers in shared memory that begin where 16 bytes do. In the simulator a kernel has only one such array."""
        if not hasattr(count, "literal_value"):
            return None
        dtype = number.instance_type

        def code(context, builder, signature, arguments):
            numbers = ir.ArrayType(context.get_data_type(dtype), count.literal_value)
            memory = ir.GlobalVariable(builder.module, numbers, builder.module.get_unique_name("shared_numbers"), SHARED)
            memory.align, memory.initializer = 16, ir.Constant(numbers, ir.Undefined)
            array = context.make_array(signature.return_type)(context, builder)
            array.data = builder.addrspacecast(memory.gep([ir.Constant(ir.IntType(32), 0)] * 2), array.data.type)
            return array._getvalue()

        return types.Array(dtype, 1, "C")(count, number), code

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

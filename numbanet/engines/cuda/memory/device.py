"""Memory operations that kernels call on a GPU.

The operations are written in LLVM's IR, because `numba.cuda` does not provide them.

The module `simulated` defines the same functions for Numba's simulator.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from numbanet._cuda import cuda, intrinsic_on_gpu
from numbanet.engines.cuda.limits import QUAD

GLOBAL, SHARED = 1, 3  # the numbers of LLVM's address spaces for global memory and for shared memory


def _pointer(context, builder, array_type, array, index):
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [index])


def _assembly(builder, result, instruction: str, constraints: str, operands):
    """Emits a PTX instruction that LLVM does not provide.

    The compiler moves no load or store across the emitted instruction.
    """
    kind = ir.FunctionType(result, [operand.type for operand in operands])
    clobbers = "~{memory}"
    return builder.asm(kind, instruction, f"{constraints},{clobbers}" if constraints else clobbers, operands, side_effect=True)


def limited(registers: int) -> Any:
    """Returns a `cuda.jit` decorator that limits a kernel to the given number of registers per thread."""
    return cuda.jit(max_registers=registers)


@intrinsic_on_gpu
def shared_numbers(typingctx, count, number):
    """Returns an array of `count` values of dtype `number` in shared memory, aligned to 16 bytes.

    In the simulator, a kernel may call `shared_numbers` only once.
    """
    if not hasattr(count, "literal_value"):
        return None
    dtype = number.instance_type

    def code(context, builder, signature, arguments):
        numbers = ir.ArrayType(context.get_data_type(dtype), count.literal_value)
        memory: Any = ir.GlobalVariable(builder.module, numbers, builder.module.get_unique_name("shared_numbers"), SHARED)
        memory.align, memory.initializer = 16, ir.Constant(numbers, ir.Undefined)
        array = context.make_array(signature.return_type)(context, builder)
        array.data = builder.addrspacecast(memory.gep([ir.Constant(ir.IntType(32), 0)] * 2), array.data.type)
        return array._getvalue()

    return types.Array(dtype, 1, "C")(count, number), code


@intrinsic_on_gpu
def get(typingctx, array, index):
    """Returns array[index]."""

    def code(context, builder, signature, arguments):
        return builder.load(_pointer(context, builder, signature.args[0], *arguments))

    return array.dtype(array, types.intp), code


@intrinsic_on_gpu
def put(typingctx, array, index, value):
    """Sets array[index] = value."""

    def code(context, builder, signature, arguments):
        array, index, value = arguments
        builder.store(value, _pointer(context, builder, signature.args[0], array, index))
        return context.get_dummy_value()

    return types.void(array, types.intp, array.dtype), code


@intrinsic_on_gpu
def get_quad(typingctx, array, index):
    """Returns array[index : index + 4] as a tuple; the address of array[index] must be a multiple of 16 bytes."""

    def code(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature.args[0], *arguments)
        quad = ir.VectorType(context.get_value_type(array.dtype), QUAD).as_pointer(pointer.type.addrspace)
        vector = builder.load(builder.bitcast(pointer, quad), align=16)
        numbers = [builder.extract_element(vector, ir.Constant(ir.IntType(32), i)) for i in range(QUAD)]
        return context.make_tuple(builder, signature.return_type, numbers)

    return types.UniTuple(array.dtype, QUAD)(array, types.intp), code


@intrinsic_on_gpu
def quotient(typingctx, a, b):
    """Returns a // b for integers from 0 to 2^31 - 1.

    The function uses an unsigned 32-bit division, which needs only a fraction of the instructions of a signed 64-bit division.
    """

    def code(context, builder, signature, arguments):
        a, b = (builder.trunc(argument, ir.IntType(32)) for argument in arguments)
        return builder.zext(builder.udiv(a, b), ir.IntType(64))

    return types.intp(types.intp, types.intp), code


@intrinsic_on_gpu
def own_memory(typingctx, stand_in, count):
    """Returns the thread block's dynamic shared memory as an array, aligned to 16 bytes. The launch sets the memory's size.

    On a GPU, `count` is unused, and `stand_in` only determines the dtype. In the simulator, each block uses its own `count`
    values of the array `stand_in` in place of shared memory, so that these values survive until the next launch.
    """

    def code(context, builder, signature, arguments):
        numbers = ir.ArrayType(context.get_data_type(stand_in.dtype), 0)
        memory: Any = ir.GlobalVariable(builder.module, numbers, builder.module.get_unique_name("own_memory"), SHARED)
        memory.align, memory.linkage = 16, "external"
        array = context.make_array(signature.return_type)(context, builder)
        array.data = builder.addrspacecast(memory.gep([ir.Constant(ir.IntType(32), 0)] * 2), array.data.type)
        return array._getvalue()

    return types.Array(stand_in.dtype, 1, "C")(stand_in, count), code


@intrinsic_on_gpu
def copy_later(typingctx, target, at, source, index):
    """Starts an asynchronous copy of source[index] in global memory to target[at] in shared memory.

    The value can be read as soon as the thread that started the copy has called `await_copies`.
    """

    def code(context, builder, signature, arguments):
        addresses = []
        for i, space, width in ((0, SHARED, 32), (2, GLOBAL, 64)):
            pointer = _pointer(context, builder, signature.args[i], *arguments[i : i + 2])
            pointer = builder.addrspacecast(pointer, ir.PointerType(pointer.type.pointee, space))
            addresses.append(builder.ptrtoint(pointer, ir.IntType(width)))
        size = source.dtype.bitwidth // 8
        _assembly(builder, ir.VoidType(), f"cp.async.ca.shared.global [$0], [$1], {size};", "r,l", addresses)
        return context.get_dummy_value()

    return types.void(target, types.intp, source, types.intp), code


@intrinsic_on_gpu
def await_copies(typingctx):
    """Waits until all asynchronous copies that this thread has started with `copy_later` are complete."""

    def code(context, builder, signature, arguments):
        _assembly(builder, ir.VoidType(), "cp.async.wait_all;", "", [])
        return context.get_dummy_value()

    return types.void(), code


@intrinsic_on_gpu
def arrive(typingctx, counter):
    """Makes everything that the block wrote before its last barrier visible to other blocks, and then adds 1 to counter[0].

    A kernel that calls `arrive` is compiled as a cooperative kernel: the GPU runs all of its blocks at the same time.
    """

    def code(context, builder, signature, arguments):
        context.active_code_library.use_cooperative = True
        address = builder.ptrtoint(context.make_array(counter)(context, builder, arguments[0]).data, ir.IntType(64))
        _assembly(builder, ir.VoidType(), "red.release.gpu.global.add.u32 [$0], 1;", "l", [address])
        return context.get_dummy_value()

    return types.void(counter), code


@intrinsic_on_gpu
def arrived(typingctx, counter):
    """Returns counter[0], which is the number of calls to `arrive` so far.

    After its next barrier, the thread block can read everything that other blocks wrote before the counted calls.
    """

    def code(context, builder, signature, arguments):
        address = builder.ptrtoint(context.make_array(counter)(context, builder, arguments[0]).data, ir.IntType(64))
        return _assembly(builder, ir.IntType(32), "ld.acquire.gpu.global.u32 $0, [$1];", "=r,l", [address])

    return types.int32(counter), code


@intrinsic_on_gpu
def matrix(typingctx, flat, start, rows, columns):
    """Returns flat[start : start + rows * columns] as a view of shape (rows, columns)."""
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

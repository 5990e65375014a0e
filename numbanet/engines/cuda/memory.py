"""What Numba has no name for: unchecked loads and stores, loads of four numbers, copies in the background, the two halves of a
barrier of all blocks, matrices inside flat arrays, limits.

Everything that is not plain `numba.cuda` stands here, beside what the simulator takes instead. Arrays are flat. An index is not
negative, and not checked but by the simulator.
"""

import math
import threading
from typing import NamedTuple

from llvmlite import ir
from numba import types
from numba.core import cgutils

from numbanet._cuda import NUMBA_CUDA, SIMULATED, cuda, intrinsic_on_gpu

# Shared memory that a block gets without asking the driver for more.
PLAIN_SHARED_BYTES = 48 * 1024
GLOBAL, SHARED = 1, 3  # address spaces: of what all see, and of a block's shared memory
QUAD = 4  # numbers that are loaded together: 16 bytes of float32, 32 of float64


class Limits(NamedTuple):
    """What a GPU has.

    Parameters
    ----------
    multiprocessors : int
    shared_bytes : int
        The most shared memory that a block may ask for.
    grid_blocks : int
        The most blocks, each with all that shared memory, that run at once and can wait for each other; 0 where none can.
    """

    multiprocessors: int
    shared_bytes: int
    grid_blocks: int


def limits() -> Limits:
    """Those of the present GPU; the simulator's are made up."""
    if SIMULATED:
        return Limits(2, PLAIN_SHARED_BYTES, 2)
    device = cuda.get_current_device()
    multiprocessors = device.MULTIPROCESSOR_COUNT
    if not NUMBA_CUDA:
        return Limits(multiprocessors, PLAIN_SHARED_BYTES, 0)
    # copies in the background came with compute capability 8.0
    grid_blocks = multiprocessors if device.COOPERATIVE_LAUNCH and device.compute_capability >= (8, 0) else 0
    return Limits(multiprocessors, device.MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, grid_blocks)


def present_gpu() -> int:
    """The number of the GPU that this thread uses."""
    return 0 if SIMULATED else cuda.get_current_device().id


def free_bytes() -> float:
    """How much of the GPU's memory is free, once Numba has given back what nobody has any more; the simulator has no end."""
    if SIMULATED:
        return math.inf
    context = cuda.current_context()
    context.deallocations.clear()
    return context.get_memory_info()[0]


def ensure_free(wanted: int, samples: int, what: str) -> None:
    """Raises MemoryError, which says what would fit, where the GPU has not so many bytes free for so many samples."""
    free = free_bytes()
    if wanted > free:
        raise MemoryError(
            f"{what} {samples:,} samples takes {wanted:,} bytes of the GPU's memory, of which {free:,} are free: "
            f"{free * samples // wanted:,} samples at once would fit"
        )


def stream_beside():
    """A stream that does not wait for the default one; of Numba's built-in target, whose streams all do, any stream."""
    if not NUMBA_CUDA:
        return cuda.stream()
    from cuda.core import Device

    device = Device()
    device.set_current()
    return device.create_stream()


def allow_shared_memory(kernel, arguments, shared_bytes: int, fixed_bytes: int = 0) -> None:
    """Asks the driver to give a block of this kernel so much shared memory, compiling it for these arguments if need be.

    fixed_bytes are what its code asks for beside that.
    """
    if SIMULATED or shared_bytes + fixed_bytes <= PLAIN_SHARED_BYTES:
        return
    # numba-cuda has no name for it (its issue 94); its own function for the carveout sets that attribute this way
    compiled = kernel.compile(tuple(kernel.typeof_pyval(argument) for argument in arguments))
    function = compiled._codelibrary.get_cufunc()
    attribute = cuda.cudadrv.driver.binding.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    cuda.cudadrv.driver.driver.cuKernelSetAttribute(attribute, shared_bytes, function.handle, function.device.id)


def _pointer(context, builder, array_type, array, index):
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [index])


def _assembly(builder, result, instruction: str, constraints: str, operands):
    """An instruction that has no name in Numba's intermediate language; nothing is moved across it."""
    kind = ir.FunctionType(result, [operand.type for operand in operands])
    clobbers = "~{memory}"
    return builder.asm(kind, instruction, f"{constraints},{clobbers}" if constraints else clobbers, operands, side_effect=True)


if SIMULATED:
    simulator, one_at_a_time = cuda.simulator.kernel, threading.Lock()

    def limited(registers):
        return cuda.jit

    def shared_numbers(count, number):
        # Not by the `cuda` of this file, in whose place the simulator puts its own by turns of the threads; and under a lock,
        # for the first threads to come would else get an array each.
        with one_at_a_time:
            return simulator._get_kernel_context().shared.array(count, number)

    def get(array, index):
        return array[index]

    def put(array, index, value):
        array[index] = value

    def get_quad(array, index):
        return tuple(array[index : index + QUAD])

    def quotient(a, b):
        return a // b

    def own_memory(stand_in, count):
        first = simulator._get_kernel_context().blockIdx.x * count
        return stand_in[first : first + count]

    def copy_later(target, at, source, index):
        target[at] = source[index]

    def await_copies():
        pass

    def arrive(counter):
        simulator._get_kernel_context().atomic.add(counter, 0, 1)

    def arrived(counter):
        return counter[0]

    def matrix(flat, start, rows, columns):
        return flat[start : start + rows * columns].reshape(rows, columns)

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
            pointer = _pointer(context, builder, signature.args[0], *arguments)
            quad = ir.VectorType(context.get_value_type(array.dtype), QUAD).as_pointer(pointer.type.addrspace)
            vector = builder.load(builder.bitcast(pointer, quad), align=16)
            numbers = [builder.extract_element(vector, ir.Constant(ir.IntType(32), i)) for i in range(QUAD)]
            return context.make_tuple(builder, signature.return_type, numbers)

        return types.UniTuple(array.dtype, QUAD)(array, types.intp), code

    @intrinsic_on_gpu
    def quotient(typingctx, a, b):
        """a // b where both are below 2^31 and not negative: a fraction of the instructions that 64 bits and signs take."""

        def code(context, builder, signature, arguments):
            a, b = (builder.trunc(argument, ir.IntType(32)) for argument in arguments)
            return builder.zext(builder.udiv(a, b), ir.IntType(64))

        return types.intp(types.intp, types.intp), code

    @intrinsic_on_gpu
    def own_memory(typingctx, stand_in, count):
        """The shared memory a block is launched with, from where 16 bytes begin; in the simulator, what outlives a launch."""

        def code(context, builder, signature, arguments):
            numbers = ir.ArrayType(context.get_data_type(stand_in.dtype), 0)
            memory = ir.GlobalVariable(builder.module, numbers, builder.module.get_unique_name("own_memory"), SHARED)
            memory.align, memory.linkage = 16, "external"
            array = context.make_array(signature.return_type)(context, builder)
            array.data = builder.addrspacecast(memory.gep([ir.Constant(ir.IntType(32), 0)] * 2), array.data.type)
            return array._getvalue()

        return types.Array(stand_in.dtype, 1, "C")(stand_in, count), code

    @intrinsic_on_gpu
    def copy_later(typingctx, target, at, source, index):
        """target[at] = source[index], from global to shared memory, while the thread goes on: see `await_copies`."""

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
        """Waits for all that this thread has had copied."""

        def code(context, builder, signature, arguments):
            _assembly(builder, ir.VoidType(), "cp.async.wait_all;", "", [])
            return context.get_dummy_value()

        return types.void(), code

    @intrinsic_on_gpu
    def arrive(typingctx, counter):
        """counter[0] += 1, after all that the block wrote before its last barrier. The blocks of such a kernel run at once."""

        def code(context, builder, signature, arguments):
            context.active_code_library.use_cooperative = True
            address = builder.ptrtoint(context.make_array(counter)(context, builder, arguments[0]).data, ir.IntType(64))
            _assembly(builder, ir.VoidType(), "red.release.gpu.global.add.u32 [$0], 1;", "l", [address])
            return context.get_dummy_value()

        return types.void(counter), code

    @intrinsic_on_gpu
    def arrived(typingctx, counter):
        """counter[0] now; what was written before it was counted can be read after the block's next barrier."""

        def code(context, builder, signature, arguments):
            address = builder.ptrtoint(context.make_array(counter)(context, builder, arguments[0]).data, ir.IntType(64))
            return _assembly(builder, ir.IntType(32), "ld.acquire.gpu.global.u32 $0, [$1];", "=r,l", [address])

        return types.int32(counter), code

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

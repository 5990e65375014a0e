"""The compile gate checks that the machine code of kernels uses no stack, no spills and, in float32, no float64 instructions.

The compile gate compiles the kernels without a GPU. Other tests, in the simulator or on a GPU, check the numbers that the
kernels compute.
"""

import functools
import importlib
import inspect
import math
import pkgutil

import numba
import numpy as np
import pytest
from numba import types

from numbanet import _compile, _elementary, equations
from numbanet._cuda import cuda
from numbanet._cuda.kernel import Kernel
from numbanet.engines import rule, samples
from numbanet.engines.binding import binding_of
from numbanet.engines.cuda import output
from numbanet.engines.cuda.cooperative import kernel as cooperative
from numbanet.engines.cuda.cooperative import layout
from numbanet.engines.cuda.products import descent, dropout, parts, product, steps, tiles
from numbanet.engines.cuda.products.epilogues import Activation
from numbanet.engines.cuda.resident import kernel as resident
from numbanet.engines.cuda.resident import layout as resident_layout
from numbanet.engines.epoch import epoch_of
from numbanet.engines.loops import CpuLoops, CudaLoops
from numbanet.engines.reference import ReferenceEngine
from numbanet.engines.rule import ADAM, MOMENTUM, NESTEROV, Rule
from numbanet.engines.topology import Topology
from numbanet.equations import beyond
from numbanet.inputs import gpu as arrays
from tests.helpers import compile_gate
from tests.helpers.formulas import HUBER, STEEP, SWISH
from tests.helpers.networks import topology

if reason := compile_gate.missing():
    pytest.skip(reason, allow_module_level=True)


SECTIONS = [section.name for section in pkgutil.iter_modules(equations.__path__, "numbanet.equations.")]
MODULES = [*map(importlib.import_module, SECTIONS), samples]

DTYPES = {"float32": types.float32, "float64": types.float64}

# Kernels whose inner loop consists of a multiply-add, which must be compiled to one fused instruction.
MULTIPLY_ADD = ["forward_sum_cuda", "weight_gradient_cuda", "delta_recurrence_cuda"]

REGISTERS_PER_BLOCK = 65536  # and per multiprocessor
SHARED_PER_BLOCK = 48 * 1024
THREADS_PER_BLOCK = max(math.prod(shape) for shape in CudaLoops.block_shapes)


def kernels_of(module) -> dict:
    """Returns the CUDA kernels that a module defines, as a dict with the kernels' names as keys."""
    return {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, Kernel) and value.py_func.__module__ == module.__name__
    }


KERNELS = {name: kernel for module in MODULES for name, kernel in kernels_of(module).items()}


def types_of_parameters(number) -> dict:
    """Returns a dict from the names of kernel parameters to their types, for a network that computes with type `number`."""
    names_by_type = {
        number: "epsilon eta n mu eta_t one_minus_beta_1 one_minus_beta_2 epsilon_t decay most scale",
        types.int64: "kind loss_kind layer first",
        types.uint64: "key limit",
        types.int64[::1]: "order",
        types.int32[::1]: "hits_of_sample",
        number[::1]: "b db z_max others loss_of_sample gradients parameters velocities m v squares weights",
        number[:, ::1]: "x w z a y y_hat u delta dw dl_da da_dz dl_du z_prev a_prev delta_prev rows batch",
    }
    return {name: type_ for type_, names in names_by_type.items() for name in names.split()}


def signature(kernel, number) -> list:
    """Returns the types of a kernel's arguments; the name of each parameter determines its type."""
    known = types_of_parameters(number)
    if kernel.__name__ == "softmax_jacobian_cuda":
        known["da_dz"] = number[:, :, ::1]
    parameters = inspect.signature(kernel.py_func).parameters
    if unknown := [name for name in parameters if name not in known]:
        pytest.fail(f"{kernel.__name__}: types_of_parameters does not know {', '.join(unknown)}")
    return [known[name] for name in parameters]


@functools.cache
def machine_code(name: str, architecture: str, dtype: str) -> compile_gate.MachineCode:
    """Returns the machine code of a kernel; the machine code is compiled once and used by all tests."""
    return compile_gate.build(KERNELS[name], signature(KERNELS[name], DTYPES[dtype]), architecture)


each_kernel = pytest.mark.parametrize("name", KERNELS)
each_architecture = pytest.mark.parametrize("architecture", compile_gate.ARCHITECTURES)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


@each_dtype
@each_architecture
@each_kernel
def test_everything_stays_in_registers(name, architecture, dtype):
    code = machine_code(name, architecture, dtype)
    assert (code.stack, code.spill_stores, code.spill_loads) == (0, 0, 0)
    assert code.local_memory == []


@each_dtype
@each_architecture
@each_kernel
def test_a_block_fits_a_multiprocessor(name, architecture, dtype):
    registers = machine_code(name, architecture, dtype).registers
    assert registers <= 255
    assert registers * THREADS_PER_BLOCK <= REGISTERS_PER_BLOCK


@each_architecture
@each_kernel
def test_float32_is_never_widened(name, architecture):
    assert machine_code(name, architecture, "float32").float64 == []


@each_architecture
@pytest.mark.parametrize("name", MULTIPLY_ADD)
def test_multiply_adds_are_fused(name, architecture):
    assert machine_code(name, architecture, "float32").with_opcode("FFMA")
    assert machine_code(name, architecture, "float64").with_opcode("DFMA")


# The kernels for matrix products of the fast rung, in every form and with every tile

FORMS = {each.name.lower(): each.value for each in product.Product}
FORMS |= {f"{name} part": FORMS[name].part for name in ("forward", "backward")}
PRODUCTS = [
    pytest.param(form, dtype, tile, id=f"product-{form}-{dtype}-{tile.rows}x{tile.columns}".replace(" ", "-"))
    for form in FORMS
    for dtype in DTYPES
    for tile in tiles.TILES[np.dtype(dtype)]
    if tile.splits or not form.endswith("part")
]
FINISHES = ["forward", "backward", "update", "gradient"]


def activation_of(number):
    return types.NamedTuple([types.int64, number], Activation)


@functools.cache
def machine_code_of_product(form: str, dtype: str, tile, architecture: str) -> compile_gate.MachineCode:
    number, numbers, order = DTYPES[dtype], DTYPES[dtype][::1], types.int64[::1]
    arguments = {
        "forward": [activation_of(number), numbers, order, numbers, numbers],
        "backward": [activation_of(number), numbers, numbers, numbers, numbers],
        "update": [numbers, numbers, order, numbers, numbers],
        "gradient": [numbers, order, numbers, numbers],
        "forward part": [numbers, order, numbers, numbers],
        "backward part": [numbers, numbers, numbers],
    }[form]
    kernel = product.product(FORMS[form], tile, np.dtype(dtype))
    return compile_gate.build(kernel, [*arguments, types.NamedUniTuple(types.int64, 4, product.Shape)], architecture)


each_product = pytest.mark.parametrize(("form", "dtype", "tile"), PRODUCTS)


@each_product
@each_architecture
def test_a_product_keeps_its_budget(form, dtype, tile, architecture):
    code = machine_code_of_product(form, dtype, tile, architecture)
    assert (code.stack, code.spill_stores, code.spill_loads) == (0, 0, 0)
    assert code.local_memory == []
    assert code.registers <= tile.registers
    assert code.shared == tile.shared_bytes(np.dtype(dtype)) <= SHARED_PER_BLOCK
    # A warp gets registers in units of 256, which is 8 registers per thread.
    registers = -(-code.registers // 8) * 8 * tile.threads
    assert REGISTERS_PER_BLOCK // registers >= tile.residents
    if dtype == "float32":
        assert code.float64 == []


@each_product
@each_architecture
def test_the_loop_of_a_product_multiplies_and_adds(form, dtype, tile, architecture):
    loop = machine_code_of_product(form, dtype, tile, architecture).main_loop
    fused = compile_gate.count(loop, "FFMA" if dtype == "float32" else "DFMA")
    assert fused == tile.side**2 * tile.depth
    assert fused / len(loop) >= tile.rate
    # a thread reads its numbers of two panels in loads of 16 bytes
    assert compile_gate.count(loop, r"LDS\.128") == 2 * tile.side * tile.depth * np.dtype(dtype).itemsize // 16
    assert compile_gate.count(loop, r"LDS\b") == compile_gate.count(loop, r"LDS\.128")
    assert compile_gate.count(loop, r"BAR\b") == 1


@each_dtype
@each_architecture
@pytest.mark.parametrize("form", FINISHES)
def test_sums_of_product_parts_stay_in_registers(form, dtype, architecture):
    number, numbers = DTYPES[dtype], DTYPES[dtype][::1]
    activation = activation_of(number)
    epilogue = {"forward": [activation], "backward": [activation, numbers], "update": [numbers], "gradient": []}[form]
    arguments = [*epilogue, numbers, numbers, types.int64, types.int64]
    code = compile_gate.build(parts.sum_of_parts(FORMS[form]), arguments, architecture)
    assert (code.stack, code.spill_stores, code.spill_loads) == (0, 0, 0)
    assert code.registers * parts.THREADS <= REGISTERS_PER_BLOCK
    if dtype == "float32":
        assert code.float64 == []


# No kernel is left out of the tests above


def test_every_kernel_is_found():
    """`KERNELS` has as many kernels as the modules have `@cuda.jit` decorators, and each kernel's name ends with _cuda."""
    assert len(KERNELS) == sum(inspect.getsource(module).count("\n@cuda.jit") for module in MODULES) > 0
    assert [name for name in KERNELS if not name.endswith("_cuda")] == []


def test_an_unknown_parameter_fails():
    @cuda.jit
    def newcomer(x, surprise):
        pass

    with pytest.raises(pytest.fail.Exception, match=r"newcomer: .* surprise"):
        signature(newcomer, types.float32)


class Recorder(CpuLoops):
    """A stand-in for `CpuLoops` that runs no loop, but records the types of the loops' arguments."""

    empty = staticmethod(np.zeros)

    def __init__(self):
        self.signatures = {}

    def run(self, loop, *arguments):
        self.signatures[f"{loop.py_func.__name__}_cuda"] = [numba.typeof(argument) for argument in arguments]


@each_dtype
@pytest.mark.parametrize(
    ("activations", "loss"),
    [
        (("tanh", "softmax"), "cce"),
        (("softmax", "sigmoid"), "bce"),
        (("relu", "softmax"), "bce"),
        (("relu", "softmax"), "sse"),
        (("softmax", "leaky_relu"), "mse"),
    ],
)
def test_signatures_are_those_of_the_engine(activations, loss, dtype):
    engine = ReferenceEngine(Topology((3, 4, 2), activations, loss, np.dtype(dtype), dropout=(0.5,)), "cpu")
    engine.loops = Recorder()
    for kind in (MOMENTUM, NESTEROV, ADAM):
        epoch = epoch_of(np.arange(4), 2, 0.1, Rule(kind, weight_decay=0.1, clip_norm=1.0), weights=np.ones(4, dtype))
        list(engine.train_epoch(np.zeros((4, 3), dtype), np.zeros((4, 2), dtype), epoch))
    passed = engine.loops.signatures
    assert len(passed) >= 15
    assert passed == {name: signature(KERNELS[name], DTYPES[dtype]) for name in passed}


# The gate can fail


def test_a_bare_literal_is_caught():
    @cuda.jit
    def widened(x):
        x[0] = 1.0 / (1.0 + x[0])

    code = compile_gate.build(widened, [types.float32[::1]], "sm_90a")
    assert {"F2F.F64.F32", "DADD", "MUFU.RCP64H", "F2F.F32.F64"} <= set(map(compile_gate.opcode, code.float64))


def test_a_stack_is_caught():
    @cuda.jit
    def stacked(x, order):
        table = cuda.local.array(64, types.float32)
        for i in range(64):
            table[i] = x[i]
        for i in range(64):
            x[i] = table[order[i]]

    code = compile_gate.build(stacked, [types.float32[::1], types.int64[::1]], "sm_90a")
    assert code.stack == 256
    assert {"LDL", "STL"} <= {compile_gate.opcode(line)[:3] for line in code.local_memory}


def test_a_spill_is_caught():
    @cuda.jit(max_registers=32)
    def crowded(x):
        table = cuda.local.array(64, types.float32)
        for i in range(64):
            table[i] = x[i]
        cuda.syncthreads()
        for i in range(64):
            x[i] = table[63 - i]

    code = compile_gate.build(crowded, [types.float32[::1]], "sm_90a")
    assert code.spill_stores > 0
    assert code.spill_loads > 0
    assert code.registers <= 32


# The other kernels of the fast rung


def fast_signatures(number) -> dict:
    """Returns a dict from the names of all kernels, except the matrix products, to the types of their arguments."""
    count, order, numbers, matrix, whole = types.int64, types.int64[::1], number[::1], number[:, ::1], types.int32[::1]
    rows = [matrix, order, matrix, matrix, matrix, matrix, matrix, numbers, numbers, numbers, whole]
    resident_ = [whole, whole, count, number, number, count, matrix, matrix, order, count, count, numbers]
    cooperative_ = [whole, number, number, numbers, matrix, order, count, count, numbers, numbers, whole, types.boolean]
    return {
        "train_resident": [*resident_, numbers, whole],
        "train_cooperative": [*cooperative_, numbers, numbers, whole],
        "output_rows": [types.NamedTuple([count, count, number], output.OutputLayer), numbers, numbers, *rows],
        "begin_step": [count, order, matrix, numbers, order, order, numbers, numbers],
        "end_step": [order, numbers, whole, numbers, whole],
        "find_not_finite": [numbers, order],
        "find_improbable": [numbers, order],
        "find_wrong_sum": [matrix, number, order],
        "find_unknown_label": [whole, count, order],
        "write_one_hot": [order, matrix],
        "drop_rows": [order, count, number, types.uint64, matrix, matrix],
        "sums_of_squares": [numbers, numbers],
        **{f"update by {name}": [numbers] * 8 for name in UPDATES},
    }


# For each name: the update rule, whether weights decay, and whether gradients are clipped.
UPDATES = {
    "descent": (rule.GRADIENT_DESCENT, True, True),
    "momentum": (rule.MOMENTUM, False, False),
    "nesterov": (rule.NESTEROV, True, False),
    "adam": (rule.ADAM, True, True),
    "adamw": (rule.ADAMW, True, False),
}


def fast_kernel(name: str, dtype: str):
    kernels = {f"update by {rule}": descent.update_kernel(*options) for rule, options in UPDATES.items()}
    kernels |= {"drop_rows": dropout.drop_rows, "sums_of_squares": descent.sums_of_squares(np.dtype(dtype))}
    kernels |= {"output_rows": output.output_rows, "begin_step": steps.begin_step, "end_step": steps.end_step}
    kernels |= kernels_of(arrays)
    kernels["train_resident"] = resident.training_kernel(np.dtype(dtype))
    kernels["train_cooperative"] = cooperative.training_kernel(np.dtype(dtype))
    return kernels[name]


@functools.cache
def fast_machine_code(name: str, dtype: str, architecture: str) -> compile_gate.MachineCode:
    return compile_gate.build(fast_kernel(name, dtype), fast_signatures(DTYPES[dtype])[name], architecture)


@each_dtype
@each_architecture
@pytest.mark.parametrize("name", fast_signatures(types.float32))
def test_the_fast_rung_stays_in_registers(name, architecture, dtype):
    code = fast_machine_code(name, dtype, architecture)
    assert (code.stack, code.spill_stores, code.spill_loads) == (0, 0, 0)
    assert code.local_memory == []
    own = {"train_resident": resident_layout.THREADS, "train_cooperative": layout.THREADS, "output_rows": output.THREADS}
    threads = own.get(name, max(steps.THREADS, arrays.THREADS))
    assert code.registers <= 255 and code.registers * threads <= REGISTERS_PER_BLOCK
    if dtype == "float32":
        assert code.float64 == []


@pytest.mark.parametrize("name", ["output_rows", "train_resident", "train_cooperative"])
def test_formulas_of_users_keep_the_budgets_of_the_built_in_ones(name):
    top = topology((3, 4, 2), ("steep", "swish"), "huber", np.dtype("float32"), (STEEP, SWISH, HUBER))
    kernel = binding_of(top)(fast_kernel(name, "float32"))
    code = compile_gate.build(kernel, fast_signatures(types.float32)[name], "sm_90a")
    assert (code.stack, code.spill_stores, code.spill_loads) == (0, 0, 0)
    assert code.local_memory == code.float64 == []
    assert code.registers <= {"train_cooperative": COOPERATIVE_BUDGETS["float32"][0]}.get(name, 255)


def test_formulas_beyond_the_sheet_compute_in_float32():
    """The test compiles a single kernel that calls all formulas, because each compilation takes a second."""
    formulas = {name: value for name, value in vars(beyond).items() if getattr(value, "__module__", "") == beyond.__name__}
    calls = [
        f"    x[{k}] = {name}({', '.join(f'x[{k + n}]' for n in range(formula.py_func.__code__.co_argcount))})"
        for k, (name, formula) in enumerate(formulas.items())
    ]
    namespace = dict(formulas)
    exec("\n".join(["def kernel(x):", *calls]), namespace)
    code = compile_gate.build(cuda.jit(namespace["kernel"]), [types.float32[::1]], "sm_90a")
    assert len(formulas) > 30 and code.float64 == [] and code.stack == 0


# For the loops over a tile's terms in resident training: the number of terms per iteration, and the smallest fraction of
# multiply-adds.
RESIDENT_TERMS, RESIDENT_RATE = 16, 0.38


@each_dtype
@each_architecture
def test_the_loop_of_resident_training_multiplies_and_adds(architecture, dtype):
    """The loop must load its factors with LDS (a load from shared memory), because generic loads (LD) are slower."""
    code = fast_machine_code("train_resident", dtype, architecture)
    fused = "FFMA" if dtype == "float32" else "DFMA"
    of_tiles = [
        body
        for body in (code.instructions[begin:end] for begin, end in code.loops)
        if compile_gate.count(body, r"LDS\b") == compile_gate.count(body, fused) == RESIDENT_TERMS * 4
    ]
    assert len(of_tiles) == 2  # the loop of products with w^T, and the loop of the other products
    assert all(compile_gate.count(body, fused) / len(body) >= RESIDENT_RATE for body in of_tiles)
    assert all(compile_gate.count(body, r"LDG?\b") == 0 for body in of_tiles)


# For cooperative training: the largest number of registers per thread, and the smallest fraction of multiply-adds in product
# loops.
COOPERATIVE_BUDGETS = {"float32": (168, 0.74), "float64": (208, 0.68)}


@each_dtype
@each_architecture
def test_cooperative_training_keeps_its_budget(architecture, dtype):
    code = fast_machine_code("train_cooperative", dtype, architecture)
    registers, least_rate = COOPERATIVE_BUDGETS[dtype]
    assert code.registers <= registers
    assert code.shared == layout.TABLE_LENGTH * 4
    # A loop computes squares of 4 x 4 sums: per iteration it adds 4 terms to 16 sums, and loads 16 bytes at a time from shared
    # memory.
    fused, width = "FFMA" if dtype == "float32" else "DFMA", np.dtype(dtype).itemsize // 4
    bodies = [code.instructions[begin:end] for begin, end in code.loops]
    of_squares = [body for body in bodies if compile_gate.count(body, r"LDS\.128") == 8 * width and len(body) < 128]
    assert len(of_squares) == 5  # forward and backward products of tiles and of the head, and the update
    assert {compile_gate.count(body, fused) for body in of_squares} == {64}
    assert {compile_gate.count(body, r"LDS?\b|LDG\b") for body in of_squares} == {8 * width}
    assert all(64 / len(body) >= least_rate for body in of_squares)


@each_dtype
@each_architecture
def test_blocks_that_meet_see_what_others_wrote(architecture, dtype):
    """At a barrier, a block writes results before it increments a counter; each load of the counter empties the L1 cache."""
    code = fast_machine_code("train_cooperative", dtype, architecture)
    assert len(code.with_opcode(r"RED(G)?\.E\.ADD\.STRONG\.GPU")) == len(code.with_opcode(r"MEMBAR\.\w+\.GPU")) == 1
    assert len(code.with_opcode(r"LDG\.E\.STRONG\.GPU")) == len(code.with_opcode(r"CCTL\.IVALL")) > 0
    assert code.with_opcode(r"LDG.*CONSTANT") == code.with_opcode(r"LD\.|ST\.|CALL\.ABS") == []
    assert code.with_opcode(r"LDGSTS\.E")  # copies the next batch to shared memory, without registers


@pytest.mark.parametrize(("name", "cooperative"), [("train_cooperative", True), ("train_resident", False)])
def test_blocks_that_meet_are_started_together(name, cooperative):
    signature = fast_signatures(types.float32)[name]
    assert compile_gate.is_cooperative(fast_kernel(name, "float32"), signature, "sm_90a") == cooperative


def test_the_main_loop_is_found():
    text = """
        /*0000*/ MOV R1, c[0x0] ;
.L_x_0:
        /*0010*/ FADD R2, R2, R3 ;
.L_x_1:
        /*0020*/ FFMA R2, R2, R3, R4 ;
        /*0030*/ @P1 BRA `(.L_x_2) ;
        /*0040*/ @P0 BRA `(.L_x_1) ;
.L_x_2:
        /*0050*/ @!P0 BRA `(.L_x_0) ;
        /*0060*/ EXIT ;
"""
    loops = compile_gate.loops(text)
    assert loops == ((2, 5), (1, 6))
    code = compile_gate.MachineCode(0, 0, 0, 0, tuple(compile_gate.INSTRUCTION.findall(text)), 0, loops)
    assert code.main_loop == ("FFMA R2, R2, R3, R4", "@P1 BRA `(.L_x_2)", "@P0 BRA `(.L_x_1)")


@pytest.mark.parametrize(
    ("instruction", "wide"),
    [
        ("DADD R2, R2, 1", True),
        ("@!P0 DFMA R2, R2, R4, R6", True),
        ("@P1 DSETP.GT.AND P0, PT, R2, R4, PT", True),
        ("MUFU.RCP64H R3, R5", True),
        ("F2F.F64.F32 R2, R4", True),
        ("F2F.F32.F64 R2, R4", True),
        ("I2F.F64.S64 R2, R4", True),
        ("F2I.F64.TRUNC R2, R4", True),
        ("RED.E.ADD.F64.RN.STRONG.GPU desc[UR4][R2.64], R4", True),
        ("FFMA R2, R2, R4, R6", False),
        ("F2F.F16.F32 R2, R4", False),
        ("LDG.E.64 R2, desc[UR4][R2.64]", False),
        ("IMAD.WIDE.U32 R2, R5, 0x64, R2", False),
        ("DEPBAR.LE SB0, 0x0", False),
    ],
)
def test_float64_opcodes(instruction, wide):
    code = compile_gate.MachineCode(0, 0, 0, 0, (instruction,))
    assert code.float64 == ([instruction] if wide else [])


# Precision


def test_formulas_are_as_precise_as_without_flags():
    """GPU code must not use the CPU's fastmath flags: on a GPU, each flag would select approximate exp, log and division."""

    def formula(z):
        return math.exp(z) / (z + math.log(z))

    def compiled_with(njit):
        formula_ = njit(formula)

        @cuda.jit
        def kernel(x):
            x[0] = formula_(x[0])

        code = compile_gate.build(kernel, [types.float32[::1]], "sm_90a")
        return [compile_gate.opcode(instruction) for instruction in code.instructions]

    assert compiled_with(_compile.njit) == compiled_with(numba.njit)


@each_dtype
@pytest.mark.parametrize("name", ["exp", "expm1", "log1p"])
def test_elementary_functions_are_those_of_cuda(name, dtype):
    """On the GPU, CUDA's library libdevice provides exp and other functions that numbanet implements itself on the CPU."""

    def compiled_with(function):
        @cuda.jit
        def kernel(x):
            x[0] = function(x[0])

        code = compile_gate.build(kernel, [DTYPES[dtype][::1]], "sm_90a")
        return [compile_gate.opcode(instruction) for instruction in code.instructions]

    assert compiled_with(getattr(_elementary, name)) == compiled_with(getattr(math, name))

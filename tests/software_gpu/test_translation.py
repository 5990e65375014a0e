"""The software GPU executes PTX instructions with the same results as integer arithmetic in Python, NumPy and mpmath."""

import hashlib
import itertools
import math

import mpmath
import numpy as np
import pytest

from numbanet._cuda import cuda
from tests.helpers.engines import SOFTWARE_GPU, each
from tests.software_gpu import build, linking
from tests.software_gpu.translation import modules, ptx

pytestmark = pytest.mark.simulator

if not SOFTWARE_GPU:
    pytest.skip("needs the software GPU: python -m tests.software_gpu pytest", allow_module_level=True)

DTYPES = {
    **{f"s{8 * size}": np.dtype(f"i{size}") for size in (4, 8)},
    **{f"u{8 * size}": np.dtype(f"u{size}") for size in (4, 8)},
    **{f"f{8 * size}": np.dtype(f"f{size}") for size in (4, 8)},
}
TINY = {"f32": 2.0**-140, "f64": 2.0**-1060}  # subnormal
DIGITS = {"f32": 24, "f64": 53}


def values(kind):
    """Returns an array of numbers of the PTX type `kind`, such as "s32", including the largest and the smallest number."""
    if kind[0] == "f":
        tiny = TINY[kind]
        return np.array([0, -0.0, 1, -1.5, 1 / 3, 3e9, -7e-9, tiny, -tiny, 1e30, math.inf, -math.inf, math.nan], DTYPES[kind])
    info = np.iinfo(DTYPES[kind])
    numbers = {0, 1, 2, 7, 31, 32, 33, 63, 64, 3123612579, info.max, info.max - 1, info.min, -1, -3, -44}
    return np.array(sorted(number for number in numbers if info.min <= number <= info.max), DTYPES[kind])


def wrapped(number, kind):
    """Returns the number of the integer type `kind`, such as "s32", whose bits are the lowest bits of the integer `number`."""
    size, number = int(kind[1:]), int(number) % 2 ** int(kind[1:])
    return number - 2**size if kind[0] == "s" and number >= 2 ** (size - 1) else number


def saturated(x, kind):
    """Returns x, rounded towards zero and limited to the range of the integer type `kind`.

    For NaN, returns the value that a GPU returns.
    """
    info = np.iinfo(DTYPES[kind])
    if math.isnan(x):
        return 0 if DTYPES[kind].itemsize == 4 else wrapped(2**63, kind)
    return max(info.min, min(info.max, int(max(-1e20, min(1e20, x)))))


def divided(x, y):
    """Returns the integer quotient x / y, rounded towards zero."""
    return abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)


def exactly(x, y, z, kind, rounding):
    """Returns x y + z, rounded once.

    Returns None if the result is subnormal, too large for the type, or 0; the sign of 0 depends on the rounding mode.
    """
    if not all(map(math.isfinite, (x, y, z))):
        return x * y + z
    total = mpmath.fadd(mpmath.fmul(x, y, exact=True), z, exact=True)
    limits = np.finfo(DTYPES[kind])
    if not float(limits.tiny) <= abs(total) <= float(limits.max):
        return None
    return float(mpmath.fadd(total, 0, prec=DIGITS[kind], rounding=rounding))


INTEGERS = ["s32", "u32", "s64", "u64"]
FLOATS = ["f32", "f64"]
WIDE = {"s32": "s64", "u32": "u64"}

# An opcode, the types of its operands and of its result, and a function that returns the expected result; None is not compared.
CASES = [
    *(
        (f"{name}.{kind}", (kind,) * 2, kind, formula)
        for kind in INTEGERS
        for name, formula in {
            "add": lambda x, y: x + y,
            "sub": lambda x, y: x - y,
            "mul.lo": lambda x, y: x * y,
            "min": min,
            "max": max,
            "div": lambda x, y: divided(x, y) if y else None,
            "rem": lambda x, y: x - y * divided(x, y) if y else None,
        }.items()
    ),
    *((f"mul.hi.{kind}", (kind,) * 2, kind, lambda x, y, kind=kind: (x * y) >> int(kind[1:])) for kind in INTEGERS),
    *((f"mul.wide.{kind}", (kind,) * 2, WIDE[kind], lambda x, y: x * y) for kind in WIDE),
    *((f"mad.wide.{kind}", (kind, kind, WIDE[kind]), WIDE[kind], lambda x, y, z: x * y + z) for kind in WIDE),
    *((f"mad.lo.{kind}", (kind,) * 3, kind, lambda x, y, z: x * y + z) for kind in INTEGERS),
    *((f"neg.{kind}", (kind,), kind, lambda x: -x) for kind in ("s32", "s64")),
    *((f"abs.{kind}", (kind,), kind, abs) for kind in ("s32", "s64")),
    *((f"shl.b{kind[1:]}", (kind, "u32"), kind, lambda x, y: x << min(y, 64)) for kind in INTEGERS),
    *((f"shr.{kind}", (kind, "u32"), kind, lambda x, y: x >> min(y, 64)) for kind in INTEGERS),
    *((f"and.b{kind[1:]}", (kind,) * 2, kind, lambda x, y: x & y) for kind in INTEGERS),
    *((f"or.b{kind[1:]}", (kind,) * 2, kind, lambda x, y: x | y) for kind in INTEGERS),
    *((f"xor.b{kind[1:]}", (kind,) * 2, kind, lambda x, y: x ^ y) for kind in INTEGERS),
    *((f"not.b{kind[1:]}", (kind,), kind, lambda x: ~x) for kind in INTEGERS),
    *((f"selp.{kind}", (kind, kind, "pred"), kind, lambda x, y, z: x if z else y) for kind in [*INTEGERS, *FLOATS]),
    *((f"cvt.{to}.{kind}", (kind,), to, lambda x: x) for to in INTEGERS for kind in INTEGERS),
    *((f"cvt.rn.{to}.{kind}", (kind,), to, DTYPES[to].type) for to in FLOATS for kind in INTEGERS),
    *((f"cvt.rzi.{to}.{kind}", (kind,), to, lambda x, to=to: saturated(x, to)) for to in INTEGERS for kind in FLOATS),
    *(
        (f"{name}.{kind}", (kind,) * 2, kind, formula)
        for kind in FLOATS
        for name, formula in {
            "add": lambda x, y: x + y,
            "sub": lambda x, y: x - y,
            "mul": lambda x, y: x * y,
            "div.rn": lambda x, y: np.divide(x, y),
            "copysign": lambda x, y: np.copysign(y, x),
        }.items()
    ),
    *((f"rcp.rn.{kind}", (kind,), kind, lambda x: np.divide(type(x)(1), x)) for kind in FLOATS),
    *((f"sqrt.rn.{kind}", (kind,), kind, np.sqrt) for kind in FLOATS),
    *((f"neg.{kind}", (kind,), kind, lambda x: -x) for kind in FLOATS),
    *((f"abs.{kind}", (kind,), kind, abs) for kind in FLOATS),
    *((f"fma.rn.{kind}", (kind,) * 3, kind, lambda x, y, z, kind=kind: exactly(x, y, z, kind, "n")) for kind in FLOATS),
    ("fma.rm.f32", ("f32",) * 3, "f32", lambda x, y, z: exactly(x, y, z, "f32", "f")),
    ("add.rz.f32", ("f32",) * 2, "f32", lambda x, y: exactly(x, np.float32(1), y, "f32", "d")),
    ("cvt.sat.f32.f32", ("f32",), "f32", lambda x: None if x == 0 else min(max(x, 0.0), 1.0) if x == x else 0.0),
    ("cvt.f64.f32", ("f32",), "f64", np.float64),
    ("cvt.rn.f32.f64", ("f64",), "f32", np.float32),
    ("ex2.approx.ftz.f32", ("f32",), "f32", lambda x: np.exp2(x) if np.exp2(x) > 2.0**-126 else None),
    *(
        (f"setp.{name}.{kind}", (kind,) * 2, "pred", formula)
        for kind in [*INTEGERS, *FLOATS]
        for name, formula in {
            "eq": lambda x, y: x == y,
            "ne": lambda x, y: x != y and x == x and y == y,
            "lt": lambda x, y: x < y,
            "le": lambda x, y: x <= y,
            "gt": lambda x, y: x > y,
            "ge": lambda x, y: x >= y,
        }.items()
    ),
    *(
        (f"setp.{name}.{kind}", (kind,) * 2, "pred", lambda x, y, formula=formula: x != x or y != y or formula(x, y))
        for kind in FLOATS
        for name, formula in {
            "equ": lambda x, y: x == y,
            "neu": lambda x, y: x != y,
            "ltu": lambda x, y: x < y,
            "leu": lambda x, y: x <= y,
            "gtu": lambda x, y: x > y,
            "geu": lambda x, y: x >= y,
            "nan": lambda x, y: False,
        }.items()
    ),
]
OPCODES = [case[0] for case in CASES]

LOAD = """
    ld.param.u64 %address, [{name}];
    mul.wide.u32 %offset, %thread, {size};
    add.s64 %address, %address, %offset;
    {opcode}.{kind} {operands};"""

KERNEL = """
.visible .entry {name}(.param .u64 x, .param .u64 y, .param .u64 z, .param .u64 result)
{{
    .reg .b64 %address, %offset;
    .reg .b32 %thread, %word;
    .reg .pred %px, %py, %pz, %presult;
    {registers}
    mov.u32 %thread, %tid.x;{loads}
    {opcode} {operands};{store}
    ret;
}}"""


def kernel(name, opcode, kinds, to, immediate=None):
    """Returns the PTX code of a kernel in which each thread applies an instruction to one element of x, of y and of z."""
    names = list("xyz"[: len(kinds)])
    typed = list(zip([*names, "result"], [*kinds, to], strict=True))
    registers = " ".join(f".reg .{kind} %{n};" for n, kind in typed if kind != "pred")
    loads = ""
    for n, kind in zip(names, kinds, strict=True):
        register, loaded = ("%word", "u32") if kind == "pred" else (f"%{n}", kind)
        loads += LOAD.format(
            name=n, size=ptx.size_of(loaded), opcode="ld.global", kind=loaded, operands=f"{register}, [%address]"
        )
        loads += f"\n    setp.ne.u32 %p{n}, %word, 0;" if kind == "pred" else ""
    operands = [f"%p{n}" if kind == "pred" else f"%{n}" for n, kind in typed]
    operands = [operands[-1], *operands[:-2], immediate or operands[-2]]
    stored = ("%word", "u32") if to == "pred" else ("%result", to)
    store = "\n    selp.u32 %word, 1, 0, %presult;" if to == "pred" else ""
    store += LOAD.format(
        name="result", size=ptx.size_of(stored[1]), opcode="st.global", kind=stored[1], operands=f"[%address], {stored[0]}"
    )
    return KERNEL.format(name=name, registers=registers, loads=loads, opcode=opcode, operands=", ".join(operands), store=store)


IMMEDIATE = [("mul.wide.u32", "u32", "u64", -1171354717), ("and.b64", "u64", "u64", -4294967296), ("add.s32", "s32", "s32", -7)]


@pytest.fixture(scope="module")
def functions():
    """Returns a function that looks up a kernel by name, such as "case0", the kernel of CASES[0].

    All kernels are in one module, because each compilation takes seconds.
    """
    from cuda.bindings import driver

    texts = [kernel(f"case{k}", opcode, kinds, to) for k, (opcode, kinds, to, _) in enumerate(CASES)]
    texts += [kernel(f"immediate{k}", o, (kind,) * 2, to, str(number)) for k, (o, kind, to, number) in enumerate(IMMEDIATE)]
    code = modules.translated(".version 9.5\n" + "".join(texts), modules.Resources(32, 0))
    library = build.KERNELS / f"{hashlib.sha256(code.encode()).hexdigest()[:32]}.so"
    if not library.exists():
        build.build_kernels(library, code)
    cuda.current_context()
    _, loaded = driver.cuLibraryLoadData(linking.IMAGE.format(library).encode(), [], [], 0, [], [], 0)

    def function(name):
        return driver.cuKernelGetFunction(driver.cuLibraryGetKernel(loaded, name.encode())[1])[1]

    return function


def computed(function, arguments, to):
    """Launches a kernel, with one thread for each element of the argument arrays, and returns the array of results."""
    from cuda.bindings import driver

    arrays = [cuda.to_device(argument) for argument in arguments]
    result = cuda.to_device(np.zeros(arguments[0].size, DTYPES.get(to, np.uint32)))
    addresses = [array.device_ctypes_pointer.value for array in [*arrays, *[result] * (3 - len(arrays)), result]]
    pointers = np.array(addresses, np.uint64)
    parameters = pointers.ctypes.data + 8 * np.arange(4, dtype=np.uint64)
    (error,) = driver.cuLaunchKernel(function, 1, 1, 1, result.size, 1, 1, 0, 0, parameters.ctypes.data, 0)
    assert error == driver.CUresult.CUDA_SUCCESS
    return result.copy_to_host()


def expected(formula, arguments, to):
    """Returns, for each element of the arguments, the result of a formula, or None if the formula defines no result."""
    if to[0] == "f":
        with np.errstate(all="ignore"):
            return [formula(*row) for row in zip(*arguments, strict=True)]
    results = [formula(*(x.item() for x in row)) for row in zip(*arguments, strict=True)]
    return [None if r is None else int(r) if to == "pred" else wrapped(r, to) for r in results]


@each("opcode", OPCODES)
def test_instruction(functions, opcode):
    number = OPCODES.index(opcode)
    _, kinds, to, formula = CASES[number]
    rows = list(itertools.product(*(np.array([0, 1], np.uint32) if kind == "pred" else values(kind) for kind in kinds)))
    rows = rows[:: -(-len(rows) // 1024)]
    arguments = [np.array(column) for column in zip(*rows, strict=True)]
    found = computed(functions(f"case{number}"), arguments, to)
    for row, result, right in zip(rows, found, expected(formula, arguments, to), strict=True):
        if right is not None:
            np.testing.assert_equal(result, found.dtype.type(right), err_msg=f"{opcode} of {row}")


@each("opcode", [case[0] for case in IMMEDIATE])
def test_instruction_with_a_negative_constant(functions, opcode):
    """A negative constant is translated with the width of its operand; -1171354717 must not become a number of 64 bits."""
    number = [case[0] for case in IMMEDIATE].index(opcode)
    _, kind, to, constant = IMMEDIATE[number]
    x = values(kind)
    y = np.full_like(x, wrapped(constant, kind))
    found = computed(functions(f"immediate{number}"), [x, y], to)
    formula = CASES[OPCODES.index(opcode)][3]
    assert found.tolist() == expected(formula, [x, y], to)


@each(
    "statement",
    ["shfl.sync.bfly.b32 %r1, %r2, 1, 31, -1", "atom.shared.add.f32 %f1, [%rd1], %f2", "min.f32 %f1, %f2, %f3", "bar.sync 1"],
)
def test_other_instructions_are_refused(statement):
    text = f"""
.visible .entry k()
{{
    .reg .f32 %f<4>;
    .reg .b32 %r<4>;
    .reg .b64 %rd<4>;
    {statement};
}}"""
    with pytest.raises(ptx.UnsupportedError, match=f"line 7: {statement.split()[0]}"):
        modules.translated(text, modules.Resources(32, 0))


def test_the_title_of_a_kernel():
    name = "_ZN8numbanet7engines4cuda8resident6kernel15training_kernel12_3clocals_3e14train_residentB3v40E5ArrayIfLi1E"
    assert modules.title_of(name) == "numbanet.engines.cuda.resident.kernel.training_kernel.train_resident"

"""Parses PTX, NVIDIA's assembly language, as far as numba-cuda's kernels use it.

For PTX that numba-cuda's kernels do not use, the functions of this module raise `UnsupportedError`.
"""

import re
from dataclasses import dataclass, field

# Maps types of PTX to the types of C++ with the same bits.
C_TYPES = {
    "pred": "bool",
    **{f"{kind}{size}": f"uint{size}_t" for kind in "bu" for size in (8, 16, 32, 64)},
    **{f"s{size}": f"int{size}_t" for size in (8, 16, 32, 64)},
    "f32": "float",
    "f64": "double",
}

SHARED_BEGIN = 1024  # address of the first shared byte that a kernel can use; see kernels.h

HEADER = re.compile(r"\.(version|target|address_size|file|loc|pragma|section)\b")
GLOBAL = re.compile(r"(?:\.common\s+)?\.global\s+\.align\s+\d+\s+\.\w+\s+([\w$]+)")
LOCAL = re.compile(r"\.local\s+\.align\s+\d+\s+\.b8\s+([\w$]+)\[(\d+)\]")
SHARED = re.compile(r"(?:\.extern\s+)?\.shared\s+\.align\s+(\d+)\s+\.(\w+)\s+([\w$]+)(?:\[(\d*)\])?")
FUNCTION = re.compile(r"\.extern\s+\.func\s+(?:\([^)]*\)\s*)?([\w$]+)")
ENTRY = re.compile(r"(?:\.visible\s+|\.weak\s+)?\.entry\s+([\w$]+)\s*\(")
PARAMETER = re.compile(r"\.param\s+(?:\.align\s+(\d+)\s+)?\.(\w+)\s+([\w$]+)(?:\[(\d+)\])?")
REGISTERS = re.compile(r"\.reg\s+\.(\w+)\s+(.*)")
NUMBERED = re.compile(r"(%\w+)<(\d+)>")
LABEL = re.compile(r"([$\w]+):")
INSTRUCTION = re.compile(r"(?:@(!?)(%\w+)\s+)?([a-z][\w.]*)\s*(.*)", re.DOTALL)
OPERAND = re.compile(r"\{[^}]*\}|\[[^]]*\]|[^,\s][^,]*")

# The functions with which cuda.cg.this_grid().sync() waits for all blocks; numba-cuda links them from NVIDIA's device runtime.
GRID_BARRIER = ("cudaCGGetIntrinsicHandle", "cudaCGSynchronize")


class UnsupportedError(Exception):
    """Raised for PTX code that the translation to C++ does not support."""


def size_of(kind: str) -> int:
    """Returns the size of a PTX type, such as "s32", in bytes."""
    return 1 if kind == "pred" else int(kind[1:]) // 8


def is_float(kind: str) -> bool:
    """Returns True for f32 and f64."""
    return kind[0] == "f"


def aligned(number: int, unit: int) -> int:
    """Returns the smallest multiple of `unit` that is at least `number`."""
    return -(-number // unit) * unit


@dataclass(frozen=True)
class Instruction:
    """A PTX instruction.

    If `predicate` names a register, the instruction is executed only if the register is true or, with `negated`, false.
    """

    line: int
    predicate: str | None
    negated: bool
    opcode: str
    operands: tuple[str, ...]

    @property
    def text(self) -> str:
        """Returns the instruction as text, for error messages and findings (errors in kernels)."""
        return f"line {self.line}: {self.opcode} {', '.join(self.operands)}"


@dataclass(frozen=True)
class Label:
    """A label, to which branches jump."""

    name: str


@dataclass(frozen=True)
class Declaration:
    """A PTX declaration of registers, all of the same type `kind`."""

    kind: str
    names: tuple[str, ...]


@dataclass(frozen=True)
class LocalArray:
    """An array in local memory: each thread has its own, and indexes it with a variable."""

    name: str
    size: int


@dataclass(frozen=True)
class Brace:
    """A brace, which begins or ends a scope within a kernel."""

    sign: str


@dataclass
class Kernel:
    """A kernel.

    `parameters` maps the name of each parameter to its offset and its size, both in bytes; `body` lists the kernel's
    statements.
    """

    name: str
    most_threads: int
    parameters: dict[str, tuple[int, int]] = field(default_factory=dict)
    body: list[Instruction | Label | Declaration | LocalArray | Brace] = field(default_factory=list)

    @property
    def parameter_bytes(self) -> int:
        """The total size of the kernel's parameters in bytes."""
        return max((offset + size for offset, size in self.parameters.values()), default=0)


@dataclass
class Module:
    """A PTX module: its kernels, and the arrays in shared memory, which the kernels use.

    `shared` maps the name of each array in shared memory to its address, or to None if the launch sets the array's size.
    `variables` contains the names of global variables.
    """

    kernels: list[Kernel] = field(default_factory=list)
    shared: dict[str, int | None] = field(default_factory=dict)
    variables: set[str] = field(default_factory=set)
    shared_end: int = SHARED_BEGIN
    dynamic_alignment: int = 16

    @property
    def static_bytes(self) -> int:
        """The total size of the module's static arrays in shared memory, in bytes."""
        return self.shared_end - SHARED_BEGIN

    @property
    def dynamic_at(self) -> int:
        """The address of the dynamic shared memory, whose size the launch sets."""
        return aligned(self.shared_end, self.dynamic_alignment)


def parsed(text: str) -> Module:
    """Parses the PTX code `text`, and returns the `Module` that the code defines."""
    parser = _Parser()
    for number, line in enumerate(text.rstrip("\0").split("\n"), 1):
        for statement in re.sub(r"//.*", "", line).split(";"):
            if statement.strip():
                parser.take(statement.strip(), number)
    return parser.module


class _Parser:
    """Parses PTX statement by statement.

    In the PTX code, every brace that is not part of an operand must be on a line of its own.
    """

    def __init__(self):
        self.module, self.kernel, self.header, self.depth = Module(), None, "", 0

    def take(self, statement: str, line: int) -> None:
        """Adds a PTX statement to the module.

        Between `.entry` and the following brace, the method collects the statements of the kernel's header.
        """
        if HEADER.match(statement):
            return
        if found := SHARED.match(statement):
            self._add_shared(*found.groups())
        elif found := GLOBAL.fullmatch(statement):
            self.module.variables.add(found[1])
        elif statement in "{}":
            self._add_brace(statement)
        elif found := FUNCTION.match(statement):
            raise UnsupportedError(f"line {line}: {refusal_of(found[1])}")
        elif ENTRY.match(statement) or self.header:
            self.header += statement + " "
        elif self.kernel:
            self._add_to_body(statement, line)
        else:
            raise UnsupportedError(f"line {line}: {statement}")

    def _add_shared(self, alignment: str, kind: str, name: str, count: str | None) -> None:
        module = self.module
        if count == "":
            module.shared[name] = None
            module.dynamic_alignment = max(module.dynamic_alignment, int(alignment))
        else:
            module.shared[name] = aligned(module.shared_end, int(alignment))
            module.shared_end = module.shared[name] + size_of(kind) * int(count or 1)

    def _add_brace(self, sign: str) -> None:
        if sign == "{" and self.depth == 0:
            self.kernel, self.header = kernel_of(self.header), ""
            self.module.kernels.append(self.kernel)
        elif sign == "}" and self.depth == 1:
            self.kernel = None
        else:
            self.kernel.body.append(Brace(sign))
        self.depth += 1 if sign == "{" else -1

    def _add_to_body(self, statement: str, line: int) -> None:
        body = self.kernel.body
        if found := REGISTERS.fullmatch(statement):
            names = tuple(name for part in found[2].split(",") for name in registers_of(part.strip()))
            body.append(Declaration(found[1], names))
        elif found := LOCAL.fullmatch(statement):
            body.append(LocalArray(found[1], int(found[2])))
        elif found := LABEL.fullmatch(statement):
            body.append(Label(found[1]))
        elif found := INSTRUCTION.fullmatch(statement):
            operands = tuple(operand.strip() for operand in OPERAND.findall(found[4]))
            body.append(Instruction(line, found[2], bool(found[1]), found[3], operands))
        else:
            raise UnsupportedError(f"line {line}: {statement}")


def refusal_of(function: str) -> str:
    """Returns the error message for a kernel that calls `function`, which the kernel's PTX does not define."""
    message = f"the kernel calls the function {function}, which the PTX does not define"
    if function in GRID_BARRIER:
        message += (
            ". The software GPU cannot run cuda.cg.this_grid().sync(). To make all blocks wait for each other, call `meet` of "
            "numbanet.engines.cuda.cooperative.kernel"
        )
    return message


def registers_of(declared: str) -> list[str]:
    """Returns the register names that a declaration stands for: %r0, %r1 and %r2 for `%r<3>`."""
    found = NUMBERED.fullmatch(declared)
    return [f"{found[1]}{k}" for k in range(int(found[2]))] if found else [declared]


def kernel_of(header: str) -> Kernel:
    """Returns a `Kernel` for the PTX header of a kernel, with an empty body.

    Each parameter begins at the next multiple of its alignment.
    """
    bounds = re.search(r"\.maxntid\s+(\d+)", header)
    kernel = Kernel(ENTRY.match(header)[1], int(bounds[1]) if bounds else 0)
    for alignment, kind, name, count in PARAMETER.findall(header):
        offset = aligned(kernel.parameter_bytes, int(alignment or size_of(kind)))
        kernel.parameters[name] = offset, size_of(kind) * int(count or 1)
    return kernel

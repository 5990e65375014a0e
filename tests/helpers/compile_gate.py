"""Compiles a CUDA kernel, without a GPU, to the machine code that its first launch would produce, and analyses this code.

The compilation has the same steps as in numba-cuda: NVVM compiles to LTO-IR, and nvJitLink links the LTO-IR. Finally, the tool
nvdisasm prints the linked machine code.
"""

import re
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

from numbanet._cuda import SIMULATED, cuda

# Maps each tested architecture to the compute capability of its devices. For compute capability 9.0 and later, numba-cuda
# compiles for the architecture variant with the suffix "a".
ARCHITECTURES = {"sm_80": (8, 0), "sm_90a": (9, 0, "a")}

INSTALL = "`pip install 'numbanet[sass]'`"

# "  /*0090*/  @!P0 FADD R1, R2, R3 ;" is an instruction: an address, an optional predicate, an opcode, and operands.
INSTRUCTION = re.compile(r"^\s*/\*[0-9a-f]{4,}\*/\s+(.+?)\s*;", re.MULTILINE)
# ".L_x_3:" is a label in the machine code. A label stands before the instruction to which the branch "@P0 BRA `(.L_x_3) ;"
# jumps.
LABEL = re.compile(r"^(\.L\w+):", re.MULTILINE)
BRANCH = re.compile(r"BRA\b.*\((\.L\w+)\)")
OPCODE = re.compile(r"(?:@!?\w+\s+)?([A-Z][\w.]*)")

# All opcodes that read or write float64 numbers: DADD, DMUL, DFMA, DSETP, D2F and others that begin with D (except the barrier
# DEPBAR); MUFU.RCP64H, MUFU.RSQ64H; F2F.F64.F32, F2I.F64, I2F.F64, ATOMG.ADD.F64 and others with F64; I2D and F2D.
FLOAT64 = re.compile(r"D(?!EPBAR)|.*64H|.*\.F64|[IF]2D")

MULTIPLY_ADD = re.compile(r"[FD]FMA\b")

# Loads and stores of local memory, which holds spilled registers and arrays on the stack.
LOCAL_MEMORY = re.compile(r"(LDL|STL)\b")


def missing() -> str | None:
    """Returns None if this machine can compile and disassemble kernels, else a text: what is missing and what to install."""
    if SIMULATED:
        return "the compile gate builds real kernels: unset NUMBA_ENABLE_CUDASIM"
    if getattr(cuda, "implementation", None) != "NVIDIA":
        return f"the compile gate needs numba-cuda: {INSTALL}"
    from cuda import pathfinder

    try:
        for library in ("nvvm", "nvJitLink"):
            pathfinder.load_nvidia_dynamic_lib(library)
    except pathfinder.DynamicLibNotFoundError:
        return f"the compile gate needs the CUDA toolkit's {library}: {INSTALL}"
    if pathfinder.find_nvidia_binary_utility("nvdisasm") is None:
        return f"the compile gate needs nvdisasm: {INSTALL}"
    return None


@dataclass(frozen=True)
class MachineCode:
    """The machine code of a kernel.

    Parameters
    ----------
    registers : int
        The number of registers per thread.
    stack, spill_stores, spill_loads : int
        The number of bytes per thread of the stack, of stores of registers to the stack, and of loads from it.
    instructions : tuple of str
        The instructions in their order in the code, without addresses, such as "@!P0 FADD R1, R2, R3".
    shared : int
        The size of shared memory in bytes per block.
    loops : tuple of (int, int)
        For each loop, the index of its first instruction, and the index of the instruction after its last instruction.
    """

    registers: int
    stack: int
    spill_stores: int
    spill_loads: int
    instructions: tuple[str, ...] = field(repr=False)
    shared: int = 0
    loops: tuple[tuple[int, int], ...] = ()

    @property
    def main_loop(self) -> tuple[str, ...]:
        """The instructions of the loop with the most multiply-adds, or of the shortest such loop if there are several."""
        bodies = [self.instructions[begin:end] for begin, end in self.loops]
        return max(bodies, key=lambda body: (count(body, MULTIPLY_ADD), -len(body)))

    @property
    def float64(self) -> list[str]:
        """The instructions that read or write float64 values."""
        return self.with_opcode(FLOAT64)

    @property
    def local_memory(self) -> list[str]:
        """The instructions that load from or store to local memory, which contains the stack and spilled registers."""
        return self.with_opcode(LOCAL_MEMORY)

    def with_opcode(self, pattern) -> list[str]:
        """Returns the instructions whose opcode begins with a match of the regular expression `pattern`."""
        return [line for line in self.instructions if re.match(pattern, opcode(line))]


def count(instructions, pattern) -> int:
    """Returns the number of instructions whose opcode begins with a match of the regular expression `pattern`."""
    return sum(bool(re.match(pattern, opcode(line))) for line in instructions)


def opcode(instruction: str) -> str:
    """Returns the opcode of an instruction. For "@!P0 FADD R1, R2, R3", for example, the opcode is FADD."""
    found = OPCODE.match(instruction)
    if found is None:
        raise ValueError(f"not an instruction: {instruction!r}")
    return found[1]


def build(kernel, argument_types, architecture: str) -> MachineCode:
    """Returns the machine code of a `@cuda.jit` kernel for arguments of the given types, with the kernel's compiler options."""
    cubin, log = link(kernel, ltoir(kernel, argument_types, architecture), architecture)
    text = disassemble(cubin)
    return MachineCode(*resources(log), tuple(INSTRUCTION.findall(text)), shared_memory(log), loops(text))


def ltoir(kernel, argument_types, architecture: str) -> list[bytes]:
    """Returns the LTO-IR (intermediate code for the linker) of a kernel and of the formulas that the kernel calls."""
    from numba import types
    from numba.cuda import compiler

    capability, options = ARCHITECTURES[architecture], kernel.targetoptions
    with device_of(capability):
        codes, _ = compiler.compile_all(
            kernel.py_func,
            types.void(*argument_types),
            device=False,
            abi="numba",
            cc=capability,
            output="ltoir",
            fastmath=options.get("fastmath", False),
            launch_bounds=options.get("launch_bounds"),
        )
    return codes


def is_cooperative(kernel, argument_types, architecture: str) -> bool:
    """Returns True if numba-cuda starts all blocks of the kernel at the same time, so that blocks can wait for each other."""
    from numba import types
    from numba.cuda import compiler

    capability = ARCHITECTURES[architecture]
    with device_of(capability):
        compiled = compiler.compile_cuda(kernel.py_func, types.void, argument_types, cc=capability, lto=True)
    return compiled.library.use_cooperative


def device_of(capability):
    """Returns a context manager within which numba-cuda compiles for the given compute capability without a GPU."""
    device = SimpleNamespace(compute_capability=capability[:2])
    return mock.patch("numba.cuda.dispatcher.get_current_device", return_value=device)


def link(kernel, codes: list[bytes], architecture: str) -> tuple[bytes, str]:
    """Links the LTO-IR of a kernel to machine code. Returns the machine code (the cubin), and the linker's log."""
    from cuda.core import Linker, LinkerOptions, ObjectCode

    options = LinkerOptions(
        arch=architecture,
        link_time_optimization=True,
        max_register_count=kernel.targetoptions.get("max_registers"),
        ptxas_options=["-v"],
    )
    linker = Linker(*(ObjectCode.from_ltoir(code) for code in codes), options=options)
    try:
        return linker.link("cubin").code, linker.get_info_log()
    finally:
        linker.close()


def resources(log: str) -> tuple[int, int, int, int]:
    """Returns registers, and bytes of stack, spill stores and spill loads: each the maximum over the functions in `log`."""
    registers = re.findall(r"Used (\d+) registers", log)
    memory = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", log)
    if not registers or not memory:
        raise ValueError(f"the linker does not say what the kernel uses: {log!r}")
    return max(map(int, registers)), *(max(map(int, column)) for column in zip(*memory, strict=True))


def shared_memory(log: str) -> int:
    """Returns the number of bytes of shared memory per block: the maximum over the functions in the linker's log."""
    return max(map(int, re.findall(r"(\d+) bytes smem", log)), default=0)


def loops(text: str) -> tuple[tuple[int, int], ...]:
    """Returns a pair (begin, end) of instruction indices for each loop in the disassembly `text`.

    A loop begins at the target of a backward branch, and ends after this branch.
    """
    targets, found, number = {}, [], 0
    for line in text.splitlines():
        if label := LABEL.match(line):
            targets[label[1]] = number
        elif instruction := INSTRUCTION.match(line):
            branch = BRANCH.search(instruction[1])
            number += 1
            if branch and branch[1] in targets:
                found.append((targets[branch[1]], number))
    return tuple(found)


def disassemble(cubin: bytes) -> str:
    """Returns nvdisasm's output for machine code: lines with instructions, and lines with the labels of branch targets."""
    from cuda import pathfinder

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "kernel.cubin")
        file.write_bytes(cubin)
        # The option --no-dataflow halves the duration. The omitted data flow analysis would only name the targets of indirect
        # branches.
        command = [pathfinder.find_nvidia_binary_utility("nvdisasm"), "--print-code", "--no-dataflow", file]
        text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    if INSTRUCTION.search(text) is None:
        raise ValueError(f"nvdisasm printed no instruction: {text!r}")
    return text

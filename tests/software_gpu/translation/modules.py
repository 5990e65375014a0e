"""Translates whole PTX modules to C++: one function for each kernel, and the tables in which the driver finds the kernels."""

import json
import re
from typing import NamedTuple

from tests.software_gpu.translation import arithmetic, memory
from tests.software_gpu.translation.operands import Operands, variable
from tests.software_gpu.translation.ptx import (
    C_TYPES,
    Brace,
    Declaration,
    Instruction,
    Kernel,
    Label,
    LocalArray,
    Module,
    UnsupportedError,
    parsed,
)


class Resources(NamedTuple):
    """The resources of a kernel, as ptxas reports them: registers per thread, and bytes of local memory per thread."""

    registers: int
    local_bytes: int


def translated(ptx: str, resources: Resources) -> str:
    """Returns the C++ code for the kernels of the PTX module `ptx`. All kernels of the module get the same `Resources`."""
    module = parsed(ptx)
    sites: list[str] = []
    functions = [_Function(module, kernel, sites).code(k) for k, kernel in enumerate(module.kernels)]
    lines = ['#include "arithmetic.h"', '#include "access.h"', "using namespace gpu;"]
    lines += ["static Site sites[] = {", *(f"  {{{json.dumps(text)}}}," for text in sites), "  {}", "};"]
    lines += [*functions, *(_parameters(k, kernel) for k, kernel in enumerate(module.kernels))]
    lines += ["static const KernelInfo kernels[] = {"]
    lines += [f"  {_description(k, kernel, module, resources)}," for k, kernel in enumerate(module.kernels)]
    lines += ["};", f"static const ModuleInfo info = {{kernels, {len(module.kernels)}, sites, {len(sites)}}};"]
    return "\n".join([*lines, 'extern "C" const ModuleInfo* moduleInfo() { return &info; }', ""])


def title_of(name: str) -> str:
    """Returns the dotted name of a kernel's Python function, such as numbanet.engines.cuda.output.output_rows.

    numba-cuda mangles the name to _ZN8numbanet7engines4cuda..., with the length of each part of the name before the part.
    """
    parts, at = [], re.match(r"(_ZN?)?", name).end()
    while found := re.compile(r"\d+").match(name, at):
        at = found.end() + int(found[0])
        parts.append(name[found.end() : at])
    return ".".join(part for part in parts if not part.startswith("_3c")) or name


def _parameters(number: int, kernel: Kernel) -> str:
    entries = ", ".join(f"{{{offset}, {size}}}" for offset, size in kernel.parameters.values())
    return f"static const Parameter parameters{number}[] = {{{entries or '{}'}}};"


def _description(number: int, kernel: Kernel, module: Module, resources: Resources) -> str:
    numbers = [len(kernel.parameters), kernel.parameter_bytes, module.static_bytes, module.dynamic_at, kernel.most_threads]
    values = [json.dumps(kernel.name), json.dumps(title_of(kernel.name)), f"kernel{number}", f"parameters{number}"]
    return f"{{{', '.join([*values, *map(str, numbers), *map(str, resources)])}}}"


class _Function:
    """Translates a kernel to a C++ function.

    The class appends to the list `sites` the PTX text of each instruction that the driver may name in a finding (an error).
    """

    def __init__(self, module: Module, kernel: Kernel, sites: list[str]):
        self.kernel, self.sites, self.operands = kernel, sites, Operands(module)

    def code(self, number: int) -> str:
        """Returns the text of the C++ function `kernel{number}`, into which the kernel is translated."""
        lines = [f"  {self._part(part)}" for part in self.kernel.body]
        return "\n".join([f"static void kernel{number}(Thread* thread) {{", *lines, "}"])

    def _part(self, part: Instruction | Label | Declaration | LocalArray | Brace) -> str:
        match part:
            case Brace(sign):
                return sign
            case Label(name):
                return f"{memory.label(name)}:;"
            case Declaration(kind, names):
                self.operands.registers.update(dict.fromkeys(names, kind))
                return f"{C_TYPES[kind]} {', '.join(variable(name) + ' = 0' for name in names)};"
            case LocalArray(name, size):
                self.operands.local = name
                return f"alignas(16) uint8_t localArray[{size}]; memset(localArray, 0xFF, {size});"
        code = self._instruction(part)
        return f"if ({'!' if part.negated else ''}{variable(part.predicate)}) {{ {code} }}" if part.predicate else code

    def _instruction(self, instruction: Instruction) -> str:
        code = arithmetic.translated(instruction, self.operands)
        if code is None:
            site = f"&sites[{len(self.sites)}]"
            code = memory.translated(instruction, self.operands, self.kernel, site)
            if code and site in code:
                self.sites.append(instruction.text)
        if code is None:
            raise UnsupportedError(instruction.text)
        return code

"""Translates PTX instructions that access memory, wait for other threads, or jump to another instruction."""

import re

from tests.software_gpu.translation.operands import Operands, parts_of_address
from tests.software_gpu.translation.ptx import C_TYPES, Instruction, Kernel

ACCESS = re.compile(r"(ld|st)(?:\.(global|shared|local))?(?:\.nc)?(?:\.v(2|4))?\.([bsuf]\d+)")
PARAMETER = re.compile(r"ld\.param\.(\w+)")
ATOMIC = re.compile(r"atom\.global\.(add|min|max|exch|cas)\.(\w+)")
REPLACEMENTS = {"add": "x + y", "min": "x < y ? x : y", "max": "x > y ? x : y", "exch": "y", "cas": "x == compared ? y : x"}
LOCAL_ARRAY = ", localArray, sizeof localArray"
COPY = "cp.async.ca.shared.global"
COPY_SIZES = ("4", "8", "16")


def translated(instruction: Instruction, operands: Operands, kernel: Kernel, site: str) -> str | None:
    """Returns the C++ statement for a PTX instruction, or None if this module does not know the instruction.

    `site` is a C++ expression for the address of the `Site` that describes the instruction in reported errors (see
    driver/kernels.h).
    """
    opcode, arguments = instruction.opcode, instruction.operands
    if found := ACCESS.fullmatch(opcode):
        access = _load if found[1] == "ld" else _store
        space = (found[2] or ("generic" if operands.local else "global")).capitalize()
        return access(space, int(found[3] or 1), found[4], instruction, operands, site)
    if found := PARAMETER.fullmatch(opcode):
        name, offset = parts_of_address(arguments[1])
        value = f"parameter<{C_TYPES[found[1]]}>(thread, {kernel.parameters[name][0] + offset})"
        return operands.assignment(arguments[0], value, found[1])
    if found := ATOMIC.fullmatch(opcode):
        return _atomic(found[1], found[2], instruction, operands, site)
    if opcode == COPY and arguments[2] in COPY_SIZES:
        shared, source = (operands.address(operand) for operand in arguments[:2])
        return f"copyLater(thread, {site}, {shared}, {source}, {arguments[2]});"
    return _waiting(instruction, operands, site)


def _waiting(instruction: Instruction, operands: Operands, site: str) -> str | None:
    arguments = instruction.operands
    match instruction.opcode:
        case "ret" | "exit":
            return "return;"
        case "bra" | "bra.uni":
            return f"goto {label(arguments[0])};"
        case "bar.sync" | "barrier.sync" if arguments == ("0",):
            return f"barrier(thread, {site});"
        case "cp.async.wait_all":
            return f"awaitCopies(thread, {site});"
        case "ld.acquire.gpu.global.u32" | "ld.acquire.gpu.global.b32":
            value = f"loadAcquire(thread, {site}, {operands.address(arguments[1])})"
            return operands.assignment(arguments[0], value, "u32")
        case "red.release.gpu.global.add.u32":
            return f"addRelease(thread, {site}, {operands.address(arguments[0])}, {operands.value(arguments[1], 'u32')});"
    return None


def _load(space: str, count: int, kind: str, instruction: Instruction, operands: Operands, site: str) -> str:
    target, source = instruction.operands
    assigned = [operands.assignment(name, f"v.v[{k}]", kind) for k, name in enumerate(members(target)) if name != "_"]
    array = LOCAL_ARRAY if space in ("Local", "Generic") else ""
    call = f"load{space}<{C_TYPES[kind]}, {count}>(thread, {site}, {operands.address(source)}{array})"
    return f"{{ const auto v = {call}; {' '.join(assigned)} }}"


def _store(space: str, count: int, kind: str, instruction: Instruction, operands: Operands, site: str) -> str:
    target, source = instruction.operands
    values = ", ".join(operands.value(name, kind) for name in members(source))
    vector = f"Vector<{C_TYPES[kind]}, {count}>{{{{{values}}}}}"
    array = LOCAL_ARRAY if space in ("Local", "Generic") else ""
    return f"store{space}<{C_TYPES[kind]}, {count}>(thread, {site}, {operands.address(target)}, {vector}{array});"


def _atomic(name: str, kind: str, instruction: Instruction, operands: Operands, site: str) -> str:
    target, address, *compared, operand = instruction.operands
    c_type = C_TYPES[kind]
    capture = f"compared = {operands.value(compared[0], kind)}" if compared else ""
    replacement = f"[{capture}]({c_type} x, {c_type} y) -> {c_type} {{ return {REPLACEMENTS[name]}; }}"
    value = operands.value(operand, kind)
    return operands.assignment(target, f"atomic(thread, {site}, {operands.address(address)}, {value}, {replacement})", kind)


def members(operand: str) -> list[str]:
    """Returns the list of the registers in an operand such as {%f1, %f2}.

    For an operand without braces, the list contains only the operand.
    """
    return [name.strip() for name in operand.strip("{}").split(",")]


def label(name: str) -> str:
    """Returns the name of a PTX label as a name that C++ allows."""
    return name.replace("$", "L")

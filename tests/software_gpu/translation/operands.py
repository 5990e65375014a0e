"""Translates operands of PTX instructions to C++ expressions."""

import re

from tests.software_gpu.translation.ptx import C_TYPES, Module, UnsupportedError, is_float, size_of

# Special registers of PTX, whose values are set in every thread, with the C++ expressions for their values.
SPECIAL = {
    **{f"%tid.{axis}": f"thread->index[{k}]" for k, axis in enumerate("xyz")},
    **{f"%ntid.{axis}": f"thread->block->grid->threads[{k}]" for k, axis in enumerate("xyz")},
    **{f"%ctaid.{axis}": f"thread->block->index[{k}]" for k, axis in enumerate("xyz")},
    **{f"%nctaid.{axis}": f"thread->block->grid->blocks[{k}]" for k, axis in enumerate("xyz")},
    "%dynamic_smem_size": "thread->block->grid->dynamicBytes",
}

HEXADECIMAL_FLOAT = re.compile(r"0[fF]([0-9A-Fa-f]{8})|0[dD]([0-9A-Fa-f]{16})")
INTEGER = re.compile(r"-?(0[xX][0-9A-Fa-f]+|\d+)U?")
ADDRESS = re.compile(r"\[\s*([%\w$.]+?)\s*(?:\+\s*(-?\d+))?\s*\]")


class Operands:
    """Translates instruction operands (registers, constants, addresses and names of arrays) to C++ expressions."""

    def __init__(self, module: Module):
        self.shared, self.variables, self.registers = module.shared, module.variables, {}
        self.local: str | None = None  # the name of the kernel's local array

    def value(self, operand: str, kind: str) -> str:
        """Returns a C++ expression for the value of an operand, as a number of the PTX type `kind`."""
        if operand in SPECIAL:
            return f"({C_TYPES[kind]}){SPECIAL[operand]}"
        if operand.startswith("%"):
            return self._converted(variable(operand), self.registers[operand], kind)
        if operand in self.shared:
            address = self.shared[operand]
            return f"({C_TYPES[kind]}){'thread->block->grid->dynamicAt' if address is None else address}"
        if operand == self.local:
            return f"({C_TYPES[kind]})localArray"
        if operand in self.variables:
            return f"({C_TYPES[kind]})0"  # no address: numba-cuda-mlir writes to a global variable only if a kernel fails
        return constant(operand, kind)

    def assignment(self, register: str, expression: str, kind: str) -> str:
        """Returns the C++ statement that assigns an expression, whose PTX type is `kind`, to a register."""
        return f"{variable(register)} = {self._converted(expression, kind, self.registers[register])};"

    def address(self, operand: str) -> str:
        """Returns a C++ expression for an address operand such as [%rd1+4]."""
        base, offset = parts_of_address(operand)
        return f"{self.value(base, 'u64')} + {offset}"

    @staticmethod
    def _converted(expression: str, held: str, kind: str) -> str:
        """Returns a C++ expression that converts `expression` from the type `held` to the type `kind`.

        A conversion between a float and an integer of the same size reinterprets the bits; a conversion between integers keeps
        the lower bits.
        """
        if is_float(held) == is_float(kind):
            return f"({C_TYPES[kind]})({expression})"
        if size_of(held) != size_of(kind):
            raise UnsupportedError(f"{expression} of .{held} as .{kind}")
        return f"bits<{C_TYPES[kind]}>(({C_TYPES[held]})({expression}))"


def variable(register: str) -> str:
    """Returns the name of the C++ variable that stands for a PTX register."""
    return "r_" + register[1:].replace(".", "_")


def parts_of_address(operand: str) -> tuple[str, int]:
    """Returns the base, such as %rd1, and the offset, such as 4, of an address operand such as [%rd1+4]."""
    found = ADDRESS.fullmatch(operand)
    if not found:
        raise UnsupportedError(f"address {operand}")
    return found[1], int(found[2] or 0)


def constant(operand: str, kind: str) -> str:
    """Returns a C++ expression for a constant. An integer, also a negative one, is reduced modulo 2^(bits of the type)."""
    if found := HEXADECIMAL_FLOAT.fullmatch(operand):
        number = f"(uint{32 if found[1] else 64}_t)0x{found[1] or found[2]}u"
        return f"bits<{C_TYPES[kind]}>({number})"
    if INTEGER.fullmatch(operand) and not is_float(kind):
        return f"({C_TYPES[kind]}){int(operand.rstrip('U'), 0) % 2 ** (8 * size_of(kind))}u"
    raise UnsupportedError(f"operand {operand} as .{kind}")

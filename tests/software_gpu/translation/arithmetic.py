"""Translates PTX instructions that compute values: arithmetic, comparisons, selections, conversions and moves.

The dict `FORMULAS` contains the instructions whose result is a C++ expression of the operands x, y and z.
"""

import re
from typing import NamedTuple

from tests.software_gpu.translation.operands import Operands
from tests.software_gpu.translation.ptx import C_TYPES, Instruction, UnsupportedError, is_float, size_of

INTEGERS = [f"{kind}{size}" for kind in "sub" for size in (16, 32, 64)]
SIGNED_TYPES = [kind for kind in C_TYPES if kind[0] in "su"]  # integer types that are known to be signed or unsigned
WIDTHS = {"16": "32", "32": "64"}  # widths in bits of integer types, and of their products


class Formula(NamedTuple):
    """The C++ expression for the result of a PTX instruction, and the PTX types of the result and of each operand."""

    expression: str
    result: str
    operands: tuple[str, ...]


def _same(expression: str, kind: str) -> Formula:
    """Returns a `Formula` for a C++ expression whose result and whose operands x, y and z all have the PTX type `kind`."""
    return Formula(expression, kind, (kind,) * len(set(re.findall(r"\b[xyz]\b", expression))))


def _unsigned(kind: str) -> str:
    """Returns the unsigned type as wide as `kind`, for sums and products: in C++, the overflow of signed types is undefined."""
    return "u" + kind[1:]


def _integer_formulas(kind: str) -> dict[str, Formula]:
    unsigned, size = _unsigned(kind), size_of(kind) * 8
    c_type, wide = C_TYPES[kind], "__int128" if kind[0] == "s" else "unsigned __int128"
    out_of_range = f"x >> {size - 1}" if kind[0] == "s" else "0"
    return {
        f"add.{kind}": _same("x + y", unsigned),
        f"sub.{kind}": _same("x - y", unsigned),
        f"mul.lo.{kind}": _same("(uint64_t)x * y", unsigned),
        f"mad.lo.{kind}": _same("(uint64_t)x * y + z", unsigned),
        f"mul.hi.{kind}": _same(f"({wide})x * y >> {size}", kind),
        f"div.{kind}": _same(f"quotient<{c_type}>(x, y)", kind),
        f"rem.{kind}": _same(f"remainderOf<{c_type}>(x, y)", kind),
        f"neg.{kind}": _same("0 - x", unsigned),
        f"abs.{kind}": _same(f"x < 0 ? ({c_type})(0 - (u{c_type})x) : x" if kind[0] == "s" else "x", kind),
        f"min.{kind}": _same("x < y ? x : y", kind),
        f"max.{kind}": _same("x > y ? x : y", kind),
        f"and.{kind}": _same("x & y", kind),
        f"or.{kind}": _same("x | y", kind),
        f"xor.{kind}": _same("x ^ y", kind),
        f"not.{kind}": _same("~x", kind),
        f"shl.{kind}": Formula(f"y >= {size} ? 0 : x << y", unsigned, (unsigned, "u32")),
        f"shr.{kind}": Formula(f"y >= {size} ? {out_of_range} : x >> y", kind, (kind, "u32")),
    }


def _wide_formulas(kind: str) -> dict[str, Formula]:
    wide = kind[0] + WIDTHS[kind[1:]]
    product = f"({C_TYPES[wide]})x * ({C_TYPES[wide]})y"
    return {
        f"mul.wide.{kind}": Formula(product, wide, (kind, kind)),
        f"mad.wide.{kind}": Formula(f"({C_TYPES['u' + wide[1:]]})({product}) + z", wide, (kind, kind, wide)),
    }


def _float_formulas(kind: str) -> dict[str, Formula]:
    suffix = "f" if kind == "f32" else ""
    formulas = {
        **{f"add{rn}.{kind}": _same("x + y", kind) for rn in ("", ".rn")},
        **{f"sub{rn}.{kind}": _same("x - y", kind) for rn in ("", ".rn")},
        **{f"mul{rn}.{kind}": _same("x * y", kind) for rn in ("", ".rn")},
        f"fma.rn.{kind}": _same(f"__builtin_fma{suffix}(x, y, z)", kind),
        f"div.rn.{kind}": _same("x / y", kind),
        f"rcp.rn.{kind}": _same("1 / x", kind),
        f"sqrt.rn.{kind}": _same(f"__builtin_sqrt{suffix}(x)", kind),
        f"neg.{kind}": _same("-x", kind),
        f"abs.{kind}": _same(f"__builtin_fabs{suffix}(x)", kind),
        f"copysign.{kind}": _same(f"__builtin_copysign{suffix}(y, x)", kind),
    }
    # The compiler's flag -ffp-contract=off keeps the compiler from merging two operations into one multiply-add.
    return {opcode: Formula(f"({C_TYPES[kind]})({f.expression})", f.result, f.operands) for opcode, f in formulas.items()}


FORMULAS: dict[str, Formula] = {
    **{opcode: formula for kind in INTEGERS for opcode, formula in _integer_formulas(kind).items()},
    **{opcode: formula for kind in ("s16", "u16", "s32", "u32") for opcode, formula in _wide_formulas(kind).items()},
    **{opcode: formula for kind in ("f32", "f64") for opcode, formula in _float_formulas(kind).items()},
    **{f"{name}.pred": _same(f"x {sign} y", "pred") for name, sign in (("and", "&"), ("or", "|"), ("xor", "^"))},
    "not.pred": _same("!x", "pred"),
    "fma.rm.f32": _same("fmaDown(x, y, z)", "f32"),
    "add.rz.f32": _same("addToZero(x, y)", "f32"),
    "ex2.approx.ftz.f32": _same("powerOf2(x)", "f32"),
    "rcp.approx.ftz.f64": _same("approximateReciprocal(x)", "f64"),
    "cvt.sat.f32.f32": _same("saturated(x)", "f32"),
    "cvt.f64.f32": Formula("x", "f64", ("f32",)),
    "cvt.rn.f32.f64": Formula("(float)x", "f32", ("f64",)),
    # Global, local and generic addresses are the same.
    **{f"cvta.{space}.u64": _same("x", "u64") for space in ("to.global", "local", "to.local")},
    **{f"mov.{kind}": _same("x", kind) for kind in C_TYPES},
    **{f"cvt.{to}.{kind}": Formula("x", to, (kind,)) for to in SIGNED_TYPES for kind in SIGNED_TYPES},
    **{f"cvt.rn.{to}.{kind}": Formula("x", to, (kind,)) for to in ("f32", "f64") for kind in SIGNED_TYPES},
    **{
        f"cvt.rzi.{to}.{kind}": Formula(f"truncated<{C_TYPES[to]}>(x)", to, (kind,))
        for to in SIGNED_TYPES
        for kind in ("f32", "f64")
    },
}

# The operators of comparisons, by the names in PTX. If x or y is NaN, the float comparisons with a u in their names are true,
# and all others except ne are false.
SIGNS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
OPPOSITES = {"eq": "x != y", "ne": "x == y", "lt": "x >= y", "le": "x > y", "gt": "x <= y", "ge": "x < y"}
FLOAT_COMPARISONS = {
    **{name: f"x {sign} y" for name, sign in SIGNS.items()},
    **{name + "u": f"!({opposite})" for name, opposite in OPPOSITES.items()},
    "ne": "x < y || x > y",
    "equ": "!(x < y || x > y)",
    "neu": "x != y",
    "num": "x == x && y == y",
    "nan": "x != x || y != y",
}


def translated(instruction: Instruction, operands: Operands) -> str | None:
    """Returns the C++ statement for a PTX instruction, or None if the instruction does not compute a value."""
    name, _, rest = instruction.opcode.partition(".")
    if name == "mov" and any("{" in operand for operand in instruction.operands):
        return _packed(instruction, operands)
    if name == "setp":
        return _compared(*rest.rsplit(".", 1), instruction, operands)
    if name == "selp":
        return _selected(rest, instruction, operands)
    formula = FORMULAS.get(instruction.opcode)
    return _computed(formula, instruction, operands) if formula else None


def _computed(formula: Formula, instruction: Instruction, operands: Operands) -> str:
    target, *sources = instruction.operands
    declared = [
        f"const {C_TYPES[kind]} {name} = {operands.value(source, kind)};"
        for name, kind, source in zip("xyz", formula.operands, sources, strict=False)
    ]
    return f"{{ {' '.join(declared)} {operands.assignment(target, formula.expression, formula.result)} }}"


def _compared(comparison: str, kind: str, instruction: Instruction, operands: Operands) -> str:
    comparisons = FLOAT_COMPARISONS if is_float(kind) else {name: f"x {sign} y" for name, sign in SIGNS.items()}
    if comparison not in comparisons:
        raise UnsupportedError(instruction.text)
    return _computed(Formula(comparisons[comparison], "pred", (kind, kind)), instruction, operands)


def _selected(kind: str, instruction: Instruction, operands: Operands) -> str:
    return _computed(Formula("z ? x : y", kind, (kind, kind, "pred")), instruction, operands)


def _packed(instruction: Instruction, operands: Operands) -> str:
    """Returns the C++ statement for a move that splits a register into smaller registers, or joins registers into a larger one.

    The first of the smaller registers holds the lowest bits.
    """
    target, source = instruction.operands
    parts = [part.strip() for part in (target + source)[(target + source).index("{") + 1 :].split("}")[0].split(",")]
    size = size_of(instruction.opcode.rpartition(".")[2]) * 8
    part_kind, kind = f"b{size // len(parts)}", f"b{size}"
    shifts = range(0, size, size // len(parts))
    if target.startswith("{"):
        taken = [operands.assignment(part, f"x >> {shift}", part_kind) for part, shift in zip(parts, shifts, strict=True)]
        return f"{{ const {C_TYPES[kind]} x = {operands.value(source, kind)}; {' '.join(taken)} }}"
    values = [f"({C_TYPES[kind]}){operands.value(part, part_kind)}" for part in parts]
    terms = [f"{value} << {shift}" for value, shift in zip(values, shifts, strict=True)]
    return operands.assignment(target, " | ".join(terms), kind)

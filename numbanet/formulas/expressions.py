"""Translates the expressions of a formula that a user wrote; the module `language` describes the language."""

import ast
import builtins
import math
import numbers
from collections.abc import Mapping
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any, NamedTuple, NoReturn, Protocol

import numpy as np

from numbanet import checks
from numbanet.formulas.functions import FUNCTIONS, HIGHEST_POWER, maximum, minimum, power_of
from numbanet.formulas.sources import Source

# Names in the translated code that users cannot have chosen for variables, because the translation refuses names that begin
# with two underscores.
TYPE = "__type"
OPERATORS = (ast.Add, ast.Sub, ast.Mult, ast.Div)
COMPARISONS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)
SPOKEN: dict[type, str] = {
    **dict.fromkeys((ast.For, ast.While, ast.AsyncFor), "a loop; write a formula without loops"),
    **dict.fromkeys((ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp), "a loop; write a formula without loops"),
    **dict.fromkeys((ast.Subscript, ast.Slice), "an index; the arguments of a formula are single numbers, not arrays"),
    **dict.fromkeys((ast.List, ast.Tuple, ast.Set, ast.Dict), "several values; a formula computes with single numbers"),
    **dict.fromkeys((ast.JoinedStr,), "text; a formula computes with numbers"),
    **dict.fromkeys((ast.Global, ast.Nonlocal), "global or nonlocal; a formula must not change outer variables"),
    **dict.fromkeys((ast.Lambda, ast.FunctionDef, ast.ClassDef), "a definition of a function or class; move it outside"),
    **dict.fromkeys((ast.Raise, ast.Assert, ast.Try, ast.With), "raise, assert, try or with, which a formula cannot contain"),
    **dict.fromkeys((ast.Import, ast.ImportFrom), "an import; import modules outside of the formula"),
}


# `Known` maps each name that has a value to True if the value is a truth value. `Statements` contains translated statements and
# the names that have a value after them, or None if the last statement is `return`.
Known = dict[str, bool]
Statements = tuple[list[ast.stmt], Known | None]


class Value(NamedTuple):
    """A translated expression: its syntax tree, and whether the expression is a condition (True or False) or a number."""

    node: ast.expr
    is_truth: bool = False


class Library(Protocol):
    """The user's functions that a formula calls, in compiled form."""

    compiled: dict[str, Any]

    def name_of(self, function: FunctionType, caller: Source, node: ast.AST) -> str:
        """Returns the name by which translated code calls a user's function, which is also its key in `compiled`.

        An error points to the call `node` in the source `caller`.
        """
        ...


class Expressions:
    """Translates the expressions of one function."""

    def __init__(self, source: Source, constants: Mapping[str, float], library: Library):
        self.source, self.library = source, library
        self.parameters = [name for name in source.parameters if name not in constants]
        if not self.parameters:
            raise source.error("the formula has no parameters; replace its calls with the number it returns", source.tree)
        self.outside = source.outside() | dict(constants)
        stored = (node.id for node in ast.walk(source.tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))
        self.local = {*self.parameters, *stored}
        self.namespace: dict[str, Any] = {TYPE: type}
        self.read: set[str] = set()
        for name in sorted({*source.parameters, *self.local}):
            if name.startswith("__"):
                raise source.error(f"the name {name} begins with two underscores; choose another name", source.tree)

    def refuse(self, reason: str, node: ast.AST) -> NoReturn:
        raise self.source.error(reason, node)

    def number(self, node: ast.expr, known: Known) -> ast.expr:
        """Translates an expression whose value must be a number; True and False become 1 and 0, as in Python."""
        value = self.value(node, known)
        return ast.IfExp(value.node, self.constant(1.0), self.constant(0.0)) if value.is_truth else value.node

    def truth(self, node: ast.expr, known: Known) -> ast.expr:
        """Translates a condition; a number is true if it is not 0."""
        value = self.value(node, known)
        return value.node if value.is_truth else ast.Compare(value.node, [ast.NotEq()], [self.constant(0.0)])

    def value(self, node: ast.expr, known: Known) -> Value:
        value = self._value(node, known)
        return value._replace(node=ast.copy_location(value.node, node))

    def _value(self, node: ast.expr, known: Known) -> Value:
        match node:
            case ast.Constant(value=value):
                return self.frozen(node, "the value", value)
            case ast.Name(id=name):
                return self.name(node, name, known)
            case ast.Attribute():
                return self.frozen(node, ast.unparse(node), self.attribute(node))
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                return Value(ast.UnaryOp(ast.Not(), self.truth(operand, known)), True)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() as op, operand=operand):
                return Value(ast.UnaryOp(op, self.number(operand, known)))
            case ast.BinOp(left=left, op=op, right=right):
                return self.operation(node, left, op, right, known)
            case ast.BoolOp(op=op, values=values):
                return Value(ast.BoolOp(op, [self.truth(value, known) for value in values]), True)
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                if not all(isinstance(op, COMPARISONS) for op in ops):
                    self.refuse("the formula compares with `is` or `in`; compare numbers with <, <=, >, >=, == or !=", node)
                return Value(
                    ast.Compare(self.number(left, known), ops, [self.number(each, known) for each in comparators]), True
                )
            case ast.IfExp(test=test, body=body, orelse=orelse):
                return Value(ast.IfExp(self.truth(test, known), self.number(body, known), self.number(orelse, known)))
            case ast.Call():
                return Value(self.call(node, known))
        self.unknown(node)

    def operation(self, node: ast.AST, left: ast.expr, op: ast.operator, right: ast.expr, known: Known) -> Value:
        """Translates `left op right`; a power with a small constant integer as exponent becomes a product, which is fast."""
        if isinstance(op, ast.Pow):
            exponent = self._constant_of(right, known)
            if exponent is not None and exponent.is_integer() and abs(exponent) <= HIGHEST_POWER:
                power = self.calling(f"__power_{abs(exponent):.0f}", power_of(abs(int(exponent))), [self.number(left, known)])
                return Value(power if exponent >= 0 else ast.BinOp(self.constant(1.0), ast.Div(), power))
        elif not isinstance(op, OPERATORS):
            self.refuse("a formula can use the operators +, -, *, / and ** only", node)
        return Value(ast.BinOp(self.number(left, known), op, self.number(right, known)))

    def _constant_of(self, node: ast.expr, known: Known) -> float | None:
        """Returns the value of a constant, such as -2 or a global variable; None if the expression is not constant."""
        match node:
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                value = self._constant_of(operand, known)
                return None if value is None else -value
            case ast.Constant(value=value):
                return float(value) if isinstance(value, numbers.Real) else None
            case ast.Name(id=name) if name not in self.local and isinstance(self.outside.get(name), numbers.Real):
                return float(self.outside[name])
        return None

    def name(self, node: ast.Name, name: str, known: Known) -> Value:
        if name in known:
            self.read.add(name)
            return Value(ast.Name(name, ast.Load()), known[name])
        if name in self.local:
            self.refuse(
                f"the variable {name} may have no value here, or is a number after one branch of an `if` and a truth value "
                "after the other; set it to a number in every branch before this line",
                node,
            )
        return self.frozen(node, name, self.global_value(node))

    def global_value(self, node: ast.Name) -> Any:
        missing = object()
        value = self.outside.get(node.id, getattr(builtins, node.id, missing))
        if value is missing:
            self.refuse(f"the name {node.id} is not defined", node)
        return value

    def attribute(self, node: ast.Attribute) -> Any:
        """Returns the value that an attribute of a module, such as math.pi, has when the formula is translated."""
        match node.value:
            case ast.Name(id=name) if name not in self.local:
                module = self.global_value(node.value)
            case ast.Attribute():
                module = self.attribute(node.value)
            case _:
                module = None
        if not isinstance(module, ModuleType):
            self.refuse(
                f"{ast.unparse(node)} is not an attribute of a module; use numbers, or functions and constants of math",
                node,
            )
        if not hasattr(module, node.attr):
            self.refuse(f"the module {module.__name__} has no {node.attr}", node)
        return getattr(module, node.attr)

    def frozen(self, node: ast.AST, name: str, value: Any) -> Value:
        """Translates the value of a literal, a global variable or a module's attribute: a number, or True or False."""
        if isinstance(value, bool | np.bool_):
            return Value(ast.Constant(bool(value)), True)
        if isinstance(value, numbers.Real):
            try:
                return Value(self.constant(float(value)))
            except OverflowError:
                self.refuse(f"{name} is too large for a float", node)
        reason = "a formula computes with numbers"
        if value is None:
            self.refuse(f"the formula uses None; {reason}", node)
        if isinstance(value, str):
            self.refuse(f"the formula uses the text {checks.shown(value)}; {reason}", node)
        if isinstance(value, np.ndarray | list | tuple | dict | set):
            self.refuse(f"{name} is of type {type(value).__name__}; {reason}: give each number its own name", node)
        self.refuse(f"{name} is {checks.shown(value)}; {reason}", node)

    def constant(self, value: float) -> ast.expr:
        """Returns the expression type(z)(value), in which z is the formula's first parameter."""
        number = ast.Call(ast.Name(TYPE, ast.Load()), [ast.Name(self.parameters[0], ast.Load())], [])
        if math.isfinite(value):
            return ast.Call(number, [ast.Constant(value)], [])
        name = f"__{value}".replace("-", "minus_")
        self.namespace[name] = value
        return ast.Call(number, [ast.Name(name, ast.Load())], [])

    # Calls

    def call(self, node: ast.Call, known: Known) -> ast.expr:
        if node.keywords or any(isinstance(argument, ast.Starred) for argument in node.args):
            self.refuse("the formula passes arguments by name or by `*`; pass them by position", node)
        match node.func:
            case ast.Name(id=name) if name not in self.local:
                function = self.global_value(node.func)
            case ast.Attribute():
                function = self.attribute(node.func)
            case _:
                self.refuse(f"the formula calls {ast.unparse(node.func)}, which is not a function", node)
        if function in (pow, math.pow) and len(node.args) == 2:
            return self.operation(node, node.args[0], ast.Pow(), node.args[1], known).node
        arguments = [self.number(argument, known) for argument in node.args]
        return self.called(node, getattr(function, "py_func", function), arguments)

    def called(self, node: ast.Call, function: Any, arguments: list[ast.expr]) -> ast.expr:
        spoken = ast.unparse(node.func)
        if function in (min, max) and len(arguments) >= 2:
            first, *rest = arguments
            for argument in rest:
                first = self.calling(f"__{spoken}", minimum if function is min else maximum, [first, argument])
            return first
        if function is float and len(arguments) == 1:
            return arguments[0]
        if isinstance(function, FunctionType):
            count = function.__code__.co_argcount
            if count != len(arguments):
                self.refuse(
                    f"the formula calls {spoken} with {len(arguments)} arguments, but {spoken} has {count} parameters", node
                )
            name = self.library.name_of(function, self.source, node)
            return self.calling(name, self.library.compiled[name], arguments)
        known = FUNCTIONS.get(function) if isinstance(function, BuiltinFunctionType) else None
        if known is None:
            names = ", ".join(sorted(each.__name__ for each in FUNCTIONS))
            self.refuse(
                f"the formula calls {spoken}, which it cannot use; call other formulas, or these functions: {names}, min, max",
                node,
            )
        if len(arguments) != known.arguments:
            self.refuse(
                f"the formula calls {spoken} with {len(arguments)} arguments, but in a formula "
                f"{spoken} takes {known.arguments}",
                node,
            )
        return self.calling(f"__{function.__name__}", known.function, arguments)

    def calling(self, name: str, function: Any, arguments: list[ast.expr]) -> ast.expr:
        self.namespace[name] = function
        return ast.Call(ast.Name(name, ast.Load()), arguments, [])

    def unknown(self, node: ast.AST) -> NoReturn:
        spoken = SPOKEN.get(type(node), f"`{ast.unparse(node).splitlines()[0]}`, which a formula cannot contain")
        self.refuse(f"the formula contains {spoken}", node)

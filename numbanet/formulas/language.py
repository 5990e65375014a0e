"""Translates a formula that a user wrote as a Python function into a function that computes in one dtype.

A formula is a function of numbers: arithmetic, comparisons, `if`, assignments, and calls of functions of the module math, of
abs, min and max, and of other formulas.

- A constant such as 1 becomes type(z)(1); z is the formula's first parameter. Otherwise, Numba would compute an operation of a
  float32 and a constant such as 1 or 0.5 in float64.
- A global variable, a variable of an enclosing function, or a parameter that is a constant (see `translated`) is replaced with
  the value that it has during the translation.
- A function of the module math is replaced with a function of `numbanet.formulas.functions`.
- Code that a formula cannot contain is refused, with an error that names the line and the reason. Because loops and recursion
  are refused, a formula ends after a known number of operations.

The translation works on the syntax tree, not on the bytecode, which changes from one version of Python to the next.
"""

import ast
import copy
from collections.abc import Callable, Mapping, Sequence
from types import FunctionType
from typing import Any, NamedTuple

from numbanet import checks
from numbanet.formulas.expressions import Expressions, Known, Statements, Value
from numbanet.formulas.sources import Source, plain_function, source_of


class Translation(NamedTuple):
    """A translated formula.

    Parameters
    ----------
    function : function
        The function to compile.
    text : str
        The code of the function, and of the formulas that it calls, without comments, docstrings and names of functions.
    reads : tuple of bool
        For each parameter, whether the function uses it.
    """

    function: FunctionType
    text: str
    reads: tuple[bool, ...]


def translated(
    name: str, function: Any, arguments: Sequence[str], constants: Sequence[float], compiler: Callable
) -> Translation:
    """Translates a formula.

    Parameters
    ----------
    name : str
        The name of the argument that received the formula, for error messages.
    function : function
        The function that the user wrote.
    arguments : list of str
        The quantities that the formula's first parameters stand for, such as ["z", "a"].
    constants : list of float
        The values of the formula's remaining parameters, which are constants.
    compiler : callable
        Compiles the formulas that the formula calls.

    Raises
    ------
    TypeError, ValueError
        The function cannot be translated: the message names the line and the reason.
    """
    source = source_of(plain_function(name, function))
    found, expected = source.parameters, len(arguments) + len(constants)
    if len(found) != expected:
        more = f", and {len(constants)} for the constants" if constants else ""
        given = checks.listed(found) if found else "none"
        raise source.error(f"{name} must have the parameters {', '.join(arguments)}{more}, but its parameters are: {given}")
    return _Library(compiler).translate(source, dict(zip(found[len(arguments) :], constants, strict=True)))


class _Library:
    """The user's functions that a formula calls; each function is translated and compiled once."""

    def __init__(self, compiler: Callable):
        self.compiler = compiler
        self.names: dict[FunctionType, str] = {}
        self.compiled: dict[str, Any] = {}
        self.texts: list[str] = []
        self.open: list[FunctionType] = []

    def translate(self, source: Source, constants: Mapping[str, float]) -> Translation:
        """Translates a function, after translating the functions that it calls."""
        self.open.append(source.function)
        translator = _Translator(source, constants, self)
        tree, namespace = translator.tree(), translator.namespace
        self.open.pop()
        self.texts.append(ast.unparse(tree))
        code = compile(ast.Module([tree], []), source.function.__code__.co_filename, "exec")
        exec(code, namespace)
        reads = tuple(name in translator.read for name in translator.parameters)
        return Translation(namespace[tree.name], "\n\n".join(self.texts), reads)

    def name_of(self, function: FunctionType, caller: Source, node: ast.AST) -> str:
        """Returns the name by which translated code calls a user's function; compiles the function at the first request."""
        if function in self.open:
            raise caller.error(f"{function.__name__} calls itself; a formula must not call itself", node)
        if function not in self.names:
            translation = self.translate(source_of(plain_function(function.__name__, function)), {})
            self.names[function] = f"__formula_{len(self.names)}"
            self.compiled[self.names[function]] = self.compiler(translation.function)
        return self.names[function]


class _Translator(Expressions):
    """Translates one function."""

    def tree(self) -> ast.FunctionDef:
        """Returns the translated function."""
        body = self.source.tree.body
        if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant) and isinstance(body[0].value.value, str):
            body = body[1:]
        statements, known = self.block(body, dict.fromkeys(self.parameters, False))
        if known is not None:
            self.refuse(
                "the formula can end without `return`; every way through a formula must return a number", self.source.tree
            )
        tree = copy.copy(self.source.tree)
        tree.name = "formula"
        tree.args = ast.arguments([], [ast.arg(name) for name in self.parameters], None, [], [], None, [])
        tree.body, tree.decorator_list, tree.returns = statements, [], None
        return ast.increment_lineno(ast.fix_missing_locations(tree), self.source.first - 1)

    def block(self, body: list[ast.stmt], known: Known) -> Statements:
        """Returns the translation of the statements `body`, and the variables that have a value after `body`.

        `known` contains the variables that have a value before `body`. If every way through `body` ends with `return`, the
        second result is None.
        """
        statements: list[ast.stmt] = []
        after: Known | None = known
        for statement in body:
            if after is None:  # the statement follows `return`
                break
            translated, after = self.statement(statement, after)
            statements += translated
        return statements or [ast.Pass()], after

    def statement(self, node: ast.stmt, known: Known) -> Statements:
        match node:
            case ast.Return(value=None) | ast.Return(value=ast.Constant(value=None)):
                self.refuse("the formula returns None; a formula must return a number", node)
            case ast.Return(value=ast.expr() as value):
                return [ast.copy_location(ast.Return(self.number(value, known)), node)], None
            case ast.Assign(targets=[ast.Name() as target], value=value):
                return self.assignment(node, target.id, self.value(value, known), known)
            case ast.AnnAssign(target=ast.Name() as target, value=ast.expr() as value):
                return self.assignment(node, target.id, self.value(value, known), known)
            case ast.AugAssign(target=ast.Name() as target, op=op, value=value):
                left = ast.copy_location(ast.Name(target.id, ast.Load()), node)
                return self.assignment(node, target.id, self.operation(node, left, op, value, known), known)
            case ast.If(test=test, body=body, orelse=orelse):
                return self.branches(node, self.truth(test, known), body, orelse, known)
            case ast.Assign() | ast.AugAssign() | ast.AnnAssign():
                self.refuse("an assignment must give one number to a single name", node)
            case ast.Pass():
                return [], known
        self.unknown(node)

    def assignment(self, node: ast.stmt, name: str, value: Value, known: Known) -> Statements:
        if known.get(name, value.is_truth) != value.is_truth:
            self.refuse(f"the variable {name} is first a number and then a truth value, or the reverse; use two names", node)
        if name in self.outside and name not in self.parameters and name in self.source.parameters:
            self.refuse(f"the formula changes {name}, which is a constant; use another name", node)
        assignment = ast.Assign([ast.Name(name, ast.Store())], value.node)
        return [ast.copy_location(assignment, node)], known | {name: value.is_truth}

    def branches(self, node: ast.If, test: ast.expr, body: list[ast.stmt], orelse: list[ast.stmt], known: Known) -> Statements:
        (yes, known_yes), (no, known_no) = self.block(body, known), self.block(orelse, known)
        if known_yes is None or known_no is None:
            after = known_no if known_yes is None else known_yes
        else:
            after = {name: known_yes[name] for name in known_yes if known_no.get(name) == known_yes[name]}
        return [ast.copy_location(ast.If(test, yes, no if orelse else []), node)], after

"""Finds the source code of a function that a user wrote, and refuses everything that is not a plain Python function."""

import ast
import inspect
import os
import textwrap
from collections.abc import Callable
from types import FunctionType, MethodType
from typing import Any, NamedTuple

from numbanet import checks


class Source(NamedTuple):
    """A plain Python function, its syntax tree, and the place of its code.

    Parameters
    ----------
    function : function
    tree : ast.FunctionDef
        The syntax tree, in which line 1 is the first line of `function`.
    file : str
        The name of the file, without its folder.
    first : int
        The line number in the file at which the code of `function` begins.
    """

    function: Any
    tree: ast.FunctionDef
    file: str
    first: int

    @property
    def parameters(self) -> list[str]:
        """The names of the function's parameters."""
        return [parameter.arg for parameter in self.tree.args.args]

    def outside(self) -> dict[str, Any]:
        """Returns the present values of global variables, and of the variables of enclosing functions, by name."""
        values, code = dict(self.function.__globals__), self.function.__code__
        for name, cell in zip(code.co_freevars, self.function.__closure__ or (), strict=True):
            try:
                values[name] = cell.cell_contents
            except ValueError:  # the enclosing function has not assigned the variable yet
                values.pop(name, None)
        return values

    def error(self, reason: str, node: ast.AST | None = None) -> ValueError:
        """Returns a ValueError that names the function, the line of `node`, and the reason."""
        line = self.first + getattr(node, "lineno", 1) - 1
        return ValueError(f"the function {self.function.__name__} ({self.file}, line {line}) cannot be compiled: {reason}")


def plain_function(name: str, function: Any) -> FunctionType:
    """Returns the Python function; for a function that Numba's `njit` has compiled, returns the original Python function.

    Raises
    ------
    TypeError
        `function` is not a function. The error message calls it `name`.
    ValueError
        `function` is a method or a lambda.
    """
    function = getattr(function, "py_func", function)
    if isinstance(function, MethodType):
        raise ValueError(
            f"{name} is a method of {checks.shown(type(function.__self__).__name__)}, but must be a function that is written "
            "with `def` outside of classes, because a formula depends on numbers only"
        )
    if not isinstance(function, FunctionType):
        raise TypeError(f"{name} must be a function that is written with `def`, not {checks.shown(function)}")
    if function.__name__ == "<lambda>":
        raise ValueError(f"{name} is a lambda, but must be a function that is written with `def`, so that it has a name")
    return function


def source_of(function: Callable) -> Source:
    """Finds the source code of a function that `plain_function` returned.

    Raises
    ------
    ValueError
        The source code cannot be found or has changed since the function was defined, or a parameter is not a plain name.
    """
    name, code = function.__name__, function.__code__
    hint = "write the function into a file or into a cell of a notebook"
    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines))).body[0]
    except (OSError, TypeError, SyntaxError, IndexError):
        raise ValueError(f"the source code of the function {name} cannot be found: {hint}") from None
    arguments = code.co_varnames[: code.co_argcount]
    if not isinstance(tree, ast.FunctionDef) or (tree.name, *(each.arg for each in tree.args.args)) != (name, *arguments):
        raise ValueError(
            f"the source code of the function {name} has changed since the function was defined: run its `def` again, or {hint}"
        )
    source = Source(function, tree, os.path.basename(code.co_filename), first)
    extra = tree.args.vararg or tree.args.kwarg or tree.args.kwonlyargs or tree.args.posonlyargs or tree.args.defaults
    if extra:
        raise source.error("the parameters must be plain names, without default values, `*` or `/`", tree)
    return source

"""A loop and its CUDA kernel have the same body, their docstrings name each other, and numbers in formulas keep the dtype."""

import ast
from pathlib import Path

import pytest
from numba import from_dtype

import numbanet
from numbanet.equations import activations, losses
from tests.helpers.engines import DTYPES, each

PACKAGE = Path(numbanet.__file__).parent
SECTIONS = ["neuron", "activations", "losses", "backprop", "descent", "dropout"]
FILES = [PACKAGE / "equations" / f"{name}.py" for name in SECTIONS] + [PACKAGE / "engines" / "samples.py"]
THREAD_INDICES = {"s", "i", "j", "p"}


def functions(path):
    return {node.name: node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}


TWINS = [(path, name) for path in FILES for name in functions(path) if name.endswith("_cuda")]


def without_docstring(function):
    return function.body[1:]


def without_headers(body, indices):
    """Replaces every loop over one of the given indices by the statements in the loop, and returns all statements."""
    if len(body) == 1 and isinstance(body[0], ast.For) and body[0].target.id in indices:
        return without_headers(body[0].body, indices)
    flat = []
    for statement in body:
        is_header = isinstance(statement, ast.For) and statement.target.id in indices
        flat += without_headers(statement.body, indices) if is_header else [statement]
    return flat


@each("path, name", [pytest.param(*twin, id=twin[1]) for twin in TWINS])
def test_the_inner_block_of_a_kernel_is_that_of_its_loop(path, name):
    kernel, loop = functions(path)[name], functions(path)[name.removesuffix("_cuda")]
    grid, guard = without_docstring(kernel)
    target = grid.targets[0]
    indices = [node.id for node in (target.elts if isinstance(target, ast.Tuple) else [target])]
    assert set(indices) <= THREAD_INDICES
    found, expected = (
        [ast.unparse(line) for line in block] for block in (guard.body, without_headers(without_docstring(loop), indices))
    )
    assert found == expected
    assert [argument.arg for argument in kernel.args.args] == [argument.arg for argument in loop.args.args]


def is_loop_over_numbers(node):
    """Returns True if `node` is a loop with an index; a loop `for _ in ...`, which only repeats, is allowed in formulas."""
    return isinstance(node, ast.For) and node.target.id != "_"


@each("path", [pytest.param(path, id=path.stem) for path in FILES])
def test_every_loop_has_a_twin(path):
    loops = {name for name, node in functions(path).items() if any(map(is_loop_over_numbers, ast.walk(node)))}
    loops = {name for name in loops if not name.endswith("_cuda")}
    assert loops
    assert {f"{name}_cuda" for name in loops} <= set(functions(path))


@each("path", [pytest.param(path, id=path.stem) for path in FILES])
def test_docstrings_are_short_and_name_the_twin(path):
    for name, node in functions(path).items():
        text = ast.get_docstring(node)
        assert text, name
        assert len(text.splitlines()) <= 6, name
        if name.endswith("_cuda"):
            assert f"Twin: {name.removesuffix('_cuda')}." in text, name
            assert f"Twin: {name}." in ast.get_docstring(functions(path)[name.removesuffix("_cuda")]), name


@each("path", [pytest.param(path, id=path.stem) for path in FILES])
def test_no_bare_literal_meets_a_float(path):
    """A plain 1.0 in a formula would convert float32 to float64; indices and constants such as RELU may be plain integers."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.BinOp) and not isinstance(node.op, ast.Add | ast.FloorDiv | ast.Mod):
            operands = (node.left, node.right)
            assert not any(isinstance(operand, ast.Constant) for operand in operands), ast.unparse(node)
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            assert node.value == 0.5, node.value  # inside type(y)(0.5)


@each("dtype", DTYPES)
def test_formulas_give_back_the_dtype_they_were_given(dtype):
    t = from_dtype(dtype)
    for formula, count in (
        (activations.sigmoid, 1),
        (activations.tanh, 1),
        (activations.d_relu, 1),
        (activations.leaky_relu, 2),
        (activations.softmax, 2),
        (losses.softplus, 1),
    ):
        formula.compile((t,) * count)
        assert formula.overloads[(t,) * count].signature.return_type == t

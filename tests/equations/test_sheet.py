"""Every row of docs/sheet.md names existing functions, and every formula, loop and kernel of the package has a row."""

import importlib
import pkgutil
import re
from pathlib import Path

import pytest
from numba.core.registry import CPUDispatcher

from numbanet import equations
from tests.helpers.engines import each

PAGE = Path(__file__).parents[2] / "docs" / "sheet.md"
NAME = re.compile(r"`(\w+)\.(\w+)`")


def rows():
    """Yields [formula, scalar function, loop, kernel] for every row of the tables in docs/sheet.md."""
    for line in PAGE.read_text().splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 4 and cells[0] not in ("the sheet", "beyond the sheet") and not set(cells[0]) <= set("-"):
            yield cells


ROWS = list(rows())


def found(cell):
    module, name = NAME.fullmatch(cell).groups()
    return getattr(importlib.import_module(f"numbanet.equations.{module}"), name)


@each("row", [pytest.param(row, id=row[0]) for row in ROWS])
def test_a_row_points_at_a_scalar_a_loop_and_its_twin(row):
    _, scalar, loop, kernel = row
    if scalar != "—":
        assert isinstance(found(scalar), CPUDispatcher)
    assert isinstance(found(loop), CPUDispatcher)
    assert kernel.strip("`") == loop.strip("`") + "_cuda"
    assert hasattr(found(kernel), "py_func") or callable(found(kernel))  # in the simulator, kernels have another class


def test_every_function_has_a_row():
    named = {NAME.fullmatch(cell).groups() for row in ROWS for cell in row[1:] if cell != "—"}
    for module in pkgutil.iter_modules(equations.__path__):
        contents = vars(importlib.import_module(f"numbanet.equations.{module.name}"))
        for name, value in contents.items():
            if getattr(value, "__module__", None) == f"numbanet.equations.{module.name}" and callable(value):
                assert (module.name, name) in named, f"{module.name}.{name} has no row"


def test_every_line_of_the_sheet_has_a_row():
    formulas = " ".join(row[0] for row in ROWS)
    for word in ("Sigmoid", "Tanh", "ReLU", "Leaky ReLU", "Softmax", "SSE", "MSE", "BCE", "CCE", r"\delta", r"\eta", "z_j ="):
        assert word in formulas

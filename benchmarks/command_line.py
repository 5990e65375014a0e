"""The command-line options and the output that `benchmarks.ladder` and `benchmarks.scaling` have in common.

NumPy and Numba count the CPU cores when they are imported. This module imports NumPy and Numba only inside its functions, so
that `benchmarks.ladder` can limit the number of cores before NumPy and Numba are imported.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from benchmarks.rungs import Rung


def make_parser(command: str, description: str | None) -> argparse.ArgumentParser:
    """Returns a parser with the arguments RUNG (names of benchmark networks), --dtype, --rounds, --markdown and --json.

    Parameters
    ----------
    command : str
        The name of the module that `python -m` runs.
    description : str
        The description that --help prints, without changing its line breaks.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m {command}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rungs", nargs="*", metavar="RUNG", help="networks to measure, R1 to R6 (default: chosen per table)")
    parser.add_argument(
        "--dtype", choices=("float32", "float64"), help="data type of parameters and samples (default: float32)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="number of measurements per library (default: %(default)s)")
    parser.add_argument("--markdown", action="store_true", help="print the tables in Markdown, as in docs/")
    parser.add_argument("--json", metavar="FILE", help="write all results to this file")
    return parser


def selected_rungs(names: list[str], **variant: str | None) -> "list[Rung]":
    """Returns the benchmark networks with the given names. Exits if a name is unknown.

    Each argument in `variant` that is not None replaces the field of its name in the returned networks.
    """
    from benchmarks.rungs import RUNGS

    if unknown := set(names) - set(RUNGS):
        sys.exit(f"unknown network: {', '.join(sorted(unknown))}; choose from {', '.join(RUNGS)}")
    fields: dict[str, Any] = {name: value for name, value in variant.items() if value is not None}
    return [replace(RUNGS[name], **fields) for name in names]


def print_facts(facts: dict[str, Any]) -> None:
    """Prints the facts about the machine in one line, and the versions of the packages in the next line."""
    print(", ".join(f"{name} {value}" for name, value in facts.items() if name != "versions"))
    print(", ".join(f"{name} {version}" for name, version in facts["versions"].items()))


def write_json(file: str | None, results: dict[str, Any]) -> None:
    """Writes the results to the JSON file that the option --json names. Does nothing if `file` is None."""
    if file:
        Path(file).write_text(json.dumps(results, indent=2))

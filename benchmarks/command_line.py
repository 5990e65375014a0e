"""The options and output shared by the commands `benchmarks.ladder` and `benchmarks.scaling`.

NumPy's BLAS and Numba count the cores when they are imported, and the ladder limits the cores first: nothing here imports
either before it is called.
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
    """Returns a parser with the shared options: rungs, --dtype, --rounds, --markdown and --json.

    Parameters
    ----------
    command : str
        The module to run, as in `python -m command`.
    description : str
        The text of --help, printed as it stands.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m {command}", description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rungs", nargs="*", metavar="RUNG", help="networks to measure, R1 to R6 (default: the table's own)")
    parser.add_argument(
        "--dtype", choices=("float32", "float64"), help="data type of parameters and samples (default: float32)"
    )
    parser.add_argument("--rounds", type=int, default=5, help="timed turns of each contestant (default: %(default)s)")
    parser.add_argument("--markdown", action="store_true", help="print the tables in Markdown, as in docs/")
    parser.add_argument("--json", metavar="FILE", help="write all figures to this file")
    return parser


def selected_rungs(names: list[str], **variant: str | None) -> "list[Rung]":
    """Returns the named rungs, with the fields in `variant` replaced unless they are None; exits if a name is unknown."""
    from benchmarks.rungs import RUNGS

    if unknown := set(names) - set(RUNGS):
        sys.exit(f"unknown rung: {', '.join(sorted(unknown))}; choose from {', '.join(RUNGS)}")
    fields: dict[str, Any] = {name: value for name, value in variant.items() if value is not None}
    return [replace(RUNGS[name], **fields) for name in names]


def print_facts(facts: dict[str, Any]) -> None:
    """Prints the facts about the machine in one line, and the versions of packages in the next."""
    print(", ".join(f"{name} {value}" for name, value in facts.items() if name != "versions"))
    print(", ".join(f"{name} {version}" for name, version in facts["versions"].items()))


def write_json(file: str | None, results: dict[str, Any]) -> None:
    """Writes the figures to the file given by --json, if any."""
    if file:
        Path(file).write_text(json.dumps(results, indent=2))

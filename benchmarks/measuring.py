"""Timing in turns, tables of figures, and the facts about the machine that figures depend on."""

import datetime
import importlib.metadata
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TextIO

VERSIONS = ("numbanet", "numba", "numpy", "jax", "torch", "scikit-learn")
# Thread pools keep spinning after their work, OpenBLAS's for 0.1 s. The next contestant must not share a core with them.
REST_SECONDS = 0.2
# Widths of the columns of a table on a terminal.
NAME_WIDTH, FIGURE_WIDTH = 34, 15


class Settings(NamedTuple):
    """Settings that all tables share.

    Parameters
    ----------
    rounds : int
        Timed turns of each contestant.
    cores : int
        Cores in use.
    markdown : bool
        Whether tables are printed in Markdown.
    """

    rounds: int
    cores: int
    markdown: bool


def seconds_of(call: Callable[[], Any], times: int = 1) -> float:
    """Returns the mean seconds of a call, made `times` times in a row."""
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times


def take_turns(
    runs: Mapping[str, Callable[[int], float | None]], rounds: int, rest: float = REST_SECONDS
) -> dict[str, list[float]]:
    """Calls the functions in turn, `rounds` times, and returns their figures.

    Parameters
    ----------
    runs : dict
        By name, a function of the number of the round that returns a figure, or None to skip that round.
    rounds : int
    rest : float
        Seconds of pause before each call.

    Returns
    -------
    dict
        By name, the list of figures.
    """
    figures: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(rounds):
        for name, run in runs.items():
            time.sleep(rest)
            value = run(turn)
            if value is not None:
                figures[name].append(value)
    return figures


def medians(figures: Mapping[str, list[float]]) -> dict[str, float]:
    """Returns the median of each list of figures, by name."""
    return {name: statistics.median(values) for name, values in figures.items()}


class Table:
    """A table that prints each line as soon as it is known, aligned for a terminal or in Markdown.

    Parameters
    ----------
    title : str
    columns : tuple of str
    markdown : bool
    file : file object, optional
        Where to print, standard output by default.
    """

    def __init__(self, title: str, columns: tuple[str, ...], markdown: bool, file: TextIO | None = None):
        self.markdown, self.file = markdown, file
        self.widths = [max(len(column), FIGURE_WIDTH) for column in columns]
        self.widths[0] = max(self.widths[0], NAME_WIDTH)
        print(f"\n{title}\n", file=file, flush=True)
        self.line(*columns)
        if markdown:
            print(f"|{'---|' * len(columns)}", file=file, flush=True)

    def line(self, *cells: str) -> None:
        """Prints a line of one cell per column."""
        if self.markdown:
            text = f"| {' | '.join(cells)} |"
        else:
            first, *rest = [cell.rjust(width) for cell, width in zip(cells, self.widths, strict=True)]
            text = "  ".join([first.strip().ljust(self.widths[0]), *rest])
        print(text, file=self.file, flush=True)


def figure(value: float | None) -> str:
    """Returns a number with three digits, thousands separated (0.012, 0.123, 1.23, 12.3, 1,234), or a dash for None."""
    if value is None:
        return "—"
    if value < 0.1:
        return f"{value:.2g}"
    decimals = max(0, 3 - len(f"{value:.0f}")) if value >= 1 else 3
    return f"{value:,.{decimals}f}"


def machine(cores: int) -> dict[str, Any]:
    """Returns the facts that figures depend on: processor, cores in use, date, Python, versions of packages."""
    from llvmlite import binding

    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        processor = next(line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        processor = platform.processor() or platform.machine()
    return {
        "processor": f"{processor} ({binding.get_host_cpu_name()})",
        "cores": cores,
        "date": datetime.date.today().isoformat(),
        "python": platform.python_version(),
        "versions": versions(VERSIONS),
    }


def versions(names: Iterable[str]) -> dict[str, str]:
    """Returns the versions of the packages that are installed, by name."""
    return {name: version for name in names if (version := _version(name))}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None

"""Functions that measure the times of several libraries in turn, print tables, and find out facts about the machine."""

import datetime
import importlib.metadata
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TextIO

VERSIONS = ("numbanet", "numba", "numpy", "jax", "torch", "scikit-learn")
# Pause before each measurement. After their work, the threads of thread pools keep a core busy for some time (the threads of
# OpenBLAS for 0.1 s). The next measurement must not share a core with the busy threads of a thread pool.
REST_SECONDS = 0.2
# Widths of the columns of a table on a terminal.
NAME_WIDTH, FIGURE_WIDTH = 34, 15


class Settings(NamedTuple):
    """The settings of a benchmark that apply to all its tables.

    Parameters
    ----------
    rounds : int
        Number of rounds; in each round, the benchmark measures every library once.
    cores : int
        Number of CPU cores that are used.
    markdown : bool
        Whether tables are printed in Markdown.
    """

    rounds: int
    cores: int
    markdown: bool


def seconds_of(call: Callable[[], Any], times: int = 1) -> float:
    """Calls the function `call` several times (`times`) in a row, and returns the mean duration of a call in seconds."""
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times


def take_turns(
    runs: Mapping[str, Callable[[int], float | None]], rounds: int, rest: float = REST_SECONDS
) -> dict[str, list[float]]:
    """Calls several functions one after another, in each of several rounds, and returns the results of all calls.

    Parameters
    ----------
    runs : dict of str to callable
        The functions by name. Each function takes the index of a round, and returns a measured value, or None if it measures
        nothing in this round.
    rounds : int
        Number of rounds.
    rest : float
        Pause before each call, in seconds.

    Returns
    -------
    dict of str to list of float
        For each name, a list of the values that the function returned, without None.
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
    """Returns a dict that contains, for each name in `figures`, the median of its values."""
    return {name: statistics.median(values) for name, values in figures.items()}


class Table:
    """Prints a table line by line, aligned for a terminal or in Markdown.

    Parameters
    ----------
    title : str
        The title, which is printed above the table.
    columns : tuple of str
        The titles of the columns.
    markdown : bool
        Whether the table is printed in Markdown.
    file : file object, optional
        The file to which the table is printed; standard output by default.
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
        """Prints a line of the table; `cells` contains one string per column."""
        if self.markdown:
            text = f"| {' | '.join(cells)} |"
        else:
            first, *rest = [cell.rjust(width) for cell, width in zip(cells, self.widths, strict=True)]
            text = "  ".join([first.strip().ljust(self.widths[0]), *rest])
        print(text, file=self.file, flush=True)


def figure(value: float | None) -> str:
    """Returns a number as text, with commas for thousands: 0.012, 0.123, 12.3 or 1,234; None becomes a dash.

    Numbers below 0.1 have two significant digits, and all other numbers have three or more.
    """
    if value is None:
        return "—"
    if value < 0.1:
        return f"{value:.2g}"
    decimals = max(0, 3 - len(f"{value:.0f}")) if value >= 1 else 3
    return f"{value:,.{decimals}f}"


def machine(cores: int) -> dict[str, Any]:
    """Returns facts on which measured times depend: processor, number of cores, date, and versions of Python and packages."""
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
    """Returns a dict with the versions of those packages in `names` that are installed."""
    return {name: version for name in names if (version := _version(name))}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None

"""What every part of the ladder shares: taking turns, tables, and what is to be said of the machine."""

import datetime
import importlib.metadata
import platform
import statistics
import time
from pathlib import Path
from typing import NamedTuple

VERSIONS = ("numbanet", "numba", "numpy", "jax", "torch", "scikit-learn")
# Threads of others go on spinning after their work, OpenBLAS's for a tenth of a second: whoever is next should not have to
# share a core with them.
REST_SECONDS = 0.2


class Settings(NamedTuple):
    """How everything is measured: turns of each that are timed, cores in use, and the kind of tables."""

    rounds: int
    cores: int
    markdown: bool


def seconds_of(call, times=1) -> float:
    """How long a call takes, when made so many times in a row."""
    start = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - start) / times


def take_turns(runs, rounds) -> dict[str, list[float]]:
    """{name: figures}, from {name: function of the round's number}, which are called in turn; who returns None sits out."""
    figures = {name: [] for name in runs}
    for turn in range(rounds):
        for name, run in runs.items():
            time.sleep(REST_SECONDS)
            figure = run(turn)
            if figure is not None:
                figures[name].append(figure)
    return figures


def medians(figures) -> dict[str, float]:
    """{name: median}, from {name: figures}."""
    return {name: statistics.median(values) for name, values in figures.items()}


class Table:
    """Prints its lines as they come, aligned for a terminal or in Markdown; to a file, where one is given."""

    def __init__(self, title, columns, markdown, file=None):
        self.markdown, self.widths, self.file = markdown, [max(len(column), 15) for column in columns], file
        self.widths[0] = max(self.widths[0], 34)
        print(f"\n{title}\n", file=file, flush=True)
        self.line(*columns)
        if markdown:
            print(f"|{'---|' * len(columns)}", file=file, flush=True)

    def line(self, *cells):
        if self.markdown:
            text = f"| {' | '.join(cells)} |"
        else:
            first, *others = [cell.rjust(width) for cell, width in zip(cells, self.widths, strict=True)]
            text = "  ".join([first.strip().ljust(self.widths[0]), *others])
        print(text, file=self.file, flush=True)


def figure(value) -> str:
    """A number with three digits, thousands separated: 0.012, 0.123, 1.23, 12.3, 1,234; a dash for what there is not."""
    if value is None:
        return "—"
    if value < 0.1:
        return f"{value:.2g}"
    decimals = max(0, 3 - len(f"{value:.0f}")) if value >= 1 else 3
    return f"{value:,.{decimals}f}"


def machine(cores) -> dict:
    """What figures mean nothing without."""
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


def versions(names) -> dict[str, str]:
    """Of those packages that are installed."""
    return {name: version for name in names if (version := _version(name))}


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None

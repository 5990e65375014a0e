"""Prints the tables of the benchmark `scaling`: times of training steps, and of sums over processes (allreduces).

The argument `figures` of the functions contains, for each number of processes, the medians of the values that
`benchmarks.scaling.ranks.measure` returns.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from benchmarks.measuring import Table, figure
from benchmarks.rungs import Rung
from benchmarks.scaling.lines import Line, fitted_line

Figures = Mapping[int, Mapping[str, Any]]
STEP_COLUMNS = ("rung", "processes", "batch", "step", "compute", "wait", "allreduce", "times one process", "efficiency")
PART_COLUMNS = ("rung", "gradients, MB", "t_update, us", "c, us per sample", "error", "t_update / c, samples")
ALLREDUCE_COLUMNS = ("processes", "latency, us", "GB/s", "error")


def print_steps(rungs: Iterable[Rung], figures: Figures, cores: int, markdown: bool) -> None:
    """Prints the tables of strong scaling (all processes share one batch) and weak scaling (each process has a whole batch)."""
    for kind, title in (("strong", "All share one batch"), ("weak", "Each has a batch")):
        table = Table(f"{title}: microseconds per step", STEP_COLUMNS, markdown)
        for rung in rungs:
            one = figures[1][kind][rung.title]["step"]
            for n in figures:
                parts, batches = figures[n][kind][rung.title], n if kind == "weak" else 1
                gain = batches * one / parts["step"]
                times = [figure(parts[name] * 1e6) for name in ("step", "compute", "wait", "allreduce")]
                processes, efficiency = (f"{n} on {cores} cores", None) if n > cores else (str(n), gain / n)
                table.line(rung.title, processes, str(rung.batch * batches), *times, figure(gain), figure(efficiency))
            if kind == "strong":
                seconds = figures[1]["threads"][rung.title]
                cells = figure(seconds * 1e6), *(figure(None),) * 3, figure(one / seconds), figure(one / seconds / cores)
                table.line(rung.title, f"1, {cores} threads", str(rung.batch), *cells)


def print_fits(rungs: Iterable[Rung], figures: Figures, markdown: bool) -> dict[str, dict[Any, Line]]:
    """Prints the times of allreduces (sums over processes) and of steps on parts of a batch; returns lines fitted to them.

    Returns
    -------
    dict
        "allreduce" contains, for each number of processes, the line that gives the time of an allreduce from the number of
        bytes. "compute" contains, for each benchmark network, the line that gives the time of a step from the number of
        samples.
    """
    lines: dict[str, dict[Any, Line]] = {"allreduce": {}, "compute": {}}
    several = [n for n in figures if n > 1]
    table = Table("Allreduce alone: microseconds", ("bytes", *(f"{n} processes" for n in several)), markdown)
    for size in figures[1]["allreduce"]:
        table.line(f"{int(size):,}", *(figure(figures[n]["allreduce"][size] * 1e6) for n in several))
    table = Table("Allreduce, fitted: latency + bytes / bandwidth", ALLREDUCE_COLUMNS, markdown)
    for n in several:
        line = lines["allreduce"][n] = _line(figures[n]["allreduce"])
        table.line(str(n), figure(line.fixed * 1e6), figure(1e-9 / line.rate), percent(line.error))
    table = Table("A step of one process, fitted: t_update + c * b, for b samples of the batch", PART_COLUMNS, markdown)
    for rung in rungs:
        line = lines["compute"][rung.title] = _line(figures[1]["parts"][rung.title])
        size, samples = figures[1]["bytes"][rung.title], line.fixed / line.rate
        cells = figure(size / 1e6), figure(line.fixed * 1e6), figure(line.rate * 1e6), percent(line.error), figure(samples)
        table.line(rung.title, *cells)
    return lines


def _line(seconds: Mapping[str, float]) -> Line:
    """Returns the line fitted to the times `seconds`; each key is a number of bytes or samples, written as text."""
    return fitted_line([float(size) for size in seconds], list(seconds.values()))


def percent(fraction: float) -> str:
    """Returns a fraction as a percentage with two significant digits, such as 0.034 %, 3.4 % or 34 %."""
    return f"{float(f'{100 * fraction:.2g}'):g} %"

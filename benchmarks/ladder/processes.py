"""The tables of durations and peak memory of whole processes, which start Python and train some epochs."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks import peers
from benchmarks.measuring import Settings, Table, figure, medians, take_turns
from benchmarks.rungs import RUNGS, Rung, problem

ROOT = Path(__file__).parents[2]
STARTUP_RUNGS, MEMORY_RUNGS = (RUNGS["R2"],), (RUNGS["R6"],)
# The code that a child process runs. The child process imports `benchmarks` from the root of the repository. Then the child
# process replaces its sys.path with the sys.path of the parent process, so that both import the same numbanet.
CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
import benchmarks
sys.path[:] = {path!r}
from benchmarks.ladder import child
child.train(*sys.argv[2:])
"""
# The type of a function that takes a library's name and a benchmark network, runs a process, and returns the measured value.
Run = Callable[[str, Rung], float]


def measure_startup(rungs: Iterable[Rung], settings: Settings) -> list[dict[str, Any]]:
    """Measures and prints the table of the seconds from the start of a process to the end of its first epoch.

    In the column "numbanet, first run", the process starts with an empty cache of compiled code.
    """
    runs: dict[str, Run] = {"numbanet": _seconds, "numbanet, first run": _seconds_of_first_run}
    return _measure(
        "Start-up: seconds of a whole process that trains one epoch",
        rungs,
        settings,
        runs | dict.fromkeys(peers.PEERS, _seconds),
    )


def measure_memory(rungs: Iterable[Rung], settings: Settings) -> list[dict[str, Any]]:
    """Measures and prints the table of the peak memory of a process that trains two epochs, and returns the table's values."""
    runs: dict[str, Run] = dict.fromkeys(("numbanet", *peers.PEERS), _mebibytes)
    return _measure("Peak memory: MiB of a whole process that trains two epochs", rungs, settings, runs)


def _measure(title: str, rungs: Iterable[Rung], settings: Settings, runs: dict[str, Run]) -> list[dict[str, Any]]:
    table = Table(title, ("rung", *runs, "best peer / numbanet"), settings.markdown)
    results = []
    for rung in rungs:
        missing = peers.PEERS.keys() - peers.installed(peers.PEERS, rung, problem(rung))
        turns = {name: partial(_turn, run, name, rung) for name, run in runs.items() if name not in missing}
        turns["numbanet"](0)  # fills numbanet's cache of compiled code
        figures = take_turns(turns, settings.rounds)
        median = medians(figures)
        ratio = peers.lead(median)
        table.line(rung.title, *(figure(median.get(name)) for name in runs), figure(ratio))
        results.append({"rung": rung.title, "medians": median, "best peer / numbanet": ratio, "figures": figures})
    return results


def _turn(run: Run, name: str, rung: Rung, turn: int) -> float:
    return run(name, rung)


def _seconds(name: str, rung: Rung) -> float:
    start = time.perf_counter()
    run_process(name, rung, epochs=1)
    return time.perf_counter() - start


def _seconds_of_first_run(_: str, rung: Rung) -> float:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        run_process("numbanet", rung, epochs=1, NUMBA_CACHE_DIR=folder)
        return time.perf_counter() - start


def _mebibytes(name: str, rung: Rung) -> float:
    return run_process(name, rung, epochs=2)


def run_process(name: str, rung: Rung, epochs: int, **environment: str) -> float:
    """Trains a benchmark network in a new Python process, and returns the peak memory of the new process in MiB.

    Parameters
    ----------
    name : str
        The name of the library, which is a key of `benchmarks.peers.CONTESTANTS`.
    rung : Rung
        The benchmark network.
    epochs : int
        Number of epochs.
    **environment : str
        Environment variables to set in the new process, in addition to those of the current process.
    """
    code = CHILD.format(path=sys.path)
    command = [sys.executable, "-P", "-c", code, str(ROOT), name, json.dumps(vars(rung)), str(epochs)]
    done = subprocess.run(command, env=os.environ | environment, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)

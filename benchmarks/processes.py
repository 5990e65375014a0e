"""Whole processes, from the start of Python to trained epochs: how long they take, and the most memory they have."""

import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from . import peers
from .measuring import Table, figure, medians, take_turns
from .rungs import RUNGS, problem

STARTED, REMEMBERED = (RUNGS["R2"],), (RUNGS["R6"],)


def measure_startup(rungs, settings) -> list[dict]:
    """Seconds until the first epoch of a rung is trained; numbanet's first run finds nothing compiled."""
    runs = {"numbanet": _seconds, "numbanet, first run": _seconds_of_first_run} | dict.fromkeys(peers.PEERS, _seconds)
    return _measure("Start-up: seconds of a whole process that trains one epoch", rungs, settings, runs)


def measure_memory(rungs, settings) -> list[dict]:
    """The most memory a process holds that trains two epochs of a rung."""
    runs = dict.fromkeys(("numbanet", *peers.PEERS), _mebibytes)
    return _measure("Peak memory: MiB of a whole process that trains two epochs", rungs, settings, runs)


def _measure(title, rungs, settings, runs) -> list[dict]:
    table = Table(title, ("rung", *runs, "best peer / numbanet"), settings.markdown)
    results = []
    for rung in rungs:
        missing = peers.PEERS.keys() - peers.installed(peers.PEERS, rung, problem(rung))
        turns = {name: partial(_turn, run, name, rung) for name, run in runs.items() if name not in missing}
        turns["numbanet"](0)  # fills its cache
        figures = take_turns(turns, settings.rounds)
        median = medians(figures)
        ratio = peers.lead(median)
        table.line(rung.title, *(figure(median.get(name)) for name in runs), figure(ratio))
        results.append({"rung": rung.title, "medians": median, "best peer / numbanet": ratio, "figures": figures})
    return results


def _turn(run, name, rung, turn) -> float:
    return run(name, rung)


def _seconds(name, rung) -> float:
    start = time.perf_counter()
    run_process(name, rung, epochs=1)
    return time.perf_counter() - start


def _seconds_of_first_run(_, rung) -> float:
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        run_process("numbanet", rung, epochs=1, NUMBA_CACHE_DIR=folder)
        return time.perf_counter() - start


def _mebibytes(name, rung) -> float:
    return run_process(name, rung, epochs=2)


def run_process(name, rung, epochs, **environment) -> float:
    """Trains in a fresh Python, which imports from where this one does; returns its peak memory in MiB."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import benchmarks; "
        f"sys.path[:] = {sys.path!r}; from benchmarks import process; process.train(*sys.argv[2:])"
    )
    root = str(Path(__file__).parents[1])
    command = [sys.executable, "-P", "-c", code, root, name, json.dumps(vars(rung)), str(epochs)]
    done = subprocess.run(command, env=os.environ | environment, check=True, stdout=subprocess.PIPE, text=True)
    return float(done.stdout)

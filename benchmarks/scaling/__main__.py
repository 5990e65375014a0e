"""Scaling: training by several processes, measured on this machine.

    python -m benchmarks.scaling                              # R3 to R6 by 1, 2 and 4 processes
    python -m benchmarks.scaling R4 --ranks 1 2               # one rung
    python -m benchmarks.scaling --markdown --json scale.json # the tables of docs/distributed.md
    python -m benchmarks.scaling --quick                      # a test that it runs; its figures mean nothing
    python -m benchmarks.scaling --launcher "mpiexec --oversubscribe"

It starts the processes itself, one thread each, by the mpiexec of this Python's environment. Before anything is timed, the
losses of each step must be those of a single process, and all processes must have the same parameters. Then the numbers of
processes take turns, round after round; the tables show medians.
"""

import argparse
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks.command_line import make_parser, print_facts, selected_rungs, write_json
from benchmarks.measuring import machine, versions
from benchmarks.rungs import Rung
from benchmarks.scaling import tables

ROOT = Path(__file__).parents[2]
RUNGS_BY_DEFAULT = ("R3", "R4", "R5", "R6")
# Bytes of the messages whose allreduce is timed: 1 KiB to 64 MiB.
MESSAGES = tuple(4**k for k in range(5, 14))
# A single process is timed with the share of a batch that it would have among this many processes.
PARTS = tuple(2**k for k in range(7))
# Work of a turn: 0.2 s on one core of the machine of docs/distributed.md.
OPERATIONS = 2e10
QUICK = {"messages": (2**10, 2**16, 2**20), "parts": (1, 2, 4), "operations": 1e8}


def main() -> None:
    """Runs the command line."""
    options = parse_arguments()
    write_json(options.json, measure(options))


def parse_arguments() -> argparse.Namespace:
    """Returns the options of the command line."""
    parser = make_parser("benchmarks.scaling", __doc__)
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4], help="numbers of processes (default: 1 2 4)")
    parser.add_argument("--launcher", type=shlex.split, help="command that starts the processes (default: mpiexec)")
    parser.add_argument("--quick", action="store_true", help="R3 only, by 1 and 2 processes, one short round")
    options = parser.parse_args()
    options.rungs = options.rungs or (["R3"] if options.quick else RUNGS_BY_DEFAULT)
    if options.quick:
        options.ranks, options.rounds = [1, 2], 1
    options.ranks = sorted({1, *options.ranks})
    options.launcher = options.launcher or mpiexec()
    return options


def mpiexec() -> list[str]:
    """Returns the mpiexec of this Python's environment, or the first on the path; exits if there is none."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    program = shutil.which("mpiexec", path=path)
    return [program] if program else sys.exit("mpiexec not found: install it with pip install mpi4py mpich")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Prints all tables and returns their figures, with the facts about the machine."""
    rungs = selected_rungs(options.rungs, dtype=options.dtype)
    facts = machine(len(os.sched_getaffinity(0)))
    facts["versions"] |= versions(("mpi4py", "mpich", "openmpi", "impi-rt"))
    facts["load before"] = round(os.getloadavg()[0], 2)
    print_facts(facts)
    if (most := max(options.ranks)) > facts["cores"]:
        print(
            f"{most} processes share {facts['cores']} cores: the results are checked as usual, but the times include waiting "
            f"for a core, and say nothing about {most} cores"
        )
    turns = take_turns(options, rungs, facts["cores"])
    figures = {n: medians(turns[n]) for n in options.ranks}
    tables.print_steps(rungs, figures, facts["cores"], options.markdown)
    lines = tables.print_fits(rungs, figures, options.markdown)
    return facts | {"medians": figures, "turns": turns, "fits": lines}


def take_turns(options: argparse.Namespace, rungs: list[Rung], cores: int) -> dict[int, list[dict[str, Any]]]:
    """Runs the benchmark with each number of processes in turn; returns the figures of each turn, keyed by that number.

    Exits if a launch fails.
    """
    job = {"messages": MESSAGES, "parts": PARTS, "operations": OPERATIONS} | (QUICK if options.quick else {})
    job |= {"rungs": [vars(rung) for rung in rungs], "cores": cores}
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    turns: dict[int, list[dict[str, Any]]] = {n: [] for n in options.ranks}
    for _ in range(options.rounds):
        for n in options.ranks:
            command = [*options.launcher, "-n", str(n), sys.executable, "-m", "benchmarks.scaling.ranks", json.dumps(job)]
            done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, text=True)
            if done.returncode:
                sys.exit(f"{n} processes failed with status {done.returncode}; nothing is reported")
            turns[n].append(json.loads(done.stdout))
    return turns


def medians(turns: list[Any]) -> Any:
    """Returns the median of each figure over the turns, in the nested dictionaries of a turn."""
    if isinstance(turns[0], dict):
        return {name: medians([turn[name] for turn in turns]) for name in turns[0]}
    return statistics.median(turns)


if __name__ == "__main__":
    main()

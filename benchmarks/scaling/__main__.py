"""The benchmark `scaling` measures how fast several processes on this machine train a network together.

    python -m benchmarks.scaling                              # networks R3 to R6, with 1, 2 and 4 processes
    python -m benchmarks.scaling R4 --ranks 1 2               # one network, with 1 and 2 processes
    python -m benchmarks.scaling --markdown --json scale.json # the tables in docs/distributed.md
    python -m benchmarks.scaling --quick                      # only tests that the benchmark runs; its times are meaningless
    python -m benchmarks.scaling --launcher "mpiexec --oversubscribe"

With the mpiexec of this Python environment, the command starts the processes, each with one thread. Before the benchmark
measures times, it checks that the loss of each step equals the loss of a single process, and that all processes have the same
parameters. In every round, the benchmark measures each number of processes once; the tables show the medians over the rounds.
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
# Sizes in bytes of the messages whose allreduce is timed: 1 KiB to 64 MiB.
MESSAGES = tuple(4**k for k in range(5, 14))
# The benchmark also times a single process with parts of a batch. Each of these numbers is the number of equal parts into which
# the batch is divided.
PARTS = tuple(2**k for k in range(7))
# Number of operations in a measurement, which takes 0.2 s on one core of the machine that docs/distributed.md describes.
OPERATIONS = 2e10
QUICK = {"messages": (2**10, 2**16, 2**20), "parts": (1, 2, 4), "operations": 1e8}


def main() -> None:
    """Runs the benchmark with the options of the command line."""
    options = parse_arguments()
    write_json(options.json, measure(options))


def parse_arguments() -> argparse.Namespace:
    """Parses the command line, and returns its options."""
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
    """Returns the path of the mpiexec of this Python environment, or of the first mpiexec on PATH.

    Exits if no mpiexec is found.
    """
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
    program = shutil.which("mpiexec", path=path)
    return [program] if program else sys.exit("mpiexec not found: install it with pip install mpi4py mpich")


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Measures and prints all tables, and returns their values and the facts about the machine."""
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
    """Runs the benchmark with each number of processes in turn, for several rounds.

    Returns a dict that contains, for each number of processes, the results of all rounds. Exits if a process fails.
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
    """Returns the medians over several rounds, in a nested dict.

    `turns` contains one nested dict of numbers per round. The returned dict has the same keys.
    """
    if isinstance(turns[0], dict):
        return {name: medians([turn[name] for turn in turns]) for name in turns[0]}
    return statistics.median(turns)


if __name__ == "__main__":
    main()

"""Scale: training by several processes, measured on this machine and projected to many.

    python benchmarks/distributed.py                              # R3 to R6 by 1, 2 and 4 processes
    python benchmarks/distributed.py R4 --ranks 1 2               # one rung
    python benchmarks/distributed.py --markdown --json scale.json # as docs/distributed.md has them
    python benchmarks/distributed.py --quick                      # does it run? Its figures mean nothing
    python benchmarks/distributed.py --launcher "mpiexec --oversubscribe"

Starts the processes by itself, one thread each, with the mpiexec of this Python's environment. Before anything is timed, the
losses of each step have to be those of one process, and all processes have to have the same parameters. Then the numbers of
processes take turns, round after round; the tables show medians. The projections say what they assume.
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

ROOT = Path(__file__).parents[1]
# Bytes of the messages whose allreduce is timed: 1 KiB to 64 MiB.
MESSAGES = tuple(4**k for k in range(5, 14))
# One process is timed with the share it would have among so many.
SHARES = tuple(2**k for k in range(7))
# Of a turn: 0.2 s on one core of the machine that the tables of docs/distributed.md come from.
OPERATIONS = 2e10
QUICK = {"messages": (2**10, 2**16, 2**20), "shares": (1, 2, 4), "operations": 1e8}
# What would help, on so many nodes, and how far it goes.
HELPED, PROCESSES, TIMES = 64, 8, 8


def main():
    options = arguments()
    results = measure(options)
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=2))


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("rungs", nargs="*", metavar="RUNG", help="R1 to R6, instead of R3 to R6")
    parser.add_argument("--dtype", choices=("float32", "float64"), default="float32", help="of everything (%(default)s)")
    parser.add_argument("--ranks", type=int, nargs="+", default=[1, 2, 4], help="numbers of processes (1 2 4)")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each that are timed (%(default)s)")
    parser.add_argument("--launcher", type=shlex.split, help="what starts processes, instead of this environment's mpiexec")
    parser.add_argument("--quick", action="store_true", help="R3 alone, by 1 and 2 processes, one short round")
    parser.add_argument("--markdown", action="store_true", help="tables as docs/distributed.md has them")
    parser.add_argument("--json", metavar="FILE", help="where to write the figures")
    options = parser.parse_args()
    options.rungs = options.rungs or (["R3"] if options.quick else ["R3", "R4", "R5", "R6"])
    if options.quick:
        options.ranks, options.rounds = [1, 2], 1
    options.ranks = sorted({1, *options.ranks})
    options.launcher = options.launcher or mpiexec()
    return options


def mpiexec() -> list[str]:
    """That of the environment of this Python, else the first on the path."""
    found = shutil.which("mpiexec", path=os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))))
    return [found] if found else sys.exit("there is no mpiexec; pip install mpi4py mpich brings one")


def measure(options) -> dict:
    """Prints all tables; returns their figures."""
    from benchmarks.measuring import machine, versions

    results, rungs = machine(len(os.sched_getaffinity(0))), named(options)
    results["versions"] |= versions(("mpi4py", "mpich", "openmpi", "impi-rt"))
    results["load before"] = round(os.getloadavg()[0], 2)
    print(", ".join(f"{name} {value}" for name, value in results.items() if name != "versions"))
    print(", ".join(f"{name} {version}" for name, version in results["versions"].items()))
    if (most := max(options.ranks)) > results["cores"]:
        print(
            f"{most} processes share {results['cores']} cores: their times tell that results are right and what waiting "
            "for a core costs, not how fast as many cores are"
        )
    turns = take_turns(options, rungs, results["cores"])
    found = {n: medians(turns[n]) for n in options.ranks}
    steps(rungs, found, results["cores"], options.markdown)
    lines = fits(rungs, found, options)
    projections = project(rungs, found, lines, options.markdown)
    return results | {"medians": found, "turns": turns, "fits": lines, "projections": projections}


def named(options):
    """The rungs of the command line."""
    from dataclasses import replace

    from benchmarks.rungs import RUNGS

    if unknown := set(options.rungs) - set(RUNGS):
        sys.exit(f"no such rung: {', '.join(sorted(unknown))}; there are {', '.join(RUNGS)}")
    return [replace(RUNGS[name], dtype=options.dtype) for name in options.rungs]


def take_turns(options, rungs, cores) -> dict[int, list[dict]]:
    """{number of processes: what each turn of `benchmarks.ranks` found}; every turn is a launch of its own."""
    job = {"messages": MESSAGES, "shares": SHARES, "operations": OPERATIONS} | (QUICK if options.quick else {})
    job |= {"rungs": [vars(rung) for rung in rungs], "cores": cores}
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    turns = {n: [] for n in options.ranks}
    for _ in range(options.rounds):
        for n in options.ranks:
            command = [*options.launcher, "-n", str(n), sys.executable, "-m", "benchmarks.ranks", json.dumps(job)]
            done = subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, stdout=subprocess.PIPE, text=True)
            if done.returncode:
                sys.exit(f"{n} processes failed with status {done.returncode}; nothing is reported")
            turns[n].append(json.loads(done.stdout))
    return turns


def medians(turns):
    """Of each figure over the turns, in their nested dictionaries."""
    if isinstance(turns[0], dict):
        return {name: medians([turn[name] for turn in turns]) for name in turns[0]}
    return statistics.median(turns)


def steps(rungs, found, cores, markdown):
    """The tables of strong and of weak scaling."""
    from benchmarks.measuring import Table, figure

    columns = ("rung", "processes", "batch", "step", "compute", "wait", "allreduce", "times one process", "efficiency")
    for kind, what in (("strong", "all share one batch"), ("weak", "each has a batch")):
        table = Table(f"Measured, {what}: microseconds per step", columns, markdown)
        for rung in rungs:
            one = found[1][kind][rung.title]["step"]
            for n in found:
                parts, grown = found[n][kind][rung.title], n if kind == "weak" else 1
                gain = grown * one / parts["step"]
                times = [figure(parts[name] * 1e6) for name in ("step", "compute", "wait", "allreduce")]
                processes, efficiency = (f"{n} on {cores} cores", None) if n > cores else (str(n), gain / n)
                table.line(rung.title, processes, str(rung.batch * grown), *times, figure(gain), figure(efficiency))
            if kind == "strong":
                seconds = found[1]["threads"][rung.title]
                cells = figure(seconds * 1e6), *(figure(None),) * 3, figure(one / seconds), figure(one / seconds / cores)
                table.line(rung.title, f"1, {cores} threads", str(rung.batch), *cells)


def fits(rungs, found, options) -> dict:
    """The tables of allreduces and of shares, and the lines fitted to them."""
    from benchmarks.measuring import Table, figure
    from benchmarks.projection import line_of

    ranks, lines = [n for n in found if n > 1], {"allreduce": {}, "compute": {}}
    table = Table("Allreduce alone: microseconds", ("bytes", *(f"{n} processes" for n in ranks)), options.markdown)
    for size in found[1]["allreduce"]:
        table.line(f"{int(size):,}", *(figure(found[n]["allreduce"][size] * 1e6) for n in ranks))
    columns = ("processes", "latency, us", "GB/s", "error")
    table = Table("Allreduce, fitted: latency + bytes / bandwidth", columns, options.markdown)
    for n in ranks:
        line = lines["allreduce"][n] = line_of(*pairs(found[n]["allreduce"]))
        table.line(str(n), figure(line.fixed * 1e6), figure(1e-9 / line.rate), percent(line.error))
    columns = ("rung", "gradients, MB", "t_update, us", "c, us per sample", "error", "t_update / c, samples")
    table = Table("One process's step, fitted: t_update + c b, b being its share", columns, options.markdown)
    for rung in rungs:
        line = lines["compute"][rung.title] = line_of(*pairs(found[1]["shares"][rung.title]))
        size, samples = found[1]["bytes"][rung.title], line.fixed / line.rate
        cells = figure(size / 1e6), figure(line.fixed * 1e6), figure(line.rate * 1e6), percent(line.error), figure(samples)
        table.line(rung.title, *cells)
    print(f"\nAdding two vectors: {1e-9 / found[1]['adding']:.3g} GB/s", flush=True)
    return lines


def pairs(figures):
    """Their names, as numbers, and their values."""
    return [float(name) for name in figures], list(figures.values())


def project(rungs, found, lines, markdown) -> dict:
    """The tables of many nodes, each as fast as one process here, and of what would help."""
    from benchmarks import projection
    from benchmarks.measuring import Table, figure

    works = {
        rung.title: projection.Work(
            alone=found[1]["strong"][rung.title]["step"],
            compute=lines["compute"][rung.title],
            batch=rung.batch,
            size=found[1]["bytes"][rung.title],
            layers=rung.layers,
            adding=found[1]["adding"],
        )
        for rung in rungs
    }
    results = {"strong": {}, "weak": {}, "remedies": {}}
    print()
    for wire in projection.WIRES:
        print(f"Assumed: {wire.name}, {wire.latency * 1e6:g} us from process to process")
    columns = ("rung", "network", *map(str, projection.NODES), "half from")
    kinds = {
        "strong": ("all share one batch: times one node (efficiency) on n nodes", projection.efficiency_strong),
        "weak": ("each has a batch: efficiency on n nodes", projection.efficiency_weak),
    }
    for kind, (what, efficiency) in kinds.items():
        table = Table(f"Projected, {what}; * where the allreduce takes more than half of a step", columns, markdown)
        for name, work in works.items():
            for wire in projection.WIRES:
                step, line, cells = getattr(work, kind), {}, []
                for n in projection.NODES:
                    seconds, allreduce = step(n, wire)
                    line[n] = {"step": seconds, "allreduce": allreduce, "efficiency": efficiency(work, n, wire)}
                    cell = percent(line[n]["efficiency"])
                    cell = f"{figure(n * line[n]['efficiency'])} ({cell})" if kind == "strong" else cell
                    cells.append(f"{cell}{' *' * (allreduce > seconds / 2)}")
                over = projection.taken_over(step, wire)
                table.line(name, wire.name, *cells, figure(None) if over is None else str(over))
                results[kind][f"{name}, {wire.name}"] = line
    line, table = lines["allreduce"][2], None
    node = projection.Wire("memory", max(line.fixed, 0) / 2, 1 / line.rate)
    for name, work in works.items():
        for wire in projection.WIRES:
            gains = projection.remedies(work, HELPED, wire, node, PROCESSES, TIMES)
            results["remedies"][f"{name}, {wire.name}"] = gains
            title = f"Projected, {HELPED} nodes, each has a batch: times as many samples per second by"
            table = table or Table(title, ("rung", "network", *gains), markdown)
            table.line(name, wire.name, *(figure(gain) for gain in gains.values()))
    return results


def percent(share) -> str:
    """A share with two digits: 0.034 %, 3.4 %, 34 %."""
    return f"{float(f'{100 * share:.2g}'):g} %"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))  # measures the numbanet beside it
    main()

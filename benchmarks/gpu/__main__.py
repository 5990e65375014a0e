"""The GPU benchmark checks and times numbanet, and measures launch times and peak rates of an NVIDIA GPU, in eight minutes.

    python -m benchmarks.gpu                  # every part; the files are benchmarks/results/<date>-<device>.json and .md
    python -m benchmarks.gpu limits cases     # only some parts
    python -m benchmarks.gpu --dry            # every part with tiny networks; without a GPU, in Numba's simulator

The parts run in this order:

    limits         measures kernel launches, CUDA graphs, barriers of all blocks, copies and multiply-adds
    compilation    lets torch.compile fill its caches, while the next two parts, which time nothing, run
    conformance    runs numbanet's tests of its engines on the GPU
    oracle         trains each network for a few steps, and compares losses and parameters with results in float64
    cases          times epochs of each network with numbanet, PyTorch and JAX in turn

If a part fails, crashes or exceeds its time limit, the report says so, and the next part starts. After each part, the command
writes the JSON file and the Markdown file again, with all results so far.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PARTS = ("limits", "compilation", "conformance", "oracle", "cases")
RESULTS = ROOT / "benchmarks" / "results"

MINUTES = 7.75  # time limit of all parts together, so that the command ends within eight minutes
# Time limits of the parts in seconds. The remaining time is divided among the networks of the part "cases".
SECONDS = {"device": 60, "limits": 60, "compilation": 170, "conformance": 130, "oracle": 70}
ROUNDS, DRY_ROUNDS = 5, 1
DRY_PATIENCE = 6  # all time limits are longer by this factor in a dry run, because a GPU in software is slow


def main() -> None:
    """Runs the command; its exit status is 0 if the outcome of every part is "ok", otherwise 1."""
    options = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # raises SystemExit, so that running stages are killed
    from benchmarks.gpu import report, stages
    from benchmarks.gpu.limits import on_gpu

    if options.dry and not on_gpu():
        os.environ.update(stages.SIMULATOR)
    deadline = time.perf_counter() + 60 * MINUTES * (DRY_PATIENCE if options.dry else 1)
    end, facts = stages.begin("device", SECONDS["device"], options.dry).finish()
    if end["outcome"] != "ok" or facts["unusable"]:
        sys.exit(facts.get("unusable") or f"cannot identify the device: {end['outcome']}")
    facts = {"dry run": options.dry, "commit": report.commit()} | facts
    results = report.Report(options.out, facts, end)
    Run(results, options.parts, options.dry, deadline).all()
    print(f"\n{results.text()}\nwritten to {results.json} and {results.markdown.name}")
    sys.exit(0 if results.well else 1)


def parse_arguments() -> argparse.Namespace:
    """Parses the command line, and returns its options."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    parser.add_argument(
        "--dry",
        action="store_true",
        help="run tiny networks, in the simulator if there is no GPU; the figures mean nothing",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="folder of the two files (default: benchmarks/results; a temporary one if dry)",
    )
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"unknown part: {', '.join(sorted(unknown))}; choose from {', '.join(PARTS)}")
    options.parts = options.parts or PARTS
    options.out = options.out or (Path(tempfile.mkdtemp(prefix="numbanet-gpu-")) if options.dry else RESULTS)
    return options


class Run:
    """Runs the selected parts of the benchmark one after another, within the time limit.

    Parameters
    ----------
    report : benchmarks.gpu.report.Report
        The report to which the results are added.
    parts : sequence of str
        The names of the selected parts.
    dry : bool
        Whether this is a dry run, with tiny networks.
    deadline : float
        The value of `time.perf_counter()` at which the time limit is reached.
    """

    def __init__(self, report: Any, parts: tuple[str, ...], dry: bool, deadline: float):
        self.report, self.parts, self.dry, self.deadline = report, parts, dry, deadline
        self.seconds = {part: seconds * (DRY_PATIENCE if dry else 1) for part, seconds in SECONDS.items()}

    def all(self) -> None:
        """Runs the selected parts."""
        self.part("limits")
        # In a dry run, `torch.compile` is left out, because it needs a C++ compiler.
        compiles = "compilation" in self.parts and not self.dry
        compilation = self.begin("compilation", self.seconds["compilation"]) if compiles else None
        try:
            self.part("conformance")
            if "oracle" in self.parts:
                self.oracle()
        except BaseException:
            if compilation:
                compilation.kill()
            raise
        if compilation:
            self.finish("compilation", compilation)
        if "cases" in self.parts:
            self.cases()

    @property
    def left(self) -> float:
        """The number of seconds until the deadline, at least 1."""
        return max(1.0, self.deadline - time.perf_counter())

    def part(self, name: str) -> None:
        """If the part `name` is selected, runs the part in one process."""
        if name in self.parts:
            self.finish(name, self.begin(name, self.seconds[name]))

    def oracle(self) -> None:
        """Runs the part that compares the losses and updates of all networks with float64 results.

        If the process fails during a comparison, a new process compares the remaining networks.
        """
        networks, deadline = {}, time.perf_counter() + self.seconds["oracle"]
        while True:
            seconds, before = deadline - time.perf_counter(), len(networks)
            end, records = self.begin("oracle", seconds, done=list(networks)).finish()
            networks |= records
            if end["outcome"] == "ok" or len(networks) == before or time.perf_counter() > deadline:
                break
        end["seconds"] = round(self.seconds["oracle"] - (deadline - time.perf_counter()), 1)
        if wrong := [name for name, network in networks.items() if not network.get("agrees")]:
            end["outcome"] = f"failed: {', '.join(wrong)}" if end["outcome"] == "ok" else end["outcome"]
        self.add("oracle", end, networks)

    def cases(self) -> None:
        """Measures each network in a separate process.

        The time limit of a process is the remaining time, divided by the number of remaining networks.
        """
        from benchmarks.gpu.cases import CASES

        for number, rung in enumerate(CASES):
            seconds, rounds = self.left / (len(CASES) - number), DRY_ROUNDS if self.dry else ROUNDS
            stage = self.begin("case", seconds, case=rung.name, absent=self.absent(rung), rounds=rounds)
            self.finish(f"{rung.title}, batch {rung.batch}", stage, "cases")

    def absent(self, rung: Any) -> dict[str, str]:
        """Returns, for each contestant (library to compare) that is excluded, the reason.

        torch.compile is excluded unless the part "compilation" of the benchmark has compiled this network in time.
        """
        from benchmarks.gpu.contestants import DRY_ABSENT

        if self.dry:
            return DRY_ABSENT
        compiled = self.report.results["compilation"].get(rung.title, "not compiled ahead, or not in time")
        return {"torch.compile": compiled} if isinstance(compiled, str) else {}

    def begin(self, name: str, seconds: float, **task: Any) -> Any:
        """Starts a stage.

        The time limit of the process is `seconds`, or the time until the deadline of the whole benchmark if this time is
        shorter.
        """
        from benchmarks.gpu import stages

        seconds = min(seconds, self.left)
        print(f"== {' '.join([name, task.get('case', '')]).strip()}: {seconds:.0f} s at most", flush=True)
        return stages.begin(name, seconds, self.dry, **task)

    def finish(self, name: str, stage: Any, part: str | None = None) -> None:
        """Waits until a stage (a benchmark process) ends; adds its outcome and results to the report (see `Report.add`)."""
        end, records = stage.finish()
        self.add(name, end, records, part)

    def add(self, name: str, end: dict[str, Any], records: dict[str, Any], part: str | None = None) -> None:
        """Prints the outcome of a stage (a process); adds the stage's outcome and results to the report (see `Report.add`)."""
        print(f"== {name}: {end['outcome']}, {end['seconds']} s", flush=True)
        self.report.add(name, end, records, part)


if __name__ == "__main__":
    main()

"""numbanet on an NVIDIA GPU: whether it is correct, how fast it is, and what the device can do. Takes eight minutes.

    python -m benchmarks.gpu                  # every part, into benchmarks/results/<date>-<device>.json and .md
    python -m benchmarks.gpu limits cases     # some of the parts
    python -m benchmarks.gpu --dry            # every part in Numba's simulator, with tiny networks: no GPU is needed

The parts, in this order:

    limits         launches, graph replays, barriers of the grid, copies, multiply-adds
    compilation    torch.compile fills its caches, at the same time as the next two parts, which take no times
    conformance    the tests of the engines, on the device
    oracle         losses and parameters after some steps of each case, against float64
    cases          epochs of each case by all contestants, in turns

A part that fails, crashes or runs out of time is reported, and the next part starts. Both files are written after each part.
"""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
PARTS = ("limits", "compilation", "conformance", "oracle", "cases")
RESULTS = ROOT / "benchmarks" / "results"

MINUTES = 7.75  # for all parts, so that the command ends within eight
# Limits of the parts. The cases share what is left.
SECONDS = {"device": 60, "limits": 60, "compilation": 170, "conformance": 130, "oracle": 70}
ROUNDS, DRY_ROUNDS = 5, 1


def main() -> None:
    """Runs the command line; the exit status is 0 if every part ended well."""
    options = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unwinds, as Ctrl-C does, so that running stages are killed
    from benchmarks.gpu import report, stages

    deadline = time.perf_counter() + 60 * MINUTES
    end, facts = stages.begin("device", SECONDS["device"], options.dry).finish()
    if end["outcome"] != "ok" or facts["unusable"]:
        sys.exit(facts.get("unusable") or f"cannot identify the device: {end['outcome']}")
    facts = {"dry run": options.dry, "commit": report.commit()} | facts
    results = report.Report(options.out, facts, end)
    Run(results, options.parts, options.dry, deadline).all()
    print(f"\n{results.text()}\nwritten to {results.json} and {results.markdown.name}")
    sys.exit(0 if results.well else 1)


def parse_arguments() -> argparse.Namespace:
    """Returns the options of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.gpu", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)} (default: all)")
    parser.add_argument("--dry", action="store_true", help="run in the simulator with tiny networks; the figures mean nothing")
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
    """The parts, one after another, within the time limit.

    Parameters
    ----------
    report : benchmarks.gpu.report.Report
    parts : sequence of str
    dry : bool
    deadline : float
        On the clock `time.perf_counter`.
    """

    def __init__(self, report: Any, parts: tuple[str, ...], dry: bool, deadline: float):
        self.report, self.parts, self.dry, self.deadline = report, parts, dry, deadline

    def all(self) -> None:
        """Runs the selected parts."""
        self.part("limits")
        # A dry run leaves out `torch.compile`, which needs a C++ compiler.
        compiles = "compilation" in self.parts and not self.dry
        compilation = self.begin("compilation", SECONDS["compilation"]) if compiles else None
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
        """Seconds until the deadline, at least 1."""
        return max(1.0, self.deadline - time.perf_counter())

    def part(self, name: str) -> None:
        """Runs a part of one stage, if it is selected."""
        if name in self.parts:
            self.finish(name, self.begin(name, SECONDS[name]))

    def oracle(self) -> None:
        """Compares all networks with the oracle: starts a new process after a failure, until each is compared or has failed."""
        networks, deadline = {}, time.perf_counter() + SECONDS["oracle"]
        while True:
            seconds, before = deadline - time.perf_counter(), len(networks)
            end, records = self.begin("oracle", seconds, done=list(networks)).finish()
            networks |= records
            if end["outcome"] == "ok" or len(networks) == before or time.perf_counter() > deadline:
                break
        end["seconds"] = round(SECONDS["oracle"] - (deadline - time.perf_counter()), 1)
        if wrong := [name for name, network in networks.items() if not network.get("agrees")]:
            end["outcome"] = f"failed: {', '.join(wrong)}" if end["outcome"] == "ok" else end["outcome"]
        self.add("oracle", end, networks)

    def cases(self) -> None:
        """Measures each case in a stage of its own; the cases that are left share the time that is left."""
        from benchmarks.gpu.cases import CASES

        for number, rung in enumerate(CASES):
            seconds, rounds = self.left / (len(CASES) - number), DRY_ROUNDS if self.dry else ROUNDS
            stage = self.begin("case", seconds, case=rung.name, absent=self.absent(rung), rounds=rounds)
            self.finish(f"{rung.title}, batch {rung.batch}", stage, "cases")

    def absent(self, rung: Any) -> dict[str, str]:
        """Returns, by name, why contestants cannot take part: torch.compile, unless it has compiled this case in time."""
        from benchmarks.gpu.contestants import DRY_ABSENT

        if self.dry:
            return DRY_ABSENT
        compiled = self.report.results["compilation"].get(rung.title, "not compiled ahead, or not in time")
        return {"torch.compile": compiled} if isinstance(compiled, str) else {}

    def begin(self, name: str, seconds: float, **task: Any) -> Any:
        """Starts a stage, limited to these seconds and the deadline."""
        from benchmarks.gpu import stages

        seconds = min(seconds, self.left)
        print(f"== {' '.join([name, task.get('case', '')]).strip()}: {seconds:.0f} s at most", flush=True)
        return stages.begin(name, seconds, self.dry, **task)

    def finish(self, name: str, stage: Any, part: str | None = None) -> None:
        """Waits for a stage, and reports its end and its records under the name, in a part if it is one of several."""
        end, records = stage.finish()
        self.add(name, end, records, part)

    def add(self, name: str, end: dict[str, Any], records: dict[str, Any], part: str | None = None) -> None:
        """Prints and reports the end of a stage."""
        print(f"== {name}: {end['outcome']}, {end['seconds']} s", flush=True)
        self.report.add(name, end, records, part)


if __name__ == "__main__":
    main()

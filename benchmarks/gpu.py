"""numbanet on an NVIDIA GPU, by one command of eight minutes: is it right, how fast is it, what could the device do?

    python benchmarks/gpu.py                  # everything, into benchmarks/results/<date>-<device>.json and .md
    python benchmarks/gpu.py limits cases     # some of it
    python benchmarks/gpu.py --dry            # without a GPU: all of it, tiny, in Numba's simulator, to see whether it runs

The parts are, in this order:

    limits         launches, graph replays, synchronisations of the grid, copies, multiply-adds
    compilation    torch.compile fills its caches, beside the next two, in which no times are taken
    conformance    the tests of the engines, on the device
    oracle         losses and parameters of some steps of every case, beside float64
    cases          everybody's epochs, in turns

A part that fails or takes too long is noted, and the others go on; both files are written after each.
"""

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
PARTS = ("limits", "compilation", "conformance", "oracle", "cases")
RESULTS = ROOT / "benchmarks" / "results"

MINUTES = 7.75  # of all, so that the command is over in eight
# Of each part; the cases share what is left.
SECONDS = {"device": 60, "limits": 60, "compilation": 170, "conformance": 130, "oracle": 70}
ROUNDS, DRY_ROUNDS = 5, 1


def main():
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # as on Ctrl-C, stages do not outlive the command
    from benchmarks import gpu_report, gpu_stages

    deadline = time.perf_counter() + 60 * MINUTES
    end, facts = gpu_stages.begin("device", SECONDS["device"], options.dry).finish()
    if end["outcome"] != "ok" or facts["unusable"]:
        sys.exit(facts.get("unusable") or f"The device could not be asked what it is: {end['outcome']}")
    facts = {"dry run": options.dry, "commit": gpu_report.commit()} | facts
    report = gpu_report.Report(options.out, facts, end)
    Run(report, options.parts, options.dry, deadline).all()
    print(f"\n{report.text()}\nwritten to {report.json} and {report.markdown.name}")
    sys.exit(0 if report.well else 1)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all by default")
    parser.add_argument("--dry", action="store_true", help="in the simulator, with tiny networks; no figure means anything")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="benchmarks/results, or a temporary one in a dry run")
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    options.parts = options.parts or PARTS
    options.out = options.out or (Path(tempfile.mkdtemp(prefix="numbanet-gpu-")) if options.dry else RESULTS)
    return options


class Run:
    """The parts, one after another, in the time there is."""

    def __init__(self, report, parts, dry, deadline):
        self.report, self.parts, self.dry, self.deadline = report, parts, dry, deadline

    def all(self):
        self.part("limits")
        compilation = self.begin("compilation", SECONDS["compilation"]) if self.compiles else None
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
    def compiles(self) -> bool:
        """Whether `torch.compile` takes part; a dry run leaves it out, for it asks for a C++ compiler."""
        return "compilation" in self.parts and not self.dry

    @property
    def left(self) -> float:
        """Seconds."""
        return max(1.0, self.deadline - time.perf_counter())

    def part(self, name):
        if name in self.parts:
            self.finish(name, self.begin(name, SECONDS[name]))

    def oracle(self):
        """One process after another, until every network has been compared, or has failed."""
        found, deadline = {}, time.perf_counter() + SECONDS["oracle"]
        while True:
            seconds, before = deadline - time.perf_counter(), len(found)
            end, records = self.begin("oracle", seconds, done=list(found)).finish()
            found |= records
            if end["outcome"] == "ok" or len(found) == before or time.perf_counter() > deadline:
                break
        end["seconds"] = round(SECONDS["oracle"] - (deadline - time.perf_counter()), 1)
        if wrong := [name for name, network in found.items() if not network.get("agrees")]:
            end["outcome"] = f"failed: {', '.join(wrong)}" if end["outcome"] == "ok" else end["outcome"]
        self.add("oracle", end, found)

    def cases(self):
        from benchmarks.gpu_cases import CASES

        for number, rung in enumerate(CASES):
            seconds, rounds = self.left / (len(CASES) - number), DRY_ROUNDS if self.dry else ROUNDS
            stage = self.begin("case", seconds, case=rung.name, absent=self.absent(rung), rounds=rounds)
            self.finish(f"{rung.title}, batch {rung.batch}", stage, "cases")

    def absent(self, rung) -> dict:
        """Who cannot take part, and why, by name: torch.compile, where it has not compiled this case in time."""
        from benchmarks.gpu_peers import DRY_ABSENT

        compiled = self.report.results["compilation"].get(rung.title, "not compiled ahead, or not in time")
        return DRY_ABSENT if self.dry else {"torch.compile": compiled} if isinstance(compiled, str) else {}

    def begin(self, name, seconds, **task):
        from benchmarks import gpu_stages

        seconds = min(seconds, self.left)
        print(f"== {' '.join([name, task.get('case', '')]).strip()}: {seconds:.0f} s at most", flush=True)
        return gpu_stages.begin(name, seconds, self.dry, **task)

    def finish(self, name, stage, part=None):
        self.add(name, *stage.finish(), part)

    def add(self, name, end, records, part=None):
        print(f"== {name}: {end['outcome']}, {end['seconds']} s", flush=True)
        self.report.add(name, end, records, part)


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))  # measures the numbanet beside it
    main()

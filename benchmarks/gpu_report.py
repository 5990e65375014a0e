"""What a run of `benchmarks/gpu.py` has found: one JSON and one Markdown file, written anew after every stage."""

import io
import json
import re
import subprocess
from pathlib import Path

from .gpu_peers import CONTESTANTS
from .measuring import Table, figure

ROOT = Path(__file__).parents[1]
CASE_COLUMNS = ("case", "batch", *CONTESTANTS, "best peer / numbanet", "GFLOP/s", "of the ceiling")
WAY_COLUMNS = ("case", "batch", "way", "taken", "estimate", "measured")
ORACLE_COLUMNS = ("network", "batch", "kernels", "oracle", "loss error", "update error", "agrees")


def commit() -> str:
    """The short name of the commit that is measured, "+ changes" where files differ from it."""
    try:
        name, changes = _git("rev-parse", "--short", "HEAD"), _git("status", "--porcelain")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name} + changes" if changes else name


def _git(*arguments):
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


class Report:
    """Collects and writes.

    Parameters
    ----------
    folder : Path
        Where the files go; it is made if need be.
    facts : dict
        What `gpu_stages.device` records, and commit and whether it is a dry run.
    end : dict
        How that stage ended.
    """

    def __init__(self, folder, facts, end):
        parts = {name: {} for name in ("limits", "compilation", "conformance", "oracle", "cases")}
        self.results = {**facts, "stages": {"device": end}, **parts}
        device = re.sub(r"[^a-z0-9]+", "-", facts["device"].split(",")[0].lower()).strip("-")
        folder.mkdir(parents=True, exist_ok=True)
        self.json, self.markdown = (folder / f"{facts['date']}-{device}.{suffix}" for suffix in ("json", "md"))
        self.write()

    def add(self, name, end, records, part=None):
        """How a stage ended, and what it recorded: the whole of the part of its name, or a case of the part named."""
        self.results["stages"][name] = end
        if part is None:
            self.results[name] = records
        elif records:
            self.results[part][name] = records
        self.write()

    def write(self):
        """Both files; one that is there stays whole until the next is."""
        for path, text in ((self.json, json.dumps(self.results, indent=2) + "\n"), (self.markdown, self.text())):
            new = path.with_name(f"{path.name}.new")
            new.write_text(text)
            new.replace(path)

    @property
    def well(self) -> bool:
        """Whether every stage so far ended well."""
        return all(end["outcome"] == "ok" for end in self.results["stages"].values())

    def text(self) -> str:
        """The Markdown."""
        file, results = io.StringIO(), self.results
        dry = ": a dry run in the simulator, whose figures mean nothing" if results["dry run"] else ""
        print(f"# numbanet on a GPU{dry}\n", file=file)
        for name in ("device", "driver", "CUDA runtime", "numba.cuda", "processor", "cores", "date", "commit", "python"):
            if name in results:
                print(f"- {name}: {results[name]}", file=file)
        print(f"- versions: {', '.join(f'{name} {value}' for name, value in results['versions'].items())}", file=file)
        _stages(file, results["stages"])
        _cases(file, results["cases"])
        _ways(file, results["cases"])
        _limits(file, results["limits"])
        _conformance(file, results["conformance"])
        _oracle(file, results["oracle"])
        return file.getvalue()


def _stages(file, stages):
    table = Table("How the stages ended", ("stage", "outcome", "seconds"), True, file)
    for name, end in stages.items():
        table.line(name, end["outcome"], figure(end["seconds"]))


def _cases(file, cases):
    table = Table("Epochs, everything on the device: microseconds per step; numbanet's GFLOP/s", CASE_COLUMNS, True, file)
    for case in cases.values():
        times, rate = case["microseconds per step"], case["GFLOP/s"].get("numbanet")
        ratios = (case["best peer / numbanet"], rate, case["of the ceiling"])
        cells = [figure(times.get(name)) for name in CONTESTANTS] + [figure(value) for value in ratios]
        table.line(case["case"], str(case["batch"]), *cells)
    print(file=file)
    for case in cases.values():
        if case["matrix product GFLOP/s"]:
            product = f"{case['batch']}^3: {figure(case['matrix product GFLOP/s'])} GFLOP/s"
            print(f"- {case['case']}: beside it, cuBLAS's bare product of {product}", file=file)
        for name, reason in case["absent"].items():
            print(f"- {case['case']}, batch {case['batch']}: no {name}: {reason}", file=file)


def _ways(file, cases):
    table = Table(
        "Ways that numbanet can train: microseconds per step, as it estimates and as measured", WAY_COLUMNS, True, file
    )
    for case in cases.values():
        for name, plan in case.get("plans", {}).items():
            taken, measured = "yes" if name == "numbanet" else "no", case["microseconds per step"].get(name)
            table.line(case["case"], str(case["batch"]), plan["way"], taken, figure(plan["estimate"]), figure(measured))


def _limits(file, limits):
    table = Table("What the device costs and can do at most", ("measurement", "figure"), True, file)
    for name, value in limits.items():
        table.line(name, value if isinstance(value, str) else figure(value))


def _conformance(file, counts):
    print("\nConformance suite on the device\n", file=file)
    words = [f"{counts[outcome]} {outcome}" for outcome in ("passed", "failed", "skipped") if outcome in counts]
    print(", ".join(words) or "no test has run", file=file)
    for failure in counts.get("failures", ()):
        print(f"- failed: {failure['test']}", file=file)


def _oracle(file, rows):
    table = Table("Losses and parameters of some steps, relative to float64", ORACLE_COLUMNS, True, file)
    for row in rows.values():
        found = [f"{row[error]:.1e}" for error in ("loss error", "update error")] if "error" not in row else [row["error"], "—"]
        agrees = "yes" if row.get("agrees") else "NO"
        table.line(row["case"], str(row["batch"]), row["kernels"], row.get("oracle", "—"), *found, agrees)

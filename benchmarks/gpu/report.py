"""The report of the GPU benchmark: a JSON file and a Markdown file, both rewritten after each process of the benchmark."""

import io
import json
import re
import subprocess
from pathlib import Path
from typing import Any, TextIO

from benchmarks.gpu import constants
from benchmarks.gpu.contestants import CONTESTANTS
from benchmarks.gpu.stages import ROOT
from benchmarks.measuring import Table, figure

PARTS = ("limits", "compilation", "conformance", "oracle", "cases")
FACTS = ("device", "driver", "CUDA runtime", "numba.cuda", "processor", "cores", "date", "commit", "python")
CASE_COLUMNS = ("case", "batch", *CONTESTANTS, "best peer / numbanet", "GFLOP/s", "of the ceiling")
WAY_COLUMNS = ("case", "batch", "way", "chosen", "estimate", "measured")
CONSTANT_COLUMNS = ("constant", "module", "now", "put in its place")
ORACLE_COLUMNS = ("network", "batch", "kernels", "oracle", "loss error", "update error", "agrees")


def commit() -> str:
    """Returns the short hash of the current git commit, followed by "+ changes" if there are uncommitted changes.

    Returns "unknown" if git or the repository is missing.
    """
    try:
        name, changes = _git("rev-parse", "--short", "HEAD"), _git("status", "--porcelain")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name} + changes" if changes else name


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


class Report:
    """The results of the GPU benchmark so far, and the two files that contain them.

    Parameters
    ----------
    folder : Path
        The folder for the files. A folder that does not exist is created.
    facts : dict
        Facts about the machine, which the stage "device" (the first part of the benchmark) has found, and the keys "commit" and
        "dry run".
    end : dict
        How the stage "device" ended, as returned by `Stage.finish`.
    """

    def __init__(self, folder: Path, facts: dict[str, Any], end: dict[str, Any]):
        self.results: dict[str, Any] = {**facts, "stages": {"device": end}, **{name: {} for name in PARTS}}
        device = re.sub(r"[^a-z0-9]+", "-", facts["device"].split(",")[0].lower()).strip("-")
        folder.mkdir(parents=True, exist_ok=True)
        self.json, self.markdown = (folder / f"{facts['date']}-{device}.{suffix}" for suffix in ("json", "md"))
        self.write()

    def add(self, name: str, end: dict[str, Any], records: dict[str, Any], part: str | None = None) -> None:
        """Adds the outcome and the records of a stage to the report, and writes both files.

        Parameters
        ----------
        name : str
            The name of the stage.
        end : dict
            The outcome of the stage, as returned by `Stage.finish`.
        records : dict
            The results of the stage, as returned by `Stage.finish`.
        part : str, optional
            The part of the report to which the records are added, under the key `name`. If `part` is None, the records
            themselves become a part of the report, called `name`.
        """
        self.results["stages"][name] = end
        if part is None:
            self.results[name] = records
        elif records:
            self.results[part][name] = records
        self.write()

    def write(self) -> None:
        """Writes both files of the report.

        Each file is replaced in one operation, so that readers always find a complete file.
        """
        for path, text in ((self.json, json.dumps(self.results, indent=2) + "\n"), (self.markdown, self.text())):
            new = path.with_name(f"{path.name}.new")
            new.write_text(text)
            new.replace(path)

    @property
    def well(self) -> bool:
        """True if the outcome of every stage so far is "ok"."""
        return all(end["outcome"] == "ok" for end in self.results["stages"].values())

    def text(self) -> str:
        """Returns the whole report in Markdown."""
        file, results = io.StringIO(), self.results
        dry = ": a dry run; its figures mean nothing" if results["dry run"] else ""
        print(f"# numbanet on a GPU{dry}\n", file=file)
        for name in FACTS:
            if name in results:
                print(f"- {name}: {results[name]}", file=file)
        print(f"- versions: {', '.join(f'{name} {value}' for name, value in results['versions'].items())}", file=file)
        _stages(file, results["stages"])
        _cases(file, results["cases"])
        _ways(file, results["cases"])
        _limits(file, results["limits"])
        _constants(file, constants.measured(results["limits"], results["cases"].values()))
        _conformance(file, results["conformance"])
        _oracle(file, results["oracle"])
        return file.getvalue()


def _stages(file: TextIO, stages: dict[str, Any]) -> None:
    table = Table("Stages", ("stage", "outcome", "seconds"), True, file)
    for name, end in stages.items():
        table.line(name, end["outcome"], figure(end["seconds"]))


def _cases(file: TextIO, cases: dict[str, Any]) -> None:
    table = Table("Epochs, all data on the device: microseconds per step; GFLOP/s of numbanet", CASE_COLUMNS, True, file)
    for case in cases.values():
        times, rate = case["microseconds per step"], case["GFLOP/s"].get("numbanet")
        ratios = (case["best peer / numbanet"], rate, case["of the ceiling"])
        cells = [figure(times.get(name)) for name in CONTESTANTS] + [figure(value) for value in ratios]
        table.line(case["case"], str(case["batch"]), *cells)
    print(file=file)
    for case in cases.values():
        if case["matrix product GFLOP/s"]:
            product = f"{case['batch']}^3: {figure(case['matrix product GFLOP/s'])} GFLOP/s"
            print(f"- {case['case']}: in the same rounds, the matrix product of cuBLAS alone, {product}", file=file)
        for name, reason in case["absent"].items():
            print(f"- {case['case']}, batch {case['batch']}: without {name}: {reason}", file=file)


def _ways(file: TextIO, cases: dict[str, Any]) -> None:
    table = Table("numbanet's ways to train: microseconds per step, estimated and measured", WAY_COLUMNS, True, file)
    for case in cases.values():
        for name, plan in case.get("plans", {}).items():
            chosen, measured = "yes" if name == "numbanet" else "no", case["microseconds per step"].get(name)
            table.line(case["case"], str(case["batch"]), plan["way"], chosen, figure(plan["estimate"]), figure(measured))


def _limits(file: TextIO, limits: dict[str, Any]) -> None:
    table = Table("Limits of the device", ("measurement", "figure"), True, file)
    for name, value in limits.items():
        table.line(name, value if isinstance(value, str) else figure(value))


def _constants(file: TextIO, measured: dict[str, float]) -> None:
    table = Table("Constants of the planner, which are estimates so far", CONSTANT_COLUMNS, True, file)
    for name, constant in constants.CONSTANTS.items():
        path = f"{constant.module.__name__.replace('.', '/')}.py"
        table.line(f"`{name}`", f"`{path}`", figure(constants.present(name)), figure(measured.get(name)))


def _conformance(file: TextIO, counts: dict[str, Any]) -> None:
    print("\nTests on the device\n", file=file)
    words = [f"{counts[outcome]} {outcome}" for outcome in ("passed", "failed", "skipped") if outcome in counts]
    print(", ".join(words) or "no test ran", file=file)
    for failure in counts.get("failures", ()):
        print(f"- failed: {failure['test']}", file=file)


def _oracle(file: TextIO, networks: dict[str, Any]) -> None:
    table = Table("Losses and updates of some steps, relative to float64", ORACLE_COLUMNS, True, file)
    for row in networks.values():
        errors = [row["error"], "—"] if "error" in row else [f"{row[name]:.1e}" for name in ("loss error", "update error")]
        agrees = "yes" if row.get("agrees") else "NO"
        table.line(row["case"], str(row["batch"]), row["kernels"], row.get("oracle", "—"), *errors, agrees)

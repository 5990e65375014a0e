"""The benchmark of GPUs goes on when a stage of it does not, writes what it has, and notices who computes something else."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numba import config

from numbanet import _cuda

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.skipif(_cuda.SIMULATED or config.DISABLE_JIT, reason="measures compiled loops on the CPU"),
    pytest.mark.filterwarnings("default"),  # of the peers
]
FACTS = {
    "dry run": True,
    "device": "A GPU (x), of no kind",
    "date": "2026-01-02",
    "commit": "abc",
    "versions": {"numba": "1.2"},
}
FOUND = '"oracle": "o", "loss error": 0, "update error": 0, "agrees": true'
FINE = {"outcome": "ok", "seconds": 1.0}


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)


@pytest.fixture
def tiny():
    from benchmarks.rungs import Rung

    return Rung("tiny", (7, 5, 6, 3), 4, 24)


def script(code, seconds=20.0):
    """A stage that runs this code, in which `record` appends a line to its records."""
    from benchmarks.gpu_stages import Stage

    start = "import os, sys, time\ndef record(line): print(line, file=open(sys.argv[1], 'a'))\n"
    return Stage([sys.executable, "-c", start + code], seconds)


@pytest.mark.parametrize(
    "code, seconds, outcome, records",
    [
        ("""record('{"a": 1}'); record('{"b": 2}')""", 20, "ok", {"a": 1, "b": 2}),
        ("""record('{"a": 1, "error": "no luck"}'); sys.exit(1)""", 20, "failed: no luck", {"a": 1}),
        ("""record('{"a": 1}'); sys.exit(3)""", 20, "failed: exit status 3", {"a": 1}),
        ("""record('{"a": 1}'); record('{"b": '); os.abort()""", 20, "ended by signal 6", {"a": 1}),
        ("""record('{"a": 1}'); time.sleep(60)""", 0.4, "killed after 0.4 s", {"a": 1}),
    ],
)
def test_a_stage_ends_somehow_and_leaves_what_it_had(code, seconds, outcome, records):
    end, found = script(code, seconds).finish()
    assert (end["outcome"], found) == (outcome, records)
    assert end["seconds"] < 20


def test_a_stage_that_fails_says_why():
    from benchmarks import gpu_stages

    end, records = gpu_stages.begin("no such stage", 20, False).finish()
    assert end["outcome"] == "failed: KeyError: 'no such stage'" and records == {}


def test_both_files_are_written_after_every_stage(tmp_path):
    from benchmarks.gpu_report import Report

    report = Report(tmp_path / "new", FACTS, FINE)
    assert report.json.name == "2026-01-02-a-gpu-x.json"
    report.add("limits", FINE, {"copy, GB/s": 123.4, "graph": "ImportError: no graphs"})
    assert json.loads(report.json.read_text())["limits"]["copy, GB/s"] == 123.4
    assert "| copy, GB/s | 123 |\n| graph | ImportError: no graphs |" in report.markdown.read_text()
    assert report.well
    report.add(
        "conformance",
        {"outcome": "killed after 9 s", "seconds": 9},
        {"passed": 5, "failures": [{"test": "test_a", "end": "1 != 2"}]},
    )
    assert "| conformance | killed after 9 s | 9.00 |" in report.markdown.read_text()
    assert "5 passed\n- failed: test_a\n" in report.markdown.read_text()
    assert json.loads(report.json.read_text())["conformance"]["passed"] == 5
    assert not report.well


def test_other_stages_go_on(tmp_path, monkeypatch, capsys):
    from benchmarks import gpu, gpu_cases, gpu_stages
    from benchmarks.gpu_report import Report

    case = gpu_cases.summary(gpu_cases.CASES[0], {"numbanet": 0.1, "JAX": 0.2}, {"ceiling": 1e12}) | {"absent": {}}
    codes = {
        "limits": "os.abort()",
        "compilation": f"""record('{{"{gpu_cases.CASES[1].title}": 3.0}}'); time.sleep(60)""",
        "conformance": "record('{\"passed\": 3}')",
        "oracle": """record('{"%s": {"case": "G1", "batch": 1, "kernels": "fast", %s}}'); %s""",
        "case": f"record('{json.dumps(case)}')",
    }
    tasks = []

    def begin(name, seconds, dry, **task):
        tasks.append((name, task))
        code = codes[name]
        if name == "oracle":  # its first network is the end of a process
            code %= ("b", FOUND, "") if task["done"] == ["a"] else ("a", '"error": "did not end"', "os.abort()")
        return script(code, 0.4 if name == "compilation" else seconds)

    monkeypatch.setattr(gpu_stages, "begin", begin)
    report = Report(tmp_path, FACTS, FINE)
    gpu.Run(report, gpu.PARTS, False, float("inf")).all()
    results = json.loads(report.json.read_text())
    assert len(results["stages"]) == 5 + len(gpu_cases.CASES) and len(results["cases"]) == len(gpu_cases.CASES)
    assert results["stages"]["limits"]["outcome"] == "ended by signal 6"
    assert results["conformance"] == {"passed": 3}
    assert results["stages"]["oracle"]["outcome"] == "failed: a" and results["oracle"].keys() == {"a", "b"}
    absent = [task["absent"] for name, task in tasks if name == "case"]
    assert absent[1] == {} and absent[0]["torch.compile"].startswith("not compiled ahead")
    text = report.markdown.read_text()
    assert "| G1 | 1 | fast | — | did not end | — | NO |\n| G1 | 1 | fast | o | 0.0e+00 | 0.0e+00 | yes |" in text
    assert text.count("| G1 64-32-10 | 32 | 1,786 | — | — | — | — | 3,571 | 2.00 |") == len(gpu_cases.CASES)


def test_who_computes_something_else_is_not_timed(tiny):
    from benchmarks import gpu_cases, peers

    class Late(peers.Numpy):
        def train(self, batches):
            self.epochs = getattr(self, "epochs", 0) + 1
            if self.epochs > 3:
                raise MemoryError("after three epochs")
            return super().train(batches)

    def absent(rung, start):
        raise ModuleNotFoundError("No module named 'absent'")

    makers = {
        "numbanet": peers.Numbanet,
        "JAX": peers.Numpy,
        "other": lambda rung, start: peers.Numpy(dataclasses.replace(rung, eta=0.02), start),
        "late": Late,
        "none": absent,
    }
    result = gpu_cases.measure(tiny, makers, {"torch.compile": "too slow"}, rounds=1, dry=True)
    assert result["microseconds per step"].keys() == {"numbanet", "JAX"}
    assert result["absent"].pop("other").startswith("computes something else: losses [")
    assert result["absent"] == {
        "torch.compile": "too slow",
        "late": "MemoryError: after three epochs",
        "none": "not installed: No module named 'absent'",
    }
    seconds = result["microseconds per step"]
    assert result["best peer / numbanet"] == pytest.approx(seconds["JAX"] / seconds["numbanet"])
    json.dumps(result)


def test_most_are_right():
    from benchmarks.gpu_cases import disagreeing

    right, wrong, nan = [2.0, 1.0], [2.0, 1.001], [2.0, float("nan")]
    assert disagreeing({"numbanet": wrong, "JAX": right, "PyTorch": right, "reference": nan}).keys() == {
        "numbanet",
        "reference",
    }
    assert disagreeing({"numbanet": right, "JAX": wrong}).keys() == {"numbanet", "JAX"}
    assert disagreeing({"numbanet": right}) == disagreeing({}) == {}


@pytest.mark.parametrize("operations", [1e9, 0])
def test_updates_are_compared_with_the_oracle(tiny, operations, monkeypatch):
    from benchmarks import gpu_cases, peers

    class Forgetful(peers.Numbanet):
        """Leaves a sample out of a step."""

        def train(self, order):
            return super().train(np.append(order[:-1], order[0]))

    monkeypatch.setattr(gpu_cases, "ORACLE_OPERATIONS", operations)
    found = gpu_cases.compare(tiny, peers.Numbanet)
    assert found["agrees"] and found["oracle"] == ("numbanet.proof.oracle" if operations else "NumPy, float64")
    assert not gpu_cases.compare(tiny, Forgetful)["agrees"]
    errors = iter([0, np.nan, 0, 0, 0, 0])
    monkeypatch.setattr(gpu_cases, "update_error", lambda *_: next(errors))
    assert not gpu_cases.compare(tiny, peers.Numbanet)["agrees"]
    json.dumps(found)


def test_an_update_that_is_not_finite_is_wrong():
    from benchmarks.gpu_cases import UPDATE_TOLERANCE, update_error

    start, exact = np.zeros(3), np.array([0.1, -0.1, 0.2])
    assert update_error(exact.astype(np.float32), exact, start) == 0
    assert update_error(exact * 1.01, exact, start) == pytest.approx(0.01, rel=1e-3)
    assert update_error(start, start, start) == 0
    assert update_error(exact, start, start) == np.inf
    assert not update_error(exact * np.nan, exact, start) <= UPDATE_TOLERANCE


def test_the_step_that_pytorch_captures_is_its_step(tiny, monkeypatch):
    pytest.importorskip("torch")
    from benchmarks import epochs, gpu_peers, peers
    from benchmarks.rungs import problem

    def uncaptured(self):
        self._numbered_step()
        return self._numbered_step

    monkeypatch.setattr(gpu_peers.Torch, "device", "cpu")
    monkeypatch.setattr(gpu_peers.TorchGraph, "_captured", uncaptured)
    start = problem(tiny)
    made = {"numbanet": peers.Numbanet(tiny, start), "CUDA graph": gpu_peers.TorchGraph(tiny, start)}
    epochs.check(made, [np.random.default_rng(seed).permutation(24) for seed in range(2)])


def gpu_py(*arguments):
    command = [sys.executable, "-m", "benchmarks.gpu", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True)


@pytest.mark.skipif(_cuda.unusable_reason() is None, reason="there is a GPU")
def test_without_a_gpu_it_says_what_is_missing():
    run = gpu_py("limits")
    assert run.returncode == 1 and "device='cuda' needs an NVIDIA GPU" in run.stderr


def test_a_dry_run_needs_no_gpu(tmp_path):
    run = gpu_py("limits", "--dry", "--out", str(tmp_path))
    assert run.returncode == 0, run.stderr
    [path] = tmp_path.glob("*.json")
    results = json.loads(path.read_text())
    assert results["dry run"] and set(results["limits"].values()) == {"needs a GPU"}
    assert "a dry run in the simulator" in path.with_suffix(".md").read_text()

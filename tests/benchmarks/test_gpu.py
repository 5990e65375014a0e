"""The GPU benchmark continues if one of its processes fails, keeps the records of the process, and excludes wrong results."""

import dataclasses
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import peers
from benchmarks.gpu import __main__ as command
from benchmarks.gpu import contest, contestants, oracle, stages, tasks
from benchmarks.gpu.cases import CASES
from benchmarks.gpu.oracle import UPDATE_TOLERANCE, update_error
from benchmarks.gpu.report import Report
from benchmarks.gpu.stages import Stage
from benchmarks.ladder import epochs
from benchmarks.rungs import Rung, problem
from numbanet import _cuda
from numbanet._compile import config

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


@pytest.fixture
def tiny():
    return Rung("tiny", (7, 5, 6, 3), 4, 24)


def script(code, seconds=20.0):
    """Returns a stage (a benchmark process) that runs `code`, in which `record(line)` appends a line to the stage's records."""
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
def test_a_stage_ends_in_any_way_and_keeps_its_records(code, seconds, outcome, records):
    end, kept = script(code, seconds).finish()
    assert (end["outcome"], kept) == (outcome, records)
    assert end["seconds"] < 20


def test_a_failed_stage_reports_its_error():
    end, records = stages.begin("no such stage", 20, False).finish()
    assert end["outcome"] == "failed: KeyError: 'no such stage'" and records == {}


def test_both_files_are_written_after_every_stage(tmp_path):
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


def test_the_other_stages_run_after_a_failure(tmp_path, monkeypatch, capsys):
    case = contest.summary(CASES[0], {"numbanet": 0.1, "JAX": 0.2}, {"ceiling": 1e12}) | {"absent": {}}
    codes = {
        "limits": "os.abort()",
        "compilation": f"""record('{{"{CASES[1].title}": 3.0}}'); time.sleep(60)""",
        "conformance": "record('{\"passed\": 3}')",
        "oracle": """record('{"%s": {"case": "G1", "batch": 1, "kernels": "fast", %s}}'); %s""",
        "case": f"record('{json.dumps(case)}')",
    }
    tasks = []

    def begin(name, seconds, dry, **task):
        tasks.append((name, task))
        code = codes[name]
        if name == "oracle":  # the process ends while it compares the first network
            code %= ("b", FOUND, "") if task["done"] == ["a"] else ("a", '"error": "did not end"', "os.abort()")
        return script(code, 0.4 if name == "compilation" else seconds)

    monkeypatch.setattr(stages, "begin", begin)
    report = Report(tmp_path, FACTS, FINE)
    command.Run(report, command.PARTS, False, float("inf")).all()
    results = json.loads(report.json.read_text())
    assert len(results["stages"]) == 5 + len(CASES) and len(results["cases"]) == len(CASES)
    assert results["stages"]["limits"]["outcome"] == "ended by signal 6"
    assert results["conformance"] == {"passed": 3}
    assert results["stages"]["oracle"]["outcome"] == "failed: a" and results["oracle"].keys() == {"a", "b"}
    absent = [task["absent"] for name, task in tasks if name == "case"]
    assert absent[1] == {} and absent[0]["torch.compile"].startswith("not compiled ahead")
    text = report.markdown.read_text()
    assert "| G1 | 1 | fast | — | did not end | — | NO |\n| G1 | 1 | fast | o | 0.0e+00 | 0.0e+00 | yes |" in text
    assert text.count("| G1 64-32-10 | 32 | 1,786 | — | — | — | — | 3,571 | 2.00 |") == len(CASES)


def test_a_contestant_with_other_results_is_not_timed(tiny):
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
    result = contest.measure(tiny, makers, {"torch.compile": "too slow"}, rounds=1, dry=True)
    assert result["microseconds per step"].keys() == {"numbanet", "JAX"}
    assert result["absent"].pop("other").startswith("computes something else: its losses are [")
    assert result["absent"] == {
        "torch.compile": "too slow",
        "late": "MemoryError: after three epochs",
        "none": "not installed: No module named 'absent'",
    }
    seconds = result["microseconds per step"]
    assert result["best peer / numbanet"] == pytest.approx(seconds["JAX"] / seconds["numbanet"])
    json.dumps(result)


def test_the_majority_is_right():
    right, wrong, nan = [2.0, 1.0], [2.0, 1.001], [2.0, float("nan")]
    assert contest.disagreeing({"numbanet": wrong, "JAX": right, "PyTorch": right, "reference": nan}).keys() == {
        "numbanet",
        "reference",
    }
    assert contest.disagreeing({"numbanet": right, "JAX": wrong}).keys() == {"numbanet", "JAX"}
    assert contest.disagreeing({"numbanet": right}) == contest.disagreeing({}) == {}


@pytest.mark.parametrize("operations", [1e9, 0])
def test_updates_are_compared_with_the_oracle(tiny, operations, monkeypatch):
    class Forgetful(peers.Numbanet):
        """A faulty competitor, whose training steps each leave out one sample."""

        def train(self, order):
            return super().train(np.append(order[:-1], order[0]))

    monkeypatch.setattr(oracle, "ORACLE_OPERATIONS", operations)
    comparison = oracle.compare(tiny, peers.Numbanet)
    assert comparison["agrees"] and comparison["oracle"] == ("numbanet.proof.oracle" if operations else "NumPy, float64")
    assert not oracle.compare(tiny, Forgetful)["agrees"]
    errors = iter([0, np.nan, 0, 0, 0, 0])
    monkeypatch.setattr(oracle, "update_error", lambda *_: next(errors))
    assert not oracle.compare(tiny, peers.Numbanet)["agrees"]
    json.dumps(comparison)


def test_an_update_that_is_not_finite_is_wrong():
    start, exact = np.zeros(3), np.array([0.1, -0.1, 0.2])
    assert update_error(exact.astype(np.float32), exact, start) == 0
    assert update_error(exact * 1.01, exact, start) == pytest.approx(0.01, rel=1e-3)
    assert update_error(start, start, start) == 0
    assert update_error(exact, start, start) == np.inf
    assert not update_error(exact * np.nan, exact, start) <= UPDATE_TOLERANCE


def test_the_steps_that_pytorch_captures_and_compiles_are_its_step(tiny, monkeypatch):
    torch = pytest.importorskip("torch")

    def uncaptured(self):
        self._numbered_step()
        return self._numbered_step

    monkeypatch.setattr(contestants.Torch, "device", "cpu")
    monkeypatch.setattr(contestants.TorchGraph, "_captured", uncaptured)
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    # Without a GPU, this function only imports PyTorch's compiler, which takes 1.8 s.
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: None)
    start = problem(tiny)
    made = {
        "numbanet": peers.Numbanet(tiny, start),
        "CUDA graph": contestants.TorchGraph(tiny, start),
        "torch.compile": contestants.TorchCompiled(tiny, start),
    }
    epochs.check(made, [np.random.default_rng(seed).permutation(24) for seed in range(2)])


def test_every_pattern_of_tests_matches_a_file():
    for pattern in (*tasks.TESTS, *tasks.DRY_TESTS):
        assert tasks.NEEDS_NO_DEVICE not in [path.name for path in tasks.matching_tests(pattern)]
    with pytest.raises(FileNotFoundError, match="no test file matches tests/no_such"):
        tasks.matching_tests("no_such_*.py")


@pytest.fixture
def signals():
    """Restores the handler of SIGTERM, which the command replaces."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.skipif(_cuda.unusable_reason() is None, reason="there is a GPU")
def test_without_a_gpu_the_command_names_what_is_missing(monkeypatch, signals):
    monkeypatch.setattr(sys, "argv", ["benchmarks.gpu", "limits"])
    with pytest.raises(SystemExit, match="device='cuda' needs an NVIDIA GPU"):
        command.main()


def test_a_dry_run_needs_no_gpu(tmp_path):
    arguments = [sys.executable, "-m", "benchmarks.gpu", "limits", "--dry", "--out", str(tmp_path)]
    run = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    [path] = tmp_path.glob("*.json")
    results = json.loads(path.read_text())
    assert results["dry run"] and set(results["limits"].values()) == {"needs a GPU"}
    assert "a dry run; its" in path.with_suffix(".md").read_text()

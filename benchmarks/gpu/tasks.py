"""The stages of the GPU benchmark; `python -m benchmarks.gpu.tasks TASK RECORDS` runs one stage.

TASK is a JSON object with the keys "stage" (the name of a function of this module) and "dry" (whether this is a dry run), and
further keys that the stage needs. The function of each stage has two parameters: the task as a dict, and a function `record`. A
call to `record` appends its keyword arguments, as one line with a JSON object, to the file RECORDS.
"""

import collections
import importlib.util
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.gpu.stages import ROOT

Task = dict[str, Any]
Record = Callable[..., None]

GPU_PACKAGES = ("numba-cuda", "cuda-core", "cuda-bindings", "nvidia-nvjitlink", "nvidia-cuda-nvrtc", "triton", "jaxlib")
# The tests that check computations on the GPU, as file name patterns relative to tests/.
TESTS = (
    "engines/test_engines.py",
    "engines/cuda/test_*.py",
    "equations/test_by_hand.py",
    "equations/test_equations.py",
    "inputs/test_gpu_arrays.py",
    "network/test_network.py",
)
NEEDS_NO_DEVICE = "test_compile_gate.py"  # left out, because it compiles for minutes and runs nothing on the GPU
# A dry run only shows that tests run and are counted. Another job of the CI runs all tests in the simulator.
DRY_TESTS = ("equations/test_by_hand.py", "engines/test_engines.py")
DRY_SELECTION = "float32 and cuda and (by_hand or single_layer and cce)"
# The plugin pytest-benchmark is disabled, because with xdist it raises a warning, and the tests treat warnings as errors.
PYTEST_OPTIONS = ("-p", "no:cacheprovider", "-p", "no:benchmark", "--tb=short")
PYTEST_PROCESSES = 8
# The simulator runs each CUDA thread as a Python thread, while its main thread polls these threads and holds the GIL. With
# Python's default switch interval of 5 ms, each barrier would take milliseconds.
DRY_SWITCH_SECONDS = 2e-5


def device(task: Task, record: Record) -> None:
    """Records the name of the GPU, its driver and the versions of packages.

    If no GPU can be used, records the reason under the key "unusable".
    """
    from benchmarks.measuring import machine, versions
    from numbanet import __version__, _cuda

    reason = _cuda.unusable_reason()
    facts = machine(len(os.sched_getaffinity(0)))
    facts["versions"] = {"numbanet": __version__} | facts["versions"] | versions(GPU_PACKAGES)
    if reason is None:
        facts |= {"device": _cuda.devices()[0], "numba.cuda": _cuda.provider()}
    if reason is None and not _cuda.SIMULATED:
        facts |= {"driver": _in_words(_driver), "CUDA runtime": _in_words(_runtime)}
    record(unusable=reason, **facts)


def _driver() -> str:
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def _runtime() -> str:
    from numbanet._cuda import cuda

    return ".".join(map(str, cuda.runtime.get_version()))


def _in_words(call: Callable[[], str]) -> str:
    from benchmarks.gpu.limits import in_words

    try:
        return call()
    except Exception as error:  # any exception of nvidia-smi or numba.cuda, because the benchmark can run without this fact
        return f"unknown: {in_words(error)}"


def limits(task: Task, record: Record) -> None:
    """Performs all measurements of `benchmarks.gpu.limits`, and records their results."""
    from benchmarks.gpu import limits

    for name in limits.MEASUREMENTS:
        value = limits.measure(name, task["dry"])
        print(f"    {name}: {value}", flush=True)
        record(**{name: value})


def compilation(task: Task, record: Record) -> None:
    """Lets `torch.compile` fill its caches for each benchmark network.

    Records, for each network, how many seconds its compilation took, or a description of the error if the compilation failed.
    """
    from benchmarks.gpu import cases, contest
    from benchmarks.gpu.limits import in_words

    for rung in cases.CASES:
        try:
            record(**{rung.title: contest.compile_ahead(rung)})
        except Exception as error:  # any exception, so that the next network is still compiled
            record(**{rung.title: in_words(error)})


class Recorder:
    """A pytest plugin that, after each test, records the numbers of passed, failed and skipped tests, and the failures."""

    def __init__(self, record: Record):
        self.record, self.counts, self.failures = record, collections.Counter(), []

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Counts the outcome of a test. pytest calls this method after the setup, the call and the teardown of each test."""
        if report.when != "call" and report.passed:
            return
        self.counts[report.outcome] += 1
        if report.failed:
            self.failures.append({"test": report.nodeid, "end": report.longreprtext[-1000:]})
        self.record(**self.counts, failures=self.failures)


def conformance(task: Task, record: Record) -> None:
    """Runs the tests that check computations on the GPU, and records their outcomes. A dry run selects only a few tests."""
    import pytest

    files = [path for pattern in TESTS for path in matching_tests(pattern)]
    if task["dry"]:
        files = [path for pattern in DRY_TESTS for path in matching_tests(pattern)]
    # Tests of computations on the CPU are left out.
    arguments = [*map(str, files), "-k", DRY_SELECTION if task["dry"] else "not cpu", *PYTEST_OPTIONS]
    if not task["dry"] and importlib.util.find_spec("xdist"):
        arguments += ["-n", str(min(PYTEST_PROCESSES, len(os.sched_getaffinity(0))))]
    if code := pytest.main(arguments, plugins=[Recorder(record)]):
        raise RuntimeError(f"pytest ended with {code!r}")


def matching_tests(pattern: str) -> list[Path]:
    """Returns the files in tests/ that match a pattern. Raises FileNotFoundError if no file matches."""
    files = [path for path in sorted(ROOT.glob(f"tests/{pattern}")) if path.name != NEEDS_NO_DEVICE]
    if not files:
        raise FileNotFoundError(f"no test file matches tests/{pattern}")
    return files


def oracle(task: Task, record: Record) -> None:
    """Compares the losses and parameter updates of numbanet with float64 results, for each benchmark network.

    The stage makes one comparison for the reference kernels, and one for each of the fast engine's ways to train. Each
    comparison, or its error, is recorded under a name such as "R3 reference". The first error ends the process, because an
    error can make the GPU unusable for the rest of the process. After an error, the caller starts a new process, which skips
    the comparisons whose names are in `task["done"]`.
    """
    from benchmarks.gpu import cases, contestants, oracle
    from benchmarks.gpu.limits import in_words

    for rung in map(cases.tiny, cases.CASES) if task["dry"] else cases.CASES:
        makers, own = contestants.makers(rung, task["dry"]), ("reference", *contestants.plans(rung))
        for kernels in [name for name in makers if name in own]:
            name, network = f"{rung.name} {kernels}", {"case": rung.title, "batch": rung.batch, "kernels": kernels}
            if name in task["done"]:
                continue
            record(**{name: network | {"error": "started, but did not end"}})
            try:
                comparison = oracle.compare(rung, makers[kernels])
            except Exception as error:
                record(**{name: network | {"error": in_words(error)}})
                raise
            print(f"    {name}: loss {comparison['loss error']:.1e}, updates {comparison['update error']:.1e}", flush=True)
            record(**{name: network | comparison})


def case(task: Task, record: Record) -> None:
    """Records the times of all contestants for one benchmark network, and numbanet's time estimate for each way to train.

    For each way to train, also records how often the time estimate counts each cost, such as the cost of a barrier (see
    `benchmarks.gpu.constants`).
    """
    from benchmarks import peers
    from benchmarks.gpu import cases, constants, contest, contestants
    from numbanet.engines.cuda.limits import present_limits

    rung = next(rung for rung in cases.CASES if rung.name == task["case"])
    rung = cases.tiny(rung) if task["dry"] else rung
    makers = contestants.makers(rung, task["dry"])
    record(**contest.measure(rung, makers, task["absent"], task["rounds"], task["dry"]))
    size = peers.topology(rung), rung.batch, present_limits()
    plans = {
        name: {"way": plan.way, "estimate": plan.estimate, "counts": constants.counts(*size, plan)}
        for name, plan in contestants.plans(rung).items()
    }
    record(plans=plans)


STAGES = {stage.__name__: stage for stage in (device, limits, compilation, conformance, oracle, case)}


def main() -> None:
    """Runs the stage that the command line names.

    If the stage raises an exception, records the exception as `error`, and exits with status 1.
    """
    task, records = json.loads(sys.argv[1]), sys.argv[2]
    if task["dry"]:
        sys.setswitchinterval(DRY_SWITCH_SECONDS)
    with open(records, "a") as file:

        def record(**values: Any) -> None:
            print(json.dumps(values), file=file, flush=True)

        try:
            STAGES[task["stage"]](task, record)
        except Exception as error:
            traceback.print_exc()
            record(error=f"{type(error).__name__}: {error}")
            sys.exit(1)


if __name__ == "__main__":
    main()

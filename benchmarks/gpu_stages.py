"""The stages of `benchmarks/gpu.py`, each in a process of its own: a crash, a hang or a failure of one ends no other.

As a program, it runs one of them: `python -m benchmarks.gpu_stages TASK RECORDS`. TASK is {"stage": name, ...} in JSON; to
the file RECORDS it appends what it finds, an object of JSON a line, so that a process that is killed leaves what it had.
"""

import collections
import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

ROOT = Path(__file__).parents[1]
# Processes and libraries that share a GPU leave each other its memory.
ENVIRONMENT = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
SIMULATOR = {"NUMBA_ENABLE_CUDASIM": "1", "JAX_PLATFORMS": "cpu"}


class Stage:
    """A process that runs for so many seconds at most, from now on.

    Parameters
    ----------
    command : list of str
        The name of the file for its records is appended to it.
    seconds : float
        After which it is killed, with all it has started.
    environment : dict of str
        On top of this process's own.
    """

    def __init__(self, command, seconds, environment=()):
        self.seconds, self.start = seconds, time.perf_counter()
        descriptor, self.records = tempfile.mkstemp(suffix=".jsonl")
        os.close(descriptor)
        environment = os.environ | ENVIRONMENT | dict(environment)
        self.process = subprocess.Popen([*command, self.records], cwd=ROOT, env=environment, start_new_session=True)

    def finish(self) -> tuple[dict, dict]:
        """Waits for its end; how it ended, {"outcome": in words, "seconds": number}, and its records in one."""
        killed = False
        try:
            self.process.wait(max(0.0, self.seconds - (time.perf_counter() - self.start)))
        except subprocess.TimeoutExpired:
            killed = True
        finally:  # also on Ctrl-C, which does not reach a session of its own
            self.kill()
        records = self._read()
        error, code = records.pop("error", None), self.process.returncode
        if killed:
            outcome = f"killed after {round(self.seconds, 1):g} s"
        elif code < 0:
            outcome = f"ended by signal {-code}"
        else:
            outcome = "ok" if code == 0 else f"failed: {error or f'exit status {code}'}"
        return {"outcome": outcome, "seconds": round(time.perf_counter() - self.start, 1)}, records

    def kill(self):
        """Ends the process, if it still runs, and all that it has left behind."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _read(self) -> dict:
        records, path = {}, Path(self.records)
        for line in path.read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):  # of a line that the end of the process cut short
                records |= json.loads(line)
        path.unlink()
        return records


def begin(name, seconds, dry, **task) -> Stage:
    """Starts one of STAGES."""
    command = [sys.executable, "-m", "benchmarks.gpu_stages", json.dumps({"stage": name, "dry": dry} | task)]
    return Stage(command, seconds, SIMULATOR if dry else ())


# What runs in those processes: functions of a task and of `record`, which takes what they find by name.


def device(task, record):
    """What figures mean nothing without."""
    from benchmarks.measuring import machine, versions
    from numbanet import __version__, _cuda

    reason = _cuda.unusable_reason()
    facts = machine(len(os.sched_getaffinity(0)))
    facts["versions"] = {"numbanet": __version__} | facts["versions"] | versions(GPU_PACKAGES)
    if reason is None:
        facts |= {"device": _cuda.devices()[0], "numba.cuda": _cuda.provider()}
    if reason is None and not _cuda.SIMULATED:
        facts |= {"driver": _or_why_not(_driver), "CUDA runtime": _or_why_not(_runtime)}
    record(unusable=reason, **facts)


GPU_PACKAGES = ("numba-cuda", "cuda-core", "cuda-bindings", "nvidia-nvjitlink", "nvidia-cuda-nvrtc", "triton", "jaxlib")


def _driver():
    command = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader", "--id=0"]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()


def _runtime():
    from numbanet._cuda import cuda

    return ".".join(map(str, cuda.runtime.get_version()))


def _or_why_not(call):
    """What the call returns, or the error in words."""
    from benchmarks.gpu_limits import in_words

    try:
        return call()
    except Exception as error:  # of nvidia-smi or numba.cuda: figures are worth having all the same
        return f"unknown: {in_words(error)}"


def limits(task, record):
    """Every measurement of `benchmarks.gpu_limits`."""
    from benchmarks import gpu_limits

    for name in gpu_limits.MEASUREMENTS:
        value = gpu_limits.measure(name, task["dry"])
        print(f"    {name}: {value}", flush=True)
        record(**{name: value})


def compilation(task, record):
    """Lets `torch.compile` fill its caches for every case; {title: seconds, or why not}."""
    from benchmarks import gpu_cases, gpu_limits

    for rung in gpu_cases.CASES:
        try:
            record(**{rung.title: gpu_cases.compile_ahead(rung)})
        except Exception as error:  # of one case
            record(**{rung.title: gpu_limits.in_words(error)})


# pytest-benchmark warns beside xdist, and here a warning is an error.
PYTEST_OPTIONS = ("-p", "no:cacheprovider", "-p", "no:benchmark", "--tb=short")


class Recorder:
    """A plugin of pytest that records outcomes as they come."""

    def __init__(self, record):
        self.record, self.counts, self.failures = record, collections.Counter(), []

    def pytest_runtest_logreport(self, report):
        if report.when != "call" and report.passed:
            return
        self.counts[report.outcome] += 1
        if report.failed:
            self.failures.append({"test": report.nodeid, "end": report.longreprtext[-1000:]})
        self.record(**self.counts, failures=self.failures)


def conformance(task, record):
    """The tests of the engines, of what the device computes."""
    import pytest

    files = [ROOT / "tests" / f"test_{name}.py" for name in ("engines", "by_hand", "network", "equations")]
    files += sorted(ROOT.glob("tests/test_cuda_*.py"))
    # The simulator takes minutes for all of them, and a GPU's are most: those of the CPU have their own run.
    arguments = ["-k", "float32 and (by_hand or single_layer)" if task["dry"] else "not cpu", *PYTEST_OPTIONS]
    if not task["dry"] and importlib.util.find_spec("xdist"):
        arguments += ["-n", str(min(8, len(os.sched_getaffinity(0))))]
    if code := pytest.main([*map(str, files), *arguments], plugins=[Recorder(record)]):
        raise RuntimeError(f"pytest ended with {code!r}")


def oracle(task, record):
    """Both rungs, the fast one in every way it can train, beside the oracle, in every case but those done.

    {case and kernels: what was found, or an error in words}. The first that fails ends the process: it may have left the device
    unusable to it.
    """
    from benchmarks import gpu_cases, gpu_limits, gpu_peers

    for rung in map(gpu_cases.tiny, gpu_cases.CASES) if task["dry"] else gpu_cases.CASES:
        makers, own = gpu_peers.contestants(rung, task["dry"]), ("reference", *gpu_peers.plans(rung))
        for kernels in [name for name in makers if name in own]:
            name, network = f"{rung.name} {kernels}", {"case": rung.title, "batch": rung.batch, "kernels": kernels}
            if name in task["done"]:
                continue
            record(**{name: network | {"error": "began, and did not end"}})
            try:
                found = gpu_cases.compare(rung, makers[kernels])
            except Exception as error:
                record(**{name: network | {"error": gpu_limits.in_words(error)}})
                raise
            print(f"    {name}: loss {found['loss error']:.1e}, updates {found['update error']:.1e}", flush=True)
            record(**{name: network | found})


def case(task, record):
    """Everybody's times in one case, and what numbanet expects of each of its ways."""
    from benchmarks import gpu_cases, gpu_peers

    rung = next(rung for rung in gpu_cases.CASES if rung.name == task["case"])
    rung = gpu_cases.tiny(rung) if task["dry"] else rung
    makers = gpu_peers.contestants(rung, task["dry"])
    record(**gpu_cases.measure(rung, makers, task["absent"], task["rounds"], task["dry"]))
    record(plans={name: {"way": plan.way, "estimate": plan.estimate} for name, plan in gpu_peers.plans(rung).items()})


STAGES = {stage.__name__: stage for stage in (device, limits, compilation, conformance, oracle, case)}


def main():
    task, records = json.loads(sys.argv[1]), sys.argv[2]
    with open(records, "a") as file:

        def record(**found):
            print(json.dumps(found), file=file, flush=True)

        try:
            STAGES[task["stage"]](task, record)
        except Exception as error:
            traceback.print_exc()
            record(error=f"{type(error).__name__}: {error}")
            sys.exit(1)


if __name__ == "__main__":
    main()

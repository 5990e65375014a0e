"""The stages of the GPU benchmark, each in a process of its own: a crash, a hang or a failure of one ends no other."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# JAX would allocate most of the GPU's memory at once, and leave none to other libraries in the process.
ENVIRONMENT = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
SIMULATOR = {"NUMBA_ENABLE_CUDASIM": "1", "JAX_PLATFORMS": "cpu"}


class Stage:
    """A process with a time limit, which starts at once and appends its records to a file.

    Parameters
    ----------
    command : list of str
        The command line; the name of the file of records is appended to it. The file holds an object of JSON per line, so
        that a killed process leaves the records that it has written.
    seconds : float
        Time limit: the process and all its descendants are killed after it.
    environment : dict of str
        Environment variables, on top of those of this process.
    """

    def __init__(self, command: list[str], seconds: float, environment: Mapping[str, str] | None = None):
        self.seconds, self.start = seconds, time.perf_counter()
        descriptor, self.records = tempfile.mkstemp(suffix=".jsonl")
        os.close(descriptor)
        variables = os.environ | ENVIRONMENT | dict(environment or {})
        self.process = subprocess.Popen([*command, self.records], cwd=ROOT, env=variables, start_new_session=True)

    def finish(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Waits for the end of the process.

        Returns
        -------
        end : dict
            {"outcome": "ok" or the failure in words, "seconds": time taken}.
        records : dict
            All records, merged.
        """
        killed = False
        try:
            self.process.wait(max(0.0, self.seconds - (time.perf_counter() - self.start)))
        except subprocess.TimeoutExpired:
            killed = True
        finally:  # also on Ctrl-C, which does not reach the session of the process
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

    def kill(self) -> None:
        """Kills the process, if it is still running, and all descendants that it has left behind."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _read(self) -> dict[str, Any]:
        records, path = {}, Path(self.records)
        for line in path.read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):  # the end of the process may have cut the last line short
                records |= json.loads(line)
        path.unlink()
        return records


def begin(name: str, seconds: float, dry: bool, **task: Any) -> Stage:
    """Starts a stage of `benchmarks.gpu.tasks`.

    Parameters
    ----------
    name : str
        Name of the function there.
    seconds : float
        Time limit.
    dry : bool
        Whether to run in the simulator, with tiny networks.
    **task
        Arguments that the function also needs, in types of JSON.
    """
    command = [sys.executable, "-m", "benchmarks.gpu.tasks", json.dumps({"stage": name, "dry": dry} | task)]
    return Stage(command, seconds, SIMULATOR if dry else None)

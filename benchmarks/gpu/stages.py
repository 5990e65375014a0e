"""Runs each stage of the GPU benchmark in a separate process, so that the next stages run even if one crashes or hangs."""

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
# Without this variable, JAX would allocate most of the GPU's memory at once, and leave too little for other libraries.
ENVIRONMENT = {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
# Makes the stages run in Numba's simulator.
SIMULATOR = {"NUMBA_ENABLE_CUDASIM": "1", "JAX_PLATFORMS": "cpu"}


class Stage:
    """A process of the GPU benchmark with a time limit. The constructor starts the process, which appends results to a file.

    Parameters
    ----------
    command : list of str
        The command line that starts the process, to which `Stage` appends the name of the file for the results. Each line of
        the file is a JSON object, so that the results of a killed process can still be read.
    seconds : float
        The time limit, after which the process and all its descendants are killed.
    environment : dict of str
        Environment variables to set in the new process, in addition to those of the current process.
    """

    def __init__(self, command: list[str], seconds: float, environment: Mapping[str, str] | None = None):
        self.seconds, self.start = seconds, time.perf_counter()
        descriptor, self.records = tempfile.mkstemp(suffix=".jsonl")
        os.close(descriptor)
        variables = os.environ | ENVIRONMENT | dict(environment or {})
        self.process = subprocess.Popen([*command, self.records], cwd=ROOT, env=variables, start_new_session=True)

    def finish(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Waits for the end of the process, and returns its outcome and its results.

        Returns
        -------
        end : dict
            "outcome" is "ok" or a description of the failure; "seconds" is the duration of the process.
        records : dict
            The records (results) of the process, merged into one dict.
        """
        killed = False
        try:
            self.process.wait(max(0.0, self.seconds - (time.perf_counter() - self.start)))
        except subprocess.TimeoutExpired:
            killed = True
        finally:  # also after Ctrl-C, which does not reach the process, because the process runs in a separate session
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
        """Kills the process and all processes that it has started, if they are still running."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def _read(self) -> dict[str, Any]:
        records, path = {}, Path(self.records)
        for line in path.read_text().splitlines():
            with contextlib.suppress(json.JSONDecodeError):  # the last line is incomplete if the process was killed
                records |= json.loads(line)
        path.unlink()
        return records


def begin(name: str, seconds: float, dry: bool, **task: Any) -> Stage:
    """Starts a process that runs a stage, which is a function of the module `benchmarks.gpu.tasks`.

    Parameters
    ----------
    name : str
        The name of the function.
    seconds : float
        The time limit.
    dry : bool
        Whether to run tiny networks.
    **task
        Further arguments of the function, which must be JSON-serializable.
    """
    command = [sys.executable, "-m", "benchmarks.gpu.tasks", json.dumps({"stage": name, "dry": dry} | task)]
    return Stage(command, seconds)

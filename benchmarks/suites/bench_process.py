"""Benchmarks of whole processes: import, compilation, time until the end of the first epoch, and peak memory."""

import os
import subprocess
import sys
import tempfile
from dataclasses import replace

from benchmarks.ladder.processes import run_process
from benchmarks.peers import PEERS
from benchmarks.rungs import RUNGS, problem, samples
from numbanet import Network

from .equation import contestant


def timeraw_import() -> str:
    """Returns the code that asv times in a new Python process: an import of numbanet."""
    return "import numbanet"


class Compilation:
    """The seconds that Numba spends compiling, with an empty cache, until the end of the first epoch."""

    params = ("fast", "reference")
    param_names = ("kernels",)
    unit = "seconds"

    code = """
import sys
from numba.core import event
from numbanet import Network, load_digits
x, y, _, _ = load_digits()
seconds = []
with event.install_timer("numba:compile", seconds.append):
    Network([64, 32, 10], "relu", "cce", kernels=sys.argv[1], seed=0).fit(x, y, epochs=1, verbose=0)
print(sum(seconds))
"""

    def track_seconds(self, kernels: str) -> float:
        """Trains in a new process, and returns the compilation time that Numba reports, in seconds."""
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-P", "-c", self.code, kernels]
            environment = os.environ | {"NUMBA_CACHE_DIR": folder}
            return float(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout)


class WholeProcess:
    """Benchmark of a process that trains the network R2 (64-32-10) for one epoch.

    All compiled code is in the cache before the process starts.
    """

    params = ("numbanet", *PEERS)
    param_names = ("contestant",)
    warm = False

    def setup(self, name: str) -> None:
        """Runs the process once before all measurements, to fill the compile cache.

        asv calls `setup` before each timed call; only the first call to `setup` does anything.
        """
        if not self.warm:
            rung = RUNGS["R2"]
            contestant(name, rung, problem(rung))
            run_process(name, rung, epochs=1)
            self.warm = True

    def time_first_epoch(self, name: str) -> None:
        """Times the process, from its start to its end."""
        run_process(name, RUNGS["R2"], epochs=1)


class PeakMemory:
    """The peak memory of a process that calls `Network.fit`.

    asv and this benchmark run in the measured process, so the peak memory includes their memory. To measure processes in which
    neither asv nor a benchmark of asv runs, use `benchmarks.ladder`.
    """

    params = ("R2", "R6")
    param_names = ("rung",)

    def setup(self, name: str) -> None:
        """Creates the data. Another process fills the compile cache, so that the peak memory does not include compilation."""
        self.rung = replace(RUNGS[name], samples=1_024)
        self.data = samples(self.rung)
        run_process("numbanet", RUNGS["R2"], epochs=1)

    def peakmem_fit(self, name: str) -> None:
        """Trains a network for one epoch."""
        network = Network(self.rung.sizes, self.rung.activation, "cce", seed=0)
        network.fit(*self.data, epochs=1, batch_size=self.rung.batch, learning_rate=self.rung.eta, verbose=0)

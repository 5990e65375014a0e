"""Whole processes: import, compilation, time until the first trained epoch, peak memory."""

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
    """Returns the code to time in a new Python process."""
    return "import numbanet"


class Compilation:
    """The seconds that Numba compiles until a first epoch is trained, with an empty cache."""

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
        """Trains in a new process, and returns the seconds that Numba reports."""
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-P", "-c", self.code, kernels]
            environment = os.environ | {"NUMBA_CACHE_DIR": folder}
            return float(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout)


class WholeProcess:
    """A process from the start of Python to the end of one epoch of R2, with all code already compiled."""

    params = ("numbanet", *PEERS)
    param_names = ("contestant",)
    warm = False

    def setup(self, name: str) -> None:
        """Runs the process once, which fills the caches; asv repeats the setup before each call."""
        if not self.warm:
            rung = RUNGS["R2"]
            contestant(name, rung, problem(rung))
            run_process(name, rung, epochs=1)
            self.warm = True

    def time_first_epoch(self, name: str) -> None:
        """Times the process."""
        run_process(name, RUNGS["R2"], epochs=1)


class PeakMemory:
    """The peak memory of a process that trains by `Network.fit`.

    asv and this suite are in the process, too. The ladder measures processes without them.
    """

    params = ("R2", "R6")
    param_names = ("rung",)

    def setup(self, name: str) -> None:
        """Makes the data, and fills the cache of compiled code in another process: LLVM takes memory of its own."""
        self.rung = replace(RUNGS[name], samples=1_024)
        self.data = samples(self.rung)
        run_process("numbanet", RUNGS["R2"], epochs=1)

    def peakmem_fit(self, name: str) -> None:
        """Trains one epoch."""
        network = Network(self.rung.sizes, self.rung.activation, "cce", seed=0)
        network.fit(*self.data, epochs=1, batch_size=self.rung.batch, learning_rate=self.rung.eta, verbose=0)

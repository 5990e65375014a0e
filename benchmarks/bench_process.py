"""What a user waits for at the start, and what a process costs: import, compilation, whole processes, peak memory."""

import os
import subprocess
import sys
import tempfile
from dataclasses import replace

from numbanet import Network

from .common import contestant
from .peers import PEERS
from .processes import run_process
from .rungs import RUNGS, problem, samples


def timeraw_import():
    """In a fresh Python: a timeraw_ function returns the code to run."""
    return "import numbanet"


class Compilation:
    """How long Numba compiles until a first epoch is trained, nothing being compiled before."""

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

    def track_seconds(self, kernels):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-P", "-c", self.code, kernels]
            environment = os.environ | {"NUMBA_CACHE_DIR": folder}
            return float(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout)


class WholeProcess:
    """From the start of Python to the end of one that has trained the first epoch of R2, everything compiled before."""

    params = ("numbanet", *PEERS)
    param_names = ("contestant",)
    warm = False

    def setup(self, name):
        if not self.warm:  # asv sets up again before every call
            rung = RUNGS["R2"]
            contestant(name, rung, problem(rung))
            run_process(name, rung, epochs=1)
            self.warm = True

    def time_first_epoch(self, name):
        run_process(name, RUNGS["R2"], epochs=1)


class PeakMemory:
    """Of a process that trains by the front door. It holds asv and this suite, too: the ladder compares whole processes."""

    params = ("R2", "R6")
    param_names = ("rung",)

    def setup(self, name):
        self.rung = replace(RUNGS[name], samples=1_024)
        self.data = samples(self.rung)
        run_process("numbanet", RUNGS["R2"], epochs=1)  # compiles: LLVM takes memory of its own

    def peakmem_fit(self, name):
        settings = {"batch_size": self.rung.batch, "learning_rate": self.rung.eta, "verbose": 0}
        network = Network(self.rung.sizes, self.rung.activation, "cce", seed=0)
        network.fit(*self.data, epochs=1, **settings)

"""What runs in a whole process that is measured: it imports no more than the one who trains needs."""

import json
from pathlib import Path

import numpy as np

from .peers import CONTESTANTS
from .rungs import Rung, problem, samples


def train(name, rung, epochs):
    """Trains, numbanet by its front door, and prints the peak memory of this process in MiB."""
    rung = Rung(**json.loads(rung))
    if name == "numbanet":
        from numbanet import Network

        x, labels = samples(rung)
        network = Network(rung.sizes, rung.activation, "cce", dtype=rung.dtype, seed=0)
        settings = {"batch_size": rung.batch, "learning_rate": rung.eta, "verbose": 0}
        network.fit(x, labels, epochs=int(epochs), **settings)
    else:
        contestant = CONTESTANTS[name](rung, problem(rung))  # and keeps no parameters but its own
        for seed in range(int(epochs)):
            contestant.train(contestant.prepare(np.random.default_rng(seed).permutation(rung.samples)))
    status = Path("/proc/self/status").read_text()  # getrusage would count what the parent had when it started this process
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)

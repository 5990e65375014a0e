"""The code of a process whose time or memory is measured. This module imports only what the measured library needs."""

import json
from pathlib import Path

from benchmarks.peers import CONTESTANTS
from benchmarks.rungs import Rung, orders, problem, samples


def train(name: str, rung_fields: str, epochs: str) -> None:
    """Trains a benchmark network with one library, and prints the peak memory of this process in MiB.

    If the library is numbanet, the process trains with `Network.fit`.

    Parameters
    ----------
    name : str
        The name of the library, which is a key of `benchmarks.peers.CONTESTANTS`.
    rung_fields : str
        The fields of the `Rung` that describes the network, in JSON.
    epochs : str
        The number of epochs.
    """
    fields = json.loads(rung_fields)
    rung = Rung(**fields | {"sizes": tuple(fields["sizes"])})
    if name == "numbanet":
        from numbanet import Network

        x, labels = samples(rung)
        network = Network(rung.sizes, rung.activation, "cce", dtype=rung.dtype, seed=0)
        network.fit(x, labels, epochs=int(epochs), batch_size=rung.batch, learning_rate=rung.eta, verbose=0)
    else:
        contestant = CONTESTANTS[name](rung, problem(rung))  # no variable refers to the problem, so that its memory is freed
        for order in orders(rung, int(epochs)):
            contestant.train(contestant.prepare(order))
    # getrusage would include the peak memory of the parent process, before this process called exec.
    status = Path("/proc/self/status").read_text()
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)

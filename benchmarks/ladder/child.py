"""The code of a measured process; it imports no more than its contestant needs."""

import json
from pathlib import Path

from benchmarks.peers import CONTESTANTS
from benchmarks.rungs import Rung, orders, problem, samples


def train(name: str, rung_fields: str, epochs: str) -> None:
    """Trains a rung, numbanet by `Network.fit`, and prints the peak memory of this process in MiB.

    Parameters
    ----------
    name : str
        Name of the contestant.
    rung_fields : str
        The fields of the `Rung`, in JSON.
    epochs : str
        Number of epochs.
    """
    fields = json.loads(rung_fields)
    rung = Rung(**fields | {"sizes": tuple(fields["sizes"])})
    if name == "numbanet":
        from numbanet import Network

        x, labels = samples(rung)
        network = Network(rung.sizes, rung.activation, "cce", dtype=rung.dtype, seed=0)
        network.fit(x, labels, epochs=int(epochs), batch_size=rung.batch, learning_rate=rung.eta, verbose=0)
    else:
        contestant = CONTESTANTS[name](rung, problem(rung))  # drops the problem's parameters once it has copied them
        for order in orders(rung, int(epochs)):
            contestant.train(contestant.prepare(order))
    status = Path("/proc/self/status").read_text()  # getrusage would include the peak of the parent before exec
    print(int(status.split("VmHWM:")[1].split()[0]) / 1024)

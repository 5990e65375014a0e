"""What every process of test_mpi.py runs: python mpi_cases.py CASE FOLDER. Rank 0 writes what it found as JSON."""

import hashlib
import json
import os
import signal
import sys
from pathlib import Path

import numpy as np

import numbanet

CASE, FOLDER = sys.argv[1], Path(sys.argv[2])
OPTIMIZERS = {"gradient_descent": 0.05, "momentum": 0.02, "adam": 0.002}


class Counting(numbanet.MPICommunicator):
    """Calls a function when gradients have been added up so many times."""

    sums, at, then = 0, None, None

    def sum(self, flat):
        super().sum(flat)
        self.sums += flat.dtype.kind == "f" and flat.size > 100
        if self.sums == self.at:
            self.then()


def flat(network):
    return np.concatenate([array.ravel() for pair in network.parameters() for array in pair])


def problems():
    """Digits, and the network of R3 on noise: sizes, x, y, batch sizes that no number of processes divides."""
    x, y, _, _ = numbanet.load_digits()
    yield "digits", [64, 32, 10], x[:701], y[:701], 33
    random = np.random.default_rng(0)
    yield "R3", [784, 128, 10], random.standard_normal((333, 784)), random.integers(0, 10, 333), 50


def same(communicator):
    """Losses of every problem, optimizer and dtype."""
    found = {}
    for name, sizes, x, y, batch_size in problems():
        for dtype in ("float64", "float32"):
            for optimizer, eta in OPTIMIZERS.items():
                network = numbanet.Network(sizes, "relu", "cce", dtype=dtype, seed=0)
                options = {"batch_size": batch_size, "optimizer": optimizer, "learning_rate": eta, "validation_split": 0.1}
                history = network.fit(x, y, epochs=2, communicator=communicator, verbose=0, **options)
                found[f"{name} {dtype} {optimizer}"] = [history.history[key] for key in ("loss", "val_loss")]
    return found


def bits(communicator):
    """Losses, and the bits of the parameters, of the first problem by Adam."""
    _, sizes, x, y, batch_size = next(problems())
    network = numbanet.Network(sizes, "relu", "cce", seed=0, dropout=0.2)
    options = {"batch_size": batch_size, "optimizer": "adam", "metrics": ["f1"]}
    history = network.fit(x, y, epochs=3, communicator=communicator, verbose=0, **options)
    return history.history["loss"], history.history["f1"], hashlib.sha256(flat(network)).hexdigest()


def trained(communicator):
    """Digits by Adam with a checkpoint, which rank 0 leaves after each epoch: 5 of 22 steps."""
    x, y, _, _ = numbanet.load_digits()
    network = numbanet.Network([64, 32, 10], "relu", "cce", dtype="float64", seed=0, dropout=0.1)
    options = {"batch_size": 33, "optimizer": "adam", "checkpoint": FOLDER / "state.npz"}
    history = network.fit(x[:700], y[:700], epochs=5, communicator=communicator, verbose=0, **options)
    return {"loss": history.history["loss"], "rank": communicator.rank}


def killed(communicator):
    """The same, but rank 1 is killed in the middle of epoch 4."""
    if communicator.rank == 1:
        communicator.at, communicator.then = 3 * 22 + 11, lambda: os.kill(os.getpid(), signal.SIGKILL)
    return trained(communicator)


def failing(communicator):
    """Rank 1 finds in epoch 2 that its data are gone."""
    network, epochs = numbanet.Network([2, 2, 2], "relu", "cce", seed=0), [0]

    def batches():
        epochs[0] += 1
        for _ in range(5):
            if communicator.rank == 1 and epochs[0] == 2:
                raise OSError("the disk of rank 1 is gone")
            yield np.ones((4, 2)), np.ones(4, int)

    network.fit(batches, epochs=3, communicator=communicator, verbose=0)


def gpu(communicator):
    """Parameters that a GPU, simulated or not, and the CPU end with."""
    random, found = np.random.default_rng(0), {}
    x, y = random.standard_normal((3, 2)), random.integers(0, 2, 3)
    for device in ("cpu", "cuda"):
        network = numbanet.Network([2, 2, 2], "tanh", "cce", dtype="float64", seed=0, device=device)
        network.fit(x, y, epochs=1, batch_size=2, optimizer="momentum", communicator=communicator, verbose=0)
        found[device] = flat(network).tolist()
    return found


def node(communicator):
    """What this process has of its machine."""
    return {"threads": numbanet.get_num_threads(), "first": communicator.first_of_node, "size": communicator.size}


if __name__ == "__main__":
    communicator = Counting()
    found = globals()[CASE](communicator)
    communicator.barrier()
    if communicator.rank == 0:
        (FOLDER / f"{CASE}.json").write_text(json.dumps(found))

"""The cases that test_mpi.py runs in several processes: `python mpi_cases.py FOLDER CASE ...`. Rank 0 writes CASE.json."""

import hashlib
import json
import os
import runpy
import signal
import sys
from pathlib import Path

import numpy as np

import numbanet

FOLDER = Path()  # the folder of all files that the cases read and write
ADAM = {"optimizer": "adam", "learning_rate": 0.002}


class Counting(numbanet.MPICommunicator):
    """A communicator that counts the sums of gradients of all processes, and calls `then` after sum number `at`."""

    sums, at, then = 0, None, None

    def sum(self, flat):
        super().sum(flat)
        self.sums += flat.dtype.kind == "f" and flat.size > 100
        if self.sums == self.at:
            self.then()


def flat(network):
    return np.concatenate([array.ravel() for pair in network.parameters() for array in pair])


def digits():
    """Returns 351 images and labels, for training in batches of 35, which is divisible neither by 2 nor by 3.

    If a tenth of the images is held out for validation, the last batch contains one image.
    """
    x, y, _, _ = numbanet.load_digits()
    return x[:351], y[:351]


def noise():
    """Returns random samples and labels for the benchmark network R3, for training in batches of 49."""
    random = np.random.default_rng(0)
    return random.standard_normal((333, 784)), random.integers(0, 10, 333)


DIGITS, R3 = ([64, 32, 10], digits, 35), ([784, 128, 10], noise, 49)
DESCENT = {"optimizer": "gradient_descent", "learning_rate": 0.05}
MOMENTUM = {"optimizer": numbanet.Momentum(weight_decay=0.001), "learning_rate": 0.02}
PROBLEMS = {
    "digits float64 momentum": (*DIGITS, "float64", MOMENTUM),
    "R3 float64 gradient_descent": (*R3, "float64", DESCENT),
    "R3 float32 adam": (*R3, "float32", ADAM),
}


def same(communicator):
    """Trains each network in PROBLEMS; returns the losses and validation losses of its epochs."""
    found = {}
    for name, (sizes, data, batch_size, dtype, options) in PROBLEMS.items():
        network = numbanet.Network(sizes, "relu", "cce", dtype=dtype, seed=0)
        options = options | {"batch_size": batch_size, "validation_split": 0.1}
        history = network.fit(*data(), epochs=2, communicator=communicator, verbose=0, **options)
        found[name] = [history.history[key] for key in ("loss", "val_loss")]
    return found


def bits(communicator):
    """Trains with Nesterov momentum, weight decay and dropout; returns the losses, the metrics and a hash of the parameters."""
    network = numbanet.Network([64, 32, 10], "relu", "cce", dtype="float64", seed=0, dropout=0.2)
    options = {"batch_size": 35, "optimizer": numbanet.Nesterov(weight_decay=0.001), "metrics": ["f1"]}
    history = network.fit(*digits(), epochs=3, communicator=communicator, verbose=0, **options)
    return history.history["loss"], history.history["f1"], hashlib.sha256(flat(network)).hexdigest()


def trained(communicator):
    """Trains a network on digits with Adam for 5 epochs of 11 steps; after each epoch, rank 0 writes a checkpoint."""
    x, y = digits()
    network = numbanet.Network([64, 32, 10], "relu", "cce", dtype="float64", seed=0)
    options = {"batch_size": 33, "optimizer": "adam", "checkpoint": FOLDER / "state.npz"}
    history = network.fit(x[:350], y[:350], epochs=5, communicator=communicator, verbose=0, **options)
    return {"loss": history.history["loss"], "rank": communicator.rank}


def killed(communicator):
    """Runs the case `trained`, in which rank 1 is killed in the middle of epoch 4."""
    if communicator.rank == 1:
        communicator.sums = 0
        communicator.at, communicator.then = 3 * 11 + 5, lambda: os.kill(os.getpid(), signal.SIGKILL)
    return trained(communicator)


def failing(communicator):
    """Trains on batches from a generator, which raises an error in rank 1 in epoch 2."""
    network, epochs = numbanet.Network([2, 2, 2], "relu", "cce", seed=0), [0]

    def batches():
        epochs[0] += 1
        for _ in range(5):
            if communicator.rank == 1 and epochs[0] == 2:
                raise OSError("the disk of rank 1 is gone")
            yield np.ones((4, 2)), np.ones(4, int)

    network.fit(batches, epochs=3, communicator=communicator, verbose=0)


def gpu(communicator):
    """Returns the parameters of a network after training on a GPU (possibly simulated), and after training on the CPU."""
    random, found = np.random.default_rng(0), {}
    x, y = random.standard_normal((3, 2)), random.integers(0, 2, 3)
    for device in ("cpu", "cuda"):
        network = numbanet.Network([2, 2, 2], "tanh", "cce", dtype="float64", seed=0, device=device)
        network.fit(x, y, epochs=1, batch_size=2, optimizer="momentum", communicator=communicator, verbose=0)
        found[device] = flat(network).tolist()
    return found


def node(communicator):
    """Returns facts about this process in `communicator`, and in a communicator that contains only this process.

    The facts are the number of threads, whether the process is the first on its machine, and the number of processes.
    """
    from mpi4py import MPI

    together, threads = facts(communicator), numbanet.get_num_threads()
    numbanet.set_num_threads(len(os.sched_getaffinity(0)))
    alone = facts(numbanet.MPICommunicator(MPI.COMM_SELF))
    numbanet.set_num_threads(threads)
    return {"together": together, "alone": alone}


def facts(communicator):
    return {"threads": numbanet.get_num_threads(), "first": communicator.first_of_node, "size": communicator.size}


def command(*arguments):
    from numbanet.cli import main  # not at the top of the module, because few cases need it

    return main(list(arguments))


def refused(communicator):
    """Runs a `numbanet` command that fails in all processes, because the folder of its output is missing."""
    command("train", "digits", "-o", str(FOLDER / "nowhere" / "digits.npz"))


def misuse(communicator):
    """Returns the exit status of a `numbanet` command with wrong arguments."""
    try:
        return command("train", "digits", "--epochs", "many")
    except SystemExit as exit_:
        return exit_.code


def examples(communicator):
    """Runs every script example_*.py in FOLDER as a main program, with FOLDER as the working folder."""
    os.chdir(FOLDER)
    scripts = sorted(FOLDER.glob("example_*.py"))
    for script in scripts:
        print(script.name, file=sys.stderr, flush=True)
        runpy.run_path(str(script), run_name="__main__")
        communicator.barrier()
    return [script.name for script in scripts]


if __name__ == "__main__":
    sys.setswitchinterval(2e-5)  # in the simulator, threads spend most of their time waiting for each other
    FOLDER, communicator = Path(sys.argv[1]), Counting()
    for case in sys.argv[2:]:
        found = globals()[case](communicator)
        communicator.barrier()
        if communicator.rank == 0:
            (FOLDER / f"{case}.json").write_text(json.dumps(found))

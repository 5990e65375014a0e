"""The Fashion-MNIST table: `Network.fit` and PyTorch in eager mode train a network with the sizes 784-128-10 for ten epochs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks import peers
from benchmarks.measuring import Settings, Table, figure, medians, seconds_of, take_turns
from benchmarks.rungs import Problem, Rung

FASHION = Rung("Fashion-MNIST", (784, 128, 10), 64, 60_000, eta=0.1)
EPOCHS = 10
COLUMNS = ("network", "numbanet, seconds", "test accuracy", "PyTorch, seconds", "test accuracy", "PyTorch / numbanet")


def measure(settings: Settings) -> dict[str, Any]:
    """Trains a network several times with numbanet and PyTorch; prints median times and accuracies, and returns all values.

    numbanet and PyTorch start from the same parameters, and shuffle the samples in each epoch. If PyTorch or the data set is
    not installed, the function measures nothing, and prints and returns the reason.
    """
    from numbanet import load_fashion_mnist

    try:
        import torch  # noqa: F401

        data = load_fashion_mnist()
    except (ImportError, FileNotFoundError) as error:
        print(f"\nFashion-MNIST is skipped: {error}", flush=True)
        return {"skipped": str(error)}
    table = Table("Fashion-MNIST: ten epochs, batches of 64, learning rate 0.1", COLUMNS, settings.markdown)
    trainers: dict[str, Callable[..., float]] = {"numbanet": _train_numbanet, "PyTorch": _train_torch}
    accuracies: dict[str, list[float]] = {name: [] for name in trainers}
    first_batches = [array[: 2 * FASHION.batch] for array in data]
    for train in trainers.values():
        train(*first_batches, 0)  # compiles the code and fills the caches
    runs = {
        name: lambda turn, name=name: seconds_of(lambda: accuracies[name].append(trainers[name](*data, turn)))
        for name in trainers
    }
    turns = take_turns(runs, settings.rounds)
    seconds, accuracy = medians(turns), medians(accuracies)
    ratio = seconds["PyTorch"] / seconds["numbanet"]
    cells = [figure(values[name]) for name in trainers for values in (seconds, accuracy)]
    table.line(FASHION.title, *cells, figure(ratio))
    return {"seconds": turns, "test accuracy": accuracies, "PyTorch / numbanet": ratio}


def _network(seed: int) -> Any:
    from numbanet import Network

    return Network(FASHION.sizes, FASHION.activation, "cce", seed=seed)


def _train_numbanet(x, labels, x_test, labels_test, seed) -> float:
    network = _network(seed)
    network.fit(x, labels, epochs=EPOCHS, batch_size=FASHION.batch, learning_rate=FASHION.eta, verbose=0)
    return network.evaluate(x_test, labels_test)["accuracy"]


def _train_torch(x, labels, x_test, labels_test, seed) -> float:
    rung = replace(FASHION, samples=len(x))
    peer = peers.Torch(rung, Problem(_network(seed).parameters(), x, labels))
    random = np.random.default_rng(seed)
    for _ in range(EPOCHS):
        peer.train(peer.prepare(random.permutation(len(x))))
    y_hat = peer.predict(peer.ready(x_test))
    return float((y_hat.argmax(dim=1).numpy() == labels_test).mean())

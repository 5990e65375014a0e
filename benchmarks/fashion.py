"""Fashion-MNIST: ten epochs of 784-128-10 by `Network.fit` and by the plain loop of eager PyTorch, and what they learnt."""

from dataclasses import replace

import numpy as np

from . import peers
from .measuring import Table, figure, medians, seconds_of, take_turns
from .rungs import Problem, Rung

FASHION = Rung("Fashion-MNIST", (784, 128, 10), 64, 60_000, eta=0.1)
EPOCHS = 10
COLUMNS = ("network", "numbanet, seconds", "test accuracy", "PyTorch, seconds", "test accuracy", "PyTorch / numbanet")


def measure(settings) -> dict:
    """Seconds and accuracies of both, medians; both start from the same parameters and shuffle in every epoch."""
    from numbanet import load_fashion_mnist

    try:
        import torch  # noqa: F401

        data = load_fashion_mnist()
    except (ImportError, FileNotFoundError) as absent:
        print(f"\nFashion-MNIST is skipped: {absent}", flush=True)
        return {"skipped": str(absent)}
    table = Table("Fashion-MNIST: ten epochs, batches of 64, learning rate 0.1", COLUMNS, settings.markdown)
    trainers = {"numbanet": _train_numbanet, "PyTorch": _train_torch}
    accuracies = {name: [] for name in trainers}
    warm = [array[: 2 * FASHION.batch] for array in data]
    for train in trainers.values():
        train(*warm, 0)
    runs = {
        name: lambda turn, name=name: seconds_of(lambda: accuracies[name].append(trainers[name](*data, turn)))
        for name in trainers
    }
    turns = take_turns(runs, settings.rounds)
    seconds, accuracy = medians(turns), medians(accuracies)
    ratio = seconds["PyTorch"] / seconds["numbanet"]
    cells = [figure(of[name]) for name in trainers for of in (seconds, accuracy)]
    table.line(FASHION.title, *cells, figure(ratio))
    return {"seconds": turns, "test accuracy": accuracies, "PyTorch / numbanet": ratio}


def _network(seed):
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

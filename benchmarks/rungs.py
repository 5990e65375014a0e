"""The benchmark networks, called rungs: their sizes, the samples in an epoch, the initial parameters, and the training data."""

import itertools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Rung:
    """A benchmark network with the output activation softmax and the loss CCE, and the settings of its training.

    Parameters
    ----------
    name : str
        A short name, such as "R1".
    sizes : tuple of int
        The number of inputs, followed by the number of neurons of each layer.
    batch, samples : int
        `batch` is the number of samples in a step; `samples` is the number of samples in an epoch.
    activation : str
        The activation function of the hidden layers: relu, sigmoid or tanh.
    dtype : str
        float32 or float64.
    eta : float
        The learning rate.
    """

    name: str
    sizes: tuple[int, ...]
    batch: int
    samples: int
    activation: str = "relu"
    dtype: str = "float32"
    eta: float = 0.01

    @property
    def title(self) -> str:
        """The network's title in tables: the name, the sizes, and the activation and dtype if they are not relu and float32."""
        variant = [self.activation] * (self.activation != "relu") + [self.dtype] * (self.dtype != "float32")
        return " ".join([self.name, "-".join(map(str, self.sizes)), *variant])

    @property
    def layers(self) -> list[tuple[int, int]]:
        """For each layer, the pair (n_in, n_out): its number of inputs, and its number of neurons."""
        return list(itertools.pairwise(self.sizes))

    @property
    def activations(self) -> tuple[str, ...]:
        """The name of each layer's activation function."""
        return (self.activation,) * (len(self.sizes) - 2) + ("softmax",)

    @property
    def steps(self) -> int:
        """Number of steps (updates of the parameters) in an epoch."""
        return -(-self.samples // self.batch)

    @property
    def operations(self) -> int:
        """Number of additions and multiplications in an epoch.

        Each weight takes 6 operations per sample. Each weight of layer 1 takes only 4 operations per sample, because training
        does not compute dL/dx.
        """
        weights = [n_in * n_out for n_in, n_out in self.layers]
        return self.samples * (6 * sum(weights) - 2 * weights[0])


class Problem(NamedTuple):
    """The initial parameters and the training data, which are the same for all libraries that are compared.

    Parameters
    ----------
    parameters : list of (w, b)
        The initial parameters of each layer. w has the shape (n_in, n_out), and b has the shape (n_out,).
    x : (n, n_in)
        The inputs, one row per sample.
    labels : (n,) int
        The classes of the samples.
    """

    parameters: list[tuple[NDArray[np.floating], NDArray[np.floating]]]
    x: NDArray[np.floating]
    labels: NDArray[np.integer]


RUNGS = {
    rung.name: rung
    for rung in (
        Rung("R1", (2, 2, 2), 4, 4_000),
        Rung("R2", (64, 32, 10), 32, 1_792),
        Rung("R3", (784, 128, 10), 64, 12_800),
        Rung("R4", (784, 512, 256, 10), 128, 12_800),
        Rung("R5", (784, 1024, 1024, 10), 256, 5_120),
        Rung("R6", (2048, 2048, 2048, 10), 512, 2_048),
    )
}


def problem(rung: Rung) -> Problem:
    """Returns random parameters, samples and labels for a benchmark network. Every call returns the same values."""
    random, dtype = np.random.default_rng(1), _dtype(rung)
    parameters: list[tuple[NDArray[np.floating], NDArray[np.floating]]] = [
        ((2 * random.random((n_in, n_out), dtype) - 1) * (6 / n_in) ** 0.5, np.zeros(n_out, dtype))
        for n_in, n_out in rung.layers
    ]
    return Problem(parameters, *samples(rung))


def samples(rung: Rung) -> tuple[NDArray[np.floating], NDArray[np.integer]]:
    """Returns the samples x (n, n_in) and the labels (n,) that `problem(rung)` also returns, without creating parameters."""
    random = np.random.default_rng(0)
    x = random.standard_normal((rung.samples, rung.sizes[0]), _dtype(rung))
    return x, random.integers(0, rung.sizes[-1], rung.samples)


def one_hot(labels: NDArray[np.integer], classes: int, dtype: Any) -> NDArray[np.floating]:
    """Returns one-hot targets y, of shape (n, classes), for n labels: a row is 1 in the label's column, and 0 elsewhere."""
    return np.eye(classes, dtype=dtype)[labels]


def orders(rung: Rung, count: int) -> list[NDArray[np.integer]]:
    """Returns the random orders of the samples in `count` epochs. Every call returns the same orders."""
    return [np.random.default_rng(seed).permutation(rung.samples) for seed in range(count)]


def _dtype(rung: Rung) -> Any:
    return np.dtype(rung.dtype)

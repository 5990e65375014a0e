"""The rungs of the ladder: the networks that are trained, the size of an epoch, and the numbers training starts from."""

import itertools
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Rung:
    """A network with a softmax output and the CCE loss, and one epoch of its training.

    Parameters
    ----------
    name : str
    sizes : tuple of int
        Numbers of neurons, input first.
    batch, samples : int
        Samples per step and per epoch.
    activation : str
        Activation of the hidden layers: relu, sigmoid or tanh.
    dtype : str
        float32 or float64.
    eta : float
        Learning rate.
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
        """The label in tables: name, sizes, and what differs from ReLU and float32."""
        variant = [self.activation] * (self.activation != "relu") + [self.dtype] * (self.dtype != "float32")
        return " ".join([self.name, "-".join(map(str, self.sizes)), *variant])

    @property
    def layers(self) -> list[tuple[int, int]]:
        """(n_in, n_out) of each layer."""
        return list(itertools.pairwise(self.sizes))

    @property
    def activations(self) -> tuple[str, ...]:
        """The activation of each layer."""
        return (self.activation,) * (len(self.sizes) - 2) + ("softmax",)

    @property
    def steps(self) -> int:
        """Updates per epoch."""
        return -(-self.samples // self.batch)

    @property
    def operations(self) -> int:
        """Operations per epoch: 6 per weight and sample, less 2 per weight of layer 1, which needs no input gradient."""
        weights = [n_in * n_out for n_in, n_out in self.layers]
        return self.samples * (6 * sum(weights) - 2 * weights[0])


class Problem(NamedTuple):
    """The common start of all contestants.

    Parameters
    ----------
    parameters : list of (w, b)
        Of each layer: w (n_in, n_out), b (n_out,).
    x : (n, n_in)
        Samples.
    labels : (n,) int
        Their classes.
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
    """Returns random parameters, samples and labels for a rung, the same in every call."""
    random, dtype = np.random.default_rng(1), _dtype(rung)
    parameters: list[tuple[NDArray[np.floating], NDArray[np.floating]]] = [
        ((2 * random.random((n_in, n_out), dtype) - 1) * (6 / n_in) ** 0.5, np.zeros(n_out, dtype))
        for n_in, n_out in rung.layers
    ]
    return Problem(parameters, *samples(rung))


def samples(rung: Rung) -> tuple[NDArray[np.floating], NDArray[np.integer]]:
    """Returns the samples x (n, n_in) and labels (n,) of the rung's problem, without parameters."""
    random = np.random.default_rng(0)
    x = random.standard_normal((rung.samples, rung.sizes[0]), _dtype(rung))
    return x, random.integers(0, rung.sizes[-1], rung.samples)


def one_hot(labels: NDArray[np.integer], classes: int, dtype: Any) -> NDArray[np.floating]:
    """Returns the targets y (n, classes) of labels (n,): 1 in the column of the label, else 0."""
    return np.eye(classes, dtype=dtype)[labels]


def orders(rung: Rung, count: int) -> list[NDArray[np.integer]]:
    """Returns the orders of the samples in `count` epochs, the same in every call."""
    return [np.random.default_rng(seed).permutation(rung.samples) for seed in range(count)]


def _dtype(rung: Rung) -> Any:
    return np.dtype(rung.dtype)

"""The rungs of the ladder: which networks are trained, on how much, and the numbers they start from."""

import itertools
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np


@dataclass(frozen=True)
class Rung:
    """A network with a softmax output and the CCE loss, and one epoch of it.

    Parameters
    ----------
    name : str
    sizes : tuple of int
        Numbers of neurons, input first.
    batch, samples : int
        Per step, and per epoch.
    activation : str
        Of the hidden layers: relu, sigmoid or tanh.
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
        """One line for a table."""
        variant = [self.activation] * (self.activation != "relu") + [self.dtype] * (self.dtype != "float32")
        return " ".join([self.name, "-".join(map(str, self.sizes)), *variant])

    @property
    def layers(self) -> list[tuple[int, int]]:
        """(n_in, n_out) of each layer."""
        return list(itertools.pairwise(self.sizes))

    @property
    def steps(self) -> int:
        """Updates per epoch."""
        return -(-self.samples // self.batch)

    @property
    def operations(self) -> int:
        """Of an epoch: 6 per weight and sample, less the gradient with respect to the input, which nobody needs."""
        weights = [n_in * n_out for n_in, n_out in self.layers]
        return self.samples * (6 * sum(weights) - 2 * weights[0])


class Problem(NamedTuple):
    """What everybody starts from: parameters [(w, b), ...], samples x (n, n_in) and their labels (n,)."""

    parameters: list[tuple[np.ndarray, np.ndarray]]
    x: np.ndarray
    labels: np.ndarray


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
    """Random parameters, samples and labels, the same every time."""
    random = np.random.default_rng(1)
    parameters = [
        ((2 * random.random((n_in, n_out), rung.dtype) - 1) * (6 / n_in) ** 0.5, np.zeros(n_out, rung.dtype))
        for n_in, n_out in rung.layers
    ]
    return Problem(parameters, *samples(rung))


def samples(rung: Rung) -> tuple[np.ndarray, np.ndarray]:
    """The samples and labels of the problem, for who starts from parameters of their own."""
    random = np.random.default_rng(0)
    x = random.standard_normal((rung.samples, rung.sizes[0]), rung.dtype)
    return x, random.integers(0, rung.sizes[-1], rung.samples)

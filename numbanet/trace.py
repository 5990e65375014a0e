"""The class Trace: the values of all symbols of the equations in one training step."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbanet import checks, pages
from numbanet.files import Location
from numbanet.persist import vectors

# The symbols of each layer, in the order in which a training step computes them.
FORWARD_SYMBOLS, BACKWARD_SYMBOLS = ("w", "b", "z", "a"), ("delta", "dw", "db")


@dataclass(frozen=True)
class Trace:
    """All intermediate values of one training step, as returned by `Network.trace`.

    The values can be printed, or saved as expected values for tests of an implementation in another language.

    Attributes
    ----------
    x, y, y_hat : ndarray
        The inputs x of shape (n, n_in), the targets y of shape (n, n_out), and the predictions y_hat of shape (n, n_out).
    loss : float
        The loss of the batch.
    w, b, z, a, delta, dw, db : list of ndarray
        Lists with one array per layer; index 0 is layer 1. The arrays in w and dw have the shape (n_in, n_out), those in b and
        db the shape (n_out,), and those in z, a and delta the shape (n, n_out).
    activations : list of str
        The name of each layer's activation function.
    loss_name : str
        The name of the loss: "sse", "mse", "bce" or "cce", or the name of a `Loss`.
    epsilon : float
        The slope of leaky_relu for z <= 0.
    """

    x: NDArray[Any]
    y: NDArray[Any]
    y_hat: NDArray[Any]
    loss: float
    w: list[NDArray[Any]]
    b: list[NDArray[Any]]
    z: list[NDArray[Any]]
    a: list[NDArray[Any]]
    delta: list[NDArray[Any]]
    dw: list[NDArray[Any]]
    db: list[NDArray[Any]]
    activations: list[str]
    loss_name: str
    epsilon: float

    def symbols(self) -> dict[str, NDArray[Any]]:
        """Returns all arrays by name, in the order in which a training step computes them.

        Returns
        -------
        dict of str to ndarray
            For a network with two layers, the names are x, w1, b1, z1, a1, w2, b2, z2, a2, y, y_hat, loss, delta2, dw2, db2,
            delta1, dw1, db1. The number in a name is the number of the layer.
        """
        arrays, layers = {"x": self.x}, range(1, len(self.w) + 1)
        for l in layers:
            arrays |= {f"{symbol}{l}": getattr(self, symbol)[l - 1] for symbol in FORWARD_SYMBOLS}
        arrays |= {"y": self.y, "y_hat": self.y_hat, "loss": np.asarray(self.loss)}
        for l in reversed(layers):
            arrays |= {f"{symbol}{l}": getattr(self, symbol)[l - 1] for symbol in BACKWARD_SYMBOLS}
        return arrays

    def save(self, path: Location) -> None:
        """Writes the arrays of `symbols()` to a file, as expected values for tests of an implementation in another language.

        Parameters
        ----------
        path : path or binary file object
            The file to write. If the name of the file ends in .json, the file contains nested lists in JSON; otherwise the file
            is an NPZ file.

        Raises
        ------
        ValueError
            A value is infinite or NaN, and the file is a JSON file. JSON cannot represent infinity and NaN. Or the name has the
            ending of another format, such as .csv.
        OSError
            The file cannot be written.
        """
        vectors.write(path, {}, self.symbols())

    def page(self, path: Location, *, learning_rate: float = 0.01) -> None:
        """Writes an HTML page in which a reader walks through the training step, from symbol to symbol.

        For each symbol, the page shows the formula of the sheet, the formula with its numbers, the neuron in a drawing of the
        network, and the loop of `numbanet.equations` that computes the symbol. The last stages show the weights and biases
        before and after an update by gradient descent, w - eta dL/dw. The page is a single file, works without a network
        connection, and needs a browser from 2023 or later.

        Parameters
        ----------
        path : path or binary file object
            The file to write. Its name must end in .html.
        learning_rate : float
            The positive learning rate eta of the update. The parameters of the network are not updated.

        Raises
        ------
        ValueError, TypeError
            The name has another ending, `learning_rate` is not positive, a value is infinite or NaN, or the step consists of
            more than 100,000 numbers. A page shows about 30,000 weights.
        OSError
            The file cannot be written.
        """
        rate = checks.positive("learning_rate", learning_rate, self.x.dtype)
        arrays = zip(self.activations, self.w, self.b, self.z, self.a, self.delta, self.dw, self.db, strict=True)
        layers = [pages.Layer(*layer) for layer in arrays]
        pages.write_step(path, pages.Step(self.x, self.y, self.loss, self.loss_name, self.epsilon, rate, layers))

    def table(self) -> None:
        """Prints all values in the notation of the equations: first the forward pass, then the backward pass."""
        print("\n".join(self._lines()))

    def _lines(self) -> Iterator[str]:
        layers = range(1, len(self.w) + 1)
        yield from _matrix("x", "s", "i", self.x)
        for l in layers:
            yield f"layer {l}: z_j = sum_i w_ij x_i + b_j, a_j = phi(z_j)"
            yield from _matrix(f"w^{l}", "i", "j", self.w[l - 1])
            yield from _vector(f"b^{l}", "j", self.b[l - 1])
            yield from _matrix(f"z^{l}", "s", "j", self.z[l - 1])
            yield from _matrix(f"a^{l}", "s", "j", self.a[l - 1])
        yield from _matrix("y", "s", "j", self.y)
        yield f"L = {self.loss:.9g}"
        for l in reversed(layers):
            yield f"layer {l}: delta_j = dL/dz_j, dL/dw_ij = sum_s delta_j x_i, dL/db_j = sum_s delta_j"
            yield from _matrix(f"delta^{l}", "s", "j", self.delta[l - 1])
            yield from _matrix(f"dL/dw^{l}", "i", "j", self.dw[l - 1])
            yield from _vector(f"dL/db^{l}", "j", self.db[l - 1])


def _matrix(name: str, row: str, column: str, array: NDArray[Any]) -> Iterator[str]:
    yield f"{name}  ({row} down, {column} across)"
    yield from ("  " + "".join(f"{value:17.9g}" for value in line) for line in array)


def _vector(name: str, column: str, array: NDArray[Any]) -> Iterator[str]:
    yield f"{name}  ({column} across)"
    yield "  " + "".join(f"{value:17.9g}" for value in array)

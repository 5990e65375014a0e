"""The class Trace: the values of all symbols of the equations in one training step."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from numbanet import checks, pages
from numbanet.files import Location
from numbanet.persist import vectors

# The symbols of each layer, in the order in which a training step computes them.
FORWARD_SYMBOLS, BACKWARD_SYMBOLS = ("w", "b", "z", "a"), ("delta", "dw", "db")


class Block(NamedTuple):
    """An array, its name in the notation of the equations, and the letters of its row index (if any) and column index."""

    name: str
    indices: str
    array: NDArray[Any]


@dataclass(frozen=True, repr=False)
class Trace:
    """All intermediate values of one training step, as returned by `Network.trace`.

    The values can be printed, or saved as expected values for tests of an implementation in another language. A notebook
    displays a trace as tables.

    Attributes
    ----------
    x, y, y_hat : ndarray
        The inputs x of shape (n, n_in), the targets y of shape (n, n_out), and the predictions y_hat of shape (n, n_out).
    loss : float
        The loss of the batch.
    w, b, z, a, delta, dw, db : list of ndarray
        Lists with one array per layer; index 0 is layer 1. The arrays in w and dw have the shape (n_in, n_out), the arrays in b
        and db have the shape (n_out,), and the arrays in z, a and delta have the shape (n, n_out).
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
            A value is infinite or NaN, and the file is a JSON file, which cannot represent infinity and NaN; or the name has
            the ending of another format, such as .csv.
        OSError
            The file cannot be written.
        """
        vectors.write(path, {}, self.symbols())

    def page(self, path: Location, *, learning_rate: float = 0.01) -> None:
        """Writes an HTML page in which a reader walks through the training step, from symbol to symbol.

        For each symbol, the page shows the formula of the cheat sheet, the formula with its numbers, the neuron in a drawing of
        the network, and the loop of `numbanet.equations` that computes the symbol. The last parts of the page show the weights
        and biases before and after an update by gradient descent, w - eta dL/dw. The page is a single file, works without an
        Internet connection, and needs a browser from 2023 or later.

        Parameters
        ----------
        path : path or binary file object
            The file to write, whose name must end in .html or .htm.
        learning_rate : float
            The positive learning rate eta of the update. The parameters of the network are not updated.

        Raises
        ------
        ValueError, TypeError
            The name has an ending other than .html or .htm, `learning_rate` is not positive, a value is infinite or NaN, or the
            step consists of more than 100,000 numbers. The step of a network with about 30,000 weights fits on a page.
        OSError
            The file cannot be written.
        """
        rate = checks.positive("learning_rate", learning_rate, self.x.dtype)
        arrays = zip(self.activations, self.w, self.b, self.z, self.a, self.delta, self.dw, self.db, strict=True)
        layers = [pages.Layer(*layer) for layer in arrays]
        pages.write_step(path, pages.Step(self.x, self.y, self.loss, self.loss_name, self.epsilon, rate, layers))

    def table(self) -> str:
        """Returns all values as text in the notation of the equations: first the forward pass, then the backward pass."""
        return "\n".join(line for part in self._parts() for line in _lines(part))

    def __repr__(self) -> str:
        sizes = "-".join(map(str, [self.x.shape[1], *(b.size for b in self.b)]))
        return f"<Trace of {checks.count(len(self.x), 'sample')} in a network {sizes}: {self.loss_name} {self.loss:.6g}>"

    def _repr_html_(self) -> str:
        return pages.matrices(self._parts())

    def _parts(self) -> Iterator[str | Block]:
        """Yields the headings and arrays of the printed trace, in the order of a training step."""
        layers = range(1, len(self.w) + 1)
        yield Block("x", "si", self.x)
        for l in layers:
            yield f"layer {l}: z_j = sum_i w_ij x_i + b_j, a_j = phi(z_j)"
            yield Block(f"w^{l}", "ij", self.w[l - 1])
            yield Block(f"b^{l}", "j", self.b[l - 1])
            yield Block(f"z^{l}", "sj", self.z[l - 1])
            yield Block(f"a^{l}", "sj", self.a[l - 1])
        yield Block("y", "sj", self.y)
        yield f"L = {self.loss:.9g}"
        for l in reversed(layers):
            yield f"layer {l}: delta_j = dL/dz_j, dL/dw_ij = sum_s delta_j x_i, dL/db_j = sum_s delta_j"
            yield Block(f"delta^{l}", "sj", self.delta[l - 1])
            yield Block(f"dL/dw^{l}", "ij", self.dw[l - 1])
            yield Block(f"dL/db^{l}", "j", self.db[l - 1])


def _lines(part: str | Block) -> Iterator[str]:
    """Yields the lines of the printed trace for one of its parts: a heading or an array."""
    if isinstance(part, str):
        yield part
        return
    down = f"{part.indices[0]} down, " if len(part.indices) == 2 else ""
    yield f"{part.name}  ({down}{part.indices[-1]} across)"
    for row in np.atleast_2d(part.array):
        yield "  " + "".join(f"{value:17.9g}" for value in row)

"""Every symbol of one step by name, layer by layer: golden vectors for somebody's port."""

from dataclasses import dataclass

import numpy as np

from numbanet.persist import vectors

# Of each layer, in the order in which a step computes them.
FORWARD, BACKWARD = ("w", "b", "z", "a"), ("delta", "dw", "db")


@dataclass(frozen=True)
class Trace:
    """All numbers of one step; what `Network.trace` returns.

    Attributes
    ----------
    x, y, y_hat : ndarray
        Inputs (n, n_in), targets and predictions (n, n_out).
    loss : float
    w, b, z, a, delta, dw, db : list of ndarray
        One array per layer, layer 1 at index 0: w, dw (n_in, n_out), b, db (n_out,), z, a, delta (n, n_out).
    """

    x: np.ndarray
    y: np.ndarray
    y_hat: np.ndarray
    loss: float
    w: list[np.ndarray]
    b: list[np.ndarray]
    z: list[np.ndarray]
    a: list[np.ndarray]
    delta: list[np.ndarray]
    dw: list[np.ndarray]
    db: list[np.ndarray]

    def symbols(self) -> dict[str, np.ndarray]:
        """All arrays by name, in the order in which a step computes them.

        Returns
        -------
        dict of str to ndarray
            x; w1, b1, z1, a1, w2, ...; y, y_hat, loss; delta2, dw2, db2, delta1, ...: the number is that of the layer.
        """
        arrays, layers = {"x": self.x}, range(1, len(self.w) + 1)
        for l in layers:
            arrays |= {f"{symbol}{l}": getattr(self, symbol)[l - 1] for symbol in FORWARD}
        arrays |= {"y": self.y, "y_hat": self.y_hat, "loss": np.asarray(self.loss)}
        for l in reversed(layers):
            arrays |= {f"{symbol}{l}": getattr(self, symbol)[l - 1] for symbol in BACKWARD}
        return arrays

    def save(self, path) -> None:
        """Writes the symbols, under the names of `symbols()`, as golden vectors for a port.

        Parameters
        ----------
        path : path
            A name that ends in .json makes a JSON file, nested lists, any other an NPZ file.

        Raises
        ------
        ValueError
            A symbol is not finite, which JSON cannot say.
        OSError
            The file cannot be written.
        """
        vectors.write(path, {}, self.symbols())

    def table(self) -> None:
        """Prints every number in the notation of the sheet, the forward pass first, sample by sample."""
        print("\n".join(self._lines()))

    def _lines(self):
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


def _matrix(name: str, row: str, column: str, array: np.ndarray):
    yield f"{name}  ({row} down, {column} across)"
    yield from ("  " + "".join(f"{value:17.9g}" for value in line) for line in array)


def _vector(name: str, column: str, array: np.ndarray):
    yield f"{name}  ({column} across)"
    yield "  " + "".join(f"{value:17.9g}" for value in array)

"""Benchmarks of a single layer that an engine computes: matrix products of several shapes, and activation functions."""

from functools import partial
from typing import Any

import numpy as np

from numbanet.engines import Topology
from numbanet.proof.oracle import ACTIVATIONS

from .equation import Array, engine

DTYPE = np.dtype("float32")
# Shapes (n, n_in, n_out) of layers. In the last shape, w is larger than the L2 cache of a core.
SHAPES = ((32, 64, 32), (64, 784, 128), (128, 784, 512), (256, 1024, 1024))


class ArrayLayer:
    """A NumPy implementation of a layer with the activation identity and the loss SSE, with the same methods as an engine."""

    def __init__(self, w: Array, b: Array):
        self.w, self.b = w, b

    def upload(self, array: Array) -> Array:
        """Returns the array itself."""
        return array

    def predict(self, x: Array) -> Array:
        """Returns y_hat, of shape (n, n_out)."""
        return x @ self.w + self.b

    def loss_and_gradients(self, x: Array, y: Array) -> tuple[float, Array]:
        """Returns the loss, and a flat vector with the gradients dL/dw and dL/db."""
        error = self.predict(x) - y
        delta = 2 * error
        return (error * error).sum(), np.concatenate([(x.T @ delta).ravel(), delta.sum(axis=0)])


class Products:
    """Benchmark of a layer with the activation identity and the loss SSE: its forward product, and also its gradients."""

    params = (("fast", "reference", "cuda", "numpy"), SHAPES)
    param_names = ("impl", "n, n_in, n_out")
    layer: Any = None
    x: Any
    y: Any

    def setup(self, impl: str, shape: tuple[int, int, int]) -> None:
        """Creates the layer and checks its results.

        asv calls `setup` before each timed call; only the first call to `setup` does anything.
        """
        if self.layer is not None:
            return
        n, n_in, n_out = shape
        if impl == "reference" and n * n_in * n_out > 1e8:
            raise NotImplementedError("skipped, because the reference loops would take seconds")
        draw = partial(np.random.default_rng(0).standard_normal, dtype=np.float32)
        x, y, w, b = draw((n, n_in)), draw((n, n_out)), draw((n_in, n_out)), draw(n_out)
        self.layer = ArrayLayer(w, b)
        if impl != "numpy":
            self.layer = engine(impl, Topology((n_in, n_out), ("identity",), "sse", DTYPE))
            self.layer.write(np.concatenate([w.ravel(), b]))
        self.x, self.y = self.layer.upload(x), self.layer.upload(y)
        self._check(ArrayLayer(w.astype(np.float64), b.astype(np.float64)), x, y)

    def _check(self, oracle: ArrayLayer, x: Array, y: Array) -> None:
        results = self.layer.predict(self.x), self.layer.loss_and_gradients(self.x, self.y)[1]
        for values, expected in zip(results, (oracle.predict(x), oracle.loss_and_gradients(x, y)[1]), strict=True):
            np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5 * np.abs(expected).max())

    def time_forward(self, impl: str, shape: tuple[int, int, int]) -> None:
        """Times the computation of the layer's outputs."""
        self.layer.predict(self.x)

    def time_gradients(self, impl: str, shape: tuple[int, int, int]) -> None:
        """Times the computation of the loss and its gradients."""
        self.layer.loss_and_gradients(self.x, self.y)


class Activations:
    """Benchmark of a layer with one input and half a million outputs, so that the activation takes most of the time."""

    params = (("fast", "reference", "cuda"), tuple(ACTIVATIONS))
    param_names = ("impl", "activation")
    engine: Any = None
    x: Any

    def setup(self, impl: str, name: str) -> None:
        """Creates the layer and checks its outputs.

        asv calls `setup` before each timed call; only the first call to `setup` does anything.
        """
        if self.engine is not None:
            return
        draw = partial(np.random.default_rng(0).standard_normal, dtype=np.float32)
        x, w, b = draw((1024, 1)), draw((1, 512)), draw(512)
        layer = engine(impl, Topology((1, 512), (name,), "sse", DTYPE, epsilon=0.01))
        layer.write(np.concatenate([w.ravel(), b]))
        self.x = layer.upload(x)
        expected = ACTIVATIONS[name](x.astype(np.float64) * w + b, 0.01)
        np.testing.assert_allclose(layer.predict(self.x), expected, rtol=1e-5, atol=1e-6)
        self.engine = layer

    def time_predict(self, impl: str, name: str) -> None:
        """Times the computation of the layer's outputs."""
        self.engine.predict(self.x)

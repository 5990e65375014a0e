"""One layer through the face of an engine: the products of the ladder's shapes, and the activations."""

from functools import partial

import numpy as np

from numbanet.engines import Topology
from numbanet.proof.oracle import ACTIVATIONS

from .common import engine

DTYPE = np.dtype("float32")


class ArrayLayer:
    """A layer of identities with the SSE loss in whole-array NumPy, with the face of an engine."""

    def __init__(self, w, b):
        self.w, self.b = w, b

    def upload(self, array):
        return array

    def predict(self, x):
        return x @ self.w + self.b

    def loss_and_gradients(self, x, y):
        error = self.predict(x) - y
        delta = 2 * error
        return (error * error).sum(), np.concatenate([(x.T @ delta).ravel(), delta.sum(axis=0)])


class Products:
    """A layer of identities with the SSE loss: the forward product, and that with the product of the weight gradient."""

    shapes = ((32, 64, 32), (64, 784, 128), (128, 784, 512), (256, 1024, 1024), (512, 2048, 2048))
    params = (("fast", "reference", "cuda", "numpy"), shapes)
    param_names = ("impl", "n, n_in, n_out")
    layer = None

    def setup(self, impl, shape):
        if self.layer is not None:  # asv sets up again before every call
            return
        n, n_in, n_out = shape
        if impl == "reference" and n * n_in * n_out > 1e8:
            raise NotImplementedError("takes seconds")
        draw = partial(np.random.default_rng(0).standard_normal, dtype=DTYPE)
        x, y, w, b = draw((n, n_in)), draw((n, n_out)), draw((n_in, n_out)), draw(n_out)
        self.layer = ArrayLayer(w, b)
        if impl != "numpy":
            self.layer = engine(impl, Topology((n_in, n_out), ("identity",), "sse", DTYPE))
            self.layer.write(np.concatenate([w.ravel(), b]))
        self.x, self.y = self.layer.upload(x), self.layer.upload(y)
        self._check(ArrayLayer(w.astype(np.float64), b.astype(np.float64)), x, y)

    def _check(self, oracle, x, y):
        found = self.layer.predict(self.x), self.layer.loss_and_gradients(self.x, self.y)[1]
        for values, expected in zip(found, (oracle.predict(x), oracle.loss_and_gradients(x, y)[1]), strict=True):
            np.testing.assert_allclose(values, expected, rtol=0, atol=1e-5 * np.abs(expected).max())

    def time_forward(self, impl, shape):
        self.layer.predict(self.x)

    def time_gradients(self, impl, shape):
        self.layer.loss_and_gradients(self.x, self.y)


class Activations:
    """Half a million neurons with one input each: next to nothing but their activation."""

    params = (("fast", "reference", "cuda"), tuple(ACTIVATIONS))
    param_names = ("impl", "activation")
    engine = None

    def setup(self, impl, name):
        if self.engine is not None:
            return
        draw = partial(np.random.default_rng(0).standard_normal, dtype=DTYPE)
        x, w, b = draw((1024, 1)), draw((1, 512)), draw(512)
        layer = engine(impl, Topology((1, 512), (name,), "sse", DTYPE, epsilon=0.01))
        layer.write(np.concatenate([w.ravel(), b]))
        self.x = layer.upload(x)
        expected = ACTIVATIONS[name](x.astype(np.float64) * w + b, 0.01)
        np.testing.assert_allclose(layer.predict(self.x), expected, rtol=1e-5, atol=1e-6)
        self.engine = layer

    def time_predict(self, impl, name):
        self.engine.predict(self.x)

"""Everybody who trains the ladder's networks and predicts with them, each in the fastest way its users have.

Each is made of a `Rung` and a `Problem`, and has

    prepare(order)    the order of the samples, in arrays of its own
    train(prepared)   an epoch of gradient descent in that order; its mean loss, read once at the end
    ready(x)          samples to predict from, in an array of its own
    predict(ready)    the probabilities of the classes, computed when it returns

and a peer raises ImportError where it is not installed, or cannot do that rung.
"""

import contextlib
from functools import cached_property

import numpy as np

from .rungs import Problem, Rung


def topology(rung: Rung):
    """The network of a rung, as engines take it."""
    from numbanet.engines import Topology

    activations = (rung.activation,) * (len(rung.sizes) - 2) + ("softmax",)
    return Topology(rung.sizes, activations, "cce", np.dtype(rung.dtype))


class Numbanet:
    """The engine, which `fit` drives, for `fit` would draw orders of its own; predictions by the front door."""

    device, kernels = "cpu", "fast"

    def __init__(self, rung: Rung, problem: Problem):
        from numbanet.engines import make_engine
        from numbanet.engines.epoch import epoch_of

        self.rung, self.epoch_of, self.topology = rung, epoch_of, topology(rung)
        self.engine = make_engine(self.topology, self.device, self.kernels)
        self.engine.write(np.concatenate([array.ravel() for pair in problem.parameters for array in pair]))
        data = problem.x.view(), np.eye(rung.sizes[-1], dtype=rung.dtype)[problem.labels]
        for array in data:
            array.flags.writeable = False  # as everything is that comes through the front door
        self.data = [self.engine.upload(array) for array in data]

    def prepare(self, order):
        return order

    def train(self, order):
        *_, totals = self.engine.train_epoch(*self.data, self.epoch_of(order, self.rung.batch, self.rung.eta))
        return totals.loss / totals.samples

    @cached_property
    def network(self):
        from numbanet import Network

        rung = self.rung
        network = Network(
            rung.sizes, rung.activation, "cce", dtype=rung.dtype, seed=0, device=self.device, kernels=self.kernels
        )
        network.set_parameters(self.topology.views(self.engine.read()))
        return network

    def ready(self, x):
        return x

    def predict(self, x):
        return self.network.predict(x)


class Reference(Numbanet):
    """The loops of `numbanet.equations` as they stand."""

    kernels = "reference"


class Cuda(Numbanet):
    """numbanet on a GPU."""

    device = "cuda"


class Numpy:
    """Whole-array NumPy: the oracle, in float64."""

    def __init__(self, rung: Rung, problem: Problem):
        self.rung, self.x = rung, problem.x.astype(rung.dtype)
        self.y = np.eye(rung.sizes[-1], dtype=rung.dtype)[problem.labels]
        self.parameters = [(w.astype(rung.dtype), b.astype(rung.dtype)) for w, b in problem.parameters]
        self.phi, self.d_phi = {
            "relu": (lambda z: np.maximum(z, 0), lambda a: a > 0),
            "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda a: a * (1 - a)),
            "tanh": (np.tanh, lambda a: 1 - a * a),
        }[rung.activation]

    def prepare(self, order):
        return order.reshape(-1, self.rung.batch)

    def train(self, batches):
        return float(np.mean([self._step(self.x[rows], self.y[rows]) for rows in batches]))

    def ready(self, x):
        return x

    def predict(self, x):
        return np.exp(self._forward(x)[1])

    def _forward(self, x):
        """The activations of all hidden layers, x being the first, and the logarithms of softmax."""
        activations = [x]
        for w, b in self.parameters[:-1]:
            activations.append(self.phi(activations[-1] @ w + b))
        w, b = self.parameters[-1]
        z = activations[-1] @ w + b
        z -= z.max(axis=1, keepdims=True)
        return activations, z - np.log(np.exp(z).sum(axis=1, keepdims=True))

    def _step(self, x, y):
        activations, logarithms = self._forward(x)
        delta = (np.exp(logarithms) - y) / len(x)
        for (w, b), a in zip(self.parameters[::-1], activations[::-1], strict=True):
            dw, db = a.T @ delta, delta.sum(axis=0)
            if a is not x:
                delta = (delta @ w.T) * self.d_phi(a)
            w -= self.rung.eta * dw
            b -= self.rung.eta * db
        return -(y * logarithms).sum() / len(x)


class Jax:
    """`jit` over a `lax.scan` of the whole epoch, which updates donated parameters."""

    def __init__(self, rung: Rung, problem: Problem):
        import jax
        import jax.numpy as jnp

        jax.config.update("jax_enable_x64", rung.dtype == "float64")
        phi = {"relu": jax.nn.relu, "sigmoid": jax.nn.sigmoid, "tanh": jnp.tanh}[rung.activation]
        x, labels = jnp.asarray(problem.x), jnp.asarray(problem.labels, jnp.int32)

        def logits(parameters, a):
            for w, b in parameters[:-1]:
                a = phi(a @ w + b)
            w, b = parameters[-1]
            return a @ w + b

        def loss(parameters, x, labels):
            logarithms = jax.nn.log_softmax(logits(parameters, x))
            return -jnp.take_along_axis(logarithms, labels[:, None], axis=1).mean()

        def step(parameters, rows):
            value, gradients = jax.value_and_grad(loss)(parameters, x[rows], labels[rows])
            return jax.tree.map(lambda p, g: p - rung.eta * g, parameters, gradients), value

        def epoch(parameters, order):
            parameters, losses = jax.lax.scan(step, parameters, order.reshape(-1, rung.batch))
            return parameters, losses.mean()

        self.asarray, self.int32 = jnp.asarray, jnp.int32
        self.epoch = jax.jit(epoch, donate_argnums=0)
        self.probabilities = jax.jit(lambda parameters, x: jax.nn.softmax(logits(parameters, x)))
        self.parameters = [(jnp.array(w), jnp.array(b)) for w, b in problem.parameters]

    def prepare(self, order):
        return self.asarray(order, self.int32)

    def train(self, order):
        self.parameters, value = self.epoch(self.parameters, order)
        return float(value)

    def ready(self, x):
        return self.asarray(x)

    def predict(self, x):
        return self.probabilities(self.parameters, x).block_until_ready()


class Torch:
    """The plain loop of eager PyTorch."""

    device = "cpu"

    def __init__(self, rung: Rung, problem: Problem):
        import torch

        self.torch, self.rung = torch, rung
        phi = {"relu": torch.nn.ReLU, "sigmoid": torch.nn.Sigmoid, "tanh": torch.nn.Tanh}[rung.activation]
        layers = []
        for w, b in problem.parameters:
            linear = torch.nn.Linear(*w.shape)
            linear.weight.data, linear.bias.data = torch.from_numpy(w.T.copy()), torch.tensor(b)
            layers += [linear, phi()]
        self.model, self.loss = torch.nn.Sequential(*layers[:-1]).to(self.device), torch.nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=rung.eta)
        self.x, self.labels = self.ready(problem.x), self.ready(problem.labels)

    def prepare(self, order):
        return self.ready(order).split(self.rung.batch)

    def train(self, batches):
        return self.torch.stack([self._step(rows) for rows in batches]).mean().item()

    def _step(self, rows):
        self.optimizer.zero_grad()
        loss = self._loss(self.x[rows], self.labels[rows])
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def _loss(self, x, labels):
        return self.loss(self.model(x), labels)

    def ready(self, x):
        return self.torch.from_numpy(x).to(self.device)

    def predict(self, x):
        with self.torch.no_grad():
            return self.model(x).softmax(dim=1)


class ScikitLearn:
    """`MLPClassifier.partial_fit` without momentum and penalty."""

    def __init__(self, rung: Rung, problem: Problem):
        from sklearn.neural_network import MLPClassifier

        if rung.sizes[-1] == 2:
            raise ImportError("scikit-learn has one sigmoid output for two classes: another network")
        self.x, self.labels = problem.x, problem.labels
        self.model = MLPClassifier(
            rung.sizes[1:-1],
            activation={"sigmoid": "logistic"}.get(rung.activation, rung.activation),
            solver="sgd",
            momentum=0,
            alpha=0,
            batch_size=rung.batch,
            learning_rate_init=rung.eta,
            shuffle=False,
        )
        first = slice(rung.batch)  # makes the arrays, which then take the parameters
        self.model.partial_fit(problem.x[first], problem.labels[first], classes=np.arange(rung.sizes[-1]))
        for w, b, (w_start, b_start) in zip(self.model.coefs_, self.model.intercepts_, problem.parameters, strict=True):
            w[:], b[:] = w_start, b_start

    def prepare(self, order):
        return order

    def train(self, order):
        return self.model.partial_fit(self.x[order], self.labels[order]).loss_

    def ready(self, x):
        return x

    def predict(self, x):
        return self.model.predict_proba(x)


PEERS = {"JAX": Jax, "PyTorch": Torch, "scikit-learn": ScikitLearn}
CONTESTANTS = {"numbanet": Numbanet, **PEERS, "reference": Reference, "NumPy": Numpy, "CUDA": Cuda}


def installed(names, rung: Rung, problem: Problem) -> dict:
    """Those of the contestants that can do this rung here, by name."""
    found = {}
    for name in names:
        with contextlib.suppress(ImportError) if name in PEERS else contextlib.nullcontext():
            found[name] = CONTESTANTS[name](rung, problem)
    return found


def lead(medians: dict[str, float], names=tuple(PEERS)) -> float | None:
    """The smallest figure of a peer, one of the names, over numbanet's; None where either is missing."""
    figures = [value for name, value in medians.items() if name in names]
    return min(figures) / medians["numbanet"] if figures and "numbanet" in medians else None

"""The contestants of the benchmarks: numbanet and the other libraries that are compared with numbanet.

The benchmarks use each library in the fastest way that is available to the library's users.

A contestant is created from a `Rung`, which describes a benchmark network, and a `Problem`, which contains the initial
parameters and the data. Libraries other than numbanet are called peers. The constructor of a peer's class raises ImportError if
the library is not installed or does not support the network. The constructor of each contestant imports its library, so that a
measured process imports only the library that it needs.
"""

import contextlib
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from benchmarks.rungs import Problem, Rung, one_hot

if TYPE_CHECKING:
    from numbanet import Network
    from numbanet.engines import Topology

Order = NDArray[np.integer]
# The type of a function, or class, that creates a contestant.
Maker = Callable[[Rung, Problem], Any]


class Contestant(Protocol):
    """The interface of a contestant (a library in the benchmarks)."""

    def prepare(self, order: Order) -> Any:
        """Returns the order of the samples, converted to the contestant's own type of array."""

    def train(self, prepared: Any) -> float:
        """Trains one epoch by gradient descent, in the order that `prepare` returned. Returns the mean loss of the epoch.

        The contestant reads the loss from the device only once, at the end of the epoch.
        """
        ...

    def step(self, x: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
        """Performs one training step on samples x and class labels in NumPy arrays. Returns the loss before the step."""
        ...

    def ready(self, x: NDArray[np.floating]) -> Any:
        """Returns the samples x, converted to the contestant's own type of array, to be passed to `predict`."""

    def predict(self, ready: Any) -> Any:
        """Returns the class probabilities for samples that `ready` returned, as soon as all of them are computed."""


def topology(rung: Rung) -> "Topology":
    """Returns the topology (sizes, activations, loss and dtype) of a benchmark network, for numbanet's engines."""
    from numbanet.engines import Topology

    return Topology(rung.sizes, rung.activations, "cce", np.dtype(rung.dtype))


def flat(parameters: Iterable[tuple[NDArray[np.floating], NDArray[np.floating]]]) -> NDArray[np.floating]:
    """Returns the parameters [(w, b), ...] as a flat vector, which contains, layer by layer, w and then b."""
    return np.concatenate([array.ravel() for pair in parameters for array in pair])


def read_only_data(rung: Rung, problem: Problem) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
    """Returns the inputs x (n, n_in) and the targets y (n, n_out) as read-only arrays, as numbanet's engines expect."""
    x, y = problem.x.view(), one_hot(problem.labels, rung.sizes[-1], rung.dtype)
    x.flags.writeable = y.flags.writeable = False
    return x, y


class Numbanet:
    """numbanet as a contestant on the CPU: it trains with an engine, and predicts with `Network.predict`.

    `Network.fit` calls the same engine as this class. `Numbanet` does not call `Network.fit`, because `fit` would choose the
    order of the samples itself.
    """

    device, kernels = "cpu", "fast"

    def __init__(self, rung: Rung, problem: Problem):
        from numbanet.engines import make_engine
        from numbanet.engines.epoch import epoch_of

        self.rung, self.epoch_of, self.topology = rung, epoch_of, topology(rung)
        self.engine: Any = make_engine(self.topology, self.device, self.kernels)
        self.engine.write(flat(problem.parameters))
        x, y = read_only_data(rung, problem)
        self.data = self.engine.upload(x), self.engine.upload(y)

    def prepare(self, order: Order) -> Order:
        """Returns `order` unchanged."""
        return order

    def train(self, order: Order) -> float:
        """Trains one epoch with one call to numbanet's engine, and returns the mean loss."""
        *_, totals = self.engine.train_epoch(*self.data, self.epoch_of(order, self.rung.batch, self.rung.eta))
        return totals.loss / totals.samples

    @cached_property
    def network(self) -> "Network":
        """A `Network` with the engine's parameters, which is created when it is first used."""
        from numbanet import Network

        rung = self.rung
        network = Network(
            rung.sizes, rung.activation, "cce", dtype=rung.dtype, seed=0, device=self.device, kernels=self.kernels
        )
        network.set_parameters(self.topology.views(self.engine.read()))
        return network

    def step(self, x: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
        """Performs one training step with `Network.train_step`, and returns the loss before the step."""
        return self.network.train_step(x, labels, self.rung.eta)

    def ready(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        """Returns `x` unchanged."""
        return x

    def predict(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        """Returns the class probabilities, of shape (n, n_out)."""
        return self.network.predict(x)


class Reference(Numbanet):
    """numbanet's reference engine, which computes with the loops of `numbanet.equations`, on the CPU."""

    kernels = "reference"


class Cuda(Numbanet):
    """numbanet on a GPU."""

    device = "cuda"


class Numpy:
    """An implementation with NumPy operations on whole arrays.

    NumPy's results in float64 are the reference with which the results of the other libraries are compared.
    """

    def __init__(self, rung: Rung, problem: Problem):
        self.rung, self.x = rung, problem.x.astype(rung.dtype)
        self.y = one_hot(problem.labels, rung.sizes[-1], rung.dtype)
        self.parameters = [(w.astype(rung.dtype), b.astype(rung.dtype)) for w, b in problem.parameters]
        self.phi, self.d_phi = {
            "relu": (lambda z: np.maximum(z, 0), lambda a: a > 0),
            "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda a: a * (1 - a)),
            "tanh": (np.tanh, lambda a: 1 - a * a),
        }[rung.activation]

    def prepare(self, order: Order) -> Order:
        """Returns the row indices of the batches, as an array of shape (steps, batch size)."""
        return order.reshape(-1, self.rung.batch)

    def train(self, batches: Order) -> float:
        """Trains one epoch on the batches that `prepare` returned, and returns the mean loss."""
        return float(np.mean([self._step(self.x[rows], self.y[rows]) for rows in batches]))

    def ready(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        """Returns `x` unchanged."""
        return x

    def predict(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        """Returns the class probabilities, of shape (n, n_out)."""
        return np.exp(self._forward(x)[1])

    def _forward(self, x):
        """Returns a list of the inputs of the layers, and log(softmax(z)) of the last layer."""
        inputs = [x]
        for w, b in self.parameters[:-1]:
            inputs.append(self.phi(inputs[-1] @ w + b))
        w, b = self.parameters[-1]
        z = inputs[-1] @ w + b
        z -= z.max(axis=1, keepdims=True)
        return inputs, z - np.log(np.exp(z).sum(axis=1, keepdims=True))

    def _step(self, x, y):
        inputs, logarithms = self._forward(x)
        delta = (np.exp(logarithms) - y) / len(x)
        for (w, b), a in zip(self.parameters[::-1], inputs[::-1], strict=True):
            dw, db = a.T @ delta, delta.sum(axis=0)
            if a is not x:
                delta = (delta @ w.T) * self.d_phi(a)
            w -= self.rung.eta * dw
            b -= self.rung.eta * db
        return -(y * logarithms).sum() / len(x)


class Jax:
    """JAX.

    One compiled function trains a whole epoch with `lax.scan`. The parameters are donated, so that JAX can update them in
    place.
    """

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

        def update(parameters, x, labels):
            value, gradients = jax.value_and_grad(loss)(parameters, x, labels)
            return jax.tree.map(lambda p, g: p - rung.eta * g, parameters, gradients), value

        def epoch(parameters, order):
            batches = order.reshape(-1, rung.batch)
            parameters, losses = jax.lax.scan(lambda p, rows: update(p, x[rows], labels[rows]), parameters, batches)
            return parameters, losses.mean()

        self.asarray, self.int32 = jnp.asarray, jnp.int32
        self.epoch, self.update = (jax.jit(function, donate_argnums=0) for function in (epoch, update))
        self.probabilities = jax.jit(lambda parameters, x: jax.nn.softmax(logits(parameters, x)))
        self.parameters = [(jnp.array(w), jnp.array(b)) for w, b in problem.parameters]

    def prepare(self, order: Order) -> Any:
        """Returns `order`, the order in which training uses the samples, as an int32 array on JAX's device."""
        return self.asarray(order, self.int32)

    def train(self, order: Any) -> float:
        """Trains one epoch with one call of a function that JAX has compiled, and returns the mean loss."""
        self.parameters, value = self.epoch(self.parameters, order)
        return float(value)

    def step(self, x: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
        """Performs one training step by passing NumPy arrays to a compiled function, and returns the loss before the step."""
        self.parameters, value = self.update(self.parameters, x, labels)
        return float(value)

    def ready(self, x: NDArray[np.floating]) -> Any:
        """Returns the samples as an array on JAX's device."""
        return self.asarray(x)

    def predict(self, x: Any) -> Any:
        """Returns the class probabilities, of shape (n, n_out), as soon as JAX has computed all of them."""
        return self.probabilities(self.parameters, x).block_until_ready()


class Torch:
    """PyTorch in eager mode (nothing is compiled), with the usual training loop."""

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

    def prepare(self, order: Order) -> Any:
        """Returns the row indices of the batches, as one tensor per batch."""
        return self.ready(order).split(self.rung.batch)

    def train(self, batches: Any) -> float:
        """Trains one epoch on the batches that `prepare` returned, and returns the mean loss."""
        return self.torch.stack([self._step(self.x[rows], self.labels[rows]) for rows in batches]).mean().item()

    def step(self, x: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
        """Performs one training step on tensors that share the memory of the NumPy arrays x and labels.

        Returns the loss before the step.
        """
        return self._step(self.ready(x), self.ready(labels)).item()

    def _step(self, x, labels):
        self.optimizer.zero_grad()
        loss = self._loss(x, labels)
        loss.backward()
        self.optimizer.step()
        return loss.detach()

    def _loss(self, x, labels):
        return self.loss(self.model(x), labels)

    def ready(self, x: NDArray[Any]) -> Any:
        """Returns the samples as a tensor on PyTorch's device."""
        return self.torch.from_numpy(x).to(self.device)

    def predict(self, x: Any) -> Any:
        """Returns the class probabilities, of shape (n, n_out)."""
        with self.torch.no_grad():
            return self.model(x).softmax(dim=1)


class ScikitLearn:
    """scikit-learn's `MLPClassifier.partial_fit`, without momentum and without weight decay."""

    def __init__(self, rung: Rung, problem: Problem):
        from sklearn.neural_network import MLPClassifier

        if rung.sizes[-1] == 2:
            raise ImportError("scikit-learn uses one sigmoid output for two classes, which is a different network")
        self.x, self.labels = problem.x, problem.labels
        self.model: Any = MLPClassifier(
            rung.sizes[1:-1],
            activation={"sigmoid": "logistic"}.get(rung.activation, rung.activation),
            solver="sgd",
            momentum=0,
            alpha=0,
            batch_size=rung.batch,  # pyright: ignore[reportArgumentType]  (inferred from the default, "auto")
            learning_rate_init=rung.eta,
            shuffle=False,
        )
        first = slice(rung.batch)  # one step creates the arrays of parameters, which are then overwritten
        self.model.partial_fit(problem.x[first], problem.labels[first], classes=np.arange(rung.sizes[-1]))
        for w, b, (w_start, b_start) in zip(self.model.coefs_, self.model.intercepts_, problem.parameters, strict=True):
            w[:], b[:] = w_start, b_start

    def prepare(self, order: Order) -> Order:
        """Returns `order` unchanged."""
        return order

    def train(self, order: Order) -> float:
        """Trains one epoch, and returns the mean loss."""
        return self.step(self.x[order], self.labels[order])

    def step(self, x: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
        """Calls `partial_fit` once, which divides the samples into batches and performs one step per batch.

        Returns the mean of the losses before each step.
        """
        return self.model.partial_fit(x, labels).loss_

    def ready(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        """Returns `x` unchanged."""
        return x

    def predict(self, x: NDArray[np.floating]) -> NDArray[np.floating]:
        """Returns the class probabilities, of shape (n, n_out)."""
        return self.model.predict_proba(x)


PEERS: dict[str, Maker] = {"JAX": Jax, "PyTorch": Torch, "scikit-learn": ScikitLearn}
CONTESTANTS: dict[str, Maker] = {"numbanet": Numbanet, **PEERS, "reference": Reference, "NumPy": Numpy, "CUDA": Cuda}


def installed(names: Iterable[str], rung: Rung, problem: Problem) -> dict[str, Any]:
    """Returns a dict from `names` to contestants, without libraries that are not installed or do not support the network.

    Each contestant is created for the benchmark network `rung`, with the data and the initial parameters in `problem`.
    """
    contestants = {}
    for name in names:
        with contextlib.suppress(ImportError) if name in PEERS else contextlib.nullcontext():
            contestants[name] = CONTESTANTS[name](rung, problem)
    return contestants


def lead(medians: Mapping[str, float], names: Iterable[str] = tuple(PEERS)) -> float | None:
    """Returns the smallest median time of the libraries in `names`, divided by numbanet's median time.

    Returns None if `medians` lacks numbanet, or contains none of the libraries in `names`.
    """
    figures = [value for name, value in medians.items() if name in names]
    return min(figures) / medians["numbanet"] if figures and "numbanet" in medians else None

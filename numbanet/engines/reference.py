"""The reference engine, which computes layer by layer with the loops of `numbanet.equations`, or with their CUDA kernels."""

import functools
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from numbanet.engines import samples
from numbanet.engines.binding import binding_of
from numbanet.engines.cpu.threads import Lock
from numbanet.engines.dropout import limit_and_scale
from numbanet.engines.epoch import Epoch, N
from numbanet.engines.interface import SLICE_SECONDS, Totals
from numbanet.engines.loops import CpuLoops, CudaLoops, Moments, totals_of
from numbanet.engines.rule import ADAM, ADAMW, GRADIENT_DESCENT, MOMENTUM, NESTEROV, Rule
from numbanet.engines.topology import Topology
from numbanet.equations import activations, backprop, descent, dropout, losses, neuron
from numbanet.equations.activations import IDENTITY, SIGMOID, SOFTMAX
from numbanet.equations.losses import BCE, CCE

# The largest number of samples that `predict` and `evaluate` pass through the network at once.
CHUNK = 1024

# For each kind of update rule: a function that returns the rule's loop, followed by the loop's constants. The function takes
# the rule and the step's eta, eta_t and epsilon_t.
UPDATES: dict[int, Callable] = {
    GRADIENT_DESCENT: lambda rule, eta, eta_t, epsilon_t: (descent.gradient_descent, eta),
    MOMENTUM: lambda rule, eta, eta_t, epsilon_t: (descent.momentum, eta, rule.mu),
    NESTEROV: lambda rule, eta, eta_t, epsilon_t: (descent.nesterov, eta, rule.mu),
    ADAM: lambda rule, eta, eta_t, epsilon_t: (descent.adam, eta_t, 1 - rule.beta_1, 1 - rule.beta_2, epsilon_t),
    ADAMW: lambda rule, eta, eta_t, epsilon_t: (descent.adam, eta_t, 1 - rule.beta_1, 1 - rule.beta_2, epsilon_t),
}


class ReferenceEngine:
    """The engine that computes only with the loops of `numbanet.equations`, or on a GPU with the loops' CUDA kernels.

    Parameters
    ----------
    topology : Topology
        The network's layer sizes, activation functions, loss and dtype.
    device : str
        "cpu" or "cuda": the device that runs the loops or kernels.
    """

    finds_not_finite = False

    def __init__(self, topology: Topology, device: str):
        self.topology = topology
        self.loops = (CpuLoops if device == "cpu" else CudaLoops)(binding_of(topology))
        self.epsilon = topology.dtype.type(topology.epsilon)
        self.parameters = self.loops.upload(np.zeros(topology.parameter_count, topology.dtype))
        self.gradients = self.loops.empty(topology.parameter_count, topology.dtype)
        self.moments = Moments(self.loops, topology.parameter_count, topology.dtype)
        self.lock = Lock()  # held during a training step, so that other threads never read half-updated parameters

    def read(self) -> NDArray[np.floating]:
        with self.lock.here:
            return self.loops.download(self.parameters)

    def write(self, parameters: NDArray[np.floating]) -> None:
        with self.lock.here:
            self.loops.copy(np.ascontiguousarray(parameters, self.topology.dtype), self.parameters)

    def read_moments(self, count: int) -> list[NDArray[np.floating]]:
        with self.lock.here:
            return self.moments.read(count)

    def write_moments(self, moments: list[NDArray[np.floating]]) -> None:
        with self.lock.here:
            self.moments.write(moments)

    def upload(self, array: Any) -> Any:
        return self.loops.upload(array)

    def predict(self, x: Any, out: Any = None, *, logits: bool = False) -> Any:
        outputs = np.empty((x.shape[0], self.topology.sizes[-1]), self.topology.dtype) if out is None else out
        for first in range(0, x.shape[0], CHUNK):
            last = min(first + CHUNK, x.shape[0])
            with self.lock.here:
                layers = self._forward(self._batch(x, np.arange(first, last)))
            self.loops.copy(layers["z" if logits else "a"][-1], outputs[first:last])
        self.loops.wait()
        return outputs

    def evaluate(self, x: Any, y: Any, weights: NDArray[np.floating] | None = None) -> Totals:
        count = x.shape[0]
        loss_of_sample, hits_of_sample = self._empty(count), self.loops.empty(count, np.int32)
        weight = None if weights is None else self.loops.upload(weights)
        for first in range(0, count, CHUNK):
            last = min(first + CHUNK, count)
            order = np.arange(first, last)
            part = None if weight is None else weight[first:last]
            with self.lock.here:
                y_batch, layers = self._batch(y, order), self._forward(self._batch(x, order))
            self._loss_of_samples(y_batch, layers, loss_of_sample[first:last], part)
            self._hits_of_samples(y_batch, layers, hits_of_sample[first:last])
        return totals_of(self.loops, loss_of_sample, hits_of_sample, weights)

    def loss_and_gradients(
        self, x: Any, y: Any, weights: NDArray[np.floating] | None = None
    ) -> tuple[float, NDArray[np.floating]]:
        everything = np.arange(x.shape[0])
        x, y = self._batch(x, everything), self._batch(y, everything)
        weight = None if weights is None else self.loops.upload(weights)
        loss_of_sample, gradients = self._empty(x.shape[0]), self._empty(self.topology.parameter_count)
        with self.lock.here:
            layers = self._forward(x)
            self._loss_of_samples(y, layers, loss_of_sample, weight)
            self._backward(y, layers, x.shape[0], gradients, weight)
        return float(self.loops.download(loss_of_sample).sum(dtype=np.float64)), self.loops.download(gradients)

    def train_epoch(self, x: Any, y: Any, epoch: Epoch) -> Iterator[Totals]:
        count, dtype = epoch.order.size, self.topology.dtype
        loss_of_sample, hits_of_sample = self.loops.empty(count, dtype), self.loops.empty(count, np.int32)
        order = self.loops.upload(np.ascontiguousarray(epoch.order, np.int64))
        weights = None if epoch.weights is None else self.loops.upload(epoch.weights.reshape(-1, 1))
        deadline, done = time.perf_counter() + SLICE_SECONDS, 0
        try:
            for rates, (first, last, position) in zip(epoch.rates, epoch.steps(), strict=True):
                rows, drops = slice(first, last), functools.partial(self._drop, epoch.dropout_key, position)
                with self.lock.here:
                    if first < last:
                        notes = loss_of_sample[rows], hits_of_sample[rows]
                        self._gradients(x, y, weights, order[rows], rates[N], notes, drops if self.topology.dropout else None)
                    else:
                        self.loops.copy(np.zeros(self.topology.parameter_count, dtype), self.gradients)
                    if epoch.share:
                        epoch.share.add_up(self.gradients)
                    self._descend(epoch.rule, *rates[N + 1 :])
                    done = last
                if epoch.share or time.perf_counter() > deadline:
                    self.loops.wait()
                    yield Totals(done, 0.0, 0)  # `totals_of` adds up losses and correct outputs at the end
                    deadline = time.perf_counter() + SLICE_SECONDS
        except GeneratorExit:
            raise
        except BaseException:  # for example Ctrl-C; before the exception, the caller learns which steps are complete
            if done and not epoch.share:
                yield Totals(done, 0.0, 0)
            raise
        yield totals_of(self.loops, loss_of_sample, hits_of_sample)

    def trace(self, x: Any, y: Any) -> dict[str, list[NDArray[np.floating]]]:
        everything = np.arange(x.shape[0])
        x, y = self._batch(x, everything), self._batch(y, everything)
        with self.lock.here:
            layers = self._forward(x)
            layers["delta"] = self._backward(y, layers, x.shape[0], self._empty(self.topology.parameter_count))
        return {symbol: [self.loops.download(array) for array in layers[symbol]] for symbol in ("z", "a", "delta")}

    # The following methods process one batch, and call the loops in the order of the formula sheet.

    def _gradients(self, x, y, weights, order, n, notes, drops) -> None:
        """Computes the gradients of a batch, and writes them to `self.gradients`.

        Also writes the loss and the number of correct outputs of each sample to the two arrays in `notes`.
        """
        x, y = self._batch(x, order), self._batch(y, order)
        weight = None if weights is None else self._batch(weights, order).reshape(-1)
        layers = self._forward(x, drops)
        self._loss_of_samples(y, layers, notes[0], weight)
        self._hits_of_samples(y, layers, notes[1])
        self._backward(y, layers, n, self.gradients, weight, drops)

    def _batch(self, rows, order):
        """Returns the elements rows[order] as a new array on the device."""
        batch = self._empty(order.shape[0], rows.shape[1])
        self.loops.run(samples.gather, rows, self.loops.upload(order), batch)
        return batch

    def _forward(self, x, drops=None) -> dict[str, list]:
        """Computes the forward pass, and returns a dict with the lists "x", "z", "a" and "sums", each with one entry per layer.

        For a softmax layer, the entry in the list "sums" is the pair of arrays that the loop `softmax_sum` computes: the
        largest z of each sample (z_max), and the sum of e^(z - z_max) without its largest term. For a layer without softmax,
        the entry in "sums" is an empty tuple.
        """
        layers: dict[str, list] = {"x": [], "z": [], "a": [], "sums": []}
        for l, ((w, b), kind) in enumerate(zip(self.topology.views(self.parameters), self.topology.kinds, strict=True)):
            z, a = self._empty(x.shape[0], w.shape[1]), self._empty(x.shape[0], w.shape[1])
            sums = ()
            self.loops.run(neuron.forward_sum, x, w, b, z)
            if kind == SOFTMAX:
                sums = (self._empty(x.shape[0]), self._empty(x.shape[0]))
                self.loops.run(activations.softmax_sum, z, *sums)
                self.loops.run(activations.softmax_activation, z, *sums, a)
            else:
                self.loops.run(activations.activation, kind, self.epsilon, z, a)
            for symbol, value in (("x", x), ("z", z), ("a", a), ("sums", sums)):
                layers[symbol].append(value)
            x = self._dropped(l, a, drops) if drops else a
        return layers

    def _dropped(self, l: int, a, drops):
        """Returns the input x of layer l + 1, which consists of the activations a of layer l after dropout.

        Layers are counted from 0.
        """
        if not self.topology.dropout_rates[l]:
            return a
        x = self._batch(a, np.arange(a.shape[0]))
        drops(l, x)
        return x

    def _drop(self, key: int, first: int, l: int, rows) -> None:
        """Applies dropout in place to `rows`, with the dropout rate of layer l. Layers are counted from 0.

        The first row of `rows` belongs to the sample with the index `first` within the epoch.
        """
        if p := self.topology.dropout_rates[l]:
            limit, scale = limit_and_scale(p, self.topology.dtype)
            self.loops.run(dropout.drop, np.uint64(key), l + 1, scale, limit, first, rows)

    def _loss_of_samples(self, y, layers, loss_of_sample, weight=None) -> None:
        """Writes the loss of each sample to `loss_of_sample`, multiplied by the sample's weight, but not divided by n."""
        loss_kind, n = self.topology.loss_kind, self.topology.dtype.type(1)
        if loss_kind == CCE:
            self.loops.run(losses.cce_loss, n, y, layers["z"][-1], *layers["sums"][-1], loss_of_sample)
        elif loss_kind == BCE:
            self.loops.run(losses.bce_from_z_loss, n, y, self._logit(layers), loss_of_sample)
        else:
            self.loops.run(losses.loss, loss_kind, n, y, layers["a"][-1], loss_of_sample)
        if weight is not None:
            self.loops.run(losses.weigh, weight, loss_of_sample.reshape(-1, 1))

    def _hits_of_samples(self, y, layers, hits_of_sample) -> None:
        """Writes the number of correct outputs of each sample, as the loop `samples.hits` counts them, to `hits_of_sample`."""
        self.loops.run(samples.hits, self.topology.loss_kind, y, layers["a"][-1], hits_of_sample)

    def _logit(self, layers):
        """Returns u, for which sigmoid(u) = y_hat.

        If the output layer has the activation function sigmoid, the logit u is the layer's z. If the output layer has softmax,
        the loop `softmax_logit` computes u.
        """
        z = layers["z"][-1]
        if self.topology.kinds[-1] == SIGMOID:
            return z
        u = self._empty(*z.shape)
        self.loops.run(activations.softmax_logit, z, u)
        return u

    def _output_error(self, y, layers, n):
        """Returns delta of the last layer, not yet multiplied by sample weights. n is the number of samples in the batch."""
        z, a = layers["z"][-1], layers["a"][-1]
        kind, loss_kind, n = self.topology.kinds[-1], self.topology.loss_kind, self.topology.dtype.type(n)
        delta = self._empty(*a.shape)
        if loss_kind in (BCE, CCE):
            self.loops.run(backprop.short_error, n, y, a, delta)
            if loss_kind == BCE and kind == SOFTMAX:
                dl_du, delta = delta, self._empty(*a.shape)
                self.loops.run(backprop.softmax_logit_error, dl_du, z, self._logit(layers), delta)
            return delta
        dl_da = self._empty(*a.shape)
        self.loops.run(losses.d_loss, loss_kind, n, y, a, dl_da)
        if kind == SOFTMAX:
            self.loops.run(backprop.softmax_error, dl_da, a, delta)
        else:
            self.loops.run(backprop.activation_error, kind, self.epsilon, dl_da, z, a, delta)
        return delta

    def _delta_before(self, l, delta, layers, drops=None):
        """Returns delta of layer l - 1, computed from delta of layer l. Layers are counted from 0."""
        w, _ = self.topology.views(self.parameters)[l]
        kind, z_prev, a_prev = self.topology.kinds[l - 1], layers["z"][l - 1], layers["a"][l - 1]
        delta_prev = self._empty(*a_prev.shape)
        # With IDENTITY, da/dz is 1, and the recurrence computes dL/dx. Without dropout, x is a, and dL/dx is dL/da.
        if kind == SOFTMAX or drops:
            dl_da = self._empty(*a_prev.shape)
            self.loops.run(backprop.delta_recurrence, IDENTITY, self.epsilon, w, delta, z_prev, a_prev, dl_da)
            if drops:
                drops(l - 1, dl_da)
            if kind == SOFTMAX:
                self.loops.run(backprop.softmax_error, dl_da, a_prev, delta_prev)
            else:
                self.loops.run(backprop.activation_error, kind, self.epsilon, dl_da, z_prev, a_prev, delta_prev)
        else:
            self.loops.run(backprop.delta_recurrence, kind, self.epsilon, w, delta, z_prev, a_prev, delta_prev)
        return delta_prev

    def _backward(self, y, layers, n, gradients, weight=None, drops=None):
        """Writes the gradients of a batch to `gradients`, and returns delta of every layer.

        The gradient of a batch is the sum of (sample weight * gradient of the sample) over its n samples, divided by n.
        """
        deltas = [self._output_error(y, layers, n)]
        if weight is not None:
            self.loops.run(losses.weigh, weight, deltas[0])
        for l in range(len(self.topology.kinds) - 1, 0, -1):
            deltas.insert(0, self._delta_before(l, deltas[0], layers, drops))
        for (dw, db), x, delta in zip(self.topology.views(gradients), layers["x"], deltas, strict=True):
            self.loops.run(backprop.weight_gradient, x, delta, dw)
            self.loops.run(backprop.bias_gradient, delta, db)
        return deltas

    def _descend(self, rule: Rule, *rates: float) -> None:
        """Updates all parameters once by the update rule `rule`, from the gradients in `self.gradients`.

        `rates` holds the step's learning rate eta, and Adam's bias-corrected eta_t and epsilon_t.
        """
        number, run = self.topology.dtype.type, self.loops.run
        if rule.clip_norm < np.inf:
            squares = self._empty(1)
            run(descent.sum_of_squares, self.gradients, squares)
            run(descent.clip, number(rule.clip_norm), squares, self.gradients)
        if rule.weight_decay:
            eta, decay = number(rates[0]), number(rule.weight_decay)
            for w, dw in zip(self._weights(self.parameters), self._weights(self.gradients), strict=True):
                if rule.decouples_decay:
                    run(descent.weight_decay, eta, decay, w)
                else:
                    run(descent.l2_gradient, decay, w, dw)
        loop, *constants = UPDATES[rule.kind](rule, *rates)
        moments = self.moments.first(rule.moments)
        run(loop, *map(number, constants), self.gradients, *moments, self.parameters)

    def _weights(self, flat) -> list:
        """Returns, for each layer, a flat view of its w in `flat`, which is a vector in the order of the parameters."""
        return [w.reshape(-1) for w, _ in self.topology.views(flat)]

    def _empty(self, *shape):
        """Returns a new array on the engine's device, with the network's dtype and undefined values."""
        return self.loops.empty(shape, self.topology.dtype)

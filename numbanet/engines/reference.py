"""Runs the sheet as it stands: its loops on the CPU or, by their twins, on the GPU. One batch after another, layer by layer."""

import functools
import time
from collections.abc import Iterator
from typing import Any

import numpy as np

from numbanet.engines import samples
from numbanet.engines.epoch import Epoch, N
from numbanet.engines.interface import SLICE_SECONDS, Totals
from numbanet.engines.loops import CpuLoops, CudaLoops
from numbanet.engines.rule import ADAMW, GRADIENT_DESCENT, MOMENTUM, NESTEROV, Rule
from numbanet.engines.topology import Topology, limit_and_scale
from numbanet.equations import activations, backprop, descent, dropout, losses, neuron
from numbanet.equations.activations import IDENTITY, SIGMOID, SOFTMAX
from numbanet.equations.losses import BCE, CCE

# Samples that pass through the network at once when nothing asks for a whole batch.
CHUNK = 1024


class ReferenceEngine:
    """The engine whose arithmetic is the sheet's loops and nothing else.

    Parameters
    ----------
    topology : Topology
    device : str
        "cpu" or "cuda".
    """

    def __init__(self, topology: Topology, device: str):
        self.topology = topology
        self.loops = CpuLoops() if device == "cpu" else CudaLoops()
        self.epsilon = topology.dtype.type(topology.epsilon)
        self.parameters = self.loops.upload(np.zeros(topology.parameter_count, topology.dtype))
        self.gradients = self.loops.empty(topology.parameter_count, topology.dtype)
        self.moments: list[Any] = []

    def read(self) -> np.ndarray:
        return self.loops.download(self.parameters)

    def write(self, parameters: np.ndarray) -> None:
        self.parameters = self.loops.upload(np.array(parameters, self.topology.dtype))

    def read_moments(self, count: int) -> list[np.ndarray]:
        return [self.loops.download(moment) for moment in self._moments(count)]

    def write_moments(self, moments: list[np.ndarray]) -> None:
        self.moments = [self.loops.upload(np.array(moment, self.topology.dtype)) for moment in moments]

    def upload(self, array) -> Any:
        return self.loops.upload(array)

    def predict(self, x, out=None, *, logits: bool = False) -> Any:
        y_hat = np.empty((x.shape[0], self.topology.sizes[-1]), self.topology.dtype) if out is None else out
        for first in range(0, x.shape[0], CHUNK):
            last = min(first + CHUNK, x.shape[0])
            batch = self._batch(x, np.arange(first, last))
            self.loops.copy(self._forward(batch)["z" if logits else "a"][-1], y_hat[first:last])
        self.loops.wait()
        return y_hat

    def evaluate(self, x, y) -> Totals:
        count = x.shape[0]
        loss_of_sample, hits_of_sample = self._empty(count), self.loops.empty(count, np.int32)
        for first in range(0, count, CHUNK):
            last = min(first + CHUNK, count)
            order = np.arange(first, last)
            y_batch, layers = self._batch(y, order), self._forward(self._batch(x, order))
            self._loss_of_samples(y_batch, layers, loss_of_sample[first:last])
            self._hits_of_samples(y_batch, layers, hits_of_sample[first:last])
        return self._totals(loss_of_sample, hits_of_sample)

    def loss_and_gradients(self, x, y) -> tuple[float, np.ndarray]:
        everything = np.arange(x.shape[0])
        x, y = self._batch(x, everything), self._batch(y, everything)
        layers = self._forward(x)
        loss_of_sample = self._empty(x.shape[0])
        self._loss_of_samples(y, layers, loss_of_sample)
        self._backward(y, layers, x.shape[0])
        return float(self.loops.download(loss_of_sample).sum(dtype=np.float64)), self.loops.download(self.gradients)

    def train_epoch(self, x, y, epoch: Epoch) -> Iterator[Totals]:
        count, dtype = epoch.order.size, self.topology.dtype
        loss_of_sample, hits_of_sample = self.loops.empty(count, dtype), self.loops.empty(count, np.int32)
        order = self.loops.upload(np.ascontiguousarray(epoch.order, np.int64))
        weights = None if epoch.weights is None else self.loops.upload(epoch.weights.reshape(-1, 1))
        deadline = time.perf_counter() + SLICE_SECONDS
        for rates, (first, last, position) in zip(epoch.rates, epoch.steps(), strict=True):
            if first < last:
                x_batch, y_batch = self._batch(x, order[first:last]), self._batch(y, order[first:last])
                weight = None if weights is None else self._batch(weights, order[first:last]).reshape(-1)
                drops = functools.partial(self._drop, epoch.dropout_key, position) if self.topology.dropout else None
                layers = self._forward(x_batch, drops)
                self._loss_of_samples(y_batch, layers, loss_of_sample[first:last], weight)
                self._hits_of_samples(y_batch, layers, hits_of_sample[first:last])
                self._backward(y_batch, layers, rates[N], weight, drops)
            else:
                self.loops.copy(np.zeros(self.topology.parameter_count, dtype), self.gradients)
            if epoch.shares:
                epoch.shares.add_up(self.gradients)
            self._descend(epoch.rule, *map(dtype.type, rates[N + 1 :]))
            if epoch.shares or time.perf_counter() > deadline:
                self.loops.wait()
                yield Totals(last, 0.0, 0)  # their losses stay where they are until the epoch is over
                deadline = time.perf_counter() + SLICE_SECONDS
        yield self._totals(loss_of_sample, hits_of_sample)

    def trace(self, x, y) -> dict[str, list[np.ndarray]]:
        everything = np.arange(x.shape[0])
        x, y = self._batch(x, everything), self._batch(y, everything)
        layers = self._forward(x)
        layers["delta"] = self._backward(y, layers, x.shape[0])
        return {symbol: [self.loops.download(array) for array in layers[symbol]] for symbol in ("z", "a", "delta")}

    # One batch: the loops in the order of the sheet.

    def _batch(self, rows, order):
        batch = self._empty(order.shape[0], rows.shape[1])
        self.loops.run(samples.gather, rows, self.loops.upload(order), batch)
        return batch

    def _forward(self, x, drops=None) -> dict[str, list]:
        """x, z and a of every layer; of each softmax layer the two parts of its sum, too."""
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
        """What layer l + 1 sees of the activations of layer l."""
        if not self.topology.dropout_rates[l]:
            return a
        x = self._batch(a, np.arange(a.shape[0]))
        drops(l, x)
        return x

    def _drop(self, key: int, first: int, l: int, rows) -> None:
        """Neurons of layer l (index 0 is layer 1) drop out of rows, whose first is that sample of the epoch."""
        if p := self.topology.dropout_rates[l]:
            limit, scale = limit_and_scale(p, self.topology.dtype)
            self.loops.run(dropout.drop, np.uint64(key), l + 1, scale, limit, first, rows)

    def _loss_of_samples(self, y, layers, loss_of_sample, weight=None) -> None:
        """The losses of the samples, with n = 1, each times its weight."""
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
        self.loops.run(samples.hits, self.topology.loss_kind, y, layers["a"][-1], hits_of_sample)

    def _logit(self, layers):
        """What sigmoid turns into y_hat: z itself for a sigmoid output, u for softmax."""
        z = layers["z"][-1]
        if self.topology.kinds[-1] == SIGMOID:
            return z
        u = self._empty(*z.shape)
        self.loops.run(activations.softmax_logit, z, u)
        return u

    def _output_error(self, y, layers, n):
        """delta of the last layer."""
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
        """delta of layer l - 1 (index 0 is layer 1) from delta of layer l."""
        w, _ = self.topology.views(self.parameters)[l]
        kind, z_prev, a_prev = self.topology.kinds[l - 1], layers["z"][l - 1], layers["a"][l - 1]
        delta_prev = self._empty(*a_prev.shape)
        if kind == SOFTMAX or drops:  # with da/dz = 1 the recurrence gives dL/dx, which is dL/da of neurons that stay
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

    def _backward(self, y, layers, n, weight=None, drops=None):
        """Fills the gradients of a batch of n samples, or of weight n; returns delta of every layer."""
        deltas = [self._output_error(y, layers, n)]
        if weight is not None:
            self.loops.run(losses.weigh, weight, deltas[0])
        for l in range(len(self.topology.kinds) - 1, 0, -1):
            deltas.insert(0, self._delta_before(l, deltas[0], layers, drops))
        for (dw, db), x, delta in zip(self.topology.views(self.gradients), layers["x"], deltas, strict=True):
            self.loops.run(backprop.weight_gradient, x, delta, dw)
            self.loops.run(backprop.bias_gradient, delta, db)
        return deltas

    def _descend(self, rule: Rule, eta, eta_t, epsilon_t) -> None:
        """One step of all parameters, from the gradients."""
        number, run, moments = self.topology.dtype.type, self.loops.run, self._moments(rule.moments)
        if rule.clip_norm < np.inf:
            squares = self._empty(1)
            run(descent.sum_of_squares, self.gradients, squares)
            run(descent.clip, number(rule.clip_norm), squares, self.gradients)
        if rule.weight_decay:
            decay = number(rule.weight_decay)
            for w, dw in zip(self._weights(self.parameters), self._weights(self.gradients), strict=True):
                if rule.kind == ADAMW:
                    run(descent.weight_decay, eta, decay, w)
                else:
                    run(descent.l2_gradient, decay, w, dw)
        if rule.kind == GRADIENT_DESCENT:
            run(descent.gradient_descent, eta, self.gradients, self.parameters)
        elif rule.kind == MOMENTUM:
            run(descent.momentum, eta, number(rule.mu), self.gradients, *moments, self.parameters)
        elif rule.kind == NESTEROV:
            run(descent.nesterov, eta, number(rule.mu), self.gradients, *moments, self.parameters)
        else:
            shares = number(1 - rule.beta_1), number(1 - rule.beta_2)
            run(descent.adam, eta_t, *shares, epsilon_t, self.gradients, *moments, self.parameters)

    def _weights(self, flat) -> list:
        """w of every layer, flat."""
        return [w.reshape(-1) for w, _ in self.topology.views(flat)]

    def _moments(self, count: int) -> list:
        """What parameters remember, which begins at 0."""
        while len(self.moments) < count:
            self.moments.append(self.loops.upload(np.zeros(self.topology.parameter_count, self.topology.dtype)))
        return self.moments[:count]

    def _empty(self, *shape):
        return self.loops.empty(shape, self.topology.dtype)

    def _totals(self, loss_of_sample, hits_of_sample) -> Totals:
        loss, right = self.loops.download(loss_of_sample), self.loops.download(hits_of_sample)
        return Totals(loss.shape[0], float(loss.sum(dtype=np.float64)), int(right.sum()))

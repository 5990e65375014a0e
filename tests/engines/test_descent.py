"""In every engine, each update agrees with NumPy in float64: update rules, sample weights, clipping and dropout."""

import itertools

import numpy as np
import pytest

from numbanet import _cuda
from numbanet.engines.epoch import epoch_of
from numbanet.engines.rule import ADAM, ADAMW, GRADIENT_DESCENT, MOMENTUM, NESTEROV, Rule
from numbanet.engines.topology import Topology
from numbanet.proof import oracle
from tests.helpers.engines import DTYPES, ENGINES, each
from tests.helpers.networks import EPSILON, data, engine_with_parameters, flatten, topology

TOLERANCE = {"float32": 2e-5, "float64": 1e-11}
ADAMS = {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}
RULES = {
    "descent": Rule(),
    "momentum": Rule(MOMENTUM, mu=0.75),
    "nesterov": Rule(NESTEROV, mu=0.75),
    "adam": Rule(ADAM, **ADAMS),
    "adamw": Rule(ADAMW, **ADAMS),
}
COUNT, BATCH, EPOCHS = 11, 4, 2
KEY = 0x1234_5678_9ABC_DEF0


def rules_and_dtypes(names=RULES, dtypes=("float32", "float64")):
    """Returns pairs of an update rule and a dtype, half of them with weight decay.

    The fast engine takes seconds to compile each combination of a rule, a dtype and weight decay. To save time, each rule is
    tested in both dtypes, but with weight decay in only one of them. Other tests use the same combinations, so that each
    combination is compiled only once.
    """
    pairs = []
    for name, dtype in itertools.product(names, dtypes):
        decay = 0.25 if (dtype == "float64") != (name == "adamw") else 0.0
        rule = RULES[name]._replace(weight_decay=decay)
        pairs.append(pytest.param(rule, np.dtype(dtype), id=f"{name}-{dtype}{'-decay' if decay else ''}"))
    return pairs


class Trained:
    """The parameters and moments of a network that NumPy trains with the formulas of `numbanet.proof.oracle`."""

    def __init__(self, top, flat, rule):
        self.top, self.rule, self.t = top, rule, 0
        self.parameters = flat.astype(np.float64)
        self.m, self.v = np.zeros(flat.size), np.zeros(flat.size)
        self.is_weight = flatten(*zip(*[(np.ones(w.shape), np.zeros(b.shape)) for w, b in top.views(flat)], strict=True))

    def step(self, x, y, eta, weights, keeps):
        """Updates the parameters once, with the learning rate `eta` and, in `keeps`, each hidden layer's dropout factors."""
        g, rule, self.t = self.gradient(x, y, weights, keeps), self.rule, self.t + 1
        g *= min(1, rule.clip_norm / np.linalg.norm(g))
        decay = rule.weight_decay * self.is_weight * self.parameters
        if rule.kind == ADAMW:
            self.parameters -= eta * decay
        else:
            g += decay
        if rule.kind == GRADIENT_DESCENT:
            self.parameters -= eta * g
        elif rule.kind in (MOMENTUM, NESTEROV):
            self.m = rule.mu * self.m + g
            self.parameters -= eta * (self.m if rule.kind == MOMENTUM else g + rule.mu * self.m)
        else:
            self.m = rule.beta_1 * self.m + (1 - rule.beta_1) * g
            self.v = rule.beta_2 * self.v + (1 - rule.beta_2) * g**2
            m_hat, v_hat = self.m / (1 - rule.beta_1**self.t), self.v / (1 - rule.beta_2**self.t)
            self.parameters -= eta * m_hat / (np.sqrt(v_hat) + rule.epsilon)

    def gradient(self, x, y, weights, keeps):
        """Returns the mean, over the samples, of the product of a sample's weight and the sample's gradient."""
        total = np.zeros(self.parameters.size)
        for s in range(len(x)):
            total += weights[s] * self.gradient_of_sample(x[s : s + 1], y[s : s + 1], [keep[s : s + 1] for keep in keeps])
        return total / len(x)

    def gradient_of_sample(self, x, y, keeps):
        top = self.top
        (w, b), z, a, seen = zip(*top.views(self.parameters), strict=True), [], [], [x]
        for l, name in enumerate(top.activations):
            z.append(seen[-1] @ w[l] + b[l])
            a.append(oracle.ACTIVATIONS[name](z[-1], EPSILON))
            seen.append(a[-1] * keeps[l] if l < len(keeps) else a[-1])
        delta = oracle.delta_from(oracle.loss_gradient(top.loss, y, a[-1]), top.activations[-1], z[-1], a[-1], EPSILON)
        dw, db = [], []
        for l in range(len(w) - 1, -1, -1):
            dw.insert(0, seen[l].T @ delta)
            db.insert(0, delta[0])
            if l:
                dl_da = delta @ w[l].T * keeps[l - 1]
                delta = oracle.delta_from(dl_da, top.activations[l - 1], z[l - 1], a[l - 1], EPSILON)
        return flatten(dw, db)


def keep_factors(top, batch):
    """Returns, for each hidden layer of `top`, the dropout factors of samples batch.start to batch.stop - 1 of an epoch."""
    factors = []
    for l, (p, width) in enumerate(zip(top.dropout_rates[:-1], top.sizes[1:-1], strict=True), start=1):
        keeps = oracle.philox_numbers(KEY, batch.stop, width, l)[batch.start :] >= round(p * 2**32)
        factors.append(keeps / (1 - p))
    return factors


def check(device, kernels, top, rule, weights=None):
    """Compares the parameters and moments of an engine with NumPy's, after two epochs with different learning rates."""
    engine, flat = engine_with_parameters(top, device, kernels)
    x, y = data(top, COUNT)
    expected = Trained(top, flat, rule)
    x_there, y_there = engine.upload(x), engine.upload(y)
    for epoch in range(EPOCHS):
        order, eta = np.random.default_rng(epoch).permutation(COUNT), 0.125 / (1 + epoch)
        first_step = 1 + expected.t
        for first in range(0, COUNT, BATCH):
            batch = slice(first, min(first + BATCH, COUNT))
            rows = order[batch]
            weight = np.ones(rows.size) if weights is None else weights[rows].astype(np.float64)
            expected.step(x[rows].astype(np.float64), y[rows].astype(np.float64), eta, weight, keep_factors(top, batch))
        this = epoch_of(order, BATCH, eta, rule, first_step=first_step, weights=weights, dropout_key=KEY)
        *_, totals = engine.train_epoch(x_there, y_there, this)
        assert totals.samples == COUNT and np.isfinite(totals.loss)
    tolerance = TOLERANCE[top.dtype.name]
    np.testing.assert_allclose(engine.read(), expected.parameters, rtol=tolerance, atol=tolerance)
    for found, exact in zip(engine.read_moments(rule.moments), (expected.m, expected.v), strict=False):
        np.testing.assert_allclose(found, exact, rtol=tolerance, atol=tolerance)


@each("rule, dtype", rules_and_dtypes())
@each("device, kernels", ENGINES)
def test_a_rule_is_that_of_its_paper(device, kernels, dtype, rule):
    check(device, kernels, topology((3, 4, 2), ("tanh", "softmax"), "cce", dtype), rule)


@each("clip_norm", [1e-2, 1e2])
@each("rule, dtype", rules_and_dtypes(["descent", "adam"]))
@each("device, kernels", ENGINES)
def test_gradients_are_clipped_by_the_norm_of_all_of_them(device, kernels, dtype, rule, clip_norm):
    top = topology((3, 17, 2), ("tanh", "softmax"), "cce", dtype)
    check(device, kernels, top, rule._replace(clip_norm=clip_norm))


@each("dtype", DTYPES)
@each("device, kernels", ENGINES)
def test_nothing_but_gradients_counts_for_their_norm(device, kernels, dtype):
    """The norm of the gradients does not include numbers that earlier batches with a different size have left in memory."""
    top, rule = topology((3, 17, 2), ("sigmoid", "softmax"), "cce", dtype), Rule(clip_norm=1e-2)
    fresh, flat = engine_with_parameters(top, device, kernels)
    used, _ = engine_with_parameters(top, device, kernels)
    x, y = data(top, 60)
    x_there, y_there = used.upload(x), used.upload(y)
    list(used.train_epoch(x_there, y_there, epoch_of(np.arange(60), 60, 0.125)))
    used.write(flat)
    for engine in (fresh, used):
        list(engine.train_epoch(x_there, y_there, epoch_of(np.arange(BATCH), BATCH, 0.125, rule)))
    assert (fresh.read() != flat).any()
    assert (used.read() == fresh.read()).all()


@each("loss, output", [("cce", "softmax"), ("bce", "sigmoid"), ("bce", "softmax"), ("mse", "softmax"), ("sse", "identity")])
@each("dtype", DTYPES)
@each("device, kernels", ENGINES)
def test_samples_count_by_their_weights(device, kernels, dtype, loss, output):
    weights = np.random.default_rng(7).integers(0, 3, COUNT).astype(dtype)
    top = topology((3, 4, 2), ("softmax", output), loss, dtype)
    if loss == "sse":  # SSE is a sum over samples: with weights of 0 and 1, it equals the sum without the samples of weight 0
        weights = np.minimum(weights, 1)
        engine, flat = engine_with_parameters(top, device, kernels)
        x, y = data(top, COUNT)
        kept = np.flatnonzero(weights)
        *_, totals = engine.train_epoch(
            engine.upload(x), engine.upload(y), epoch_of(np.arange(COUNT), COUNT, 0.125, weights=weights)
        )
        alone, _ = engine_with_parameters(top, device, kernels)
        *_, expected = alone.train_epoch(alone.upload(x), alone.upload(y), epoch_of(kept, COUNT, 0.125))
        np.testing.assert_allclose(totals.loss, expected.loss, rtol=1e-5)
        np.testing.assert_allclose(engine.read(), alone.read(), rtol=1e-5)
        assert (engine.read() != flat).any()
        return
    check(device, kernels, top, Rule(), weights)


@each("dtype", DTYPES)
@each("device, kernels", ENGINES)
def test_a_batch_without_weight_changes_nothing(device, kernels, dtype):
    top = topology((3, 4, 2), ("tanh", "softmax"), "cce", dtype)
    engine, flat = engine_with_parameters(top, device, kernels)
    x, y = data(top, COUNT)
    weights = np.zeros(COUNT, dtype)
    *_, totals = engine.train_epoch(engine.upload(x), engine.upload(y), epoch_of(np.arange(COUNT), 4, 0.125, weights=weights))
    assert totals.loss == 0 and (engine.read() == flat).all()


@each("hidden, dtype", [("tanh", "float32"), ("relu", "float64"), ("softmax", "float64")])  # softmax is compiled apart
@each("device, kernels", ENGINES)
def test_neurons_drop_out_as_counted(device, kernels, dtype, hidden):
    top = Topology((3, 19, 6, 2), (hidden, "sigmoid", "softmax"), "cce", np.dtype(dtype), EPSILON, (0.5, 0.25))
    check(device, kernels, top, Rule())


@each("dtype", DTYPES)
@each("device, kernels", ENGINES)
def test_nothing_drops_out_of_predictions_and_gradients(device, kernels, dtype):
    dropping = Topology((3, 5, 2), ("tanh", "softmax"), "cce", dtype, EPSILON, (0.5,))
    whole = topology((3, 5, 2), ("tanh", "softmax"), "cce", dtype)
    x, y = data(whole, 6)
    found = []
    for top in (dropping, whole):
        engine, _ = engine_with_parameters(top, device, kernels)
        x_there, y_there = engine.upload(x), engine.upload(y)
        loss, gradients = engine.loss_and_gradients(x_there, y_there)
        found.append((engine.predict(x_there).tolist(), engine.evaluate(x_there, y_there), loss, gradients.tolist()))
    assert found[0] == found[1]


@each("rule, dtype", rules_and_dtypes(dtypes=["float32"]))
@each("device, kernels", ENGINES)
def test_moments_that_are_read_and_written_continue_to_the_bit(device, kernels, dtype, rule):
    top = topology((3, 4, 2), ("tanh", "softmax"), "cce", dtype)
    x, y = data(top, COUNT)
    one, _ = engine_with_parameters(top, device, kernels)
    other, _ = engine_with_parameters(top, device, kernels)
    x_there, y_there = one.upload(x), one.upload(y)
    for first_step in (1, 4):
        list(one.train_epoch(x_there, y_there, epoch_of(np.arange(COUNT), BATCH, 0.125, rule, first_step=first_step)))
        if first_step == 1:
            other.write(one.read())
            other.write_moments(one.read_moments(rule.moments))
    list(other.train_epoch(x_there, y_there, epoch_of(np.arange(COUNT), BATCH, 0.125, rule, first_step=4)))
    assert (one.read() == other.read()).all()


@pytest.mark.skipif(_cuda.SIMULATED, reason="hundreds of samples take the simulator minutes")
@each("device, kernels", ENGINES)
def test_a_share_p_of_the_neurons_drops_out(device, kernels):
    """The network's output is the mean of 64 neurons; its mean and variance show the fraction of neurons that drop out."""
    p = 0.3
    top = Topology((1, 64, 1), ("identity", "identity"), "mse", np.dtype("float64"), EPSILON, (p,))
    engine, _ = engine_with_parameters(top, device, kernels)
    w1, b1, w2, b2 = np.ones(64), np.zeros(64), np.full(64, 1 / 64), np.zeros(1)
    engine.write(np.concatenate([w1, b1, w2, b2]))
    x, y = np.ones((600, 1)), np.ones((600, 1))
    x.flags.writeable = y.flags.writeable = False
    this = epoch_of(np.arange(600), 600, 1e-300, dropout_key=KEY)
    *_, totals = engine.train_epoch(engine.upload(x), engine.upload(y), this)
    variance = p / (1 - p) / 64  # the variance of a mean of 64 numbers that are 0 or 1 / (1 - p)
    assert abs(totals.loss / 600 / variance - 1) < 0.25

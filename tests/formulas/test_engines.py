"""With activations and losses that users write, each training step of every engine agrees with NumPy in float64."""

import numpy as np
import pytest

from numbanet import Network
from numbanet.training.optimizers import Adam, AdamW, GradientDescent, Momentum, Nesterov
from tests.helpers.engines import ENGINES, each
from tests.helpers.formulas import D_PHI, HUBER, PHI, SWISH, d_huber_losses, huber_losses

RATE, STEPS, SAMPLES = 0.05, 20, 3
OPTIMIZERS = {
    "descent": GradientDescent(),
    "momentum": Momentum(0.8),
    "nesterov": Nesterov(0.8),
    "adam": Adam(beta_1=0.8, beta_2=0.95, epsilon=1e-3),
    "adamw": AdamW(beta_1=0.8, beta_2=0.95, epsilon=1e-3, weight_decay=0.1),
}


class Oracle:
    """Trains, with NumPy, a network with one hidden layer, an identity output layer and the Huber loss."""

    def __init__(self, network, hidden, divisor):
        self.parameters = [array for pair in network.parameters() for array in pair]
        self.hidden, self.divisor, self.t = hidden, divisor, 0
        self.m = [np.zeros_like(array) for array in self.parameters]
        self.v = [np.zeros_like(array) for array in self.parameters]

    def gradients(self, x, y):
        """Returns the loss, and its gradients with respect to w1, b1, w2 and b2."""
        w1, b1, w2, b2 = self.parameters
        z = x @ w1 + b1
        a = PHI[self.hidden](z)
        y_hat = a @ w2 + b2
        by = len(x) * self.divisor
        delta2 = d_huber_losses(y, y_hat) / by
        delta1 = delta2 @ w2.T * D_PHI[self.hidden](z)
        return huber_losses(y, y_hat).sum() / by, [x.T @ delta1, delta1.sum(0), a.T @ delta2, delta2.sum(0)]

    def step(self, x, y, name):
        """Updates the parameters once with the optimizer `name`, and returns the loss before the update."""
        loss, gradients = self.gradients(x, y)
        self.t += 1
        for k, g in enumerate(gradients):
            w = self.parameters[k]
            if name == "descent":
                self.parameters[k] = w - RATE * g
            elif name in ("momentum", "nesterov"):
                self.m[k] = 0.8 * self.m[k] + g
                self.parameters[k] = w - RATE * (self.m[k] if name == "momentum" else g + 0.8 * self.m[k])
            else:
                decay = RATE * 0.1 * w if name == "adamw" and w.ndim == 2 else 0
                self.m[k] = 0.8 * self.m[k] + 0.2 * g
                self.v[k] = 0.95 * self.v[k] + 0.05 * g**2
                m_hat, v_hat = self.m[k] / (1 - 0.8**self.t), self.v[k] / (1 - 0.95**self.t)
                self.parameters[k] = w - decay - RATE * m_hat / (np.sqrt(v_hat) + 1e-3)
        return loss


def samples(seed=0):
    random = np.random.default_rng(seed)
    x = random.standard_normal((SAMPLES, 3))
    return x, np.column_stack([np.sin(x[:, 0]) + 2 * x[:, 1], 3 * x[:, 2]])


def network(hidden, loss, device, kernels, **options):
    return Network([3, 3, 2], [hidden, "identity"], loss, dtype="float64", seed=0, device=device, kernels=kernels, **options)


@each("optimizer", OPTIMIZERS)
@each("device, kernels", ENGINES)
def test_twenty_steps_with_users_formulas_are_those_of_numpy(device, kernels, optimizer):
    net, (x, y) = network(SWISH, HUBER, device, kernels), samples()
    oracle = Oracle(net, "swish", 1)
    for _ in range(STEPS):
        loss = net.train_step(x, y, RATE, optimizer=OPTIMIZERS[optimizer])
        assert loss == pytest.approx(oracle.step(x, y, optimizer), rel=1e-12)
    found = [array for pair in net.parameters() for array in pair]
    for ours, exact in zip(found, oracle.parameters, strict=True):
        np.testing.assert_allclose(ours, exact, rtol=1e-12, atol=1e-12)

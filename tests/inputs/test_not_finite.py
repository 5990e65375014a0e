"""A single inf or nan anywhere in x causes an error and changes nothing, even if the engine finds the value during training."""

import numpy as np
import pytest

from numbanet import Network, _cuda
from tests.helpers.engines import ENGINES, each

# On the CPU, a row of either dtype has at least two full vectors and a remainder, and a batch consists of three blocks.
COUNT, WIDTH = (7, 5) if _cuda.SIMULATED else (1100, 75)
CALLS = {
    "predict": lambda net, x, y: net.predict(x),
    "logits": lambda net, x, y: net.predict(x, logits=True),
    "out": lambda net, x, y: net.predict(x, out=np.zeros((len(x), 3), net.dtype)),
    "evaluate": lambda net, x, y: net.evaluate(x, y),
    "gradients": lambda net, x, y: net.gradients(x, y),
    "trace": lambda net, x, y: net.trace(x, y),
    "train_step": lambda net, x, y: net.train_step(x, y, 0.1, optimizer="momentum"),  # here, the engine itself searches x
    "train_step_adam": lambda net, x, y: net.train_step(x, y, 0.1, optimizer="adam"),
    "partial_fit": lambda net, x, y: net.partial_fit(x, y, batch_size=300, optimizer="momentum"),
    "fit": lambda net, x, y: net.fit(x, y, epochs=1, verbose=0),
}


def state(net):
    model = net._model
    moments = [moment.tobytes() for moment in model.engine.read_moments(2)]
    generator = str(model.generator.bit_generator.state)
    return model.engine.read().tobytes(), moments, model.step, model.optimizer, generator


@each("dropout", [0.0, 0.5])
@each("call", CALLS)
@each("device, kernels", ENGINES)
def test_one_value_that_is_not_finite(device, kernels, call, dropout):
    random = np.random.default_rng(0)
    x, y = random.standard_normal((COUNT, WIDTH)).astype("f4"), random.integers(0, 3, COUNT)
    net = Network([WIDTH, 4, 3], "relu", "cce", seed=0, dropout=dropout, device=device, kernels=kernels)
    net.train_step(x, y, 0.1, optimizer="momentum")
    before = state(net)
    for s, i in ((0, 0), (COUNT // 2, 2), (COUNT - 1, WIDTH // 2), (COUNT - 2, WIDTH - 1)):
        for value in (np.nan, np.inf, -np.inf):
            x[s, i], kept = value, x[s, i]
            with pytest.raises(ValueError, match=rf"x\[{s}, {i}\] is {value} in float32: x must be finite"):
                CALLS[call](net, x, y)
            assert state(net) == before
            x[s, i] = kept
    CALLS[call](net, x, y)


@each("device, kernels", ENGINES)
def test_the_largest_numbers_are_finite(device, kernels):
    """The sums of the largest finite numbers overflow, but the numbers themselves are valid."""
    x = np.full((COUNT, WIDTH), np.finfo("f4").max, "f4")
    net = Network([WIDTH, 3], "relu", "mse", seed=0, device=device, kernels=kernels)
    net.set_parameters([(np.zeros((WIDTH, 3)), np.ones(3))])
    assert (net.predict(x) == 1).all() and net.evaluate(x, np.ones((COUNT, 3))) == {"loss": 0.0}

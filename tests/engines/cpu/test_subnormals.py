"""The fast CPU engine treats subnormal numbers as 0 while it computes; Python's own arithmetic is unaffected."""

import numpy as np
import pytest

from numbanet import Network
from numbanet.engines.cpu.kernels.subnormals import FLUSHES

pytestmark = pytest.mark.skipif(not FLUSHES, reason="this CPU is as fast with them")


def momentum_of_silent_inputs(dtype, steps):
    """Returns the velocities of the weights of the network's second input after this input has been 0 for `steps` steps."""
    net = Network([2, 3, 1], "tanh", "mse", dtype=dtype, seed=0)
    x = np.ones((4 * (steps + 1), 2))
    x[4:, 1] = 0
    net.fit(x, np.zeros(len(x)), epochs=1, batch_size=4, shuffle=False, optimizer="nesterov", learning_rate=0.01, verbose=0)
    (velocities,) = net._model.engine.read_moments(1)
    return velocities[3:6]


@pytest.mark.parametrize(("dtype", "steps"), [("float32", 700), ("float64", 6600)])
def test_moments_that_shrink_go_on_to_be_numbers_with_a_full_mantissa_or_0(dtype, steps):
    smallest = np.finfo(dtype).tiny
    before, after = momentum_of_silent_inputs(dtype, steps), momentum_of_silent_inputs(dtype, steps + 700)
    assert (np.abs(before) > smallest).all()
    np.testing.assert_array_equal(after, 0)


def test_python_has_its_subnormal_numbers_after_every_call():
    net = Network([2, 3, 1], "tanh", "mse", seed=0)
    x, y = np.ones((5, 2)), np.zeros(5)
    smallest = np.array([np.finfo(np.float32).smallest_subnormal])
    for call in (net.predict, lambda x: net.evaluate(x, y), lambda x: net.gradients(x, y), lambda x: net.train_step(x, y, 0.1)):
        call(x)
        assert smallest * 1 > 0

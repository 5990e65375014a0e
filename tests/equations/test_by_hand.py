"""Two networks are calculated by hand; their weights are multiples of ln 3, so that sigmoid and softmax return fractions."""

from math import log

import numpy as np

from numbanet import Network
from tests.helpers.engines import DTYPES, ENGINES, each

LN3, LN4 = log(3), log(4)


def assert_lists(found, expected, dtype):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=4 * np.finfo(dtype).eps, atol=4 * np.finfo(dtype).eps)


@each("dtype", DTYPES)
@each("device, kernels", ENGINES)
def test_sigmoid_layer_then_identity_with_sse(device, kernels, dtype):
    net = Network([2, 2, 1], ["sigmoid", "identity"], "sse", dtype=dtype, device=device, kernels=kernels)
    w1, b1 = [[LN3, LN3], [0, -LN3]], [0, 0]
    w2, b2 = [[2], [4]], [0.5]
    net.set_parameters([(w1, b1), (w2, b2)])
    x, y = [[1, 2]], [[1]]
    # Layer 1: z_1 = 1 ln3 + 2 0 = ln3, z_2 = 1 ln3 - 2 ln3 = -ln3; a_1 = 1 / (1 + 1/3) = 3/4, a_2 = 1 / (1 + 3) = 1/4.
    # Layer 2: z = 3/4 2 + 1/4 4 + 1/2 = 3; a = y_hat = 3.
    # Loss: (1 - 3)^2 = 4; dL/dy_hat = -2 (1 - 3) = 4.
    # delta^2 = 4 1 = 4.  dL/dw^2 = delta a = (4 3/4, 4 1/4) = (3, 1).  dL/db^2 = 4.
    # delta^1_1 = w^2_1 delta^2 a_1 (1 - a_1) = 2 4 3/16 = 3/2;  delta^1_2 = 4 4 3/16 = 3.
    # dL/dw^1_ij = delta_j x_i = ((3/2, 3), (3, 6)).  dL/db^1 = (3/2, 3).
    t = net.trace(x, y)
    assert_lists(t.z, [[[LN3, -LN3]], [[3]]], dtype)
    assert_lists(t.a, [[[0.75, 0.25]], [[3]]], dtype)
    assert_lists(t.delta, [[[1.5, 3]], [[4]]], dtype)
    assert_lists(t.dw, [[[1.5, 3], [3, 6]], [[3], [1]]], dtype)
    assert_lists(t.db, [[1.5, 3], [4]], dtype)
    assert_lists([t.y_hat, t.loss], [[[3]], 4], dtype)
    # w <- w - 1/2 dL/dw, b <- b - 1/2 dL/db.
    assert_lists([net.train_step(x, y, 0.5)], [4], dtype)
    (w1, b1), (w2, b2) = net.parameters()
    assert_lists([w1, b1], [[[LN3 - 0.75, LN3 - 1.5], [-1.5, -LN3 - 3]], [-0.75, -1.5]], dtype)
    assert_lists([w2, b2], [[[0.5], [3.5]], [-1.5]], dtype)


@each("dtype", DTYPES)
@each("device, kernels", ENGINES)
def test_relu_layer_then_softmax_with_cce(device, kernels, dtype):
    net = Network([2, 2, 2], ["relu", "softmax"], "cce", dtype=dtype, device=device, kernels=kernels)
    net.set_parameters([([[1, 1], [1, -1]], [0, -1]), ([[0, LN3 / 3], [5, 7]], [0, 0])])
    x, labels = [[1, 2], [0, 1]], [0, 1]
    # Sample 1: z^1 = (1 + 2, 1 - 2 - 1) = (3, -2), a^1 = (3, 0); z^2 = (0, ln3); a^2 = (1, 3) / 4.  L = -ln 1/4 = ln4.
    # Sample 2: z^1 = (0 + 1, 0 - 1 - 1) = (1, -2), a^1 = (1, 0); z^2 = (0, ln3 / 3); with c = 3^(1/3): a^2 = (1, c) / (1 + c).
    # L = (ln4 + ln((1 + c) / c)) / 2, the mean of both.
    # delta^2 = (a - y) / 2: sample 1 (1/4 - 1, 3/4) / 2 = (-3/8, 3/8); sample 2 with q = 1 / (2 (1 + c)): (q, -q).
    # delta^1_1 = (0 delta_1 + ln3 / 3 delta_2) 1, for z_1 > 0: ln3 / 8 and -q ln3 / 3.  delta^1_2 = 0, for z_2 <= 0.
    c = 3 ** (1 / 3)
    q = 1 / (2 * (1 + c))
    t = net.trace(x, labels)
    assert_lists(t.z, [[[3, -2], [1, -2]], [[0, LN3], [0, LN3 / 3]]], dtype)
    assert_lists(t.a, [[[3, 0], [1, 0]], [[0.25, 0.75], [1 / (1 + c), c / (1 + c)]]], dtype)
    assert_lists([t.loss], [(LN4 + log((1 + c) / c)) / 2], dtype)
    assert_lists(t.delta, [[[LN3 / 8, 0], [-q * LN3 / 3, 0]], [[-3 / 8, 3 / 8], [q, -q]]], dtype)
    # dL/dw_ij = sum_s delta_j x_i: for w^2_1j 3 (-3/8) + 1 q and its opposite; for w^1_i1 1 ln3/8 + 0 and 2 ln3/8 - q ln3/3.
    dw2 = -9 / 8 + q
    assert_lists(t.dw, [[[LN3 / 8, 0], [LN3 / 4 - q * LN3 / 3, 0]], [[dw2, -dw2], [0, 0]]], dtype)
    assert_lists(t.db, [[LN3 / 8 - q * LN3 / 3, 0], [-3 / 8 + q, 3 / 8 - q]], dtype)
    assert net.evaluate(x, labels)["accuracy"] == 0.5

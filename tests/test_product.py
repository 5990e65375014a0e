"""The tile loop of the fast rung against whole-array products, over every edge of tiles, panels and slabs."""

import numpy as np
import pytest
from conftest import DTYPES, each

from numbanet import _cuda
from numbanet.engines.cpu import elementwise, product
from numbanet.equations import activations, backprop

pytestmark = pytest.mark.skipif(_cuda.SIMULATED, reason="runs on the CPU")

# (n, n_in, n_out): single numbers, one less and one more than a tile, a panel's depth, a slab; several of each.
SHAPES = [
    (1, 1, 1),
    (5, 2, 15),
    (6, 3, 16),
    (7, 17, 17),
    (13, 255, 33),
    (12, 256, 32),
    (3, 257, 9),
    (64, 20, 10),
    (257, 12, 5),
    (258, 7, 31),
    (259, 300, 8),
    (300, 530, 40),
    (2, 600, 600),
]


def assert_product(found, expected, magnitude):
    """Within the rounding of a sum: an ulp of its terms' magnitudes for each of some of its terms."""
    assert (np.abs(found - expected) <= 16 * np.finfo(found.dtype).eps * magnitude).all()


def guarded(shape, dtype):
    """An array to write to, and what lies behind it in memory: -0, which even adding 0 would change."""
    buffer = np.full(shape[0] * shape[1] + 64, -0.0, dtype)
    buffer[:-64] = np.nan
    return buffer[:-64].reshape(shape), buffer[-64:]


@each("shape", SHAPES)
@each("dtype", DTYPES)
def test_products_are_right_at_every_edge(dtype, shape):
    n, n_in, n_out = shape
    random = np.random.default_rng(0)
    x, w, b, delta, dw, db = (
        random.standard_normal(size).astype(dtype)
        for size in ((n, n_in), (n_in, n_out), n_out, (n, n_out), (n_in, n_out), n_out)
    )
    packed = product.room(dtype)
    for buffer in packed:
        buffer[:] = np.nan  # what was there before must not matter
    precise = [array.astype(np.longdouble) for array in (x, w, b, delta, dw, db)]
    px, pw, pb, pdelta, pdw, pdb = precise
    ax, aw, ab, adelta, adw, adb = (np.abs(array) for array in precise)

    z, behind_z = guarded((n, n_out), dtype)
    product.forward_sum(x, w, b, z, packed)
    assert np.signbit(behind_z).all()
    assert_product(z, px @ pw + pb, ax @ aw + ab)

    (dl_da, behind), (dl_da_t, behind_t) = guarded((n, n_in), dtype), guarded((n_in, n), dtype)
    product.error_sum(w, delta, dl_da_t, dl_da, packed)
    assert np.signbit(behind).all() and np.signbit(behind_t).all()
    assert_product(dl_da, pdelta @ pw.T, adelta @ aw.T)

    product.add_gradients(x, delta, dw, db, packed)
    assert_product(dw, pdw + px.T @ pdelta, adw + ax.T @ adelta)
    assert_product(db, pdb + pdelta.sum(axis=0), adb + adelta.sum(axis=0))


@each("dtype", DTYPES)
@each("kind", [activations.IDENTITY, activations.SIGMOID, activations.TANH, activations.RELU, activations.LEAKY_RELU])
def test_elementwise_loops_give_the_bits_of_the_reference(kind, dtype):
    z = np.concatenate([np.random.default_rng(0).standard_normal(95) * 5, [0, -0.0, np.nan, 1e4, -1e4]]).astype(dtype)
    z, epsilon, results = z.reshape(10, 10), dtype.type(0.01), []
    for room in (elementwise, activations):
        a, delta = np.empty_like(z), np.empty_like(z)
        room.activation(kind, epsilon, z, a)
        (room if room is elementwise else backprop).activation_error(kind, epsilon, z[::-1].copy(), z, a, delta)
        results.append((a, delta))
    for fast, reference in zip(*results, strict=True):
        np.testing.assert_array_equal(fast, reference)

"""The forward, backward and update products on a GPU agree with NumPy in float64, also for incomplete tiles and split sums."""

import math

import numpy as np
import pytest

from numbanet import _cuda
from numbanet._cuda import cuda
from numbanet.engines.cuda.products import launch, operands, parts, tiles
from numbanet.engines.cuda.products.epilogues import Activation
from numbanet.engines.cuda.products.launch import Products
from numbanet.engines.cuda.products.tiles import TILES, Tile, TilePlan
from numbanet.equations.activations import IDENTITY, LEAKY_RELU, RELU, SIGMOID, TANH
from tests.helpers.engines import DTYPES, each

pytestmark = pytest.mark.simulator

needs_cuda = pytest.mark.skipif(_cuda.unusable_reason() is not None, reason="needs a GPU, or the simulator")

KINDS = [IDENTITY, SIGMOID, TANH, RELU, LEAKY_RELU]
EPSILON = 0.25
ETA = 0.5

# In the simulator, a thread is a Python thread: the tests therefore use the smallest possible tile, with 16 threads per block.
TINY = Tile(16, 16, 8, 1, 128, 1, 1.0)
DEEP = Tile(16, 16, 16, 1, 128, 1, 1.0)  # two times eight steps
WIDE = Tile(32, 64, 8, 1, 128, 1, 1.0)  # 128 threads, in 2 x 2 warps
QUADS = Tile(64, 64, 8, 2, 128, 1, 1.0)  # 64 threads, each with 8 x 8 sums

# Shapes (n, n_in, n_out): 1, sizes just below and above a tile and the depth of a panel, and several tiles and panels.
SHAPES = [(1, 1, 1), (17, 8, 1), (1, 9, 17), (7, 15, 16), (16, 16, 7), (20, 33, 18), (3, 40, 5)]


class Layer:
    """The arrays of a layer and of a batch, which the tests copy to the GPU.

    The rows of the batch are scattered over x; all numbers that the kernels must not read are NaN.
    """

    def __init__(self, shape, dtype):
        n, n_in, n_out = shape
        random = np.random.default_rng(0)
        self.dtype = np.dtype(dtype)
        self.order = random.permutation(2 * n + 1)[:n]
        self.x = np.full((2 * n + 1, n_in), np.nan)
        self.x[self.order] = self._numbers(random, n, n_in)
        self.wb = self._numbers(random, n_in + 1, n_out)
        self.delta = self._numbers(random, n, n_out)
        self.a_prev = self._numbers(random, n, n_in)
        self.batch = self.x[self.order]

    def _numbers(self, random, *shape):
        return random.uniform(-1, 1, shape).astype(self.dtype).astype(np.float64)

    def upload(self, *names):
        return [cuda.to_device(np.ascontiguousarray(getattr(self, name), self._dtype_of(name))) for name in names]

    def _dtype_of(self, name):
        return np.int64 if name == "order" else self.dtype

    def empty(self, *shape):
        return cuda.to_device(np.full(shape, np.nan, self.dtype))


def phi(kind, z):
    return {
        IDENTITY: lambda: z,
        SIGMOID: lambda: 1 / (1 + np.exp(-z)),
        TANH: lambda: np.tanh(z),
        RELU: lambda: np.maximum(z, 0),
        LEAKY_RELU: lambda: np.where(z > 0, z, EPSILON * z),
    }[kind]()


def d_phi(kind, a):
    return {
        IDENTITY: lambda: np.ones_like(a),
        SIGMOID: lambda: a * (1 - a),
        TANH: lambda: 1 - a**2,
        RELU: lambda: np.where(a > 0, 1, 0),
        LEAKY_RELU: lambda: np.where(a > 0, 1, EPSILON),
    }[kind]()


def check(found, expected, dtype, terms):
    bound = 4 * (terms + 4) * np.finfo(dtype).eps
    np.testing.assert_allclose(found.copy_to_host(), expected, rtol=0, atol=bound)


def activation(layer, kind):
    return Activation(kind, layer.dtype.type(EPSILON))


def check_forward(products, layer, kind=TANH):
    x, order, wb = layer.upload("x", "order", "wb")
    a = layer.empty(*layer.delta.shape)
    products.forward(activation(layer, kind), x, order, wb, a)
    check(a, phi(kind, layer.batch @ layer.wb[:-1] + layer.wb[-1]), layer.dtype, layer.batch.shape[1])


def check_backward(products, layer, kind=TANH):
    wb, delta, a_prev = layer.upload("wb", "delta", "a_prev")
    delta_prev = layer.empty(*layer.a_prev.shape)
    products.backward(activation(layer, kind), wb, delta, a_prev, delta_prev)
    expected = layer.delta @ layer.wb[:-1].T * d_phi(kind, layer.a_prev)
    check(delta_prev, expected, layer.dtype, layer.delta.shape[1])


def gradients_of(layer):
    return np.vstack([layer.batch.T @ layer.delta, layer.delta.sum(0)])


def check_update(products, layer):
    x, order, delta, wb = layer.upload("x", "order", "delta", "wb")
    products.update(cuda.to_device(np.array([1, ETA, 0, 0], layer.dtype)), x, order, delta, wb)
    check(wb, layer.wb - ETA * gradients_of(layer), layer.dtype, len(layer.batch))


def check_gradient(products, layer):
    x, order, delta = layer.upload("x", "order", "delta")
    gradients = layer.empty(*layer.wb.shape)
    products.gradient(x, order, delta, gradients)
    check(gradients, gradients_of(layer), layer.dtype, len(layer.batch))


CHECKS = [check_forward, check_backward, check_update, check_gradient]
# The simulator computes scalars in float64 for both dtypes, so each pair of a check and a shape uses one dtype there,
# alternately.
CASES = [
    pytest.param(check, shape, np.dtype(dtype), id=f"{check.__name__}-{'x'.join(map(str, shape))}-{dtype}")
    for i, check in enumerate(CHECKS)
    for j, shape in enumerate(SHAPES)
    for k, dtype in enumerate(("float32", "float64"))
    if not _cuda.SIMULATED or (i + j + k) % 2
]


@pytest.fixture
def split(monkeypatch):
    """Returns a function `split(count)`, which makes kernels split the sums of a matrix product into at most `count` parts."""

    def split(count):
        def plan(rows, columns, depth, multiprocessors, tiles):
            chunk = -(-depth // (count * tiles[0].depth)) * tiles[0].depth
            return TilePlan(tiles[0], -(-depth // chunk), chunk)

        monkeypatch.setattr(launch, "plan_tiles", plan)
        monkeypatch.setattr(parts, "THREADS", 8)

    return split


@needs_cuda
@each("check, shape, dtype", CASES)
def test_against_whole_arrays(check, shape, dtype, split):
    split(1)
    check(Products(dtype, 1, (TINY,)), Layer(shape, dtype))


@needs_cuda
@each("dtype", DTYPES)
@each("shape", [(18, 17, 17)])
@each("check", CHECKS)
def test_split_against_whole_arrays(check, shape, dtype, split):
    split(3)
    check(Products(dtype, 1, (TINY,)), Layer(shape, dtype))


@needs_cuda
@each("kind", KINDS)
@each("count", [1, 2])
@each("check", [check_forward, check_backward])
def test_every_activation(check, count, kind, split):
    split(count)
    check(Products(np.float32, 1, (TINY,)), Layer((6, 16, 12), np.float32), kind)


@needs_cuda
@each("tile", [DEEP, WIDE, QUADS])
@each("check", CHECKS)
def test_other_tiles(check, tile, split):
    split(1)
    check(Products(np.float32, 1, (tile,)), Layer((35, 34, 66), np.float32))


@needs_cuda
@each("check", CHECKS)
def test_the_tiles_of_a_gpu(check):
    check(Products(np.float32, 132, TILES[np.dtype(np.float32)]), Layer((30, 33, 31), np.float32))


@needs_cuda
def test_rows_may_be_taken_more_than_once(split):
    split(1)
    layer = Layer((9, 5, 6), np.float32)
    layer.order[3:] = layer.order[0]
    layer.batch = layer.x[layer.order]
    for check in CHECKS:
        check(Products(np.float32, 1, (TINY,)), layer)


@needs_cuda
def test_the_same_bits_on_every_run(split):
    split(3)
    layer, products = Layer((7, 40, 10), np.float32), Products(np.float32, 1, (TINY,))
    x, order, wb = layer.upload("x", "order", "wb")
    found = []
    for _ in range(2):
        a = layer.empty(7, 10)
        products.forward(activation(layer, SIGMOID), x, order, wb, a)
        found.append(a.copy_to_host())
    np.testing.assert_array_equal(*found)
    assert len(products.partials) == 1


# Tiles and plans, for which no GPU is needed

H100 = 132
EVERY_TILE = [TINY, DEEP, WIDE, QUADS, *TILES[np.dtype(np.float32)], *TILES[np.dtype(np.float64)]]


def planned(*shape, multiprocessors=H100):
    return tiles.plan_tiles(*shape, multiprocessors, TILES[np.dtype(np.float32)])


@each("tile", EVERY_TILE)
def test_threads_share_a_tile_evenly(tile):
    """All threads load equally many values: the number of threads is divisible by the rows, columns and depth of a tile."""
    assert tile.depth in (tiles.UNROLL, 2 * tiles.UNROLL)
    assert tile.rows * tile.columns == tile.threads * tile.side**2
    for width in (tile.rows, tile.columns, tile.depth):
        assert tile.threads % width == 0
    assert max(tile.rows, tile.columns) <= operands.MOST_LINES


@each("shape", [(1, 1, 1), (64, 128, 784), (785, 128, 64), (1024, 1024, 1024), (10, 33, 2049), (100_000, 10, 64)])
def test_parts_cover_the_depth(shape):
    tile, parts, chunk = planned(*shape)
    assert chunk % tile.depth == 0
    assert (parts - 1) * chunk < shape[2] <= parts * chunk


def test_large_products_take_large_tiles():
    assert planned(4096, 4096, 4096)[:2] == (TILES[np.dtype(np.float32)][0], 1)
    assert planned(8192, 8192, 512)[:2] == (TILES[np.dtype(np.float32)][0], 1)


def test_smaller_products_take_smaller_tiles():
    assert planned(1024, 1024, 256)[:2] == (TILES[np.dtype(np.float32)][1], 1)


def test_small_and_deep_products_are_split():
    plan = planned(64, 128, 784)
    assert plan.parts > 1
    assert H100 / 4 <= math.prod(plan.grid(64, 128)) <= 2 * H100


def test_large_tiles_are_not_split():
    """The planner must not split the sums of large tiles: test_compile_gate.py checks no kernels that split such sums."""
    for size in range(64, 2048, 64):
        plan = planned(size, size, 4096)
        assert plan.parts == 1 or plan.tile.splits


def test_small_and_shallow_products_are_not_split():
    assert planned(64, 128, 64).parts == 1
    assert planned(1, 1, 1).parts == 1


def test_no_split_where_all_multiprocessors_are_busy():
    assert planned(64, 128, 784, multiprocessors=1).parts == 1

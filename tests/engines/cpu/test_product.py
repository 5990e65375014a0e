"""The matrix products of the fast CPU engine agree with NumPy's, also for sizes that are no multiples of the block sizes."""

import numpy as np

from numbanet.engines import Topology
from numbanet.engines import topology as engine_topology
from numbanet.engines.cpu.arguments import Block
from numbanet.engines.cpu.blocks import BLOCK_ROWS, GRADIENT_MC, KC, MC, MR, RANDOM_NUMBERS
from numbanet.engines.cpu.kernels import elementwise, product
from numbanet.engines.cpu.kernels.descent import UpdateStep
from numbanet.engines.cpu.kernels.layout import Layout, panel_width, up_to
from numbanet.engines.cpu.team import Span
from numbanet.engines.epoch import epoch_of
from numbanet.engines.rule import GRADIENT_DESCENT
from numbanet.equations import activations, backprop
from numbanet.equations.activations import LEAKY_RELU, RELU, SIGMOID, TANH
from tests.helpers.compiled import compiled
from tests.helpers.engines import DTYPES, each
from tests.helpers.networks import data, engine_with_parameters

# Shapes (n, n_in, n_out): 1, sizes just below and above a tile, a panel, its depth, a slab and a block, and multiples of these
# sizes.
SHAPES = [
    (1, 1, 1),
    (5, 2, 15),
    (6, 3, 16),
    (7, 17, 17),
    (13, 127, 33),
    (12, 128, 129),
    (3, 257, 9),
    (64, 95, 10),
    (257, 97, 5),
    (258, 7, 31),
    (259, 300, 8),
    (300, 530, 40),
    (2, 600, 600),
]


@compiled
def forward(memory, header, layers, groups, begin, end):
    product.forward(memory, header[0], layers[1], 0, Span(0, groups), Span(begin, end))


@compiled
def backward(memory, header, layers, groups, begin, end):
    product.backward(memory, header[0], layers[1], layers[0], groups, Span(begin, end), header[0].packed)


@compiled
def update(memory, header, layers, n, opens, closes, eta, begin, end):
    step = UpdateStep(GRADIENT_DESCENT, eta, eta, eta, eta - eta, type(eta)(np.inf), 0, eta, eta, eta, 0, 0)
    product.update(memory, header[0], layers[1], Block(0, 0, n, opens, closes, 0), step, Span(begin, end), header[0].packed)


@compiled
def activation(phi, d_phi, epsilon, memory, a, delta, count):
    elementwise.call_activation(phi, (memory, epsilon, a, a, count))
    elementwise.call_activation_error(d_phi, (memory, epsilon, a, a, delta, count))


class Layers:
    """Two layers in memory; the tests compute products of the second layer.

    All memory that the loops must not read contains NaN, so that a wrong read shows in the results.
    """

    def __init__(self, shape, dtype):
        n, n_in, n_out = shape
        random = np.random.default_rng(0)
        self.x, self.w, self.b, self.delta = (
            random.standard_normal(size).astype(dtype) for size in ((n, n_in), (n_in, n_out), n_out, (n, n_out))
        )
        topology = Topology((1, n_in, n_out), ("identity", "identity"), "sse", dtype)
        self.layout = layout = Layout(topology, n, n)
        self.memory, (self.header, self.layers, _) = layout.memory, layout.records(n)
        header = self.header[0]
        constants = [
            slice(header["zeros"], header["zeros"] + self.width),
            slice(header["ones"], header["ones"] + layout.most_rows * self.width),
        ]
        kept = [self.memory[place].copy() for place in constants]
        self.memory[:] = np.nan
        for place, numbers in zip(constants, kept, strict=True):
            self.memory[place] = numbers
        layout.write(np.concatenate([np.zeros(2 * n_in, dtype), self.w.ravel(), self.b]))
        for name, rows in (("x", self.x), ("delta", self.delta)):
            for j, column in enumerate(rows.T):
                self.panels(self.layers[1][name], rows.shape[1])[j // self.width, :n, j % self.width] = column

    width = property(lambda self: panel_width(self.layout.topology.dtype))

    def panels(self, start, n_out):
        return self.memory[start : start + self.layout.most_rows * up_to(self.width, n_out)].reshape(
            -1, self.layout.most_rows, self.width
        )

    def run(self, loop, *arguments, tiles, writes):
        """Runs a loop on each third of the tiles; checks that only scratch memory and one matrix change.

        `writes` = (start, columns, rows) describes this matrix: its offset in memory, its number of columns, and the number of
        rows of its panels (column blocks).
        """
        before = self.memory.copy()
        for third in range(3):
            loop(self.memory, self.header, self.layers, *arguments, tiles * third // 3, tiles * (third + 1) // 3)
        start, columns, rows = writes
        before[start : start + up_to(self.width, columns) * rows] = self.memory[
            start : start + up_to(self.width, columns) * rows
        ]
        packed = slice(self.header[0]["packed"], self.layers[0]["x"])
        before[packed] = self.memory[packed]
        assert before.tobytes() == self.memory.tobytes()


def assert_product(found, expected, magnitude):
    """Checks that each error is at most 16 eps * `magnitude`, the sum of the absolute values of the terms."""
    assert (np.abs(found - expected) <= 16 * np.finfo(found.dtype).eps * magnitude).all()


@each("shape", SHAPES)
@each("dtype", DTYPES)
def test_products_are_right_at_every_edge(dtype, shape):
    n, n_in, n_out = shape
    layers = Layers(shape, dtype)
    layout, (before, layer) = layers.layout, layers.layers
    x, w, b, delta = (array.astype(np.longdouble) for array in (layers.x, layers.w, layers.b, layers.delta))
    groups = -(-n // MR)

    def panels(columns):
        return -(-columns // layers.width)

    layers.run(forward, groups, tiles=groups * panels(n_out), writes=(layer["a"], n_out, layout.most_rows))
    assert_product(layout.rows_of(layer["a"], layout.most_rows, n, n_out), x @ w + b, abs(x) @ abs(w) + abs(b))

    layers.run(backward, groups, tiles=groups * panels(n_in), writes=(before["delta"], n_in, layout.most_rows))
    assert_product(layout.rows_of(before["delta"], layout.most_rows, n, n_in), delta @ w.T, abs(delta) @ abs(w).T)

    dw, db, tiles = x.T @ delta, delta.sum(axis=0), layer["w_rows"] // MR * panels(n_out)
    dw_size, db_size = abs(x).T @ abs(delta), abs(delta).sum(axis=0)
    gradients, eta = layout.gradients, dtype.type(0.125)
    behind = (layer["w"] + gradients, n_out, layer["w_rows"])
    layers.run(update, n, True, False, eta, tiles=tiles, writes=behind)
    layers.run(update, n, False, False, eta, tiles=tiles, writes=behind)  # the second block of samples of a batch
    found = layout.topology.views(layout.read(gradients))[1]
    assert_product(found[0], 2 * dw, 2 * dw_size)
    assert_product(found[1], 2 * db, 2 * db_size)

    here = (layer["w"], n_out, layer["w_rows"])
    layers.run(update, n, False, True, eta, tiles=tiles, writes=here)  # the last block, after which w is updated
    found = layout.topology.views(layout.read())[1]
    assert_product(found[0], w - 3 * dw / 8, abs(w) + dw_size)
    assert_product(found[1], b - 3 * db / 8, abs(b) + db_size)
    layers.run(update, n, True, True, eta, tiles=tiles, writes=here)  # a batch that consists of one block
    found = layout.topology.views(layout.read())[1]
    assert_product(found[0], w - dw / 2, abs(w) + dw_size)
    assert_product(found[1], b - db / 2, abs(b) + db_size)


def test_block_sizes_fit_together():
    """The functions `sample_rows` and `pack_transposed` assume that large blocks consist of whole small blocks."""
    assert MC % MR == GRADIENT_MC % MR == BLOCK_ROWS % MR == 0
    assert KC % panel_width(np.dtype("float32")) == KC % panel_width(np.dtype("float64")) == 0
    assert RANDOM_NUMBERS % panel_width(np.dtype("float32")) == 0


@each("dtype", DTYPES)
@each("kind", [SIGMOID, TANH, RELU, LEAKY_RELU])
def test_elementwise_loops_give_the_bits_of_the_reference(kind, dtype):
    z = np.concatenate([np.random.default_rng(0).standard_normal(95) * 5, [0, -0.0, np.nan, 1e4, -1e4]]).astype(dtype)
    epsilon, dl_da = dtype.type(0.01), z[::-1].copy()
    memory = np.concatenate([z, dl_da])
    formula = elementwise.FORMULAS[kind]
    phi = elementwise.ACTIVATION.address(elementwise.activation(formula), dtype)
    d_phi = elementwise.ACTIVATION_ERROR.address(elementwise.activation_error(formula), dtype)
    activation(phi, d_phi, epsilon, memory, 0, z.size, z.size)
    a, delta = np.empty((1, z.size), dtype), np.empty((1, z.size), dtype)
    activations.activation(kind, epsilon, z[None], a)
    backprop.activation_error(kind, epsilon, dl_da[None], z[None], a, delta)
    np.testing.assert_array_equal(memory, np.concatenate([a[0], delta[0]]))


@each("kept", [(), (RELU,), (LEAKY_RELU,)])
def test_an_activation_that_keeps_z_has_the_gradients_of_one_that_does_not(kept, monkeypatch):
    """Hidden activations in `kept` compute derivatives from z, the others from a; one of the two hidden layers has dropout."""
    monkeypatch.setattr(engine_topology, "KEEPS_Z", frozenset(kept))
    top = Topology((9, 40, 33, 3), ("relu", "leaky_relu", "softmax"), "cce", np.dtype("float32"), 0.25, (0.5, 0.0))
    engine, _ = engine_with_parameters(top, "cpu", "fast")
    x, y = data(top, 50)
    list(engine.train_epoch(x, y, epoch_of(np.arange(50), 20, 0.125, dropout_key=1)))
    _, layers, _ = engine.layout.records(20)
    z, a = (engine.layout.rows_of(layers[0][name], 24, 20, 40) for name in ("z", "a"))
    assert ((z < 0).any() and not (a < 0).any()) if RELU in kept else (z == a).all()
    exact, _ = engine_with_parameters(top, "cpu", "reference")
    list(exact.train_epoch(x, y, epoch_of(np.arange(50), 20, 0.125, dropout_key=1)))
    np.testing.assert_allclose(engine.read(), exact.read(), rtol=1e-5, atol=1e-6)

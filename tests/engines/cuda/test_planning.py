"""The choice between the ways to train on a GPU is based on estimated times, which can be tested without a GPU."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.gpu.cases import CASES
from benchmarks.rungs import RUNGS
from numbanet.engines import topology as engine_topology
from numbanet.engines.cuda.cooperative import layout, tiling
from numbanet.engines.cuda.cooperative.layout import Common, GridPlan, Layer, LayerTiles, Matrix
from numbanet.engines.cuda.limits import Limits
from numbanet.engines.cuda.planning import COOPERATIVE, KNOWN_LIMITS, PRODUCTS, RESIDENT, plan, possible_plans, reason
from numbanet.engines.cuda.resident import layout as resident
from numbanet.engines.topology import Topology
from numbanet.equations.activations import RELU, SOFTMAX
from tests.helpers.engines import each

pytestmark = pytest.mark.simulator

H100 = KNOWN_LIMITS["sm_90"]


def network(sizes, dtype="float32", hidden="relu") -> Topology:
    return Topology(tuple(sizes), (hidden,) * (len(sizes) - 2) + ("softmax",), "cce", np.dtype(dtype))


# The rungs that fit into one block's shared memory, and the GPUs whose blocks together have enough shared memory for R3 and R4.
# R5 and R6 do not fit into the shared memory of any GPU.
RESIDENT_RUNGS, COOPERATIVE_RUNGS = ("R1", "R2"), {"R3": ("sm_80", "sm_86", "sm_89", "sm_90"), "R4": ("sm_90",)}


@each("capability", list(KNOWN_LIMITS))
@each("rung", list(RUNGS))
def test_the_way_of_each_rung(rung, capability):
    limits, name, rung = KNOWN_LIMITS[capability], rung, RUNGS[rung]
    found = plan(network(rung.sizes, rung.dtype), rung.batch, limits)
    together = COOPERATIVE if capability in COOPERATIVE_RUNGS.get(name, ()) else PRODUCTS
    assert found.way == (RESIDENT if name in RESIDENT_RUNGS else together)
    assert found.shared_bytes <= limits.shared_bytes
    assert (found.shared_bytes > 0) == (found.way != PRODUCTS)
    assert (found.grid is not None) == (found.way == COOPERATIVE)


@each("case", [pytest.param(case, id=case.name) for case in CASES])
def test_networks_and_batches_of_any_size_have_a_plan(case):
    """The test uses the networks of the GPU benchmark.

    The planner also considers plans with arrays whose offsets exceed 32 bits, and must not raise an error for them.
    """
    for limits in KNOWN_LIMITS.values():
        found = plan(network(case.sizes), case.batch, limits)
        assert found.way == PRODUCTS or case.batch < 1000


@each("batch", [64, 256])
def test_the_tiles_of_784_128_10(batch):
    """`spread`, the number of layers whose sums all thread blocks compute together, is 1: only the first layer is spread.

    The estimated time of a step is less than 20 us for batches of 64 samples, and less than 30 us for batches of 256 samples.
    """
    top = network([784, 128, 10])
    found = plan(top, batch, H100)
    assert (found.way, found.grid.spread) == (COOPERATIVE, 1) and found.estimate < {64: 20, 256: 30}[batch]
    first, second = found.grid.layers
    assert first.down * first.across > 0.9 * 132 and second.down * second.across > 0.6 * 132


def test_the_bytes_of_a_grid_by_hand():
    """In the network 784-128-10, layer 1 has 16 x 8 tiles of 52 x 16 weights, and layer 2 has 33 x 3 tiles of 4 x 4 weights.

    In memory, each row of a matrix is padded to an odd multiple of 4 elements.
    """
    layers = LayerTiles(52, 16, 16, 8), LayerTiles(4, 4, 33, 3)
    assert [tiling.cut(784, 128, 16, 132), tiling.cut(128, 10, 33, 132)] == list(layers)
    tiles = 52 * 20 + 64 * 52 * 2 + 64 * 20, 4 * 4 + 64 * 4 + 64 * 4  # w, x and delta; the first layer has two copies of x
    # The head has one sample per block, padded to 4. The sizes: w and x; delta; delta of layer 1.
    head = 132 * 12 + 4 * 132, 4 * 12, 4 * 132
    output, sums = 4 * 4 * 12 + 2 * 4, layout.THREADS * 16
    tables = 25 * 16 + 16
    wanted = 4 * (sum(tiles) + sum(head) + output + sums + tables)
    assert layout.shared_bytes(network([784, 128, 10]), 64, GridPlan(layers, 1, 132)) == wanted


sizes_of_networks = st.lists(st.integers(1, 70), min_size=2, max_size=6)


def ranges_of_layer(layer, plan, batch, l, sizes):
    """Returns the pairs (start, length) of a layer's arrays in shared memory, and of its arrays in global memory.

    Checks the row lengths.
    """
    tiles, samples, rows = plan.layers[l], layout.padded(plan.head_samples(batch)), layout.padded(batch)
    n_in, n_out = sizes
    matrices = {Matrix.W: (tiles.rows, tiles.columns), Matrix.X: (rows, tiles.rows), Matrix.DELTA: (rows, tiles.columns)}
    far = {Layer.FAR_A: batch * n_out, Layer.FAR_DELTA: batch * n_out}
    if l < plan.spread:
        far[Layer.Z_SUMS] = tiles.down * batch * n_out
        far |= {Layer.DL_DA_SUMS: tiles.across * batch * n_in} if l else {}
    else:
        matrices |= {Matrix.HEAD_W: (layout.padded(n_in + 1), n_out), Matrix.HEAD_X: (samples, n_in + 1)}
    if l >= plan.spread - 1:
        matrices[Matrix.HEAD_DELTA] = samples, n_out
    pitches = {matrix: layer[layout.PITCHES + matrix] for matrix in matrices}
    assert all(pitches[matrix] >= width and pitches[matrix] % 8 == 4 for matrix, (_, width) in matrices.items())
    near = [(layer[layout.PLACES + matrix], count * pitches[matrix]) for matrix, (count, _) in matrices.items()]
    return near, [(layer[column], count) for column, count in far.items()]


@settings(deadline=None)
@given(sizes=sizes_of_networks, batch=st.integers(1, 40), blocks=st.integers(1, 12), data=st.data())
def test_nothing_overlaps_in_the_memory_of_a_grid(sizes, batch, blocks, data):
    """In shared and in global memory, the arrays neither overlap nor leave gaps, and groups of four values are aligned."""
    top = network(sizes)
    layers = tuple(tiling.cut(*layer, data.draw(st.integers(1, blocks)), blocks) for layer in top.layers)
    plan = GridPlan(layers, data.draw(st.integers(1, len(layers))), blocks)
    table, common, far_numbers = layout.tables(top, batch, plan)
    near, far, samples = [], [], layout.padded(math.ceil(batch / blocks))
    for l, (layer, layer_sizes) in enumerate(zip(table, top.layers, strict=True)):
        of_near, of_far = ranges_of_layer(layer, plan, batch, l, layer_sizes)
        near, far = near + of_near, far + of_far
    near += [(common[Common.SECOND_X], layout.padded(batch) * table[0][layout.PITCHES + Matrix.X])]
    near += [(common[Common.SUMS], layout.THREADS * 16)]
    near += [(common[entry], samples * common[Common.OUTPUT_PITCH]) for entry in (Common.Z, Common.A, Common.U, Common.DL)]
    near += [(common[entry], samples) for entry in (Common.Z_MAX, Common.OTHERS)]
    for taken, count in ((near, common[Common.NEAR_NUMBERS]), (far, far_numbers)):
        end = 0
        for start, size in sorted(taken):
            assert start == end
            end = start + size
        assert end == count
    assert all(start % 4 == 0 for start, _ in near)
    assert layout.TABLE_LENGTH * 4 % 16 == 0  # near memory begins directly after the tables


def test_kernels_read_both_tables_from_one_array():
    plan = GridPlan(tuple(tiling.cut(*layer, 2, 4) for layer in ((5, 4), (4, 3))), 1, 4)
    tables = layout.tables(network([5, 4, 3]), 7, plan)
    flat = tables.flat()
    assert flat.shape == (layout.TABLE_LENGTH,) and flat.dtype == np.int32
    assert flat[layout.LAYER_COLUMNS + Layer.N_OUT] == 3 and flat[layout.COMMON + Common.BATCH] == 7
    assert flat[-1] == tables.common[Common.NEAR_NUMBERS] > 0
    columns = [*Layer, *(layout.PLACES + matrix for matrix in Matrix), *(layout.PITCHES + matrix for matrix in Matrix)]
    assert columns == list(range(layout.LAYER_COLUMNS)) and list(Common) == list(range(len(Common)))


@settings(deadline=None)
@given(n_in=st.integers(1, 900), n_out=st.integers(1, 900), blocks=st.integers(1, 140), data=st.data())
def test_tiles_cover_a_layer(n_in, n_out, blocks, data):
    rows, columns, down, across = tiling.cut(n_in, n_out, data.draw(st.integers(1, min(blocks, n_in + 1))), blocks)
    assert rows % 4 == columns % 4 == 0 and down * across <= blocks
    assert (down - 1) * rows < n_in + 1 <= down * rows and (across - 1) * columns < n_out <= across * columns


@settings(deadline=None)
@given(sizes=sizes_of_networks, batch=st.integers(1, 300), capability=st.sampled_from(list(KNOWN_LIMITS)))
def test_a_grid_fits_the_gpu(sizes, batch, capability):
    limits, top = KNOWN_LIMITS[capability], network(sizes)
    grid = tiling.best_plan(top, batch, limits)
    if grid is not None:
        assert layout.shared_bytes(top, batch, grid) <= limits.shared_bytes
        assert all(tiles.down * tiles.across <= grid.blocks for tiles in grid.layers)
        assert grid.blocks == limits.grid_blocks and 1 <= grid.spread <= len(grid.layers)


def test_networks_without_a_grid():
    wanted = network([784, 128, 10]), 64
    assert tiling.best_plan(*wanted, H100) and not tiling.best_plan(*wanted, H100._replace(grid_blocks=0))
    assert not tiling.best_plan(network([784, 128, 10], hidden="softmax"), 64, H100)
    assert not tiling.best_plan(network([8] * (layout.MOST_LAYERS + 2)), 64, H100)
    best = tiling.best_plan(*wanted, H100)
    smaller = tiling.best_plan(*wanted, H100._replace(shared_bytes=layout.shared_bytes(*wanted, best) - 1))
    assert smaller != best and tiling.estimate(*wanted, smaller) > tiling.estimate(*wanted, best)


def test_the_reason_names_what_was_weighed():
    words = reason(network([784, 128, 10]), 64, H100)
    assert "has 232,448 bytes of shared memory; the network does not fit into one thread block" in words
    assert "in 132 thread blocks, 1 layer spread over all, each with" in words
    assert "with a kernel for each matrix product, a step takes about 25 us" in words
    assert "in one thread block" in reason(network([64, 32, 10]), 32, H100)
    assert "the parameters cannot be divided among thread blocks" in reason(network([4096, 4096, 10]), 64, H100)


def test_places_by_hand():
    """The network has the sizes 3-4-2, and the batch has two samples; x and the hidden activations have a column of ones.

    In memory, each row of a matrix is padded to an odd number of elements.
    """
    layers, output, count = resident.tables(network([3, 4, 2]), 2)
    x_0, w_1 = 2 * 5, 4 * 5  # x: 2 x (3 + 1), pitch 5; w: (3 + 1) x 4, pitch 5
    a_1, delta_1 = 2 * 5, 2 * 5
    w_2, a_2, delta_2 = 5 * 3, 2 * 3, 2 * 3
    second = x_0 + w_1 + a_1 + delta_1
    assert layers[:, : resident.PLACES].tolist() == [[3, 4, RELU], [4, 2, SOFTMAX]]
    assert layers[0, resident.PLACES : resident.PITCHES].tolist() == [x_0, 0, x_0 + w_1, x_0 + w_1 + a_1]  # W, X, A, DELTA
    assert layers[1, resident.PLACES : resident.PITCHES].tolist() == [second, x_0 + w_1, second + w_2, second + w_2 + a_2]
    assert layers[:, resident.PITCHES :].tolist() == [[5, 5, 5, 5], [3, 5, 3, 3]]
    tables = second + w_2 + a_2 + delta_2
    assert output.tolist() == [tables, tables + 4, tables + 8, tables + 12, tables + 14]
    assert count == tables + 16


@given(
    sizes=st.lists(st.integers(1, 40), min_size=2, max_size=6),
    batch=st.integers(1, 40),
    hidden=st.sampled_from(["relu", "softmax"]),
)
def test_nothing_overlaps_in_shared_memory(sizes, batch, hidden):
    top = network(sizes, hidden=hidden)
    layers, output, count = resident.tables(top, batch)
    widest = max(width for width, kind in zip(sizes[1:], top.activations, strict=True) if kind == "softmax")
    Matrix, Output = resident.Matrix, resident.Output
    taken = [(output[entry], batch * widest) for entry in (Output.Z, Output.U, Output.DL)]
    taken += [(output[entry], batch) for entry in (Output.Z_MAX, Output.OTHERS)]
    first = layers[0]
    taken += [(first[resident.PLACES + Matrix.X], batch * first[resident.PITCHES + Matrix.X])]
    for layer in layers:
        n_in, n_out = layer[resident.Layer.N_IN], layer[resident.Layer.N_OUT]
        places, pitches = layer[resident.PLACES : resident.PITCHES], layer[resident.PITCHES :]
        taken += [(places[matrix], batch * pitches[matrix]) for matrix in (Matrix.A, Matrix.DELTA)]
        taken += [(places[Matrix.W], (n_in + 1) * pitches[Matrix.W])]
        widths = {Matrix.W: n_out, Matrix.X: n_in + 1, Matrix.A: n_out + 1, Matrix.DELTA: n_out}
        assert all(pitches[matrix] % 2 == 1 and pitches[matrix] >= widths[matrix] for matrix in Matrix)
    end = 0
    for start, size in sorted(taken):
        assert start == end
        end = start + size
    assert end == count


@each("dtype, size", [("float32", 4), ("float64", 8)])
def test_a_byte_too_many_means_products(dtype, size):
    top = network([64, 32, 10], dtype)
    wanted = resident.tables(top, 32).numbers * size
    fits, short = (Limits(132, shared_bytes, 0) for shared_bytes in (wanted, wanted - 1))
    assert plan(top, 32, fits)[:2] == (RESIDENT, wanted)
    assert plan(top, 32, short)[:2] == (PRODUCTS, 0)
    assert f"{wanted:,} bytes, and a thread block has {wanted - 1:,}" in reason(top, 32, short)


@pytest.mark.parametrize(("batch", "way"), [(1, RESIDENT), (64, PRODUCTS)])
def test_one_block_is_not_asked_for_the_work_of_many(batch, way):
    """For batches of one sample, training in one thread block is faster than launching a kernel for each product.

    The network of the test fills the shared memory of a thread block.
    """
    assert plan(network([150, 120, 10]), batch, H100._replace(grid_blocks=0)).way == way


@each("sizes", [[64, 32, 10], [784, 128, 10]])
def test_a_hidden_layer_that_keeps_z_is_trained_by_products(sizes, monkeypatch):
    monkeypatch.setattr(engine_topology, "KEEPS_Z", frozenset({RELU}))
    # Plans are cached, so the batch size 31 occurs in no other test.
    assert [plan.way for plan in possible_plans(network(sizes), 31, H100)] == [PRODUCTS]
    wanted = resident.shared_bytes(network(sizes), 31)
    assert ("does not keep z" in reason(network(sizes), 31, H100)) == (wanted <= H100.shared_bytes)

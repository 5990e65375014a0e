"""How a network is to be trained on a GPU: the arithmetic of it, which needs none."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.rungs import RUNGS
from numbanet.engines.cuda.cooperative import layout as shares
from numbanet.engines.cuda.memory import Limits
from numbanet.engines.cuda.planning import COOPERATIVE, KNOWN_LIMITS, PRODUCTS, RESIDENT, plan, reason
from numbanet.engines.cuda.resident import kernel as resident
from numbanet.engines.topology import Topology
from tests.helpers.engines import each

pytestmark = pytest.mark.simulator

H100 = KNOWN_LIMITS["sm_90"]


def network(sizes, dtype="float32", hidden="relu") -> Topology:
    return Topology(tuple(sizes), (hidden,) * (len(sizes) - 2) + ("softmax",), "cce", np.dtype(dtype))


# Where a rung fits shared memory: one block's, or all blocks' together. R5 and R6 fit nowhere.
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


@each("batch", [64, 256])
def test_the_shares_of_784_128_10(batch):
    """Two meetings a step: the second layer is the head. Its times are within the aims of 20 and 30 us, as estimated."""
    top = network([784, 128, 10])
    found = plan(top, batch, H100)
    assert (found.way, found.grid.spread) == (COOPERATIVE, 1) and found.estimate < {64: 20, 256: 30}[batch]
    first, second = found.grid.layers
    assert first.down * first.across > 0.9 * 132 and second.down * second.across > 0.6 * 132


def test_the_bytes_of_shares_by_hand():
    """784-128-10 in 16 x 8 tiles of 52 x 16 and 33 x 3 of 4 x 4, batch 64; pitches are 4 times an odd number."""
    layers = shares.Share(52, 16, 16, 8), shares.Share(4, 4, 33, 3)
    assert [shares.cut(784, 128, 16, 132), shares.cut(128, 10, 33, 132)] == list(layers)
    tiles = 52 * 20 + 64 * 52 * 2 + 64 * 20, 4 * 4 + 64 * 4 + 64 * 4  # w, x, delta; x of the first layer twice
    head = 132 * 12 + 4 * 132, 4 * 12, 4 * 132  # one sample, made 4: w and x, delta, delta of the first layer
    output, sums = 4 * 4 * 12 + 2 * 4, shares.THREADS * 16
    tables = 25 * 16 + 16
    wanted = 4 * (sum(tiles) + sum(head) + output + sums + tables)
    assert shares.shared_bytes(network([784, 128, 10]), 64, shares.Shares(layers, 1, 132)) == wanted


sizes_of_networks = st.lists(st.integers(1, 70), min_size=2, max_size=6)


@settings(deadline=None)
@given(sizes=sizes_of_networks, batch=st.integers(1, 40), blocks=st.integers(1, 12), data=st.data())
def test_nothing_overlaps_in_the_memory_of_shares(sizes, batch, blocks, data):
    """Nor leaves gaps, in shared memory and in that of all blocks; quads begin where they may be loaded."""
    top = network(sizes)
    layers = tuple(shares.cut(*layer, data.draw(st.integers(1, blocks)), blocks) for layer in top.layers)
    spread = data.draw(st.integers(1, len(layers)))
    table, rest, exchanged = shares.places(top, batch, shares.Shares(layers, spread, blocks))
    rows, samples, near, far = shares.padded(batch), shares.padded(math.ceil(batch / blocks)), [], []
    for l, (layer, share, (n_in, n_out)) in enumerate(zip(table, layers, top.layers, strict=True)):
        near += [(layer[shares.W], share.rows * layer[shares.W_PITCH]), (layer[shares.X], rows * layer[shares.X_PITCH])]
        near += [(layer[shares.DELTA], rows * layer[shares.DELTA_PITCH])]
        far += [(layer[shares.ALL_A], batch * n_out), (layer[shares.ALL_DELTA], batch * n_out)]
        pitches = [(shares.W_PITCH, share.columns), (shares.X_PITCH, share.rows), (shares.DELTA_PITCH, share.columns)]
        if l < spread:
            far += [(layer[shares.NEXT_SUMS], share.down * batch * n_out)]
            far += [(layer[shares.PREVIOUS_SUMS], share.across * batch * n_in)] if l else []
        else:
            near += [(layer[shares.HEAD_W], shares.padded(n_in + 1) * layer[shares.HEAD_W_PITCH])]
            near += [(layer[shares.HEAD_X], samples * layer[shares.HEAD_X_PITCH])]
            pitches += [(shares.HEAD_W_PITCH, n_out), (shares.HEAD_X_PITCH, n_in + 1)]
        if l >= spread - 1:
            near += [(layer[shares.HEAD_DELTA], samples * layer[shares.HEAD_DELTA_PITCH])]
            pitches += [(shares.HEAD_DELTA_PITCH, n_out)]
        assert all(layer[pitch] >= width and layer[pitch] % 8 == 4 for pitch, width in pitches)
    near += [(rest[shares.SECOND_X], rows * table[0][shares.X_PITCH]), (rest[shares.SUMS], shares.THREADS * 16)]
    near += [(rest[name], samples * rest[shares.Z_PITCH]) for name in (shares.Z, shares.A, shares.U, shares.DL)]
    near += [(rest[name], samples) for name in (shares.Z_MAX, shares.OTHERS)]
    for taken, count in ((near, rest[shares.COUNT]), (far, exchanged)):
        end = 0
        for start, size in sorted(taken):
            assert start == end
            end = start + size
        assert end == count
    assert all(start % 4 == 0 for start, _ in near)
    assert shares.TABLES * 4 % 16 == 0  # shared memory goes on behind the tables


@settings(deadline=None)
@given(n_in=st.integers(1, 900), n_out=st.integers(1, 900), blocks=st.integers(1, 140), data=st.data())
def test_tiles_cover_a_layer(n_in, n_out, blocks, data):
    rows, columns, down, across = shares.cut(n_in, n_out, data.draw(st.integers(1, min(blocks, n_in + 1))), blocks)
    assert rows % 4 == columns % 4 == 0 and down * across <= blocks
    assert (down - 1) * rows < n_in + 1 <= down * rows and (across - 1) * columns < n_out <= across * columns


@settings(deadline=None)
@given(sizes=sizes_of_networks, batch=st.integers(1, 300), capability=st.sampled_from(list(KNOWN_LIMITS)))
def test_shares_fit_the_gpu(sizes, batch, capability):
    limits, top = KNOWN_LIMITS[capability], network(sizes)
    found = shares.share_out(top, batch, limits)
    if found is not None:
        assert shares.shared_bytes(top, batch, found) <= limits.shared_bytes
        assert all(share.down * share.across <= found.blocks for share in found.layers)
        assert found.blocks == limits.grid_blocks and 1 <= found.spread <= len(found.layers)


def test_what_cannot_be_shared_out():
    wanted = network([784, 128, 10]), 64
    assert shares.share_out(*wanted, H100) and not shares.share_out(*wanted, H100._replace(grid_blocks=0))
    assert not shares.share_out(network([784, 128, 10], hidden="softmax"), 64, H100)
    assert not shares.share_out(network([8] * (shares.MOST_LAYERS + 2)), 64, H100)
    found = shares.share_out(*wanted, H100)
    smaller = shares.share_out(*wanted, H100._replace(shared_bytes=shares.shared_bytes(*wanted, found) - 1))
    assert smaller != found and shares.time(*wanted, smaller) > shares.time(*wanted, found)


def test_the_reason_names_what_was_weighed():
    words = reason(network([784, 128, 10]), 64, H100)
    assert "more than the 232,448 of a block's shared memory" in words
    assert (
        "in each of 132 blocks" in words and "1 layer spread" in words and "kernels for each product take some 25 us" in words
    )
    assert "in one block" in reason(network([64, 32, 10]), 32, H100)
    assert "no way to share them out" in reason(network([4096, 4096, 10]), 64, H100)


def test_places_by_hand():
    """3-4-2, two samples: x and a with a column of ones, and odd pitches."""
    layers, rows, count = resident.places(network([3, 4, 2]), 2)
    x_0, w_1 = 2 * 5, 4 * 5  # x: 2 x (3 + 1), pitch 5; w: (3 + 1) x 4, pitch 5
    a_1, delta_1 = 2 * 5, 2 * 5
    w_2, a_2, delta_2 = 5 * 3, 2 * 3, 2 * 3
    assert layers[0].tolist() == [3, 4, 3, x_0, 5, 0, 5, x_0 + w_1, 5, x_0 + w_1 + a_1, 5]
    second = x_0 + w_1 + a_1 + delta_1
    assert layers[1].tolist() == [4, 2, 5, second, 3, x_0 + w_1, 5, second + w_2, 3, second + w_2 + a_2, 3]
    tables = second + w_2 + a_2 + delta_2
    assert rows.tolist() == [tables, tables + 4, tables + 8, tables + 12, tables + 14]
    assert count == tables + 16


@given(
    sizes=st.lists(st.integers(1, 40), min_size=2, max_size=6),
    batch=st.integers(1, 40),
    hidden=st.sampled_from(["relu", "softmax"]),
)
def test_nothing_overlaps_in_shared_memory(sizes, batch, hidden):
    top = network(sizes, hidden=hidden)
    layers, rows, count = resident.places(top, batch)
    widest = max(width for width, kind in zip(sizes[1:], top.activations, strict=True) if kind == "softmax")
    taken = [(rows[name], batch * widest) for name in (resident.Z, resident.U, resident.DL)]
    taken += [(rows[name], batch) for name in (resident.Z_MAX, resident.OTHERS)]
    taken += [(layers[0][resident.X], batch * layers[0][resident.X_PITCH])]
    for layer in layers:
        n_in, n_out = layer[resident.N_IN], layer[resident.N_OUT]
        taken.append((layer[resident.W], (n_in + 1) * layer[resident.W_PITCH]))
        taken.append((layer[resident.A], batch * layer[resident.A_PITCH]))
        taken.append((layer[resident.DELTA], batch * layer[resident.DELTA_PITCH]))
        pitches = layer[[resident.W_PITCH, resident.X_PITCH, resident.A_PITCH, resident.DELTA_PITCH]]
        assert (pitches % 2 == 1).all() and (pitches >= [n_out, n_in + 1, n_out + 1, n_out]).all()
    end = 0
    for start, size in sorted(taken):
        assert start == end
        end = start + size
    assert end == count


@each("dtype, size", [("float32", 4), ("float64", 8)])
def test_a_byte_too_many_means_products(dtype, size):
    top = network([64, 32, 10], dtype)
    wanted = resident.places(top, 32)[2] * size
    fits, short = (Limits(132, shared_bytes, 0) for shared_bytes in (wanted, wanted - 1))
    assert plan(top, 32, fits)[:2] == (RESIDENT, wanted)
    assert plan(top, 32, short)[:2] == (PRODUCTS, 0)
    assert f"{wanted:,} bytes, more than the {wanted - 1:,}" in reason(top, 32, short)


@pytest.mark.parametrize(("batch", "way"), [(1, RESIDENT), (64, PRODUCTS)])
def test_one_block_is_not_asked_for_the_work_of_many(batch, way):
    """A network that fills the shared memory of a block: on one sample the block is done before kernels have been started."""
    assert plan(network([150, 120, 10]), batch, H100._replace(grid_blocks=0)).way == way
